//! The prefix cache: which blocks are kept, and which goes first when room is needed.

use std::{collections::BTreeMap, num::NonZeroUsize};

use super::sequence::{Sequence, Span, common, name};

/// Blocks of tokens that a later prompt may reuse, least recently used ones evicted first.
///
/// A block is known by all tokens up to its end and kept once, however many requests use it. It is never
/// evicted while one does. What a request gives back joins the list of free blocks last block first, so
/// that a suffix is evicted before the prefix it stands on and what is left can still be reached.
///
/// Inside, it is a radix tree over spans: a run of blocks that were always used together is one node, so
/// that a look-up costs as many steps as the prompt has turns, not as it has blocks.
#[derive(Clone, Debug)]
pub struct PrefixCache {
    block: usize,
    capacity: usize,
    nodes: Vec<Node>,
    vacant: Vec<usize>,
    /// Nodes that nobody uses, the next to be evicted first.
    free: BTreeMap<u64, usize>,
    next_place: u64,
    /// Blocks that are kept, loose ones among them.
    kept: usize,
    /// Of them, those in use.
    in_use: usize,
}

/// Whole blocks in a row, used and given back together.
#[derive(Clone, Debug)]
struct Node {
    parent: usize,
    /// Names its first block among its siblings.
    name: u64,
    content: Sequence,
    children: BTreeMap<u64, usize>,
    /// Leases that end here or below.
    users: usize,
    /// Its place in the list of free blocks.
    place: Option<u64>,
}

/// Blocks in use by one request: the first so many of its tokens. Owed to [`PrefixCache::release`].
#[derive(Debug, Default)]
pub struct Lease {
    /// The node in which it ends.
    node: usize,
    blocks: usize,
    /// Whether it has one more block, which is not full and so cannot be shared.
    loose: bool,
}

impl Lease {
    /// Full blocks in use.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

/// The node above all others, which holds nothing.
const ROOT: usize = 0;

impl PrefixCache {
    /// An empty cache of at most `capacity` blocks of `block` tokens.
    pub fn new(block: NonZeroUsize, capacity: usize) -> Self {
        let root = Node {
            parent: ROOT,
            name: 0,
            content: Sequence::default(),
            children: BTreeMap::new(),
            users: 0,
            place: None,
        };
        Self {
            block: block.get(),
            capacity,
            nodes: vec![root],
            vacant: Vec::new(),
            free: BTreeMap::new(),
            next_place: 0,
            kept: 0,
            in_use: 0,
        }
    }

    /// Number of blocks kept, in use or free.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.kept == 0
    }

    /// Number of blocks in use.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    /// Most blocks that can be kept.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Number of full blocks in the first `tokens` of `content` that are kept, from the first on.
    pub fn hit(&self, content: &Sequence, tokens: usize) -> usize {
        self.walk(&Lease::default(), content, tokens / self.block).0
    }

    /// How many more blocks would be in use if a lease grew to the first `tokens` of `content`.
    pub fn need(&self, lease: &Lease, content: &Sequence, tokens: usize) -> usize {
        let to = tokens / self.block;
        let (kept, free) = self.walk(lease, content, to);
        let loose = usize::from(self.has_loose(tokens));
        (to.max(lease.blocks) - kept + free + loose).saturating_sub(usize::from(lease.loose))
    }

    /// Grows a lease to the first `tokens` of `content`; where there is no room for all, to nothing more.
    pub fn take(&mut self, lease: &mut Lease, content: &Sequence, tokens: usize) -> bool {
        if lease.loose && self.has_loose(tokens) && tokens / self.block == lease.blocks {
            // All that is wanted is in the block that is not full: so it is for most tokens of an answer.
            return true;
        }
        if self.need(lease, content, tokens) > self.capacity - self.in_use {
            return false;
        }
        self.set_loose(lease, false);
        self.take_blocks(lease, content, tokens / self.block);
        self.set_loose(lease, self.has_loose(tokens));
        true
    }

    /// Grows a lease to the first `blocks` of `content`, as far as there is room.
    pub fn take_blocks(&mut self, lease: &mut Lease, content: &Sequence, blocks: usize) {
        while lease.blocks < blocks
            && let Some((child, kept)) = self.below(lease.node, lease.blocks, content, blocks)
        {
            lease.node = self.split(child, kept);
            lease.blocks += kept;
            self.put_to_use(lease.node);
        }
        let new = blocks.saturating_sub(lease.blocks).min(self.capacity - self.in_use);
        if new > 0 {
            self.make_room(new);
            let (from, to) = (lease.blocks * self.block, (lease.blocks + new) * self.block);
            self.grow(lease, content.slice(from, to), new);
            lease.blocks += new;
        }
    }

