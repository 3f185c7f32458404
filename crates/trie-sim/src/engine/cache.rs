//! The prefix cache: which blocks are kept, and which goes first when room is needed.

use std::collections::BTreeMap;

use super::blocks::BlockHash;

/// Full blocks that a later prompt may reuse, least recently used ones evicted first.
///
/// A block in use is never evicted. What a request gives back joins the list of free blocks last block
/// first, so that a suffix is evicted before the prefix it stands on and what is left can still be reached.
#[derive(Clone, Debug)]
pub struct PrefixCache {
    capacity: usize,
    blocks: BTreeMap<BlockHash, Held>,
    free: BTreeMap<u64, BlockHash>,
    next_place: u64,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    /// By so many requests.
    InUse(usize),
    /// By none, at this place of the list of free blocks.
    Free(u64),
}

impl PrefixCache {
    /// An empty cache of at most `capacity` blocks.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, blocks: BTreeMap::new(), free: BTreeMap::new(), next_place: 0 }
    }

    /// Number of blocks kept.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Number of leading blocks of `chain` that are kept.
    pub fn hit(&self, chain: &[BlockHash]) -> usize {
        chain.iter().take_while(|name| self.blocks.contains_key(name)).count()
    }

    /// Puts `chain` to use, in order, keeping what was not kept, until no room is left for the next block.
    ///
    /// Gives the number of blocks now in use, which the caller owes a [`release`](Self::release).
    pub fn acquire(&mut self, chain: &[BlockHash]) -> usize {
        chain.iter().take_while(|name| self.acquire_one(**name)).count()
    }

    /// Gives back what [`acquire`](Self::acquire) put to use.
    pub fn release(&mut self, chain: &[BlockHash]) {
        for name in chain.iter().rev() {
            let held = self.blocks.get_mut(name).expect("a block in use is never evicted");
            let Held::InUse(users) = held else {
                unreachable!("a block in use is not in the free list")
            };
            *users -= 1;
            if *users == 0 {
                *held = Held::Free(self.next_place);
                self.free.insert(self.next_place, *name);
                self.next_place += 1;
            }
        }
    }

    /// Forgets every block that is not in use.
    pub fn forget(&mut self) {
        for name in std::mem::take(&mut self.free).values() {
            self.blocks.remove(name);
        }
    }

    fn acquire_one(&mut self, name: BlockHash) -> bool {
        match self.blocks.get_mut(&name) {
            Some(Held::InUse(users)) => *users += 1,
            Some(held @ Held::Free(_)) => {
                if let Held::Free(place) = std::mem::replace(held, Held::InUse(1)) {
                    self.free.remove(&place);
                }
            }
            None => {
                if !self.make_room() {
                    return false;
                }
                self.blocks.insert(name, Held::InUse(1));
            }
        }
        true
    }

    /// Whether there is room for one more block, after evicting the block that was free for longest.
    fn make_room(&mut self) -> bool {
        if self.blocks.len() < self.capacity {
            return true;
        }
        let Some((_, oldest)) = self.free.pop_first() else { return false };
        self.blocks.remove(&oldest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{super::blocks::chain, *};

    /// A chain of `blocks` one-token blocks: `shared` tokens from 0, then tokens of its own from `own`.
    fn branch(shared: u32, own: u32, blocks: u32) -> Vec<BlockHash> {
        chain((0..shared).chain(own..own + blocks - shared), 1)
    }

    fn keep(cache: &mut PrefixCache, chain: &[BlockHash]) {
        let used = cache.acquire(chain);
        cache.release(&chain[..used]);
    }

    #[test]
    fn a_suffix_is_evicted_before_its_prefix() {
        let mut cache = PrefixCache::new(4);
        let a = branch(0, 100, 4);
        keep(&mut cache, &a);
        // Two new blocks push out the last two of `a`, not its first two.
        keep(&mut cache, &branch(0, 200, 2));
        assert_eq!((cache.hit(&a), cache.len()), (2, 4));
    }

    #[test]
    fn the_least_recently_used_chain_goes_first() {
        let mut cache = PrefixCache::new(4);
        let (a, b) = (branch(0, 100, 2), branch(0, 200, 2));
        keep(&mut cache, &a);
        keep(&mut cache, &b);
        keep(&mut cache, &a);
        keep(&mut cache, &branch(0, 300, 2));
        assert_eq!((cache.hit(&a), cache.hit(&b)), (2, 0));
    }

    #[test]
    fn a_shared_prefix_outlives_the_branches_on_it() {
        let mut cache = PrefixCache::new(5);
        // 2 shared blocks and 1 of its own each: 4 blocks are kept.
        let (a, b) = (branch(2, 100, 3), branch(2, 200, 3));
        keep(&mut cache, &a);
        keep(&mut cache, &b);
        assert_eq!(cache.len(), 4);
        // 3 more: one fits, then the own blocks of `a` and of `b` go; the shared ones stay.
        keep(&mut cache, &branch(0, 300, 3));
        assert_eq!((cache.hit(&a), cache.hit(&b), cache.len()), (2, 2, 5));
    }

    #[test]
    fn blocks_in_use_are_not_evicted() {
        let mut cache = PrefixCache::new(3);
        let a = branch(0, 100, 2);
        assert_eq!(cache.acquire(&a), 2);
        // Only one block is left, so only one of three is kept.
        assert_eq!(cache.acquire(&branch(0, 200, 3)), 1);
        assert_eq!(cache.hit(&a), 2);
        cache.forget();
        assert_eq!(cache.hit(&a), 2);
        cache.release(&a);
        cache.forget();
        assert_eq!((cache.hit(&a), cache.len()), (0, 1));
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let mut cache = PrefixCache::new(0);
        assert_eq!(cache.acquire(&branch(0, 100, 2)), 0);
        assert!(cache.is_empty());
    }
}
