//! The kernel's stamps are of `CLOCK_REALTIME`; records are of the monotonic clock.
//!
//! Linux disciplines both at the same rate, so that their offset stands still but for one thing:
//! somebody sets the clock (or inserts a leap second). The offset is therefore measured again and
//! again, not to follow it but to notice that.

use std::sync::Mutex;

use crate::clock::Clock;

/// How long after a look the clocks are compared again, ns.
const GOOD_FOR: u64 = 1_000_000;

/// Looks at a time, of which the best counts: any of them may be disturbed. One that cannot be off by more
/// than [`NEAR`] was not.
const TRIES: u32 = 5;

/// See [`TRIES`]; far below the margin, ns.
const NEAR: u64 = 200;

/// An offset that changed by more than two looks can be off is a step; the margin is for what the
/// kernel does to one clock before the other, ns.
const MARGIN: u64 = 10_000;

/// Monotonic minus real time, and what happened to it.
#[derive(Debug, Default)]
pub(super) struct Offset {
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// The best look since the real clock was set.
    best: Option<Look>,
    /// When the newest look was.
    looked_at: u64,
    /// When the real clock was last found to have been set: stamps of before cannot be converted.
    stepped_at: u64,
    steps: u64,
}

/// A look at the real clock between two at the monotonic one.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Monotonic minus real time, ns.
    offset: i128,
    /// What that may be off by, ns.
    error: u64,
    /// When it was over.
    at: u64,
}

impl Offset {
    /// A stamp of the real clock as one of the monotonic clock, which reads `now`; `None` where
    /// that is not possible: the clock was set in between, or cannot be read.
    pub(super) fn monotonic(&self, clock: &impl Clock, stamp: u64, now: u64) -> Option<u64> {
        let mut state = self.state.lock().expect("nothing panics with the lock held");
        let due = now.saturating_sub(state.looked_at) > GOOD_FOR || state.best.is_none();
        if due && let Some(found) = look(clock) {
            state.take(found);
        }
        state.convert(stamp, now)
    }

    /// How often the real clock was set since the first look, and monotonic minus real time, ns.
    pub(super) fn steps(&self) -> (u64, Option<i64>) {
        let state = self.state.lock().expect("nothing panics with the lock held");
        let offset = state.best.and_then(|best| i64::try_from(best.offset).ok());
        (state.steps, offset)
    }
}

impl State {
    fn take(&mut self, found: Look) {
        self.looked_at = found.at;
        let Some(best) = self.best else {
            self.best = Some(found);
            return;
        };
        let stepped =
            best.offset.abs_diff(found.offset) > u128::from(best.error + found.error + MARGIN);
        if stepped {
            self.steps += 1;
            self.stepped_at = found.at;
        }
        if stepped || found.error < best.error {
            self.best = Some(found);
        }
    }

    /// A stamp that lies after now by less than the offset is uncertain is one of now.
    fn convert(&self, stamp: u64, now: u64) -> Option<u64> {
        let best = self.best?;
        let at = u64::try_from(i128::from(stamp) + best.offset).ok()?;
        (at > self.stepped_at && at <= now + best.error + MARGIN).then_some(at.min(now))
    }
}

fn look(clock: &impl Clock) -> Option<Look> {
    let one = |_| {
        let before = clock.now();
        let real = clock.real()?;
        let at = clock.now();
        let error = (at - before).div_ceil(2);
        let offset = i128::from(before + error) - i128::from(real);
        Some(Look { offset, error, at })
    };
    let mut best: Option<Look> = None;
    for found in (0..TRIES).filter_map(one) {
        if best.is_none_or(|best| found.error < best.error) {
            best = Some(found);
        }
        if found.error <= NEAR {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn looked(offset: i128, at: u64, state: &mut State) {
        state.take(Look { offset, error: 50, at });
    }

    #[test]
    fn a_stamp_is_moved_by_the_offset() {
        let mut state = State::default();
        assert_eq!(state.convert(10, 10), None);
        looked(-100, 5, &mut state);
        assert_eq!(state.convert(1_100, 1_200), Some(1_000));
        // Stamped by a clock that was read a moment too early.
        assert_eq!(state.convert(1_305, 1_200), Some(1_200));
        assert_eq!(state.convert(50_000_000, 1_200), None);
        assert_eq!(state.convert(20, 1_200), None);
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_and_stamps_of_before_are_not_believed() {
        let mut state = State::default();
        looked(0, SECOND, &mut state);
        looked(400, 2 * SECOND, &mut state);
        // The better look stands.
        assert_eq!((state.steps, state.convert(SECOND, 3 * SECOND)), (0, Some(SECOND)));
        state.take(Look { offset: 30, error: 20, at: 2 * SECOND });
        assert_eq!((state.steps, state.convert(SECOND, 3 * SECOND)), (0, Some(SECOND + 30)));
        // Set back by half a second.
        let half = SECOND / 2;
        looked(i128::from(half), 3 * SECOND, &mut state);
        assert_eq!(state.steps, 1);
        assert_eq!(state.convert(2 * SECOND, 3 * SECOND), None);
        assert_eq!(state.convert(3 * SECOND, 4 * SECOND), Some(3 * SECOND + half));
    }

    #[test]
    fn the_clocks_of_this_machine_can_be_compared() {
        let clock = crate::clock::SystemClock;
        let offset = Offset::default();
        let (real, now) = (clock.real().unwrap(), clock.now());
        let at = offset.monotonic(&clock, real, now).unwrap();
        assert!(at <= now);
        assert_eq!(offset.steps().0, 0);
    }
}