    /// Gives back what a lease holds.
    pub fn release(&mut self, mut lease: Lease) {
        self.set_loose(&mut lease, false);
        let mut at = lease.node;
        while at != ROOT {
            let node = &mut self.nodes[at];
            node.users -= 1;
            if node.users == 0 {
                self.in_use -= node.content.len() / self.block;
                node.place = Some(self.next_place);
                self.free.insert(self.next_place, at);
                self.next_place += 1;
            }
            at = self.nodes[at].parent;
        }
    }

    /// Forgets every block that is not in use.
    pub fn forget(&mut self) {
        while let Some((_, node)) = self.free.first_key_value() {
            self.evict(*node, usize::MAX);
        }
    }

    fn has_loose(&self, tokens: usize) -> bool {
        !tokens.is_multiple_of(self.block)
    }

    /// Takes or gives back the block that is not full; there is room by [`need`](Self::need).
    fn set_loose(&mut self, lease: &mut Lease, loose: bool) {
        match (lease.loose, loose) {
            (true, false) => {
                self.kept -= 1;
                self.in_use -= 1;
            }
            (false, true) => {
                self.make_room(1);
                self.kept += 1;
                self.in_use += 1;
            }
            (true, true) | (false, false) => {}
        }
        lease.loose = loose;
    }

    /// Blocks from the start up to `to` that are kept, and of those behind the lease the free ones.
    fn walk(&self, lease: &Lease, content: &Sequence, to: usize) -> (usize, usize) {
        let (mut node, mut blocks, mut free) = (lease.node, lease.blocks, 0);
        while blocks < to
            && let Some((child, kept)) = self.below(node, blocks, content, to)
        {
            blocks += kept;
            free += if self.nodes[child].users == 0 { kept } else { 0 };
            if kept < self.blocks(child) {
                break;
            }
            node = child;
        }
        (blocks, free)
    }

    /// The child of a node, which ends at block `at`, that goes on as `content` does, and how many of its
    /// blocks do, up to block `to`.
    fn below(
        &self,
        node: usize,
        at: usize,
        content: &Sequence,
        to: usize,
    ) -> Option<(usize, usize)> {
        let from = at * self.block;
        // Most often asked of the end of an answer in work, which nothing goes on from.
        if self.nodes[node].children.is_empty() || from + self.block > content.len() {
            return None;
        }
        let first = name(content.slice(from, from + self.block));
        let child = *self.nodes[node].children.get(&first)?;
        let held = &self.nodes[child].content;
        let agreed = common(held.slice(0, held.len()), content.slice(from, content.len()));
        Some((child, (agreed / self.block).min(to - at))).filter(|(_, kept)| *kept > 0)
    }

    fn blocks(&self, node: usize) -> usize {
        self.nodes[node].content.len() / self.block
    }

    /// Makes the first `blocks` of a node a node of their own, and gives it. The rest keeps its number, so
    /// that leases that end in it stay right.
    fn split(&mut self, node: usize, blocks: usize) -> usize {
        if blocks == self.blocks(node) {
            return node;
        }
        let lower = self.nodes[node].content.split_off(blocks * self.block);
        let lower_name = name(lower.slice(0, self.block));
        let Node { parent, name, users, .. } = self.nodes[node];
        let content = std::mem::replace(&mut self.nodes[node].content, lower);
        let children = BTreeMap::from([(lower_name, node)]);
        let upper = self.add(Node { parent, name, content, children, users, place: None });
        self.nodes[parent].children.insert(name, upper);
        self.nodes[node].parent = upper;
        self.nodes[node].name = lower_name;
        upper
    }

    fn put_to_use(&mut self, node: usize) {
        let blocks = self.blocks(node);
        let node = &mut self.nodes[node];
        if node.users == 0 {
            self.in_use += blocks;
        }
        if let Some(place) = node.place.take() {
            self.free.remove(&place);
        }
        node.users += 1;
    }

    /// Adds new blocks at the end of a lease.
    fn grow(&mut self, lease: &mut Lease, content: impl Iterator<Item = Span>, blocks: usize) {
        self.kept += blocks;
        self.in_use += blocks;
        let parent = lease.node;
        let node = &mut self.nodes[parent];
        if parent != ROOT && node.users == 1 && node.children.is_empty() {
            node.content.extend(content);
            return;
        }
        let content: Sequence = content.collect();
        let name = name(content.slice(0, self.block));
        let children = BTreeMap::new();
        let child = self.add(Node { parent, name, content, children, users: 1, place: None });
        self.nodes[parent].children.insert(name, child);
        lease.node = child;
    }

