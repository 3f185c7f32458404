//! What happens next.

use std::{cmp::Reverse, collections::BinaryHeap};

use trie_core::{units::Nanos, workload::StepId};

/// Something that happens at a time known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    /// A trace starts in a slot.
    Start { slot: u32, instance: u64 },
    /// The trace that waits in a slot may start: the one before it in its session has ended.
    Turn { slot: u32 },
    /// A step's request is due.
    Send { slot: u32, instance: u64, step: StepId, attempt: u32 },
    /// An engine has something to do.
    Wake { replica: usize },
    /// A request has taken as long as it may.
    Timeout { request: usize },
    /// A second of the run is over.
    Second,
}

/// Happenings in order of time, those of one time in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Heap {
    heap: BinaryHeap<Reverse<(Nanos, u64, Happening)>>,
    added: u64,
}

impl Heap {
    pub(super) fn add(&mut self, at: Nanos, happening: Happening) {
        self.heap.push(Reverse((at, self.added, happening)));
        self.added += 1;
    }

    /// The next happening before `deadline`.
    pub(super) fn next_before(&mut self, deadline: Nanos) -> Option<(Nanos, Happening)> {
        let Reverse((at, _, _)) = self.heap.peek()?;
        if *at >= deadline {
            return None;
        }
        self.heap.pop().map(|Reverse((at, _, happening))| (at, happening))
    }
}
