//! The account of all socket reads of a pool: how far behind the kernel the client was.

use std::sync::atomic::{AtomicU64, Ordering};

use trie_core::record::Histogram;

use crate::clock::Clock;

use super::offset::Offset;

/// Steps in which a lag is counted between a power of two and the next: the value error is at most
/// 1/128, 0.8 %.
const STEPS: u64 = 64;

/// Lags of 2^`OCTAVES` ns (69 s) and more are counted as that.
const OCTAVES: u64 = 36;

/// Below this a lag is counted to the ns.
const EXACT: u64 = 2 * STEPS;

/// What a pool's reads have come to since the account was last taken.
///
/// One thread writes it and one takes it; nothing waits on its atomics.
#[derive(Debug)]
pub(super) struct Reads {
    offset: Offset,
    lags: Vec<AtomicU64>,
}

impl Default for Reads {
    fn default() -> Self {
        let lags = (0..=bucket(u64::MAX)).map(|_| AtomicU64::new(0)).collect();
        Self { offset: Offset::default(), lags }
    }
}

/// What reads came to.
#[derive(Debug, Default)]
pub struct ReadAccount {
    /// Read minus kernel stamp, ns, one value a read of an exchange; empty where the kernel stamps nothing.
    pub lag: Histogram,
    /// How often the clock of the kernel's stamps was set, since the pool was made.
    pub clock_steps: u64,
    /// Monotonic minus real time, ns.
    pub clock_offset_ns: Option<i64>,
}

impl Reads {
    /// When the bytes of a read that returned at `now` arrived, by the kernel's stamp; `None` where
    /// that cannot be said.
    pub(super) fn arrival(&self, clock: &impl Clock, stamp: u64, now: u64) -> Option<u64> {
        self.offset.monotonic(clock, stamp, now)
    }

    /// Counts how long bytes lay that somebody waited for.
    pub(super) fn count(&self, lag: u64) {
        self.lags[bucket(lag)].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted since the last call.
    pub(super) fn take(&self) -> ReadAccount {
        let mut lag = Histogram::default();
        for (at, count) in self.lags.iter().enumerate() {
            lag.add(value(at as u64), count.swap(0, Ordering::Relaxed));
        }
        let (clock_steps, clock_offset_ns) = self.offset.steps();
        ReadAccount { lag, clock_steps, clock_offset_ns }
    }
}

fn bucket(lag: u64) -> usize {
    let lag = lag.min(1 << OCTAVES);
    let at = if lag < EXACT {
        lag
    } else {
        // 64 to 127 after the shift.
        let shift = lag.ilog2() - STEPS.ilog2();
        EXACT + (u64::from(shift) - 1) * STEPS + (lag >> shift) - STEPS
    };
    usize::try_from(at).expect("there are some thousand buckets")
}

/// The middle of a bucket.
fn value(at: u64) -> u64 {
    if at < EXACT {
        return at;
    }
    let shift = (at - EXACT) / STEPS + 1;
    let low = ((at - EXACT) % STEPS + STEPS) << shift;
    low + (1 << (shift - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_counted_to_under_a_percent() {
        let mut last = 0;
        for lag in 0..40_000 {
            assert!(bucket(lag) == last || bucket(lag) == last + 1, "{lag}");
            last = bucket(lag);
        }
        let far = (0..35).flat_map(|bits| [1_u64 << bits, (2 << bits) - 1, 3 << bits]);
        for lag in (0..40_000).chain(far.filter(|lag| *lag <= 1 << OCTAVES)) {
            let found = value(bucket(lag) as u64);
            assert!(found.abs_diff(lag) * 128 <= lag, "{lag} as {found}");
        }
        assert_eq!(bucket(u64::MAX), bucket(1 << OCTAVES));
    }
}