    fn add(&mut self, node: Node) -> usize {
        if let Some(place) = self.vacant.pop() {
            self.nodes[place] = node;
            return place;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Evicts the blocks that were free for longest until there is room for `blocks` more.
    fn make_room(&mut self, blocks: usize) {
        while self.kept + blocks > self.capacity {
            let (_, node) =
                self.free.first_key_value().expect("blocks that are not in use are free");
            self.evict(*node, self.kept + blocks - self.capacity);
        }
    }

    /// Evicts up to `blocks` from the end of a free node. It has no children: they were freed before it.
    fn evict(&mut self, node: usize, blocks: usize) {
        let held = self.blocks(node);
        let evicted = held.min(blocks);
        self.kept -= evicted;
        self.nodes[node].content.truncate((held - evicted) * self.block);
        if evicted == held {
            let Node { parent, name, place, .. } = self.nodes[node];
            self.nodes[parent].children.remove(&name);
            self.free.remove(&place.expect("a free node has a place"));
            self.vacant.push(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(key: u128, tokens: usize) -> Span {
        Span { key, from: 0, tokens }
    }

    fn cache(capacity: usize) -> PrefixCache {
        PrefixCache::new(NonZeroUsize::new(1).unwrap(), capacity)
    }

    /// A chain of `blocks` one-token blocks: `shared` tokens of text 0, then tokens of its own.
    fn branch(shared: usize, own: u128, blocks: usize) -> Sequence {
        [whole(0, shared), whole(own, blocks - shared)].into_iter().collect()
    }

    fn acquire(cache: &mut PrefixCache, chain: &Sequence) -> Lease {
        let mut lease = Lease::default();
        cache.take_blocks(&mut lease, chain, chain.len());
        lease
    }

    fn keep(cache: &mut PrefixCache, chain: &Sequence) {
        let lease = acquire(cache, chain);
        cache.release(lease);
    }

    fn hit(cache: &PrefixCache, chain: &Sequence) -> usize {
        cache.hit(chain, chain.len())
    }

    #[test]
    fn a_suffix_is_evicted_before_its_prefix() {
        let mut cache = cache(4);
        let a = branch(0, 100, 4);
        keep(&mut cache, &a);
        // Two new blocks push out the last two of `a`, not its first two.
        keep(&mut cache, &branch(0, 200, 2));
        assert_eq!((hit(&cache, &a), cache.len()), (2, 4));
    }

    #[test]
    fn the_least_recently_used_chain_goes_first() {
        let mut cache = cache(4);
        let (a, b) = (branch(0, 100, 2), branch(0, 200, 2));
        keep(&mut cache, &a);
        keep(&mut cache, &b);
        keep(&mut cache, &a);
        keep(&mut cache, &branch(0, 300, 2));
        assert_eq!((hit(&cache, &a), hit(&cache, &b)), (2, 0));
    }

    #[test]
    fn a_shared_prefix_outlives_the_branches_on_it() {
        let mut cache = cache(5);
        // 2 shared blocks and 1 of its own each: 4 blocks are kept.
        let (a, b) = (branch(2, 100, 3), branch(2, 200, 3));
        keep(&mut cache, &a);
        keep(&mut cache, &b);
        assert_eq!(cache.len(), 4);
        // 3 more: one fits, then the own blocks of `a` and of `b` go; the shared ones stay.
        keep(&mut cache, &branch(0, 300, 3));
        assert_eq!((hit(&cache, &a), hit(&cache, &b), cache.len()), (2, 2, 5));
    }

    #[test]
    fn blocks_in_use_are_not_evicted() {
        let mut cache = cache(3);
        let a = branch(0, 100, 2);
        let lease = acquire(&mut cache, &a);
        assert_eq!(lease.blocks(), 2);
        // Only one block is left, so only one of three is kept, and not even that one of all or none.
        let b = branch(0, 200, 3);
        assert!(!cache.take(&mut Lease::default(), &b, 3));
        let other = acquire(&mut cache, &b);
        assert_eq!(other.blocks(), 1);
        assert_eq!(hit(&cache, &a), 2);
        cache.forget();
        assert_eq!(hit(&cache, &a), 2);
        cache.release(lease);
        cache.forget();
        assert_eq!((hit(&cache, &a), cache.len()), (0, 1));
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let mut cache = cache(0);
        assert_eq!(acquire(&mut cache, &branch(0, 100, 2)).blocks(), 0);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_block_that_is_not_full_takes_room_but_is_not_shared() {
        let mut cache = PrefixCache::new(NonZeroUsize::new(4).unwrap(), 3);
        let a = branch(0, 100, 12);
        let mut lease = Lease::default();
        assert!(cache.take(&mut lease, &a, 6));
        assert_eq!((cache.in_use(), cache.hit(&a, 12)), (2, 1));
        assert_eq!(cache.need(&lease, &a, 8), 0);
        assert_eq!(cache.need(&lease, &a, 9), 1);
        assert!(cache.take(&mut lease, &a, 8));
        assert_eq!((cache.in_use(), cache.hit(&a, 12)), (2, 2));
        assert!(!cache.take(&mut lease, &a, 13), "four blocks do not fit three");
        cache.release(lease);
        assert_eq!((cache.in_use(), cache.len()), (0, 2));
    }
}
