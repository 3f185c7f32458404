//! The times at which the tokens of one answer arrived, as its row keeps them.

use super::{Credit, Histogram, RequestRow};
use crate::units::{Nanos, Tokens};

/// Tokens that arrived together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Arrival {
    /// When.
    pub at: Nanos,
    /// How many, by all that is known in the end.
    pub tokens: Tokens,
    /// How many were known to be there when they arrived. Of the others, which only the final usage
    /// told of, nobody knows when they came: they make no latencies.
    pub timed: Tokens,
    /// Whether they hold text that a user sees.
    pub visible: bool,
}

/// Chunks of tokens of one answer, added one after another.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    start: Nanos,
    deadline: Nanos,
    first: Option<Nanos>,
    last: Option<Nanos>,
    first_visible: Option<Nanos>,
    chunks: u64,
    first_tokens: Option<Tokens>,
    stall: Option<Nanos>,
    itl: Latencies,
    /// Of the chunks that a user sees; `None` while that is all of them.
    visible_itl: Option<Latencies>,
    credit: Vec<(Nanos, Tokens)>,
    kept: Option<Vec<(Nanos, Tokens)>>,
}

impl Arrivals {
    /// None yet. The run started at `start` and ends at `deadline`; `keep`: whether to keep every chunk.
    #[must_use]
    pub fn new(start: Nanos, deadline: Nanos, keep: bool) -> Self {
        Self { start, deadline, kept: keep.then(Vec::new), ..Self::default() }
    }

    /// A chunk of `tokens`, at least 1, arrived.
    pub fn add(&mut self, at: Nanos, tokens: Tokens) {
        self.add_chunk(&Arrival { at, tokens, timed: tokens, visible: true });
    }

    /// A chunk arrived.
    ///
    /// It enters the latencies once for each token at its share of the gap; the first chunk never does.
    pub fn add_chunk(&mut self, chunk: &Arrival) {
        let &Arrival { at, tokens, timed, visible } = chunk;
        if let Some(before) = self.last {
            self.stall = self.stall.max(Some(at.since(before).unwrap_or_default()));
        } else {
            self.first = Some(at);
            self.first_tokens = Some(tokens);
        }
        self.last = Some(at);
        self.chunks += 1;
        if !visible && self.visible_itl.is_none() {
            self.visible_itl = Some(self.itl.clone());
        }
        self.itl.add(at, timed);
        if visible {
            self.first_visible.get_or_insert(at);
            if let Some(itl) = &mut self.visible_itl {
                itl.add(at, timed);
            }
        }
        self.add_credit(at, tokens);
        if let Some(kept) = &mut self.kept {
            if kept.capacity() == 0 {
                kept.reserve(WAITING);
            }
            kept.push((at, tokens));
        }
    }

    /// Credits tokens that arrived all at once, without a time of their own.
    pub fn add_credit(&mut self, at: Nanos, tokens: Tokens) {
        let second = self.second_of(at);
        match self.credit.last_mut() {
            Some(last) if last.0 == second => last.1 += tokens,
            _ => self.credit.push((second, tokens)),
        }
    }

    /// Of the same run, but with nothing arrived: for an answer that came whole.
    #[must_use]
    pub fn without_times(&self) -> Self {
        Self::new(self.start, self.deadline, self.kept.is_some())
    }

    /// When the first chunk arrived.
    #[must_use]
    pub fn first(&self) -> Option<Nanos> {
        self.first
    }

    /// Fills in what a row says of its tokens' times.
    pub fn fill(self, row: &mut RequestRow) {
        row.first_event_ns = self.first;
        row.first_token_ns = self.first;
        row.first_visible_ns = self.first_visible;
        row.last_token_ns = self.last;
        row.chunks = self.chunks;
        row.first_chunk_tokens = self.first_tokens;
        row.stall_ns = self.stall;
        row.itl = self.itl.into_histogram();
        row.visible_itl = self.visible_itl.map(Latencies::into_histogram);
        let credit = self.credit.into_iter();
        row.credit = credit.map(|(second, tokens)| Credit(second.as_secs_f64(), tokens)).collect();
        if let Some(kept) = self.kept {
            let sent = row.start_ns.unwrap_or_default();
            let since = |at: Nanos| at.since(sent).unwrap_or_default().0;
            row.chunk_ns = Some(kept.iter().map(|(at, _)| since(*at)).collect());
            row.chunk_tokens = Some(kept.iter().map(|(_, tokens)| *tokens).collect());
        }
    }

    /// The second from the run's start; behind a deadline inside a second, the deadline itself.
    fn second_of(&self, at: Nanos) -> Nanos {
        let since = at.since(self.start).unwrap_or_default();
        let whole = Nanos(since.0 - since.0 % Nanos::SECOND.0);
        let window = self.deadline.since(self.start).unwrap_or_default();
        if at >= self.deadline && whole < window { window } else { whole }
    }
}

/// Most gaps that wait for their histogram.
const WAITING: usize = 256;

