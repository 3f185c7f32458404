//! A mergeable histogram of times with a bounded value error.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counts of values rounded to four significant decimal digits.
///
/// The value error is at most 0.05 % (half a unit in the fourth digit); values below 10,000 ns
/// are exact, and so is anything a scripted engine sends on whole milliseconds. Stored as
/// `[[value, count], ...]` in ascending order, so a file can be read without this program.
/// Adding histograms adds counts: merging loses nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram {
    counts: BTreeMap<u64, u64>,
}

impl Histogram {
    /// Adds `count` values of `nanos`.
    pub fn add(&mut self, nanos: u64, count: u64) {
        if count > 0 {
            let slot = self.counts.entry(four_digits(nanos)).or_insert(0);
            *slot = slot.saturating_add(count);
        }
    }

    /// Adds many `(nanos, count)`: in order, so that a tree is built at once and not value by value.
    pub(crate) fn add_all(&mut self, mut values: Vec<(u64, u64)>) {
        for (nanos, _) in &mut values {
            *nanos = four_digits(*nanos);
        }
        values.sort_unstable_by_key(|(nanos, _)| *nanos);
        values.dedup_by(|again, kept| {
            let same = again.0 == kept.0;
            kept.1 = kept.1.saturating_add(if same { again.1 } else { 0 });
            same
        });
        if self.is_empty() {
            self.counts = values.into_iter().filter(|(_, count)| *count > 0).collect();
        } else {
            for (nanos, count) in values {
                self.add(nanos, count);
            }
        }
    }

    /// Adds all counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (&nanos, &count) in &other.counts {
            self.add(nanos, count);
        }
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// `(value, count)` in ascending order of value, in nanoseconds.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.counts.iter().map(|(&nanos, &count)| (nanos, count))
    }

    /// The largest value, in nanoseconds.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.counts.keys().next_back().copied()
    }

    /// The value at 0-based `rank` in ascending order, in nanoseconds.
    #[must_use]
    pub fn at_rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0_u64;
        self.iter().find_map(|(nanos, count)| {
            seen += count;
            (rank < seen).then_some(nanos)
        })
    }

    /// The smallest value with at least `share` (0 to 1) of all values at or below it.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts of one run are far below 2^53"
    )]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = (share * self.count() as f64).ceil().max(1.0) as u64 - 1;
        self.at_rank(rank)
    }
}

/// The last digit that is kept of a value, by the logarithm of that.
const UNITS: [u64; 20] = {
    let mut units = [1; 20];
    let mut digits = 4;
    while digits < units.len() {
        units[digits] = 10 * units[digits - 1];
        digits += 1;
    }
    units
};

/// Rounds to four significant decimal digits, half up.
fn four_digits(value: u64) -> u64 {
    let digits = value.checked_ilog10().unwrap_or(0);
    let unit = UNITS[digits as usize];
    (value / unit + u64::from(value % unit >= unit - unit / 2)).saturating_mul(unit)
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(u64, u64)>::deserialize(deserializer)?;
        let mut histogram = Self::default();
        for (nanos, count) in pairs {
            histogram.add(nanos, count);
        }
        Ok(histogram)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Histogram {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Histogram".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "[[value in ns, rounded to four digits; count], ...], ascending.",
            "type": "array",
            "items": {
                "type": "array",
                "items": { "type": "integer", "minimum": 0 },
                "minItems": 2,
                "maxItems": 2,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_to_four_digits() {
        let check = |value: u64, expected: u64| assert_eq!(four_digits(value), expected, "{value}");
        check(0, 0);
        check(9_999, 9_999);
        check(10_004, 10_000);
        check(10_005, 10_010);
        check(99_999, 100_000);
        check(20_000_000, 20_000_000);
        check(123_456_789, 123_500_000);
        check(u64::MAX, u64::MAX);
    }

    #[test]
    fn ranks_and_quantiles_count_every_value() {
        let mut histogram = Histogram::default();
        histogram.add(30, 1);
        histogram.add(10, 2);
        let mut more = Histogram::default();
        more.add(20, 1);
        histogram.merge(&more);
        assert_eq!(histogram.count(), 4);
        assert_eq!(
            (0..5).map(|rank| histogram.at_rank(rank)).collect::<Vec<_>>(),
            [Some(10), Some(10), Some(20), Some(30), None]
        );
        assert_eq!(histogram.quantile(0.5), Some(10));
        assert_eq!(histogram.quantile(1.0), Some(30));
    }

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let values = [(123_456_789, 1), (10, 2), (30, 1), (10, 3), (123_456_000, 1), (40, 0)];
        let (mut at_once, mut one_by_one) = (Histogram::default(), Histogram::default());
        for times in 1..=2 {
            at_once.add_all(values.to_vec());
            for (nanos, count) in values {
                one_by_one.add(nanos, count);
            }
            assert_eq!(at_once, one_by_one, "{times}");
        }
        assert_eq!(at_once.iter().collect::<Vec<_>>(), [(10, 10), (30, 2), (123_500_000, 4)]);
    }

    /// Values of every size, from a seed.
    fn spread(count: usize) -> Vec<u64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 2) >> (state % 61)
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn a_value_is_off_by_a_two_thousandth_at_most() {
        for value in spread(200_000) {
            let error = four_digits(value).abs_diff(value);
            assert!(u128::from(error) * 2_000 <= u128::from(value), "{value} is off by {error}");
        }
    }

    #[test]
    fn parts_merge_to_the_whole_in_any_order() {
        let values = spread(10_000);
        let of = |values: &[u64]| {
            let mut histogram = Histogram::default();
            for value in values {
                histogram.add(*value, 1);
            }
            histogram
        };
        let merged = |parts: &mut dyn Iterator<Item = &[u64]>| {
            let mut merged = Histogram::default();
            parts.for_each(|part| merged.merge(&of(part)));
            merged
        };
        for size in [1, 7, 512, 9_999] {
            assert_eq!(merged(&mut values.chunks(size)), of(&values), "{size}");
            assert_eq!(merged(&mut values.chunks(size).rev()), of(&values), "{size}, reversed");
        }
    }

    #[test]
    fn a_file_holds_value_and_count() {
        let mut histogram = Histogram::default();
        histogram.add(20_000_000, 3);
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(text, "[[20000000,3]]");
        assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), histogram);
    }
}
