//! The stack of a prefix cache: every block that was ever used, the most recently used on top.

use std::collections::BTreeMap;

use super::passage::{Name, Passage};
use super::sums::Sums;
use crate::units::Tokens;

/// Everything that went through a prefix cache, in the order in which the cache would evict it.
///
/// Blocks in use are on top, since they are not evicted; below them lie those given back, the last ones
/// first. What a request gives back joins the list last block first, so that a suffix lies deeper than
/// the prefix it stands on. A cache of c blocks holds the upper c of the stack, whatever c is (Mattson and
/// others, 1970): how deep a block lies when it is asked for says which capacities would have kept it.
///
/// Inside it is a tree over runs of named text, so that its cost hangs on the turns of a conversation and
/// neither on the length of its prompts nor on the size of a block.
#[derive(Debug)]
pub(super) struct Stack {
    block: Tokens,
    nodes: Vec<Node>,
    /// Blocks that nobody uses, by their place in the order in which they were given back.
    free: Sums,
    in_use: u64,
    most_in_use: u64,
}

/// Text that is used and given back together.
#[derive(Debug)]
struct Node {
    parent: usize,
    text: Passage,
    children: BTreeMap<Name, usize>,
    /// Leases that end here or below.
    users: u32,
    /// Its place among those that nobody uses.
    place: Option<usize>,
}

/// A place in the tree: so many tokens from the start of a prompt, in a node or above it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Spot {
    node: usize,
    tokens: Tokens,
}

impl Spot {
    /// From the start of the prompt.
    pub(super) fn tokens(self) -> Tokens {
        self.tokens
    }
}

/// Whole blocks of a prompt that lie in a row: `above` blocks lie above the first of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) above: u64,
    pub(super) blocks: u64,
}

/// The node above all others, which holds nothing.
const ROOT: usize = 0;

impl Stack {
    /// Nothing used yet. `block`: tokens that a cache keeps or drops together, at least 1.
    pub(super) fn new(block: Tokens) -> Self {
        let root = Node {
            parent: ROOT,
            text: Passage::default(),
            children: BTreeMap::new(),
            users: 0,
            place: None,
        };
        let block = block.max(1);
        Self { block, nodes: vec![root], free: Sums::default(), in_use: 0, most_in_use: 0 }
    }

    /// The most blocks that were in use at a time.
    pub(super) fn most_in_use(&self) -> u64 {
        self.most_in_use
    }

    /// How far the tree goes on from a spot as the text does, which starts at it.
    pub(super) fn follow(&self, from: Spot, text: &Passage) -> Spot {
        let Spot { mut node, tokens: mut at } = self.lifted(from);
        while at < text.end() {
            let (name, ends) = text.run(at);
            let here = &self.nodes[node];
            if at == here.text.end() {
                let Some(child) = here.children.get(&name) else { break };
                node = *child;
            }
            let (held, until) = self.nodes[node].text.run(at);
            if held != name {
                break;
            }
            at = ends.min(until);
        }
        Spot { node, tokens: at }
    }

    /// Where the whole blocks up to a spot lie, but none that ends behind `most` tokens.
    pub(super) fn depths(&self, to: Spot, most: Tokens) -> Vec<Found> {
        let to = self.lifted(to);
        let mut found = Vec::new();
        let (mut node, mut end) = (to.node, to.tokens.min(most));
        while node != ROOT {
            let here = &self.nodes[node];
            let before = here.text.start() / self.block;
            let blocks = (end / self.block).saturating_sub(before);
            if blocks > 0 {
                // A block that is used already is there at any capacity that has room for its prompt.
                let above =
                    here.place.map_or(before, |place| self.in_use + self.free.behind(place));
                found.push(Found { above, blocks });
            }
            end = end.min(here.text.start());
            node = here.parent;
        }
        found
    }

    /// Tokens of what was found that a cache of so many blocks has.
    pub(super) fn held(&self, found: &[Found], blocks: u64) -> Tokens {
        let kept = |found: &Found| blocks.saturating_sub(found.above).min(found.blocks);
        found.iter().map(kept).sum::<u64>() * self.block
    }

    /// Blocks in use.
    pub(super) fn in_use(&self) -> u64 {
        self.in_use
    }

