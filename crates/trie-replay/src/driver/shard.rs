//! The threads that measure, each with slots of its own: a conversation stays on its thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, LocalSet};
use trie_core::record::ClientRow;
use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::priority;
use crate::quiet::quiet;
use crate::spawn;
use crate::wire::{Connector, Link, Pool};

use super::options::{ReplayError, ReplayOptions};
use super::run::Shared;
use super::slot;
use super::ticker;

/// Connections that are opened at the same time before the run starts: more would overflow the
/// listen queue of common servers.
const OPENING: u32 = 64;

/// How often tasks that were torn down by a panic are given a turn to go.
const TURNS: u32 = 1000;

/// What all tasks of one thread share.
pub(super) struct Shard<C: Clock, N: Connector<C>> {
    pub(super) shared: Arc<Shared<C>>,
    /// Which thread, from 0.
    pub(super) number: u32,
    pub(super) pool: Rc<Pool<C, N>>,
    /// Requests that are due go out one after another, and what has arrived is read in between: a burst
    /// would else keep the thread from reading for as long as it takes to send all of it.
    pub(super) line: Semaphore,
    pub(super) in_flight: Cell<u64>,
    /// Seconds whose account was written.
    pub(super) seconds: Cell<u64>,
    /// The current second's account.
    pub(super) account: RefCell<ClientRow>,
    /// How often the clock of the stamps had been set before the run.
    pub(super) steps_before: Cell<u64>,
    /// When the thread's timer is to wake next.
    pub(super) probe_due: Cell<Nanos>,
}

/// All threads that measure: the caller's own and those it has started.
pub(super) struct Workers<C: Clock, N: Connector<C>> {
    options: ReplayOptions,
    pool: Rc<Pool<C, N>>,
    links: Vec<Link<C, N::Io>>,
    others: Vec<Other<C>>,
}

/// A thread beside the caller's.
struct Other<C> {
    /// Whether a task of it panicked.
    thread: JoinHandle<bool>,
    /// Tells when its connections are open.
    ready: Option<oneshot::Receiver<()>>,
    /// Has it begin; dropped, it ends.
    begin: oneshot::Sender<Arc<Shared<C>>>,
}

impl<C: Clock, N: Connector<C> + Clone + 'static> Workers<C, N> {
    /// Starts the threads, which open their connections and wait.
    pub(super) fn start(pool: Pool<C, N>, options: ReplayOptions) -> Result<Self, ReplayError> {
        let mut workers = Self { options, pool: Rc::new(pool), links: vec![], others: vec![] };
        for number in 1..options.workers {
            let other = other(number, workers.pool.sibling(), options);
            workers.others.push(other?);
        }
        Ok(workers)
    }

    pub(super) fn concurrency(&self) -> u32 {
        self.options.concurrency
    }

    /// Returns when the connections of all threads are open, or could not be.
    pub(super) async fn open(&mut self) {
        self.links = open_links(&self.pool, self.options, 0).await;
        for other in &mut self.others {
            if let Some(ready) = other.ready.take() {
                // A thread that has ended is met again when it is joined.
                drop(ready.await);
            }
        }
    }

    /// Runs until the run is stopped and every thread has ended. Whether a task panicked.
    pub(super) async fn run(self, shared: Arc<Shared<C>>) -> bool {
        let mut threads = Vec::new();
        for other in self.others {
            if other.begin.send(Arc::clone(&shared)).is_err() {
                // It has panicked: its slots would be missing.
                shared.die();
            }
            threads.push(other.thread);
        }
        let mut panicked = work(shared, 0, self.pool, self.links).await;
        for thread in threads {
            panicked |= thread.join().unwrap_or(true);
        }
        panicked
    }
}

