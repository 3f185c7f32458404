//! A histogram that takes many values fast.

use crate::record::{Digits, Histogram, four_digits};

/// Counts of values of at most four significant digits, one slot each.
///
/// Adding is a few multiplications instead of a walk through a tree: a million requests bring
/// some 10^8 entries. All slots together take 1.3 MB at most.
#[derive(Debug, Default)]
pub(super) struct Dense {
    counts: Vec<u64>,
}

/// Values below this have a slot each; above, a decade has 9,000.
const EXACT: u64 = 10_000;
const DECADE: u64 = 9_000;

/// Where a value is counted, and how often it is there.
pub(super) type Slot = (usize, u64);

impl Dense {
    /// Adds a value, rounded as those of a [`Histogram`] are.
    pub(super) fn add(&mut self, nanos: u64) {
        self.add_slots(&[(slot(four_digits(nanos)), 1)]);
    }

    /// Adds many values.
    pub(super) fn add_slots(&mut self, slots: &[Slot]) {
        let Some(last) = slots.iter().map(|slot| slot.0).max() else { return };
        if last >= self.counts.len() {
            self.counts.resize(last + 1, 0);
        }
        for &(slot, count) in slots {
            self.counts[slot] += count;
        }
    }

    /// Adds all counts of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        if other.counts.len() > self.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// The same as a histogram.
    pub(super) fn histogram(&self) -> Histogram {
        let mut all = Histogram::default();
        for (value, &count) in values().zip(&self.counts) {
            all.add(value, count);
        }
        all
    }
}

/// The slots of a histogram's values, ascending.
pub(super) fn slots(values: &Histogram) -> impl Iterator<Item = Slot> + '_ {
    let mut digits = Digits::default();
    values.iter().map(move |(nanos, count)| {
        let split = digits.split(nanos).map(|(digits, decade)| numbered(digits, decade as u64));
        (split.unwrap_or_else(|| slot(nanos)), count)
    })
}

/// The slot of a value of at most four significant digits.
fn slot(nanos: u64) -> usize {
    let (mut digits, mut decade) = (nanos, 0);
    while digits >= EXACT {
        digits /= 10;
        decade += 1;
    }
    numbered(digits, decade)
}

#[inline]
fn numbered(digits: u64, decade: u64) -> usize {
    let slot = if decade == 0 { digits } else { EXACT + DECADE * (decade - 1) + digits - 1_000 };
    usize::try_from(slot).expect("there are less than 10^6 slots")
}

/// The value of each slot, in order.
fn values() -> impl Iterator<Item = u64> {
    let decades = (1..=16_u32).map(|decade| 10_u64.pow(decade));
    let above =
        decades.flat_map(|unit| (1_000..EXACT).map(move |digits| digits.saturating_mul(unit)));
    (0..EXACT).chain(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_from_its_slot() {
        let mut dense = Dense::default();
        let mut expected = Histogram::default();
        for value in [0, 1, 9_999, 10_000, 99_990, 100_000, 20_250_000, 3_600_000_000_000] {
            dense.add(value);
            expected.add(value, 1);
        }
        assert_eq!(dense.histogram(), expected);
        let all: Vec<Slot> = slots(&expected).collect();
        dense.add_slots(&all);
        expected.merge(&expected.clone());
        assert_eq!(dense.histogram(), expected);
    }

    #[test]
    fn slots_are_numbered_in_the_order_of_values() {
        for (index, value) in values().enumerate().filter(|(_, value)| *value < u64::MAX / 2) {
            assert_eq!(slot(value), index, "{value}");
        }
    }
}
