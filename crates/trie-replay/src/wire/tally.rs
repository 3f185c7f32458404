//! How many tokens each chunk stands for.
//!
//! Best source first: the length of `token_ids`; the difference of a running
//! `usage.completion_tokens`; the difference of `timings.predicted_n`; the length of `logprobs`;
//! else one a chunk, assumed. Text is never tokenized again to count it.

use super::event::{Chunk, Usage};
use super::stamps::{ChunkStamp, Stamps};

/// Where a token count comes from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenSource {
    /// The length of `token_ids`.
    TokenIds,
    /// The rise of a running `usage.completion_tokens`.
    RunningUsage,
    /// The rise of llama.cpp's `timings.predicted_n`.
    Timings,
    /// The length of `logprobs`.
    Logprobs,
    /// The usage of a whole answer, or of a stream whose chunks held no token that was known.
    FinalUsage,
    /// One a chunk, for want of anything said.
    Assumed,
}

/// The token account of one answer.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) chunks: Stamps,
    /// The weakest source that any chunk was counted by.
    pub(crate) source: Option<TokenSource>,
    /// Tokens that only the final usage told of, but for an end token.
    pub(crate) uncounted: u64,
    /// Tokens counted on arrival that the final usage does not count.
    pub(crate) excess: u64,
    counted: u64,
    /// Arrival of a text-less chunk with a `finish_reason` that nothing counted.
    closing_ns: Option<u64>,
}

impl Tally {
    /// Counts a chunk that arrived at `ns` and returns its tokens.
    pub(crate) fn add(&mut self, ns: u64, chunk: &Chunk<'_>) -> u64 {
        let (tokens, source) = self.weigh(chunk);
        if tokens > 0 {
            self.source = self.source.max(Some(source));
            self.push(ns, tokens, !chunk.text.is_empty());
        } else if chunk.finish_reason.is_some() {
            self.closing_ns = Some(ns);
        }
        tokens
    }

    /// Counts the only chunk of an answer that was not streamed.
    pub(crate) fn add_whole(&mut self, ns: u64, chunk: &Chunk<'_>) -> u64 {
        let said = chunk.usage.and_then(|usage| usage.completion_tokens);
        match said.filter(|_| chunk.token_ids.is_none()) {
            None => self.add(ns, chunk),
            Some(0) => 0,
            Some(tokens) => {
                self.source = Some(TokenSource::FinalUsage);
                self.push(ns, tokens, !chunk.text.is_empty());
                tokens
            }
        }
    }

    /// Brings the account in line with the final usage, which wins.
    ///
    /// Tokens that were not seen are credited at the chunk that only carried the `finish_reason`,
    /// since an end token is generated there, else at the last token. Tokens counted in excess
    /// are taken off the chunks before the last one.
    pub(crate) fn settle(&mut self, usage: Option<Usage>) {
        let Some(said) = usage.and_then(|usage| usage.completion_tokens) else { return };
        let counted = self.counted;
        if said > counted {
            self.credit(said - counted);
        } else if said < counted {
            self.take_back(counted - said);
        }
    }

    fn weigh(&self, chunk: &Chunk<'_>) -> (u64, TokenSource) {
        let rise = |total: u64| total.saturating_sub(self.counted);
        // What a last chunk sums up after chunks that said nothing did not arrive with it.
        let sums_up = chunk.finish_reason.is_some() && self.source == Some(TokenSource::Assumed);
        let running = chunk.usage.and_then(|usage| usage.completion_tokens).filter(|_| !sums_up);
        let predicted = chunk.predicted.filter(|_| !sums_up);
        if !chunk.has_choices || chunk.role_only {
            (0, TokenSource::Assumed)
        } else if let Some(ids) = &chunk.token_ids {
            (ids.len() as u64, TokenSource::TokenIds)
        } else if let Some(total) = running {
            (rise(total), TokenSource::RunningUsage)
        } else if let Some(total) = predicted {
            (rise(total), TokenSource::Timings)
        } else if let Some(entries) = chunk.logprobs.filter(|entries| *entries > 0) {
            (entries, TokenSource::Logprobs)
        } else {
            let closes = chunk.finish_reason.is_some() && !chunk.has_output;
            (u64::from(!closes), TokenSource::Assumed)
        }
    }

    fn push(&mut self, ns: u64, tokens: u64, visible: bool) {
        self.counted += tokens;
        self.closing_ns = None;
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.chunks.push(ChunkStamp { ns, tokens, on_arrival: tokens, visible });
    }

    fn credit(&mut self, tokens: u64) {
        self.uncounted = tokens - u64::from(self.closing_ns.is_some());
        let unseen = u32::try_from(tokens).unwrap_or(u32::MAX);
        if let Some(ns) = self.closing_ns.take() {
            self.source = self.source.or(Some(TokenSource::FinalUsage));
            self.counted += tokens;
            self.chunks.push(ChunkStamp { ns, tokens: unseen, on_arrival: 0, visible: false });
        } else if !self.chunks.is_empty() {
            self.counted += tokens;
            self.amend(|chunks| {
                let last = chunks.last_mut().expect("there is one");
                last.tokens = last.tokens.saturating_add(unseen);
            });
        }
    }

    /// The last token came with the last chunk, whatever is taken off: a chunk sent twice is one
    /// of the others.
    fn take_back(&mut self, excess: u64) {
        self.counted -= excess;
        self.excess = excess;
        self.amend(|chunks| take_off(chunks, excess));
    }