    /// How many more would be in use with a prompt of so many tokens that is known up to a spot.
    pub(super) fn needs(&self, known: Spot, tokens: Tokens) -> u64 {
        let known = self.lifted(known);
        let mut needs = tokens / self.block - known.tokens / self.block;
        let (mut node, mut end) = (known.node, known.tokens);
        while node != ROOT {
            let here = &self.nodes[node];
            if here.users == 0 {
                needs += end / self.block - here.text.start() / self.block;
            }
            end = end.min(here.text.start());
            node = here.parent;
        }
        needs
    }

    /// Puts the text up to the end of a passage to use, for a lease that ends at `from`, where the passage
    /// begins. The new end of the lease.
    pub(super) fn take(&mut self, from: Spot, text: &Passage) -> Spot {
        let from = self.lifted(from);
        let found = self.follow(from, text);
        let known = self.take_known(from, found);
        if text.end() == known.tokens {
            return known;
        }
        let Spot { node, tokens } = known;
        self.use_more(text.end() / self.block - tokens / self.block);
        let here = &mut self.nodes[node];
        if node != ROOT && here.users == 1 && here.children.is_empty() {
            here.text.extend(text, text.end());
            return Spot { node, tokens: text.end() };
        }
        let mut own = Passage::at(tokens);
        own.extend(text, text.end());
        let name = own.run(tokens).0;
        let child = self.nodes.len();
        self.nodes[node].children.insert(name, child);
        let children = BTreeMap::new();
        self.nodes.push(Node { parent: node, text: own, children, users: 1, place: None });
        Spot { node: child, tokens: text.end() }
    }

    /// Puts the text up to a spot to use that lies below the end of a lease. The new end of the lease.
    pub(super) fn take_known(&mut self, from: Spot, to: Spot) -> Spot {
        let (from, to) = (self.lifted(from), self.lifted(to));
        if to.tokens <= from.tokens {
            return from;
        }
        let last = self.split(to);
        let mut node = last;
        while node != from.node {
            self.put_to_use(node);
            node = self.nodes[node].parent;
        }
        Spot { node: last, tokens: to.tokens }
    }

    /// Gives back what a lease holds.
    pub(super) fn release(&mut self, lease: Spot) {
        let mut node = self.lifted(lease).node;
        while node != ROOT {
            let blocks = self.blocks(node);
            let here = &mut self.nodes[node];
            here.users -= 1;
            if here.users == 0 {
                self.in_use -= blocks;
                here.place = Some(self.free.push(blocks));
            }
            node = here.parent;
        }
    }

    /// The same spot, in the node that holds the token before it.
    fn lifted(&self, mut spot: Spot) -> Spot {
        while spot.node != ROOT && self.nodes[spot.node].text.start() >= spot.tokens {
            spot.node = self.nodes[spot.node].parent;
        }
        spot
    }

    fn blocks(&self, node: usize) -> u64 {
        let text = &self.nodes[node].text;
        text.end() / self.block - text.start() / self.block
    }

    fn use_more(&mut self, blocks: u64) {
        self.in_use += blocks;
        self.most_in_use = self.most_in_use.max(self.in_use);
    }

    fn put_to_use(&mut self, node: usize) {
        let blocks = self.blocks(node);
        let here = &mut self.nodes[node];
        here.users += 1;
        if here.users == 1 {
            if let Some(place) = here.place.take() {
                self.free.take(place, blocks);
            }
            self.use_more(blocks);
        }
    }

