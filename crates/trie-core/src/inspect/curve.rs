//! How much of what is asked for a cache of any capacity holds.

use super::stack::Found;
use crate::units::Tokens;

/// Where the blocks lay that were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(Vec<(u64, i64)>);

impl Ranges {
    /// Adds blocks that lay in rows: each row counts one more hit for each block of capacity from where it
    /// starts to where it ends.
    pub(super) fn add(&mut self, found: &[Found]) {
        for Found { above, blocks } in found {
            self.0.push((*above, 1));
            self.0.push((above + blocks, -1));
        }
    }
}

/// The hits of every capacity at once: a line of straight pieces that never falls.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Curve {
    block: Tokens,
    /// Capacity in blocks, the blocks hit there, and how many more for each further block of capacity;
    /// ascending from 0.
    corners: Vec<(u64, u64, u64)>,
}

impl Curve {
    pub(super) fn new(block: Tokens, Ranges(mut changes): Ranges) -> Self {
        changes.sort_unstable();
        let mut corners: Vec<(u64, u64, u64)> = vec![(0, 0, 0)];
        for (at, change) in changes {
            let (from, hits, slope) = *corners.last().expect("it starts with one");
            let slope_there = slope.checked_add_signed(change).expect("what starts ends behind it");
            let there = (at, hits + (at - from) * slope, slope_there);
            if at == from {
                corners.pop();
            }
            corners.push(there);
        }
        Self { block: block.max(1), corners }
    }

    /// Prompt tokens that a cache of so many tokens would have held.
    pub(super) fn hit_tokens(&self, cache_tokens: Tokens) -> Tokens {
        let blocks = cache_tokens / self.block;
        let next = self.corners.partition_point(|(at, _, _)| *at <= blocks);
        let (at, hits, slope) = self.corners[next - 1];
        (hits + (blocks - at) * slope) * self.block
    }

    /// The least capacity, in tokens, beyond which no more is hit.
    pub(super) fn enough(&self) -> Tokens {
        self.corners.last().map_or(0, |(at, _, _)| at * self.block)
    }

    /// The least capacity, in tokens, that holds at least so many of the prompt tokens; no more than
    /// [`Curve::enough`].
    pub(super) fn needed(&self, hit_tokens: Tokens) -> Tokens {
        let wanted = hit_tokens.div_ceil(self.block);
        let next = self.corners.partition_point(|(_, hits, _)| *hits < wanted);
        let Some(&(at, hits, slope)) = next.checked_sub(1).and_then(|last| self.corners.get(last))
        else {
            return 0;
        };
        let more = if slope > 0 { (wanted - hits).div_ceil(slope) } else { 0 };
        ((at + more) * self.block).min(self.enough())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_counts_blocks_up_to_each_capacity() {
        let mut ranges = Ranges::default();
        let found = |above, blocks| Found { above, blocks };
        ranges.add(&[found(0, 3), found(5, 2)]);
        ranges.add(&[found(1, 1)]);
        let curve = Curve::new(16, ranges);
        let hits = [0, 1, 3, 4, 4, 4, 5, 6, 6];
        for (blocks, hit) in (0..).zip(hits) {
            assert_eq!(curve.hit_tokens(blocks * 16), hit * 16, "{blocks}");
            assert_eq!(curve.hit_tokens(blocks * 16 + 15), hit * 16, "{blocks} and a part");
        }
        assert_eq!(curve.enough(), 7 * 16);
        let needed = |hit: u64| curve.needed(hit * 16) / 16;
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(needed), [0, 1, 2, 2, 3, 6, 7]);
        assert_eq!(curve.needed(99 * 16), 7 * 16);
    }

    #[test]
    fn a_curve_of_nothing_is_flat() {
        let curve = Curve::new(16, Ranges::default());
        assert_eq!((curve.hit_tokens(1_000), curve.enough(), curve.needed(5)), (0, 0, 0));
    }
}