    /// Once in the life of an answer whose count and usage differ.
    fn amend(&mut self, change: impl FnOnce(&mut Vec<ChunkStamp>)) {
        let mut chunks = self.chunks.iter().collect();
        change(&mut chunks);
        self.chunks = chunks.into_iter().collect();
    }
}

fn take_off(chunks: &mut Vec<ChunkStamp>, mut excess: u64) {
    let last = chunks.pop();
    while let Some(before) = chunks.last_mut().filter(|_| excess > 0) {
        if u64::from(before.tokens) > excess {
            lower(before, excess);
            excess = 0;
            break;
        }
        excess -= u64::from(before.tokens);
        chunks.pop();
    }
    if let Some(mut last) = last.filter(|last| u64::from(last.tokens) > excess) {
        lower(&mut last, excess);
        chunks.push(last);
    }
}

fn lower(chunk: &mut ChunkStamp, by: u64) {
    chunk.tokens -= u32::try_from(by).expect("less than a u32");
    chunk.on_arrival = chunk.on_arrival.min(chunk.tokens);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Chunk<'static> {
        Chunk {
            has_choices: true,
            has_output: !text.is_empty(),
            text: text.into(),
            ..Chunk::default()
        }
    }

    fn usage(tokens: impl Into<Option<u64>>) -> Option<Usage> {
        Some(Usage { completion_tokens: Some(tokens.into()?), ..Usage::default() })
    }

    fn closing() -> Chunk<'static> {
        Chunk { finish_reason: Some("stop".into()), ..text("") }
    }

    /// Feeds chunks at 1, 2, 3... ns and settles; expects (ns, tokens) and the source.
    fn check(
        chunks: &[Chunk<'_>],
        last_usage: Option<Usage>,
        expected: &[(u64, u32)],
        source: Option<TokenSource>,
    ) {
        let mut tally = Tally::default();
        for (at, chunk) in chunks.iter().enumerate() {
            tally.add(at as u64 + 1, chunk);
        }
        tally.settle(last_usage);
        let got: Vec<_> = tally.chunks.iter().map(|chunk| (chunk.ns, chunk.tokens)).collect();
        assert_eq!((&got[..], tally.source), (expected, source));
    }

    #[test]
    fn an_empty_text_counts_as_a_token_and_a_bare_end_does_not() {
        let assumed = Some(TokenSource::Assumed);
        check(&[text(""), text("a"), closing()], None, &[(1, 1), (2, 1)], assumed);
        let last_word = Chunk { finish_reason: Some("length".into()), ..text("b") };
        check(&[text("a"), last_word], None, &[(1, 1), (2, 1)], assumed);
        let role = Chunk { role_only: true, usage: usage(0), ..text("") };
        check(&[role, text("a")], None, &[(2, 1)], assumed);
    }

    #[test]
    fn the_best_source_is_taken() {
        let ids = Chunk { token_ids: Some(vec![1, 2].into()), usage: usage(9), ..text("a") };
        let none = Chunk { token_ids: Some(vec![].into()), ..text("") };
        check(&[ids, none], None, &[(1, 2)], Some(TokenSource::TokenIds));
        let first = Chunk { usage: usage(1), predicted: Some(7), ..text("a") };
        let second = Chunk { usage: usage(4), logprobs: Some(1), ..text("b") };
        check(&[first, second], None, &[(1, 1), (2, 3)], Some(TokenSource::RunningUsage));
        let first = Chunk { predicted: Some(2), logprobs: Some(1), ..text("a") };
        let second = Chunk { logprobs: Some(3), ..text("b") };
        check(&[first, second], None, &[(1, 2), (2, 3)], Some(TokenSource::Logprobs));
    }

    #[test]
    fn unseen_tokens_are_credited_at_the_end() {
        let assumed = Some(TokenSource::Assumed);
        check(&[text("a"), closing()], usage(3), &[(1, 1), (2, 2)], assumed);
        check(&[text("a"), text("b")], usage(5), &[(1, 1), (2, 4)], assumed);
        let said = || Chunk { usage: usage(8), ..closing() };
        check(&[said()], usage(8), &[(1, 8)], Some(TokenSource::RunningUsage));
        check(&[text("a b"), text("c d"), said()], usage(8), &[(1, 1), (2, 1), (3, 6)], assumed);
        let mut tally = Tally::default();
        for (ns, chunk) in (1..).zip([text("a b"), text("c d"), said()]) {
            tally.add(ns, &chunk);
        }
        tally.settle(usage(8));
        let on_arrival: Vec<_> = tally.chunks.iter().map(|chunk| chunk.on_arrival).collect();
        assert_eq!((on_arrival, tally.uncounted), (vec![1, 1, 0], 5));
    }

    #[test]
    fn excess_tokens_leave_the_time_of_the_last_one() {
        let assumed = Some(TokenSource::Assumed);
        check(&[text("a"), text("b"), text("c")], usage(2), &[(1, 1), (3, 1)], assumed);
        let ids = Chunk { token_ids: Some(vec![1, 2, 3].into()), ..text("a") };
        check(&[ids, text("b")], usage(2), &[(1, 1), (2, 1)], assumed);
        check(&[text("a"), text("b")], usage(0), &[], assumed);
        check(&[text("a"), text("b")], usage(1), &[(2, 1)], assumed);
    }
}
