//! Sums over the end of a growing list of counts.

/// A list of counts whose sums from any place on are found in steps of the logarithm of its length (a
/// Fenwick tree).
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Node i (from 1) holds the sum of the counts that its lowest set bit spans, the last of them
    /// count i.
    nodes: Vec<u64>,
    total: u64,
}

impl Sums {
    /// Adds a count at the end; its place.
    pub(super) fn push(&mut self, count: u64) -> usize {
        let place = self.nodes.len();
        let number = place + 1;
        let first = number - lowest_bit(number);
        let mut sum = count;
        let mut below = place;
        while below > first {
            sum += self.nodes[below - 1];
            below -= lowest_bit(below);
        }
        self.nodes.push(sum);
        self.total += count;
        place
    }

    /// Makes the count at a place smaller.
    pub(super) fn take(&mut self, place: usize, count: u64) {
        let mut number = place + 1;
        while number <= self.nodes.len() {
            self.nodes[number - 1] -= count;
            number += lowest_bit(number);
        }
        self.total -= count;
    }

    /// The sum of all counts behind a place.
    pub(super) fn behind(&self, place: usize) -> u64 {
        let mut number = place + 1;
        let mut up_to = 0;
        while number > 0 {
            up_to += self.nodes[number - 1];
            number -= lowest_bit(number);
        }
        self.total - up_to
    }
}

fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_a_plain_list() {
        let mut sums = Sums::default();
        let mut list: Vec<u64> = vec![];
        for step in 0..200_u64 {
            let count = step * 7 % 13;
            assert_eq!(sums.push(count), list.len());
            list.push(count);
            let place = usize::try_from(step * 31 % (step + 1)).unwrap();
            let taken = list[place] / 2;
            sums.take(place, taken);
            list[place] -= taken;
            for place in 0..list.len() {
                assert_eq!(sums.behind(place), list[place + 1..].iter().sum::<u64>(), "{place}");
            }
        }
    }
}
