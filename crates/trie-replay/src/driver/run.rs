//! A run, from the first connection to the last row.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Mutex, Notify, Semaphore, oneshot, watch};
use tokio::task::{JoinSet, LocalSet};
use trie_core::record::{ClientRow, Ending, Reason};
use trie_core::session::{Admission, AdmissionOptions, CacheBounds, StopReason, Turns};
use trie_core::units::Nanos;
use trie_core::workload::WorkloadError;

use crate::clock::Clock;
use crate::content::History;
use crate::maker::{self, Feed, Maker, MakerThreads, Source};
use crate::recorder::{Recorded, Recorder};
use crate::spawn;
use crate::wire::{Connector, Failure, Link, Pool, Target};

use super::options::{ReplayError, ReplayOptions, Runtime, Shutdown};
use super::slot;
use super::ticker;

/// Connections that are opened at the same time before the run starts: more would overflow the
/// listen queue of common servers.
const OPENING: usize = 64;

/// From the moment everything is ready to the run's start: long enough to write down when that is.
const LEAD: Nanos = Nanos::from_millis(20);

/// How often tasks that were torn down by a panic are given a turn to go.
const TURNS: u32 = 1000;

/// What all tasks of a run share. One thread runs them all.
pub(super) struct Run<C: Clock, N: Connector<C>> {
    pub(super) clock: C,
    pub(super) pool: Rc<Pool<C, N>>,
    pub(super) target: Target,
    pub(super) options: ReplayOptions,
    pub(super) history: History,
    pub(super) admission: RefCell<Admission>,
    pub(super) feed: Mutex<Feed>,
    pub(super) maker: Maker,
    pub(super) recorder: Recorder,
    pub(super) start: Nanos,
    pub(super) deadline: Nanos,
    /// When the run was stopped; all tasks wait for it.
    pub(super) stop: watch::Receiver<Option<Nanos>>,
    /// Why it has to stop before its deadline; the first one wins.
    pub(super) give_up: RefCell<Option<GiveUp>>,
    pub(super) gave_up: Notify,
    pub(super) in_flight: Cell<u64>,
    pub(super) cache: RefCell<CacheBounds>,
    pub(super) turns: RefCell<Turns>,
    /// Slots that wait for their turn in a session, and how they are told when it has come.
    pub(super) waiting: RefCell<BTreeMap<u32, oneshot::Sender<Nanos>>>,
    /// Seconds whose account was written.
    pub(super) seconds: Cell<u64>,
    /// The current second's account.
    pub(super) account: RefCell<ClientRow>,
}

/// Why a run stops by itself.
pub(super) enum GiveUp {
    /// And the failure that was one too many.
    Failures(StopReason, Failure),
    /// A row cannot be read again.
    Workload(WorkloadError),
}

impl<C: Clock, N: Connector<C>> Run<C, N> {
    /// Stops the run for this reason, unless it stops already.
    pub(super) fn give_up(&self, why: GiveUp) {
        self.give_up.borrow_mut().get_or_insert(why);
        self.gave_up.notify_one();
    }

    /// Resolves when the run is stopped.
    pub(super) async fn stopped(&self) -> Nanos {
        let mut stop = self.stop.clone();
        let at = stop.wait_for(Option::is_some).await;
        let at = at.expect("the sender outlives every task of the run");
        (*at).expect("this is what was waited for")
    }
}

/// What a run leaves behind, beside its files.
#[derive(Debug)]
pub struct Replayed {
    /// When and why it ended.
    pub ending: Ending,
    /// What became of the rows.
    pub recorded: Recorded,
}

/// Replays a plan until its deadline, a shutdown or too many failures.
///
/// Needs a current-thread Tokio runtime with time and I/O.
///
/// # Errors
///
/// When the workload cannot be read again or a thread cannot be started.
pub async fn replay<C: Clock, N: Connector<C> + 'static>(
    runtime: Runtime<C, N>,
    options: ReplayOptions,
) -> Result<Replayed, ReplayError> {
    LocalSet::new().run_until(replay_here(runtime, options)).await
}

