//! A mergeable histogram of times with a bounded value error.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digits::{Digits, four_digits};

/// Counts of values rounded to four significant decimal digits.
///
/// The value error is at most 0.05 % (half a unit in the fourth digit); values below 10,000 ns
/// are exact, and so is anything a scripted engine sends on whole milliseconds. Stored as
/// `[[value, count], ...]` in ascending order, so a file can be read without this program.
/// Adding histograms adds counts: merging loses nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Histogram {
    /// `(value, count)`: ascending, each value once, no count of 0. A row has some dozens, which lie
    /// side by side and are read from a file as they stand.
    counts: Vec<(u64, u64)>,
}

impl Histogram {
    /// Adds `count` values of `nanos`.
    pub fn add(&mut self, nanos: u64, count: u64) {
        if count == 0 {
            return;
        }
        let nanos = four_digits(nanos);
        match self.counts.binary_search_by_key(&nanos, |(nanos, _)| *nanos) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (nanos, count)),
        }
    }

    /// Of many `(nanos, count)` in any order.
    pub(crate) fn of(mut values: Vec<(u64, u64)>) -> Self {
        if is_ready(&values) {
            return Self { counts: values };
        }
        values.retain(|(_, count)| *count > 0);
        for (nanos, _) in &mut values {
            *nanos = four_digits(*nanos);
        }
        values.sort_unstable_by_key(|(nanos, _)| *nanos);
        values.dedup_by(|again, kept| {
            let same = again.0 == kept.0;
            kept.1 = kept.1.saturating_add(if same { again.1 } else { 0 });
            same
        });
        Self { counts: values }
    }

    /// Its `(nanos, count)`.
    pub(crate) fn into_values(self) -> Vec<(u64, u64)> {
        self.counts
    }

    /// Adds many `(nanos, count)`: at once, and not value by value.
    pub(crate) fn add_all(&mut self, values: Vec<(u64, u64)>) {
        self.merge(&Self::of(values));
    }

    /// Adds all counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() || other.is_empty() {
            self.counts.extend(&other.counts);
            return;
        }
        let mut all = Vec::with_capacity(self.counts.len() + other.counts.len());
        let (mut ours, mut theirs) = (&self.counts[..], &other.counts[..]);
        while let ([one, more @ ..], [another, others @ ..]) = (ours, theirs) {
            match one.0.cmp(&another.0) {
                Ordering::Less => {
                    all.push(*one);
                    ours = more;
                }
                Ordering::Greater => {
                    all.push(*another);
                    theirs = others;
                }
                Ordering::Equal => {
                    all.push((one.0, one.1.saturating_add(another.1)));
                    (ours, theirs) = (more, others);
                }
            }
        }
        all.extend(ours.iter().chain(theirs));
        self.counts = all;
    }

    /// How many values were added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// `(value, count)` in ascending order of value, in nanoseconds.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// The largest value, in nanoseconds.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.counts.last().map(|(nanos, _)| *nanos)
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

/// Whether values stand as a histogram keeps them.
fn is_ready(values: &[(u64, u64)]) -> bool {
    let mut digits = Digits::default();
    values.is_sorted_by(|one, next| one.0 < next.0)
        && values.iter().all(|(nanos, count)| *count > 0 && digits.split(*nanos).is_some())
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::of)
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
