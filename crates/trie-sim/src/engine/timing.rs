//! How long a step takes.

use trie_core::{
    draw::{lognormal, uniform},
    units::Nanos,
};

/// Coefficients of a step's time in milliseconds.
///
/// With n tokens in the step, ctx the tokens in the cache of a decoding request, and `n_i` tokens in a
/// chunk of prefill behind `k_i` tokens that are in the cache already:
///
/// ```text
/// T = max(a + b*n, p0 + p*n) + c * SUM ctx + q * SUM n_i*(k_i + n_i/2) + d * (1 - (1 - k/E)^n)
/// ```
///
/// The first term reads the weights once (decode) or computes with them (prefill), c reads caches, q is
/// attention inside a prompt, and d reads the experts that n tokens are spread over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepTime {
    /// A step that decodes, whatever is in it.
    pub a: f64,
    /// Each token of a step that decodes.
    pub b: f64,
    /// Each token in the cache of a decoding request.
    pub c: f64,
    /// A step that computes, whatever is in it.
    pub p0: f64,
    /// Each token of a step that computes.
    pub p: f64,
    /// Each pair of a prefilled token and one before it.
    pub q: f64,
    /// Reading all experts.
    pub d: f64,
    /// Experts that a token is routed to; k above.
    pub experts_used: f64,
    /// Experts there are; E above. 0 where the model is dense.
    pub experts: f64,
    /// Deviation of the logarithm of the factor that each step's time is multiplied with; its mean is 1.
    pub jitter: f64,
    /// Chance of a step to stall.
    pub stall_chance: f64,
    /// Milliseconds that a stall adds.
    pub stall: f64,
}

/// What a step has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StepLoad {
    /// Tokens in the step.
    pub(super) tokens: u64,
    /// Tokens in the caches of all decoding requests.
    pub(super) decode_context: u64,
    /// `SUM n_i * (2*k_i + n_i)` over chunks of prefill: twice the pairs of tokens.
    pub(super) twice_pairs: u64,
}

impl StepLoad {
    /// Adds one decoding request with `context` tokens in its cache: its next token, and those of a draft
    /// that are checked with it.
    pub(super) fn add_decode(&mut self, tokens: u64, context: u64) {
        self.tokens += tokens;
        self.decode_context += context;
    }

    /// Adds a chunk of `tokens` behind `context` tokens in the cache.
    pub(super) fn add_chunk(&mut self, tokens: u64, context: u64) {
        self.tokens += tokens;
        self.twice_pairs += tokens * (2 * context + tokens);
    }
}

/// Names of random streams.
const JITTER: u64 = 0x6a69_7474_6572;
const STALL: u64 = 0x7374_616c_6c00;

impl StepTime {
    /// The formula, in milliseconds.
    pub(super) fn millis(&self, load: StepLoad) -> f64 {
        let n = float(load.tokens);
        let weights = (self.a + self.b * n).max(self.p0 + self.p * n);
        let caches = self.c * float(load.decode_context);
        let attention = self.q * (float(load.twice_pairs) / 2.0);
        let experts = if self.experts > 0.0 {
            self.d * (1.0 - power(1.0 - self.experts_used / self.experts, load.tokens))
        } else {
            0.0
        };
        weights + caches + attention + experts
    }

    /// The time of step number `step`, jitter and stalls included, and `more_millis` for what is done
    /// beside it, rounded to whole nanoseconds once.
    pub(super) fn of_step(&self, load: StepLoad, more_millis: f64, seed: u64, step: u64) -> Nanos {
        let mut millis = self.millis(load);
        if self.jitter > 0.0 {
            millis *= lognormal(self.jitter, seed, JITTER, step);
        }
        if self.stall_chance > 0.0 && uniform(seed, STALL, step) < self.stall_chance {
            millis += self.stall;
        }
        rounded(millis + more_millis)
    }
}

/// `base` multiplied with itself `times` times, by squaring: no library is asked, so that every platform
/// gives the same bits.
fn power(base: f64, times: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, times);
    while left > 0 {
        if left % 2 == 1 {
            result *= square;
        }
        square *= square;
        left /= 2;
    }
    result
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer there is; times are positive"
)]
fn rounded(millis: f64) -> Nanos {
    Nanos((millis * 1e6 + 0.5) as u64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one step are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(tokens: u64, decode_context: u64, chunks: &[(u64, u64)]) -> StepLoad {
        let mut load = StepLoad { tokens, decode_context, ..StepLoad::default() };
        for &(tokens, context) in chunks {
            load.add_chunk(tokens, context);
        }
        load
    }

    fn check(time: &StepTime, load: StepLoad, expected_ns: u64) {
        assert_eq!(time.of_step(load, 0.0, 1, 1), Nanos(expected_ns), "{load:?}");
    }

    #[test]
    fn step_times_equal_the_formula_worked_by_hand() {
        let qwen = StepTime {
            a: 18.67,
            b: 0.0358,
            c: 60.0e-6,
            p0: 6.64,
            p: 0.0851,
            q: 3.32e-6,
            ..StepTime::default()
        };
        // 10 decode at 80,000 tokens of context: 18.67 + 0.358 + 4.8 ms.
        check(&qwen, load(10, 80_000, &[]), 23_828_000);
        // A chunk of 2,000 behind 1,000: 6.64 + 170.2, and 2,000 * (1,000 + 1,000) pairs: 13.28 ms.
        check(&qwen, load(0, 0, &[(2_000, 1_000)]), 190_120_000);
        // Both: 2,010 tokens, 6.64 + 171.051 + 4.8 + 13.28.
        check(&qwen, load(10, 80_000, &[(2_000, 1_000)]), 195_771_000);
    }

    #[test]
    fn experts_are_read_as_tokens_spread_over_them() {
        let moe = StepTime { d: 16.0, experts_used: 1.0, experts: 2.0, ..StepTime::default() };
        // 16 * (1 - 1/2^n) ms.
        check(&moe, load(1, 0, &[]), 8_000_000);
        check(&moe, load(3, 0, &[]), 14_000_000);
        check(&moe, load(5_000, 0, &[]), 16_000_000);
    }

    #[test]
    fn jitter_and_stalls_are_a_function_of_seed_and_step() {
        let time = StepTime {
            a: 10.0,
            jitter: 0.025,
            stall_chance: 0.01,
            stall: 50.0,
            ..StepTime::default()
        };
        let at = |seed, step| time.of_step(StepLoad::default(), 0.0, seed, step).0;
        assert_eq!(at(1, 5), at(1, 5));
        assert_ne!(at(1, 5), at(2, 5));
        assert_ne!(at(1, 5), at(1, 6));
        let stalled = (0..10_000).filter(|step| at(1, *step) > 50_000_000).count();
        assert!((60..140).contains(&stalled), "{stalled} of 10,000 at a chance of 1 %");
    }
}