async fn replay_here<C: Clock, N: Connector<C> + 'static>(
    runtime: Runtime<C, N>,
    options: ReplayOptions,
) -> Result<Replayed, ReplayError> {
    let cache_scope = runtime.plan.options().cache_scope;
    let history = runtime.content.history();
    let cache = CacheBounds::new(cache_scope, history.feeds_back(), options.cache_block);
    let content = Arc::new(runtime.content);
    let source = Source { plan: runtime.plan, workload: runtime.workload, content, next: 0 };
    let mut shutdown = runtime.shutdown;
    let (maker, mut feed, makers) = makers(source, options)?;
    let (recorder, rows) = Recorder::start(runtime.files, Arc::clone(&runtime.progress))?;
    let threads = Threads { makers, rows };
    let pool = Rc::new(runtime.pool);
    let links = match ready(&mut feed, &pool, options.concurrency, &mut shutdown).await {
        Ok(links) => links,
        Err(error) => {
            threads.join((maker, feed, recorder));
            return Err(error);
        }
    };

    let start = Nanos(runtime.clock.now()).plus(LEAD);
    let deadline = start.plus(options.duration);
    runtime.progress.started(start);
    (runtime.started)(start);
    let (stopper, stop) = watch::channel(None);
    let run = Rc::new(Run {
        clock: runtime.clock,
        pool,
        target: runtime.target,
        options,
        history,
        admission: RefCell::new(admission(options, start, deadline)),
        feed: Mutex::new(feed),
        maker,
        recorder,
        start,
        deadline,
        stop,
        give_up: RefCell::new(None),
        gave_up: Notify::new(),
        in_flight: Cell::new(0),
        cache: RefCell::new(cache),
        turns: RefCell::new(Turns::new()),
        waiting: RefCell::new(BTreeMap::new()),
        seconds: Cell::new(0),
        account: RefCell::new(ClientRow::default()),
    });
    let mut tasks = JoinSet::new();
    for (slot, link) in (0..).zip(links) {
        spawn::task(&mut tasks, slot::run(Rc::clone(&run), slot, link));
    }
    spawn::task(&mut tasks, ticker::run(Rc::clone(&run)));
    let reason = wait_for_end(&run, shutdown, &mut tasks).await;
    // The window ends at the deadline itself, not at the microsecond in which this task woke.
    let stopped = if reason == Reason::Deadline { deadline } else { Nanos(run.clock.now()) };
    stopper.send_replace(Some(stopped));
    let panicked = join(tasks).await || reason == Reason::Failed;
    if !panicked {
        ticker::last_row(&run).await;
    }
    let run = alone(run).await;
    let end_ns = Nanos(run.clock.now());
    let (recorded, died) = threads.join((run.maker, run.feed.into_inner(), run.recorder));
    let ending = ending(end_ns, reason, run.give_up.into_inner(), panicked || died);
    Ok(Replayed { ending, recorded })
}

/// The run itself, once no task holds it any more: those below a task that panicked go a turn later.
async fn alone<C: Clock, N: Connector<C>>(mut run: Rc<Run<C, N>>) -> Run<C, N> {
    for _ in 0..TURNS {
        match Rc::try_unwrap(run) {
            Ok(run) => return run,
            Err(shared) => run = shared,
        }
        tokio::task::yield_now().await;
    }
    unreachable!("every task that held the run has ended, and those below it have gone")
}

/// Makes first bodies and opens connections, so that no request of the run waits for either.
async fn ready<C: Clock, N: Connector<C> + 'static>(
    feed: &mut Feed,
    pool: &Rc<Pool<C, N>>,
    concurrency: u32,
    shutdown: &mut Shutdown,
) -> Result<Vec<Link<C, N::Io>>, ReplayError> {
    let ready = async { tokio::join!(feed.prime(concurrency), open_links(pool, concurrency)) };
    let (primed, links) = tokio::select! {
        biased;
        () = asked(shutdown) => return Err(ReplayError::Interrupted),
        ready = ready => ready,
    };
    primed?;
    Ok(links)
}

