//! What the engine counts about itself, for the server's `/metrics`.

use trie_core::units::Nanos;

use super::request::FinishReason;

/// Sums since the engine was made.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Prompt tokens of admitted requests, each of them looked up in the prefix cache.
    pub queried_tokens: u64,
    /// Prompt tokens found in the prefix cache.
    pub hit_tokens: u64,
    /// Prompt tokens of requests that got their first token.
    pub prompt_tokens: u64,
    /// Tokens emitted.
    pub generated_tokens: u64,
    /// Requests that ended at their limit of tokens.
    pub finished_length: u64,
    /// Requests that ended on their own.
    pub finished_stop: u64,
    /// Requests cancelled before they ended.
    pub cancelled: u64,
    /// Times that a running request lost its place for want of room, to start over.
    pub preemptions: u64,
    /// Time from arrival to the first token.
    pub ttft: Histogram,
    /// Time from arrival to the last token.
    pub e2e: Histogram,
}

impl Counters {
    /// A request left the queue for the first time.
    pub(super) fn admitted(&mut self, prompt_tokens: usize, cached_tokens: usize) {
        self.queried_tokens += wide(prompt_tokens);
        self.hit_tokens += wide(cached_tokens);
    }

    /// Tokens were emitted, so long after the request's arrival; with the first of an answer comes the
    /// length of its prompt.
    pub(super) fn tokens(&mut self, tokens: usize, first_of: Option<usize>, since: Nanos) {
        self.generated_tokens += wide(tokens);
        if let Some(prompt_tokens) = first_of {
            self.prompt_tokens += wide(prompt_tokens);
            self.ttft.add(since);
        }
    }

    /// A request ended, so long after its arrival.
    pub(super) fn finished(&mut self, why: FinishReason, since: Nanos) {
        match why {
            FinishReason::Length => self.finished_length += 1,
            FinishReason::Stop => self.finished_stop += 1,
        }
        self.e2e.add(since);
    }
}

fn wide(tokens: usize) -> u64 {
    u64::try_from(tokens).expect("a length in memory fits in 64 bits")
}

/// Upper bounds of the classes in milliseconds: the ones vLLM gives `time_to_first_token_seconds`.
const BOUNDS_MS: [u64; 22] = [
    1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000, 20_000,
    40_000, 80_000, 160_000, 640_000, 2_560_000,
];

/// Nanoss counted by class.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    classes: [u64; BOUNDS_MS.len()],
    count: u64,
    sum: Nanos,
}

impl Histogram {
    /// Counts one time.
    pub fn add(&mut self, value: Nanos) {
        let fits = |bound: &u64| value <= Nanos::from_millis(*bound);
        if let Some(class) = BOUNDS_MS.iter().position(fits) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum = self.sum.plus(value);
    }

    /// Number of times at or under each upper bound, the bound in milliseconds first.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut total = 0;
        BOUNDS_MS.iter().zip(&self.classes).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    /// Number of times.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the times.
    pub fn sum(&self) -> Nanos {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_class_and_all_above() {
        let mut histogram = Histogram::default();
        for ms in [1, 250, 251, 3_000_000] {
            histogram.add(Nanos::from_millis(ms));
        }
        let at_or_under = |ms| histogram.cumulative().find(|(bound, _)| *bound == ms).unwrap().1;
        assert_eq!([1, 100, 250, 500, 2_560_000].map(at_or_under), [1, 1, 2, 3, 3]);
        assert_eq!((histogram.count(), histogram.sum()), (4, Nanos::from_millis(3_000_502)));
    }
}
