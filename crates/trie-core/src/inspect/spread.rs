//! Numbers in a few figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::{float, interpolate};

/// How numbers are spread: exact quantiles, by linear interpolation between ranks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread {
    /// How many there are.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
    /// The smallest.
    pub min: f64,
    /// Of ten, one is at most so large.
    pub p10: f64,
    /// Half are at most so large.
    pub p50: f64,
    /// Of ten, nine are at most so large.
    pub p90: f64,
    /// Of a hundred, all but one are at most so large.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// Whole numbers, each with how often it came: exact, and as large as there are different ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(BTreeMap<u64, u64>);

impl Values {
    pub(super) fn add(&mut self, value: u64) {
        *self.0.entry(value).or_default() += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Their sum, each multiplied with `unit`.
    pub(super) fn sum(&self, unit: f64) -> f64 {
        self.0.iter().map(|(value, count)| float(*value) * float(*count)).sum::<f64>() * unit
    }

    /// By linear interpolation; `None` of no numbers.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let n = self.count();
        (n > 0).then(|| interpolate(n, share, |rank| float(self.at(rank))))
    }

    fn at(&self, rank: u64) -> u64 {
        let mut before = 0;
        let holds = |(value, count): (&u64, &u64)| {
            before += count;
            (before > rank).then_some(*value)
        };
        self.0.iter().find_map(holds).unwrap_or_default()
    }

    /// In units of `unit`; `None` of no numbers.
    pub(super) fn spread(&self, unit: f64) -> Option<Spread> {
        let n = self.count();
        let at = |share| self.quantile(share).map(|value| value * unit);
        Some(Spread {
            n,
            mean: self.sum(unit) / float(n.max(1)),
            min: at(0.0)?,
            p10: at(0.1)?,
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            max: at(1.0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_the_numbers_in_order() {
        let mut values = Values::default();
        assert_eq!(values.spread(1.0), None);
        for value in [40, 10, 20, 30, 10] {
            values.add(value);
        }
        let spread = values.spread(0.5).unwrap();
        let found = [spread.mean, spread.min, spread.p10, spread.p50, spread.p90, spread.max];
        let expected = [11.0, 5.0, 5.0, 10.0, 18.0, 20.0];
        assert_eq!(spread.n, 5);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }
}