    /// Makes the part of a node up to a spot a node of its own, and gives it. The rest keeps its number, so
    /// that spots in it stay right.
    fn split(&mut self, spot: Spot) -> usize {
        let Spot { node, tokens } = spot;
        if tokens == self.nodes[node].text.end() {
            return node;
        }
        let upper = self.nodes.len();
        let here = &mut self.nodes[node];
        let lower_text = here.text.split_off(tokens);
        let upper_text = std::mem::replace(&mut here.text, lower_text);
        let Node { parent, users, place, .. } = *here;
        here.parent = upper;
        let children = BTreeMap::from([(here.text.run(tokens).0, node)]);
        let name = upper_text.run(upper_text.start()).0;
        self.nodes[parent].children.insert(name, upper);
        self.nodes.push(Node { parent, text: upper_text, children, users, place });
        upper
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An LRU cache of whole blocks that knows nothing of stacks: a list of blocks, each named by all
    /// tokens up to its end, evicted when one more is needed.
    struct Plain {
        capacity: usize,
        block: usize,
        /// The next to be evicted first; in use: counted.
        free: Vec<Vec<u8>>,
        used: Vec<(Vec<u8>, u32)>,
    }

    impl Plain {
        fn blocks(&self, prompt: &[u8]) -> Vec<Vec<u8>> {
            let whole = prompt.len() / self.block;
            (1..=whole).map(|blocks| prompt[..blocks * self.block].to_vec()).collect()
        }

        fn holds(&self, name: &Vec<u8>) -> bool {
            self.free.contains(name) || self.used.iter().any(|(used, _)| used == name)
        }

        fn hit(&self, prompt: &[u8], most: usize) -> usize {
            let whole = self.blocks(&prompt[..most]);
            whole.iter().take_while(|name| self.holds(name)).count()
        }

        fn take(&mut self, prompt: &[u8]) {
            let whole = self.blocks(prompt);
            // What is found is put to use first, so that room for the rest is not made of it.
            let (found, new): (Vec<_>, Vec<_>) =
                whole.into_iter().partition(|name| self.holds(name));
            for name in found.into_iter().chain(new) {
                self.free.retain(|free| *free != name);
                match self.used.iter_mut().find(|(used, _)| *used == name) {
                    Some((_, users)) => *users += 1,
                    None => self.used.push((name, 1)),
                }
                if self.free.len() + self.used.len() > self.capacity {
                    self.free.remove(0);
                }
            }
        }

        fn release(&mut self, prompt: &[u8]) {
            for name in self.blocks(prompt).into_iter().rev() {
                let at = self.used.iter().position(|(used, _)| *used == name).unwrap();
                self.used[at].1 -= 1;
                if self.used[at].1 == 0 {
                    self.used.remove(at);
                    self.free.push(name);
                }
            }
        }
    }

    fn passage(prompt: &[u8]) -> Passage {
        let mut passage = Passage::default();
        for (at, letter) in (0..).zip(prompt) {
            passage.push((*letter).into(), &(at..at + 1));
        }
        passage
    }

    /// A prompt that others like it share much of.
    fn prompt() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec((0..2_u8, 1..6_usize), 1..6)
            .prop_map(|runs| runs.iter().flat_map(|&(letter, n)| vec![letter; n]).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Requests come and go, up to two at a time; at every capacity that has room for those two the
        /// stack says what the plain cache holds.
        #[test]
        fn depths_say_what_a_plain_cache_of_any_capacity_holds(
            prompts in prop::collection::vec((prompt(), any::<bool>()), 1..40),
            block in 1..4_usize,
        ) {
            for capacity in [20, 25, 30, 40, 80] {
                let wide = u64::try_from(block).unwrap();
                let mut stack = Stack::new(wide);
                let (free, used) = (vec![], vec![]);
                let mut plain = Plain { capacity: capacity * 3, block, free, used };
                plain.capacity = capacity * 3 / block;
                let mut alive: Vec<(Vec<u8>, Spot)> = vec![];
                for (prompt, ends) in &prompts {
                    let text = passage(prompt);
                    let most = prompt.len() - 1;
                    let spot = stack.follow(Spot::default(), &text);
                    let depths = stack.depths(spot, u64::try_from(most).unwrap());
                    let room = u64::try_from(plain.capacity).unwrap();
                    let hit = stack.held(&depths, room) / wide;
                    prop_assert_eq!(usize::try_from(hit).unwrap(), plain.hit(prompt, most));
                    let wanted = stack.in_use() + stack.needs(spot, text.end());
                    let lease = stack.take_known(Spot::default(), spot);
                    let mut rest = Passage::at(lease.tokens());
                    rest.extend(&text, text.end());
                    let lease = stack.take(lease, &rest);
                    prop_assert_eq!(stack.in_use(), wanted);
                    plain.take(prompt);
                    alive.push((prompt.clone(), lease));
                    while alive.len() > usize::from(!*ends) {
                        let (prompt, lease) = alive.remove(0);
                        stack.release(lease);
                        plain.release(&prompt);
                    }
                }
            }
        }
    }
}
