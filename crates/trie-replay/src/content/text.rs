//! Prompts of text, as long as planned by the server's own count.
//!
//! The text of an answer need not make as many tokens as the server generated. What an answer is
//! worth in its place is counted here, between the words beside it, and the next text of ours is
//! so much shorter or longer. Nothing that stands in an earlier prompt is touched: a prompt still
//! continues the one before.

use std::ops::Range;

use trie_core::plan::{Piece, PlannedTrace};
use trie_core::units::Tokens;
use trie_core::workload::StepId;
use trie_tokens::Vocabulary;

use super::{Answer, Answers, Counted};

/// The prompt of a step. Answers are their own text where `feeds_back`, else ours.
///
/// It is as long as planned, but where the answers in it have grown by more than the texts of ours
/// behind them are long: each of those keeps one token.
pub(super) fn prompt(
    vocabulary: &Vocabulary,
    feeds_back: bool,
    trace: &PlannedTrace,
    step: StepId,
    answers: &Answers,
) -> String {
    prompt_of(vocabulary, feeds_back, (trace, trace.prompt(step)), answers)
}

/// The same of these pieces of a trace's prompts.
pub(super) fn prompt_of(
    vocabulary: &Vocabulary,
    feeds_back: bool,
    (trace, pieces): (&PlannedTrace, Vec<Piece>),
    answers: &Answers,
) -> String {
    let missing = Answer::default();
    let mut draft = Draft::new(vocabulary);
    for piece in pieces {
        match piece {
            Piece::Segment { key, of: _, tokens } => draft.ours(key.0, tokens),
            Piece::Carried { step, tokens } if feeds_back => {
                let planned = trace.trace.steps[step as usize].output.tokens;
                draft.answer(answers.get(step).unwrap_or(&missing), planned, tokens);
            }
            Piece::Carried { step, tokens } => draft.ours(trace.answer_key(step).0, tokens),
        }
    }
    vocabulary.prompt_text(&draft.text).to_owned()
}

/// A prompt in the making.
struct Draft<'p> {
    vocabulary: &'p Vocabulary,
    text: String,
    /// The server puts a token of its own before text: one of ours makes room for it.
    room: Tokens,
    /// The end of the text, where it is not certain how many tokens it is.
    open: Option<Open<'p>>,
}

/// Answers at the end of a text, with single words of ours between them.
struct Open<'p> {
    /// Where the last word before them begins.
    before: usize,
    /// Where they begin.
    start: usize,
    /// How many tokens they are by the plan.
    planned: Tokens,
    /// The answer, if there is but one and all of it.
    only: Option<&'p Answer>,
}

impl<'p> Draft<'p> {
    fn new(vocabulary: &'p Vocabulary) -> Self {
        let room = Tokens::from(vocabulary.bos().is_some());
        Self { vocabulary, text: String::new(), room, open: None }
    }

    /// Appends text of ours, by as many tokens longer or shorter as the answers before it are worth
    /// less or more than planned.
    fn ours(&mut self, key: u128, range: Range<Tokens>) {
        let start = (range.start + self.room).min(range.end);
        self.room -= start - range.start;
        let planned = range.end - start;
        if planned == 0 {
            return;
        }
        let mut length = planned;
        if let Some(open) = self.open.take() {
            let stand = self.count(&open, &self.words(key, start..start + 1));
            length = (open.planned + planned).saturating_sub(stand).max(1);
            // Beside one word alone the next answer cannot be counted apart from those before.
            self.open = (length == 1).then_some(Open {
                planned: open.planned + planned,
                only: None,
                ..open
            });
        }
        self.vocabulary.stable().fill_text(key, start..start + length, &mut self.text);
    }

    /// Appends the tokens `range` of an answer of `planned` tokens. All of it is its text as it
    /// came; a part is cut by our own count.
    fn answer(&mut self, answer: &'p Answer, planned: Tokens, range: Range<Tokens>) {
        let whole = range == (0..planned);
        let length = range.end - range.start;
        self.open = Some(match self.open.take() {
            None => Open {
                before: self.text.rfind(' ').unwrap_or(0),
                start: self.text.len(),
                planned: length,
                only: whole.then_some(answer),
            },
            Some(open) => Open { planned: open.planned + length, only: None, ..open },
        });
        if whole {
            self.text.push_str(&answer.text);
        } else {
            let part = part(self.vocabulary, &answer.text, planned, range);
            self.text.push_str(&part);
        }
    }

    /// How many tokens the answers at the end are if `after` follows.
    fn count(&self, open: &Open<'_>, after: &str) -> Tokens {
        let before = &self.text[open.before..open.start];
        let count = || {
            let all = self.vocabulary.recount(before, &self.text[open.start..], after);
            (all as Tokens).saturating_sub(Tokens::from(!before.is_empty()) + 1)
        };
        open.only.map_or_else(count, |answer| answer.counted(before, after, count))
    }

    fn words(&self, key: u128, range: Range<Tokens>) -> String {
        let mut words = String::new();
        self.vocabulary.stable().fill_text(key, range, &mut words);
        words
    }
}