/// Gaps between chunks, by token.
#[derive(Clone, Debug, Default)]
struct Latencies {
    before: Option<Nanos>,
    histogram: Histogram,
    /// Gaps, and how often each counts, that are not in the histogram yet: many at once are added to a
    /// tree that is still at hand, while one by one thousands of streams push each other's trees out of
    /// the processor's cache.
    waiting: Vec<(u64, Tokens)>,
}

impl Latencies {
    fn add(&mut self, at: Nanos, tokens: Tokens) {
        if let Some(before) = self.before.filter(|_| tokens > 0) {
            let gap = at.since(before).unwrap_or_default();
            if self.waiting.len() == self.waiting.capacity() {
                self.make_room();
            }
            self.waiting.push((if tokens == 1 { gap.0 } else { gap.0 / tokens }, tokens));
        }
        self.before = Some(at);
    }

    /// All the room there may be at once: growing bit by bit moves what is there each time.
    fn make_room(&mut self) {
        let full = std::mem::replace(&mut self.waiting, Vec::with_capacity(WAITING));
        self.histogram.add_all(full);
    }

    fn into_histogram(mut self) -> Histogram {
        self.histogram.add_all(self.waiting);
        self.histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Nanos = Nanos::from_millis;

    fn row_of(chunks: &[(u64, Tokens, Tokens, bool)]) -> RequestRow {
        let mut arrivals = Arrivals::new(MS(0), MS(10_000), false);
        for &(ms, tokens, timed, visible) in chunks {
            arrivals.add_chunk(&Arrival { at: MS(ms), tokens, timed, visible });
        }
        let mut row = RequestRow::default();
        arrivals.fill(&mut row);
        row
    }

    fn millis(histogram: &Histogram) -> Vec<(u64, u64)> {
        histogram.iter().map(|(nanos, count)| (nanos / 1_000_000, count)).collect()
    }

    #[test]
    fn tokens_credited_at_the_end_make_no_latencies() {
        let row =
            row_of(&[(100, 1, 1, true), (120, 1, 1, true), (140, 81, 1, true), (150, 7, 0, true)]);
        assert_eq!(millis(&row.itl), [(20, 2)]);
        assert_eq!(row.credit, [Credit(0.0, 90)]);
        assert_eq!(row.visible_itl, None);
    }

    #[test]
    fn long_answers_lose_no_latency() {
        let count = 3 * u64::try_from(WAITING).unwrap();
        let chunks: Vec<_> = (0..=count).map(|chunk| (10 * chunk, 1, 1, chunk != 300)).collect();
        let row = row_of(&chunks);
        assert_eq!(millis(&row.itl), [(10, count)]);
        assert_eq!(millis(&row.visible_itl.unwrap()), [(10, count - 2), (20, 1)]);
    }

    #[test]
    fn chunks_without_text_are_left_out_of_the_visible_latencies_only() {
        let row =
            row_of(&[(100, 1, 1, false), (110, 1, 1, true), (120, 1, 1, false), (140, 1, 1, true)]);
        assert_eq!(millis(&row.itl), [(10, 2), (20, 1)]);
        assert_eq!(millis(&row.visible_itl.unwrap()), [(30, 1)]);
        assert_eq!((row.first_token_ns, row.first_visible_ns), (Some(MS(100)), Some(MS(110))));
    }

    #[test]
    fn the_second_that_holds_the_deadline_is_split_at_it() {
        let check = |at_ms: u64, deadline_ms: u64, expected: u64| {
            let arrivals = Arrivals::new(MS(5000), MS(5000 + deadline_ms), false);
            assert_eq!(arrivals.second_of(MS(5000 + at_ms)), MS(expected), "{at_ms}");
        };
        check(999, 30_500, 0);
        check(30_400, 30_500, 30_000);
        check(30_500, 30_500, 30_500);
        check(30_900, 30_500, 30_500);
        check(31_000, 30_500, 31_000);
        check(30_000, 30_000, 30_000);
    }

    #[test]
    fn a_row_says_when_its_tokens_came() {
        let mut arrivals = Arrivals::new(MS(5_000), MS(6_500), true);
        for (ms, tokens) in [(5_100, 3), (5_120, 1), (6_180, 2), (6_510, 1)] {
            arrivals.add(MS(ms), tokens);
        }
        assert_eq!(arrivals.first(), Some(MS(5_100)));
        let mut row = RequestRow { start_ns: Some(MS(5_050)), ..RequestRow::default() };
        arrivals.fill(&mut row);
        assert_eq!((row.first_token_ns, row.last_token_ns), (Some(MS(5_100)), Some(MS(6_510))));
        assert_eq!((row.chunks, row.first_chunk_tokens), (4, Some(3)));
        assert_eq!(row.stall_ns, Some(MS(1_060)));
        assert_eq!(millis(&row.itl), [(20, 1), (330, 1), (530, 2)]);
        assert_eq!(row.credit, [Credit(0.0, 4), Credit(1.0, 2), Credit(1.5, 1)]);
        let stamps = [50, 70, 1_130, 1_460].map(|ms| MS(ms).0);
        assert_eq!(row.chunk_ns.unwrap(), stamps);
        assert_eq!(row.chunk_tokens.unwrap(), [3, 1, 2, 1]);
    }
}
