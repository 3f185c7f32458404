//! How much of the server's KV cache the contexts of a run fill, and the check of it.

use serde::{Deserialize, Serialize};

use super::estimate::{float, wide};
use super::fold::Tally;
use super::state::warm_up;
use super::verdict::{Words, above, check};
use super::{Cell, Check, CheckId, Status};
use crate::record::KvCache;
use crate::units::{Nanos, Tokens};

/// The contexts that a server had to keep, and the room that it has for them.
///
/// A trace's context is the prompt and the answer of its latest request, of all its lanes; what a lane took
/// over from another one is counted once. It is held from that request to the next one, and in flight until
/// the answer is complete. Means and maxima are over the window of the steady-state column, maxima of a
/// second's mean.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CacheRoom {
    /// The size of the server's KV cache; `null` where nobody said.
    pub kv_cache: Option<KvCache>,
    /// Contexts of the traces alive, those between two requests too, in tokens.
    pub held_tokens: f64,
    /// The most of them.
    pub held_tokens_max: f64,
    /// The same if the requests of the window had been as long as those of the whole workload are on average:
    /// what is to be expected in the long run.
    pub expected_tokens: f64,
    /// Of the contexts held, those of requests in flight.
    pub in_flight_tokens: f64,
    /// The most of them.
    pub in_flight_tokens_max: f64,
}

impl CacheRoom {
    /// Share of the cache that contexts are expected to fill, in percent.
    fn filled_pct(&self) -> Option<f64> {
        let tokens = self.kv_cache.filter(|cache| cache.tokens > 0)?.tokens;
        Some(100.0 * self.expected_tokens / float(tokens))
    }
}

/// Measures the contexts; `None` where no second is left to measure them in.
pub(super) fn cache_room(tally: &Tally) -> Option<CacheRoom> {
    let (from_pct, _) = warm_up(tally.steadiness);
    let (from, end) = (tally.window() / 100 * from_pct, tally.window());
    let (mut held, mut in_flight) = (Series::new(from, end)?, Series::new(from, end)?);
    let (mut requests, mut contexts) = (0_u64, 0_u128);
    for ((run, _), trace) in tally.traces.iter() {
        for one in trace.legs.held(tally.end_of(run, trace)) {
            if (from..=end).contains(&one.from) {
                requests += 1;
                contexts += u128::from(one.context);
            }
            held.add(one.from, one.until, one.tokens);
            in_flight.add(one.from, one.end, one.tokens);
        }
    }
    let ((held_tokens, held_tokens_max), (in_flight_tokens, in_flight_tokens_max)) =
        (held.mean_and_most(), in_flight.mean_and_most());
    // As those of the run go, so does what is held.
    let longer = tally.mean_context.filter(|_| contexts > 0);
    let longer = longer.map_or(1.0, |mean| mean * float(requests) / wide(contexts));
    Some(CacheRoom {
        kv_cache: tally.kv_cache,
        held_tokens,
        held_tokens_max,
        expected_tokens: held_tokens * longer,
        in_flight_tokens,
        in_flight_tokens_max,
    })
}

/// Whether the contexts leave the cache room to grow in.
///
/// The sum over slots is at its mean for most of the time, and far above it once in a while: of scenario S (seeds
/// from 150,001 on, two runs of 6 h each) contexts fill a quarter of the cache on average and 61 % at most at
/// c=8, a half and 93 % at c=16, three quarters and 127 % at c=24. In 300 s what is held lies between 19 and 53 %
/// at c=8 and from 39 % on at c=16 (200 runs each, seeds from 50,001 on); what the whole workload lets expect lies
/// below 37 and above 43 %.
pub(super) fn room_check(room: Option<&CacheRoom>) -> Check {
    let words = Words {
        threshold: "contexts of the traces alive, those between two requests too, as they are to be expected in \
                    the long run, of the server's KV cache, %: warns above 40",
        advice: "when a few long traces meet, the server evicts what is still needed and may stay many times \
                 slower; a run of minutes mostly does not see that, hours may differ: run for longer, or with \
                 less concurrency",
    };
    let filled = room.map(CacheRoom::filled_pct);
    match filled {
        Some(None) => {
            let why = "the size of the server's KV cache is not known: cache_tokens= says it";
            check(CheckId::CacheRoom, Status::Unknown, Cell::Missing(why.into()), &words)
        }
        known => above(CheckId::CacheRoom, known.flatten(), [40.0, f64::INFINITY], &words),
    }
}

/// Tokens over a window, by the second.
struct Series {
    from: u64,
    end: u64,
    /// Token-nanoseconds of stretches that do not fill the second.
    parts: Vec<f64>,
    /// Tokens that come and go with the second.
    steps: Vec<f64>,
}

const SECOND: u64 = Nanos::SECOND.0;

impl Series {
    fn new(from: u64, end: u64) -> Option<Self> {
        let count = usize::try_from(end.checked_sub(from)?.div_ceil(SECOND)).ok()?;
        let zeros = vec![0.0; count + 1];
        (count > 0).then(|| Self { from, end, parts: zeros.clone(), steps: zeros })
    }

    /// Adds tokens from one instant to another.
    fn add(&mut self, from: u64, until: u64, tokens: Tokens) {
        let (from, until) = (from.clamp(self.from, self.end), until.clamp(self.from, self.end));
        if from >= until {
            return;
        }
        let (from, until) = (from - self.from, until - self.from);
        let place = |second: u64| usize::try_from(second).expect("it lies in the window");
        let (first, last) = (from / SECOND, until / SECOND);
        let tokens = float(tokens);
        if first == last {
            self.parts[place(first)] += tokens * float(until - from);
            return;
        }
        self.parts[place(first)] += tokens * float((first + 1) * SECOND - from);
        self.parts[place(last)] += tokens * float(until - last * SECOND);
        self.steps[place(first + 1)] += tokens;
        self.steps[place(last)] -= tokens;
    }

    /// The mean over the window, and the greatest mean of a second.
    fn mean_and_most(&self) -> (f64, f64) {
        let length = self.end - self.from;
        let (mut sum, mut most, mut level) = (0.0, 0.0_f64, 0.0);
        for second in 0..self.parts.len() - 1 {
            level += self.steps[second];
            let begin = second as u64 * SECOND;
            let width = float(SECOND.min(length - begin));
            // A stretch that ends with the window fills its last second from within.
            let tokens = self.parts[second] + level * width;
            sum += tokens;
            most = most.max(tokens / width);
        }
        (sum / float(length), most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_shared_out_to_the_seconds_they_are_held_in() {
        let ms = |ms: u64| ms * 1_000_000;
        // From 1 s to 4.5 s: the last half second is one of its own.
        let mut series = Series::new(ms(1_000), ms(4_500)).unwrap();
        series.add(ms(0), ms(2_000), 10);
        series.add(ms(1_500), ms(3_250), 100);
        series.add(ms(4_000), ms(9_000), 7);
        series.add(ms(4_500), ms(9_000), 1_000);
        series.add(ms(0), ms(1_000), 1_000);
        let (mean, most) = series.mean_and_most();
        // Seconds: 10 + 50; 100; 25; 7 for half a second.
        assert!((mean - (60.0 + 100.0 + 25.0 + 3.5) / 3.5).abs() < 1e-9, "{mean}");
        assert!((most - 100.0).abs() < 1e-9, "{most}");
        assert!(Series::new(5, 5).is_none());
    }
}
