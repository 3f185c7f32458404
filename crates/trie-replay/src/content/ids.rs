//! Prompts of ids: what was sent and what was generated, token by token.

use std::ops::Range;

use trie_core::plan::{Piece, PlannedTrace};
use trie_core::units::Tokens;
use trie_core::workload::StepId;
use trie_tokens::{StableSubset, Vocabulary};

use super::{Answer, Answers};

/// The prompt of a step as a JSON array of its planned length.
///
/// A server puts nothing before a prompt of ids: the token that it would put before text opens the
/// array. An answer that is not as long as planned is cut, or ends in tokens of our own, so that no
/// later prompt has another length than planned; its own row says that it was too long or short.
pub(super) fn prompt(
    vocabulary: &Vocabulary,
    trace: &PlannedTrace,
    step: StepId,
    answers: &Answers,
) -> Vec<u8> {
    prompt_of(vocabulary, trace, trace.prompt(step), answers)
}

/// The same of these pieces of a trace's prompts.
pub(super) fn prompt_of(
    vocabulary: &Vocabulary,
    trace: &PlannedTrace,
    pieces: Vec<Piece>,
    answers: &Answers,
) -> Vec<u8> {
    let mut list = List::new(vocabulary.stable());
    // Makes room for itself: the first of our own tokens gives way.
    let mut room = 0;
    if let Some(bos) = vocabulary.bos() {
        list.push(bos);
        room = 1;
    }
    for piece in pieces {
        match piece {
            Piece::Segment { key, of: _, tokens } => {
                let start = (tokens.start + room).min(tokens.end);
                room -= start - tokens.start;
                list.fill(key.0, start..tokens.end);
            }
            Piece::Carried { step, tokens } => {
                let answer = answers.get(step).cloned().unwrap_or_default();
                list.carry(&answer, trace.answer_key(step).0, tokens);
            }
        }
    }
    list.finish()
}

/// A JSON array in the making.
struct List<'v> {
    stable: &'v StableSubset,
    json: Vec<u8>,
}

impl<'v> List<'v> {
    fn new(stable: &'v StableSubset) -> Self {
        Self { stable, json: b"[".to_vec() }
    }

    fn push(&mut self, id: u32) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        self.json.extend_from_slice(id.to_string().as_bytes());
    }

    fn fill(&mut self, key: u128, tokens: Range<Tokens>) {
        let first = self.json.len() == 1;
        self.stable.fill_json_ids(key, tokens, &mut self.json, first);
    }

    fn carry(&mut self, answer: &Answer, stand_in: u128, tokens: Range<Tokens>) {
        let all = answer.ids.len();
        let index = |at: Tokens| usize::try_from(at).unwrap_or(all).min(all);
        for id in &answer.ids[index(tokens.start)..index(tokens.end)] {
            self.push(*id);
        }
        self.fill(stand_in, tokens.start.max(all as u64)..tokens.end);
    }

    fn finish(mut self) -> Vec<u8> {
        self.json.push(b']');
        self.json
    }
}