impl Answer {
    /// What it is worth between these words: counted once, since every later prompt asks again.
    fn counted(&self, before: &str, after: &str, count: impl Fn() -> Tokens) -> Tokens {
        let counted = self.counted.get_or_init(|| Counted {
            before: before.to_owned(),
            after: after.to_owned(),
            tokens: count(),
        });
        let same = counted.before == before && counted.after == after;
        if same { counted.tokens } else { count() }
    }
}

/// The tokens `range` of an answer of `planned` tokens, by our own count of its text.
pub(super) fn part(
    vocabulary: &Vocabulary,
    answer: &str,
    planned: Tokens,
    range: Range<Tokens>,
) -> String {
    let ids = vocabulary.encode(answer);
    let index = |at: Tokens| usize::try_from(at).unwrap_or(usize::MAX).min(ids.len());
    // Ranges at the end count from the end, so that the last tokens stay the last ones.
    let ends = range.end == planned;
    let end = if ends { ids.len() } else { index(range.end) };
    let length = index(range.end - range.start);
    let start = if ends { end.saturating_sub(length) } else { index(range.start).min(end) };
    vocabulary.decode(&ids[start..end])
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use trie_core::plan::{CacheScope, History as Rung, Order, Plan, PlanOptions, Scale};
    use trie_core::units::Nanos;
    use trie_core::workload::{Encoding, ReadOptions, Source, Workload};

    use super::*;

    /// A trace of four steps whose answers are planned to have 6 tokens each, with `new` tokens of
    /// ours before each of them.
    fn trace(new: [u64; 4]) -> PlannedTrace {
        let row = format!(
            r#"{{"num_turns":3,"input_prompt_length":{},"assistant_response_length":[6,6,6],"tool_call_output_length":[{},{},{}],"tool_call_latency":[0,0,0],"final_assistant_response_length":6}}"#,
            new[0], new[1], new[2], new[3]
        );
        let file = Source::Seekable(Box::new(Cursor::new(row)));
        let read = ReadOptions::default();
        let mut workload = Workload::open(file, "row.jsonl", Encoding::Plain, &read).unwrap();
        let options = PlanOptions {
            concurrency: 1,
            duration: Nanos::from_secs(1),
            seed: 1,
            stream: true,
            history: Rung::Text,
            cache_scope: CacheScope::Run,
            ramp: Nanos::ZERO,
            order: Order::File,
            scale: Scale::default(),
        };
        let plan = Plan::new(options, 7, &mut workload).unwrap();
        plan.trace(0, &mut workload).unwrap()
    }

    fn answers(texts: &[&str]) -> Answers {
        let mut answers = Answers::new();
        for (step, text) in (0..).zip(texts) {
            answers.insert(step, Answer::new((*text).into(), vec![]));
        }
        answers
    }

    /// The prompts of all steps, given the answers to the first three.
    fn prompts(trace: &PlannedTrace, texts: [&str; 3]) -> Vec<String> {
        let answers = answers(&texts);
        let vocabulary = Vocabulary::builtin();
        (0..4).map(|step| prompt(&vocabulary, true, trace, step, &answers)).collect()
    }

    fn counts(prompts: &[String]) -> Vec<usize> {
        prompts.iter().map(|prompt| Vocabulary::builtin().count(prompt)).collect()
    }

    #[test]
    fn the_next_text_of_ours_makes_up_for_an_answer_that_is_longer_or_shorter() {
        let trace = trace([20, 10, 10, 10]);
        // One word, one token; eight bytes of no word, eight tokens; nothing.
        let prompts = prompts(&trace, [" goza", " 1234567", ""]);
        assert_eq!(counts(&prompts), [20, 36, 52, 68]);
        assert_eq!(words_after(&prompts[1], " goza"), 15);
        assert_eq!(words_after(&prompts[2], " 1234567"), 8);
    }

    #[test]
    fn what_one_text_cannot_make_up_for_is_left_to_the_next() {
        let trace = trace([20, 3, 3, 40]);
        let prompts = prompts(&trace, [" 012345678", " 0", " goza disede"]);
        // 4 too many: one token of three is left, and 2 are still too many; the next answer is 4
        // short, so that the text behind it makes up for both.
        assert_eq!(counts(&prompts), [20, 31, 38, 84]);
    }

    #[test]
    fn a_cut_answer_is_cut_by_our_own_count() {
        let vocabulary = Vocabulary::builtin();
        let check = |range, expected: &str| {
            assert_eq!(part(&vocabulary, " goza disede 1 2", 6, range), expected);
        };
        check(0..2, " goza disede");
        check(4..6, " 2");
        check(1..3, " disede ");
    }

    fn words_after(prompt: &str, answer: &str) -> usize {
        let (_, after) = prompt.split_once(answer).unwrap();
        after.split(' ').filter(|word| !word.is_empty()).count()
    }

    proptest! {
        #[test]
        fn any_answers_leave_every_prompt_as_planned_and_continuing_the_one_before(
            texts in prop::array::uniform3("[a-d0 ]{0,12}")
        ) {
            let trace = trace([9, 15, 15, 15]);
            let prompts = prompts(&trace, texts.each_ref().map(String::as_str));
            prop_assert_eq!(counts(&prompts), [9, 30, 51, 72]);
            for (pair, text) in prompts.windows(2).zip(&texts) {
                let before = format!("{}{text}", pair[0]);
                prop_assert!(pair[1].starts_with(&before));
            }
        }
    }
}
