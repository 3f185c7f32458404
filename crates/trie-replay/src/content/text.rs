//! Prompts of text.

use std::ops::Range;

use trie_core::plan::{Piece, PlannedTrace};
use trie_core::units::Tokens;
use trie_core::workload::StepId;
use trie_tokens::Vocabulary;

use super::Answers;

/// The prompt of a step. Answers are their own text where `feeds_back`, else ours.
pub(super) fn prompt(
    vocabulary: &Vocabulary,
    feeds_back: bool,
    trace: &PlannedTrace,
    step: StepId,
    answers: &Answers,
) -> String {
    let mut text = String::new();
    let fill = |key: u128, tokens: Range<Tokens>, text: &mut String| {
        vocabulary.stable().fill_text(key, tokens, text);
    };
    // The server puts a token of its own before text: one of ours makes room for it.
    let mut room = u64::from(vocabulary.bos().is_some());
    for piece in trace.prompt(step) {
        match piece {
            Piece::Segment { key, of: _, tokens } => {
                let start = (tokens.start + room).min(tokens.end);
                room -= start - tokens.start;
                fill(key.0, start..tokens.end, &mut text);
            }
            Piece::Carried { step, tokens } if feeds_back => {
                let planned = trace.trace.steps[step as usize].output.tokens;
                let answer = answers.get(&step).map_or("", |answer| &answer.text);
                carry(vocabulary, answer, planned, tokens, &mut text);
            }
            Piece::Carried { step, tokens } => fill(trace.answer_key(step).0, tokens, &mut text),
        }
    }
    vocabulary.prompt_text(&text).to_owned()
}

/// Appends the tokens `range` of an answer of `planned` tokens. All of it is its text as it came; a
/// part is cut by our own count.
fn carry(
    vocabulary: &Vocabulary,
    answer: &str,
    planned: Tokens,
    range: Range<Tokens>,
    text: &mut String,
) {
    if range == (0..planned) {
        text.push_str(answer);
        return;
    }
    let ids = vocabulary.encode(answer);
    let index = |at: Tokens| usize::try_from(at).unwrap_or(usize::MAX).min(ids.len());
    // Ranges at the end count from the end, so that the last tokens stay the last ones.
    let ends = range.end == planned;
    let end = if ends { ids.len() } else { index(range.end) };
    let length = index(range.end - range.start);
    let start = if ends { end.saturating_sub(length) } else { index(range.start).min(end) };
    text.push_str(&vocabulary.decode(&ids[start..end]));
}
