//! Units: integer nanoseconds and token counts. Floats appear only at display.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds: an instant on one monotonic clock, or a length of time.
///
/// An instant counts from the clock's own zero (boot for `CLOCK_MONOTONIC`, 0 for virtual time).
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// No time.
    pub const ZERO: Self = Self(0);
    /// The end of time: later than every instant of a run.
    pub const MAX: Self = Self(u64::MAX);
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Seconds as a float, rounded to the nearest nanosecond.
    ///
    /// `None` for NaN, infinities, negative values and lengths beyond 292 years.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value was checked to lie inside the range just before"
    )]
    pub fn from_secs_f64(secs: f64) -> Option<Self> {
        let nanos = (secs * 1e9).round();
        (secs >= 0.0 && nanos < 9.2e18).then_some(Self(nanos as u64))
    }

    /// Seconds, for display and for statistics at the edge.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "display: 53 bits hold 104 days to the nanosecond"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Milliseconds, for display and for statistics at the edge.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "display: 53 bits hold 104 days to the nanosecond"
    )]
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self + length`, at most [`Nanos::MAX`].
    #[must_use]
    pub const fn plus(self, length: Self) -> Self {
        Self(self.0.saturating_add(length.0))
    }

    /// The time from `earlier` to `self`; `None` when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<Self> {
        match self.0.checked_sub(earlier.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.as_secs_f64())
    }
}

/// A number of tokens.
pub type Tokens = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_to_the_nearest_nanosecond() {
        let check = |secs: f64, expected: Option<u64>| {
            assert_eq!(Nanos::from_secs_f64(secs), expected.map(Nanos), "{secs}");
        };
        check(0.0, Some(0));
        check(0.685, Some(685_000_000));
        check(1e-10, Some(0));
        check(77_589.0, Some(77_589_000_000_000));
        check(-0.1, None);
        check(f64::NAN, None);
        check(f64::INFINITY, None);
        check(1e12, None);
    }
}
