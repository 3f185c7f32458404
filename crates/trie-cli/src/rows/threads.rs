//! Blocks read by threads.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use trie_core::record::Row;

use super::block::Block;
use super::blocks::Blocks;

/// Most threads: the one that takes the rows does not keep up with more.
const MOST: usize = 8;

/// Blocks a thread: one that it works on, one so that it need not wait, one whose rows are being taken.
const AHEAD: usize = 3;

/// What the threads share: whoever has it takes the next block.
struct Todo<T> {
    blocks: Blocks,
    /// Blocks whose rows were taken. There are only so many: who has none waits.
    spares: Receiver<Block<T>>,
    /// How many blocks of the file were taken.
    taken: u64,
}

/// What became of a block: it was read, the file cannot be read, or the thread panicked.
type Done<T> = thread::Result<io::Result<Block<T>>>;

/// Reads all blocks on all cores and hands them to `take`, one after another in the order of the file.
pub(super) fn in_order<T: Row + Send>(blocks: Blocks, take: &mut dyn FnMut(io::Result<&Block<T>>)) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let (spare, spares) = sync_channel(threads * AHEAD);
    let (finish, finished) = sync_channel(threads * AHEAD);
    for _ in 0..threads * AHEAD {
        // There is room for each, and somebody to take it.
        drop(spare.send(Block::default()));
    }
    let todo = Mutex::new(Todo { blocks, spares, taken: 0 });
    thread::scope(|scope| {
        // Of the scope itself: should `take` panic, it is dropped before the threads are waited for, so
        // that none of them waits for a block.
        let spare = spare;
        for _ in 0..threads {
            let (todo, finish) = (&todo, finish.clone());
            scope.spawn(move || work(todo, &finish));
        }
        drop(finish);
        hand_out(finished, &spare, take);
    });
}

/// Hands out blocks in order, until all threads have ended, and has them used again.
fn hand_out<T>(
    finished: Receiver<(u64, Done<T>)>,
    spare: &SyncSender<Block<T>>,
    take: &mut dyn FnMut(io::Result<&Block<T>>),
) {
    let (mut early, mut next) = (BTreeMap::new(), 0);
    for (number, done) in finished {
        early.insert(number, done);
        while let Some(done) = early.remove(&next) {
            next += 1;
            match done {
                Ok(Ok(block)) => {
                    take(Ok(&block));
                    // At the end of the file nobody needs it any more.
                    drop(spare.send(block));
                }
                Ok(Err(error)) => take(Err(error)),
                Err(panic) => resume_unwind(panic),
            }
        }
    }
}

/// Reads one block after another, as long as there are some and somebody takes them.
fn work<T: Row>(todo: &Mutex<Todo<T>>, finish: &SyncSender<(u64, Done<T>)>) {
    while let Some((number, block)) = next(todo) {
        let read = |mut block: Block<T>| {
            block.read();
            block
        };
        // Whoever waits for this block would wait for ever if a panic ended it unsaid.
        let done = catch_unwind(AssertUnwindSafe(|| block.map(read)));
        if finish.send((number, done)).is_err() {
            return;
        }
    }
}

/// The next block and its number; `None` at the end, and when nobody takes rows any more.
fn next<T>(todo: &Mutex<Todo<T>>) -> Option<(u64, io::Result<Block<T>>)> {
    let mut todo = todo.lock().unwrap_or_else(PoisonError::into_inner);
    if todo.blocks.ended() {
        return None;
    }
    let mut block = todo.spares.recv().ok()?;
    let number = todo.taken;
    todo.taken += 1;
    match todo.blocks.next(&mut block.text) {
        Ok(true) => Some((number, Ok(block))),
        Ok(false) => None,
        Err(error) => Some((number, Err(error))),
    }
}
