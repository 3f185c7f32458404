//! Figures of many runs, each with how far it can be trusted.

use std::fmt;

/// How many of how many.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) count: u32,
    pub(crate) of: u32,
}

impl Share {
    pub(crate) fn new<T>(all: impl IntoIterator<Item = T>, is: impl Fn(T) -> bool) -> Self {
        all.into_iter().fold(Self::default(), |share, one| Self {
            count: share.count + u32::from(is(one)),
            of: share.of + 1,
        })
    }

    pub(crate) fn percent(self) -> f64 {
        100.0 * f64::from(self.count) / f64::from(self.of.max(1))
    }

    /// The 95 % interval of Clopper and Pearson, in percent.
    pub(crate) fn interval(self) -> (f64, f64) {
        let (count, of) = (self.count, self.of);
        // The chance that makes so many or more, and so many or fewer, as unlikely as 2.5 %.
        let low = solve(|chance| 1.0 - at_most(count.saturating_sub(1), of, chance) < 0.025);
        let high = solve(|chance| at_most(count, of, chance) > 0.025);
        (if count == 0 { 0.0 } else { 100.0 * low }, if count == of { 100.0 } else { 100.0 * high })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        write!(f, "{} of {}, 95 % interval {low:.1} to {high:.1} %", self.count, self.of)
    }
}

/// Where `below` stops to hold, between 0 and 1.
fn solve(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Chance of at most `count` of `of` at a chance of `chance` each.
fn at_most(count: u32, of: u32, chance: f64) -> f64 {
    let log_of = |n: u32| libm::lgamma(f64::from(n) + 1.0);
    let one = |k: u32| {
        let ways = log_of(of) - log_of(k) - log_of(of - k);
        let (hits, misses) = (f64::from(k), f64::from(of - k));
        libm::exp(ways + hits * libm::log(chance) + misses * libm::log1p(-chance))
    };
    (0..=count).map(one).sum()
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / count(values)
}

/// Standard error of a mean.
pub(crate) fn error(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    (squares / (count(values) - 1.0) / count(values)).sqrt()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// How far the mean is from that of the truth, in percent.
pub(crate) fn off(values: &[f64], truth: &[f64]) -> f64 {
    100.0 * (mean(values) / mean(truth) - 1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs are small")]
fn count(values: &[f64]) -> f64 {
    values.len() as f64
}
