//! Prompts that share their beginnings, as one tree of messages.
//!
//! A node is a hash, a size and the node before it: a log of n requests that repeat their history
//! takes memory for what is new in each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use trie_core::units::Tokens;

use crate::content::{Message, Role};

/// A message behind all that stand before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) before: u32,
    depth: u32,
    /// Of all messages up to it.
    pub(crate) size: Tokens,
    pub(crate) hash: u64,
    pub(crate) own: Tokens,
    pub(crate) role: Role,
}

/// All prompts so far. Node 0 is the empty prompt.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    children: BTreeMap<(u32, u64), u32>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node { before: 0, depth: 0, size: 0, hash: 0, own: 0, role: Role::System };
        Self { nodes: vec![root], children: BTreeMap::new() }
    }
}

impl Tree {
    /// Bytes held, about.
    pub(crate) fn held(&self) -> usize {
        // A map keeps its entries in nodes that are about two thirds full.
        self.nodes.len() * (size_of::<Node>() + 40)
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node by its number.
    pub(crate) fn node(&self, number: u32) -> Node {
        self.nodes[number as usize]
    }

    /// The node of a message behind another.
    pub(crate) fn child(&mut self, node: u32, message: Message) -> u32 {
        let next = u32::try_from(self.nodes.len()).expect("memory is bounded below 2^32 nodes");
        match self.children.entry((node, message.hash)) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(place) => {
                let Node { depth, size, .. } = self.nodes[node as usize];
                self.nodes.push(Node {
                    before: node,
                    depth: depth + 1,
                    size: size.saturating_add(message.size),
                    hash: message.hash,
                    own: message.size,
                    role: message.role,
                });
                *place.insert(next)
            }
        }
    }

    /// The nodes from one up to another, which stands before it; the later ones first.
    pub(crate) fn between(&self, tip: u32, above: u32) -> Vec<Node> {
        let mut nodes = Vec::new();
        let mut node = tip;
        while node != above && node != 0 {
            nodes.push(self.node(node));
            node = self.node(node).before;
        }
        nodes
    }

    /// The last node that two prompts have in common.
    pub(crate) fn fork(&self, mut one: u32, mut other: u32) -> u32 {
        while one != other {
            let (left, right) = (self.node(one), self.node(other));
            if left.depth >= right.depth {
                one = left.before;
            }
            if right.depth >= left.depth {
                other = right.before;
            }
        }
        one
    }

    /// Size of what two prompts have in common.
    pub(crate) fn common(&self, one: u32, other: u32) -> Tokens {
        self.node(self.fork(one, other)).size
    }
}