fn other<C: Clock, N: Connector<C> + 'static>(
    number: u32,
    pool: Pool<C, N>,
    options: ReplayOptions,
) -> Result<Other<C>, ReplayError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, ready) = oneshot::channel();
    let (begin, begun) = oneshot::channel();
    let thread = spawn::thread(&format!("worker-{number}"), move || {
        let whole = async {
            let pool = Rc::new(pool);
            let links = open_links(&pool, options, number).await;
            // Nobody listens where the run was given up before it began.
            let _given_up = tell.send(());
            match begun.await {
                Ok(shared) => work(shared, number, pool, links).await,
                Err(_given_up) => false,
            }
        };
        // It is polled whenever one of the tasks is to be.
        LocalSet::new().block_on(&runtime, quiet(whole))
    })?;
    Ok(Other { thread, ready: Some(ready), begin })
}

/// The slots of a thread.
fn slots(options: ReplayOptions, number: u32) -> impl Iterator<Item = u32> {
    (number..options.concurrency).step_by(options.workers.max(1) as usize)
}

/// Opens every slot's connection before the clock starts, so that no connect is inside a TTFT. A
/// failure is met again, and recorded, by the slot's first request.
async fn open_links<C: Clock, N: Connector<C> + 'static>(
    pool: &Rc<Pool<C, N>>,
    options: ReplayOptions,
    number: u32,
) -> Vec<Link<C, N::Io>> {
    let permits = (OPENING / options.workers.max(1)).max(1);
    let permits = Rc::new(Semaphore::new(permits as usize));
    let mut opening = JoinSet::new();
    for _ in slots(options, number) {
        let (pool, permits) = (Rc::clone(pool), Rc::clone(&permits));
        spawn::task(&mut opening, async move {
            let permit = permits.acquire().await.expect("the semaphore is never closed");
            let mut link = pool.link();
            drop(pool.open_ahead(&mut link).await);
            drop(permit);
            link
        });
    }
    opening.join_all().await
}

/// Runs the slots of a thread until the run is stopped. Whether a task panicked.
async fn work<C: Clock, N: Connector<C> + 'static>(
    shared: Arc<Shared<C>>,
    number: u32,
    pool: Rc<Pool<C, N>>,
    links: Vec<Link<C, N::Io>>,
) -> bool {
    let before = priority::measure(number, shared.options.cores, shared.options.priority);
    let shard = Rc::new(Shard {
        shared,
        number,
        pool,
        line: Semaphore::new(1),
        in_flight: Cell::new(0),
        seconds: Cell::new(0),
        account: RefCell::new(ClientRow::default()),
        steps_before: Cell::new(0),
        probe_due: Cell::new(Nanos(u64::MAX)),
    });
    let mut tasks = JoinSet::new();
    for (slot, link) in slots(shard.shared.options, number).zip(links) {
        spawn::task(&mut tasks, slot::run(Rc::clone(&shard), slot, link));
    }
    spawn::task(&mut tasks, ticker::run(Rc::clone(&shard)));
    let died = tokio::select! {
        biased;
        () = panicked(&mut tasks) => true,
        _ = shard.shared.stopped() => false,
    };
    if died {
        shard.shared.die();
        shard.shared.stopped().await;
    }
    let panicked = join(tasks).await || died;
    if !panicked {
        ticker::last_row(&shard).await;
    }
    gone(shard).await;
    before.restore();
    panicked
}

/// Resolves when one of the tasks has panicked; that they have ended is no reason to end a run.
async fn panicked(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Waits for every task. Whether one of them panicked: what the others saw is still reported.
async fn join(mut tasks: JoinSet<()>) -> bool {
    let mut panicked = false;
    while let Some(ended) = tasks.join_next().await {
        panicked |= ended.is_err();
    }
    panicked
}

/// Returns once no task holds the thread's state any more: those below a task that panicked go a turn
/// later.
async fn gone<C: Clock, N: Connector<C>>(mut shard: Rc<Shard<C, N>>) {
    for _ in 0..TURNS {
        match Rc::try_unwrap(shard) {
            Ok(_last) => return,
            Err(shared) => shard = shared,
        }
        tokio::task::yield_now().await;
    }
    unreachable!("every task that held the state has ended, and those below it have gone")
}
