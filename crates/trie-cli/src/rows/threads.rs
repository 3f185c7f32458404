//! Blocks read and dealt out by threads.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use trie_core::record::Row;

use super::block::{Block, Lines};
use super::blocks::Blocks;

/// Most threads: what shares there are keeps no more of them busy.
const MOST: usize = 8;

/// Blocks that a thread reads before their turn has come: what one thread is late by, others need not wait
/// for.
const AHEAD: usize = 3;

/// How rows are dealt: which share a row belongs to, and what is done with it there.
pub(super) struct Deal<T, S> {
    pub(super) which: fn(&T) -> usize,
    pub(super) take: fn(&mut S, &T),
}

/// What the threads have in common.
struct Common<'s, T, S> {
    deal: Deal<T, S>,
    todo: Mutex<Todo>,
    shares: Vec<Turn<'s, S>>,
    /// Who waits for a turn waits here.
    turned: (Mutex<Turns>, Condvar),
}

/// What is left of the file.
struct Todo {
    blocks: Blocks,
    /// How many blocks were taken.
    taken: u64,
    /// What ended the reading.
    fault: Option<io::Error>,
}

/// A share, and the number of the block that comes next to it: nobody but who has that block locks it.
struct Turn<'s, S> {
    share: Mutex<&'s mut S>,
    next: AtomicU64,
}

#[derive(Default)]
struct Turns {
    /// How many there were, of all shares.
    count: u64,
    /// A thread has panicked: whoever waits would wait for ever.
    broken: bool,
}

/// A block that was read, its number, and the shares that have its rows still to come.
struct Ready<T> {
    number: u64,
    block: Block<T>,
    /// Which share each row belongs to.
    shares: Vec<usize>,
    left: Vec<usize>,
}

/// What is said of the lines of each block, in order, and what ended the reading.
pub(super) type Said = (Vec<Lines>, Option<io::Error>);

/// Reads all blocks on all cores, and hands the rows of each share to it in the order of the file.
pub(super) fn deal<T: Row + Send, S: Send>(
    blocks: Blocks,
    shares: &mut [S],
    deal: Deal<T, S>,
) -> Said {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let turn = |share| Turn { share: Mutex::new(share), next: AtomicU64::new(0) };
    let common = Common {
        deal,
        todo: Mutex::new(Todo { blocks, taken: 0, fault: None }),
        shares: shares.iter_mut().map(turn).collect(),
        turned: (Mutex::default(), Condvar::new()),
    };
    let mut said: Vec<(u64, Lines)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&common))).collect();
        let said = threads.into_iter().map(ScopedJoinHandle::join);
        // All of them are waited for before a panic goes on.
        let said: Vec<_> = said.collect();
        said.into_iter()
            .flat_map(|said| said.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    said.sort_unstable_by_key(|(number, _)| *number);
    let said = said.into_iter().map(|(_, lines)| lines).collect();
    (said, locked(&common.todo).fault.take())
}

/// Reads one block after another and deals out those whose turn it is.
fn work<T: Row, S>(common: &Common<'_, T, S>) -> Vec<(u64, Lines)> {
    let _alarm = Alarm(&common.turned);
    let (mut said, mut ready, mut spares) = (Vec::new(), VecDeque::<Ready<T>>::new(), Vec::new());
    loop {
        let turns = locked(&common.turned.0).count;
        // In order: the first block of all is the first of its thread, so that somebody always goes on.
        while let Some(first) = ready.front_mut() {
            common.deal_out(first);
            if !first.left.is_empty() {
                break;
            }
            let Some(Ready { number, block, shares, left }) = ready.pop_front() else { break };
            said.push((number, block.lines.clone()));
            spares.push((block, shares, left));
        }
        let more = ready.len() < AHEAD && {
            let next = common.read(&mut spares);
            let more = next.is_some();
            ready.extend(next);
            more
        };
        if ready.is_empty() && !more {
            return said;
        }
        if !more && !common.wait(turns) {
            return said;
        }
    }
}

/// Memory of a block whose rows were dealt out.
type Spare<T> = (Block<T>, Vec<usize>, Vec<usize>);

impl<T: Row, S> Common<'_, T, S> {
    /// The next block, read; `None` at the end.
    fn read(&self, spares: &mut Vec<Spare<T>>) -> Option<Ready<T>> {
        let (mut block, mut shares, mut left) = spares.pop().unwrap_or_default();
        let number = {
            let mut todo = locked(&self.todo);
            if todo.blocks.ended() {
                return None;
            }
            match todo.blocks.next(&mut block.text) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    todo.fault = Some(error);
                    return None;
                }
            }
            todo.taken += 1;
            todo.taken - 1
        };
        block.read();
        shares.clear();
        shares.extend(block.rows().iter().map(self.deal.which));
        left.clear();
        left.extend(0..self.shares.len());
        Some(Ready { number, block, shares, left })
    }

    /// Hands rows to the shares to which this block comes next.
    fn deal_out(&self, ready: &mut Ready<T>) {
        let Ready { number, block, shares, left } = ready;
        left.retain(|&share| {
            let turn = &self.shares[share];
            if turn.next.load(Ordering::Acquire) != *number {
                return true;
            }
            let rows = block.rows().iter().zip(&*shares);
            let mut taker = locked(&turn.share);
            for (row, _) in rows.filter(|(_, of)| **of == share) {
                (self.deal.take)(&mut taker, row);
            }
            drop(taker);
            turn.next.store(*number + 1, Ordering::Release);
            locked(&self.turned.0).count += 1;
            self.turned.1.notify_all();
            false
        });
    }

    /// Waits until there were more turns than `seen`; whether there is one to come.
    fn wait(&self, seen: u64) -> bool {
        let (turns, turned) = &self.turned;
        let same = |turns: &mut Turns| turns.count == seen && !turns.broken;
        let turns = turned.wait_while(locked(turns), same);
        !turns.unwrap_or_else(PoisonError::into_inner).broken
    }
}

/// Tells the other threads that this one panicked.
struct Alarm<'a>(&'a (Mutex<Turns>, Condvar));

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            locked(&self.0.0).broken = true;
            self.0.1.notify_all();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