/// The threads beside the one that measures.
struct Threads {
    makers: Option<MakerThreads>,
    rows: JoinHandle<Recorded>,
}

impl Threads {
    /// Waits for all of them; whether one of them panicked. Dropping the ends of their queues lets
    /// them end.
    fn join(self, ends: (Maker, Feed, Recorder)) -> (Recorded, bool) {
        drop(ends);
        let makers_died = self.makers.is_some_and(MakerThreads::join);
        match self.rows.join() {
            Ok(recorded) => (recorded, makers_died),
            Err(_panic) => (Recorded::lost(), true),
        }
    }
}

fn ending(end_ns: Nanos, reason: Reason, give_up: Option<GiveUp>, panicked: bool) -> Ending {
    let (reason, message) = match give_up {
        _ if panicked => (Reason::Failed, Some(PANICKED.to_owned())),
        Some(GiveUp::Workload(error)) => {
            (Reason::Failed, Some(format!("the workload changed while it was replayed: {error}")))
        }
        Some(GiveUp::Failures(why, last)) => {
            let status = last.status.map(|status| format!(" {status}")).unwrap_or_default();
            let last = format!("{}{status}: {}", last.kind.as_str(), last.message);
            (reason, Some(format!("{why}; the last: {last}")))
        }
        None => (reason, None),
    };
    Ending { end_ns, reason, message }
}

const PANICKED: &str = "a part of the client panicked (its message is above), which ended the run: rows may be missing";

fn admission(options: ReplayOptions, start: Nanos, deadline: Nanos) -> Admission {
    Admission::new(AdmissionOptions {
        concurrency: options.concurrency,
        start,
        deadline,
        ramp: options.ramp,
        max_failures: options.max_failures,
    })
}

fn makers(
    source: Source,
    options: ReplayOptions,
) -> Result<(Maker, Feed, Option<MakerThreads>), ReplayError> {
    if options.threads {
        let (maker, feed, threads) = maker::start(source, options.concurrency)?;
        return Ok((maker, feed, Some(threads)));
    }
    let maker = Maker::Inline(Arc::clone(&source.content));
    Ok((maker, Feed::Inline(Box::new(source)), None))
}

/// Opens every slot's connection before the clock starts, so that no connect is inside a TTFT. A
/// failure is met again, and recorded, by the slot's first request.
async fn open_links<C: Clock, N: Connector<C> + 'static>(
    pool: &Rc<Pool<C, N>>,
    concurrency: u32,
) -> Vec<Link<C, N::Io>> {
    let permits = Rc::new(Semaphore::new(OPENING));
    let mut opening = JoinSet::new();
    for _ in 0..concurrency {
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

async fn wait_for_end<C: Clock, N: Connector<C>>(
    run: &Run<C, N>,
    mut shutdown: Shutdown,
    tasks: &mut JoinSet<()>,
) -> Reason {
    tokio::select! {
        biased;
        () = panicked(tasks) => Reason::Failed,
        () = run.gave_up.notified() => Reason::MaxFailures,
        () = run.clock.sleep_until(run.deadline.0) => Reason::Deadline,
        () = asked(&mut shutdown) => Reason::Interrupted,
    }
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

/// Resolves when the user wants the run to end.
async fn asked(shutdown: &mut Shutdown) {
    if shutdown.wait_for(|wanted| *wanted).await.is_err() {
        // Whoever could ask is gone.
        std::future::pending::<()>().await;
    }
}

/// Waits for every task. Whether one of them panicked: what the others saw is still reported.
async fn join(mut tasks: JoinSet<()>) -> bool {
    let mut panicked = false;
    while let Some(ended) = tasks.join_next().await {
        panicked |= ended.is_err();
    }
    panicked
}
