//! Distributions as tables of quantiles.

use crate::units::Tokens;

/// Shares of a table's knots, in percent.
pub(super) const KNOTS: [f64; 12] =
    [0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0];

/// A distribution by its quantiles; between them the logarithm is even, or the number itself where one
/// of them is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// What it is of, in words.
    pub(super) name: &'static str,
    pub(super) knots: [f64; 12],
}

impl Table {
    pub(super) const fn new(name: &'static str, knots: [f64; 12]) -> Self {
        Self { name, knots }
    }

    /// The quantile of a share between 0 and 1.
    pub(super) fn at(&self, share: f64) -> f64 {
        let percent = share.clamp(0.0, 1.0) * 100.0;
        let next = KNOTS.partition_point(|knot| *knot <= percent).clamp(1, KNOTS.len() - 1);
        let part = (percent - KNOTS[next - 1]) / (KNOTS[next] - KNOTS[next - 1]);
        let (low, high) = (self.knots[next - 1], self.knots[next]);
        if low > 0.0 {
            libm::exp(libm::log(low) + part * (libm::log(high) - libm::log(low)))
        } else {
            low + part * (high - low)
        }
    }

    /// The quantile as whole tokens, or whatever is counted.
    pub(super) fn whole(&self, share: f64) -> Tokens {
        whole(self.at(share))
    }
}

/// The nearest whole number; at least 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest integer there is"
)]
pub(super) fn whole(number: f64) -> u64 {
    (number + 0.5).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gives_its_knots_and_goes_evenly_between_them() {
        let knots = [0.0, 2.0, 4.0, 8.0, 16.0, 64.0, 65.0, 66.0, 67.0, 68.0, 69.0, 70.0];
        let table = Table::new("a", knots);
        for (share, expected) in KNOTS.iter().zip(knots) {
            assert!((table.at(share / 100.0) - expected).abs() < 1e-9, "{share}");
        }
        assert!((table.at(0.005) - 1.0).abs() < 1e-9, "even beside 0");
        assert!((table.at(0.375) - 32.0).abs() < 1e-9, "even in the logarithm");
        assert_eq!(table.whole(0.375), 32);
    }
}
