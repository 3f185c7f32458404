//! A run, from the first connection to the last row.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot, watch};
use tokio::task::LocalSet;
use trie_core::plan::PlannedTrace;
use trie_core::record::{Ending, Reason};
use trie_core::session::{Admission, AdmissionOptions, CacheBounds, StopReason, Turns};
use trie_core::units::Nanos;
use trie_core::workload::WorkloadError;

use crate::clock::Clock;
use crate::content::History;
use crate::maker::{self, Feed, Maker, MakerThreads, Source};
use crate::quiet::quiet;
use crate::recorder::{Recorded, Recorder};
use crate::wire::{Connector, Failure, Target};

use super::options::{ReplayError, ReplayOptions, Runtime, Shutdown};
use super::prime::prime;
use super::shard::Workers;

/// From the moment everything is ready to the run's start: long enough to write down when that is.
const LEAD: Nanos = Nanos::from_millis(20);

/// What all threads of a run share.
pub(super) struct Shared<C> {
    pub(super) clock: C,
    pub(super) target: Target,
    pub(super) options: ReplayOptions,
    pub(super) history: History,
    admission: Mutex<Admission>,
    /// Traces are taken, and enter their sessions, in the order of their admission: whoever does
    /// these holds this.
    pub(super) feed: tokio::sync::Mutex<Feed>,
    pub(super) maker: Maker,
    pub(super) recorder: Recorder,
    pub(super) start: Nanos,
    pub(super) deadline: Nanos,
    /// When the run was stopped; all tasks wait for it.
    stop: watch::Receiver<Option<Nanos>>,
    /// Why it has to stop before its deadline; the first one wins.
    give_up: Mutex<Option<GiveUp>>,
    gave_up: Notify,
    /// A task has panicked.
    died: Notify,
    /// Slots that may still have a trace.
    alive: AtomicU32,
    drained: Notify,
    cache: Mutex<CacheBounds>,
    queue: Mutex<Queue>,
}

/// Whose turn it is in each session, and how slots that wait for theirs are told.
#[derive(Default)]
pub(super) struct Queue {
    turns: Turns,
    waiting: BTreeMap<u32, oneshot::Sender<Nanos>>,
}

impl Queue {
    /// A trace of this slot joins its session; whom to wait for, if it may not start.
    pub(super) fn enter(
        &mut self,
        slot: u32,
        trace: &PlannedTrace,
    ) -> Option<oneshot::Receiver<Nanos>> {
        if self.turns.enter(slot, trace) {
            return None;
        }
        let (tell, told) = oneshot::channel();
        self.waiting.insert(slot, tell);
        Some(told)
    }

    /// A trace has ended at `at`: the next one of its session may start.
    pub(super) fn leave(&mut self, trace: &PlannedTrace, at: Nanos) {
        let next = self.turns.leave(trace);
        if let Some(tell) = next.and_then(|next| self.waiting.remove(&next)) {
            // A slot that has been stopped does not listen any more.
            let _stopped = tell.send(at);
        }
    }
}

/// Why a run stops by itself.
pub(super) enum GiveUp {
    /// And the failure that was one too many.
    Failures(StopReason, Failure),
    /// A row cannot be read again.
    Workload(WorkloadError),
}

impl<C> Shared<C> {
    /// Stops the run for this reason, unless it stops already.
    pub(super) fn give_up(&self, why: GiveUp) {
        lock(&self.give_up).get_or_insert(why);
        self.gave_up.notify_one();
    }

    /// A slot will have no further trace.
    pub(super) fn slot_ended(&self) {
        if self.alive.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.drained.notify_one();
        }
    }

    /// When a run that ends now was stopped: at the deadline itself, not at the microsecond in which somebody
    /// woke; in a run that drains, between it and the end of that.
    fn stopped_at(&self, reason: Reason) -> Nanos
    where
        C: Clock,
    {
        let now = Nanos(self.clock.now());
        match reason {
            Reason::Deadline => now.min(self.deadline.plus(self.options.drain)).max(self.deadline),
            Reason::Interrupted | Reason::MaxFailures | Reason::Failed => now,
        }
    }

    /// Ends the run, because a task of it has panicked.
    pub(super) fn die(&self) {
        self.died.notify_one();
    }

    /// Resolves when the run is stopped.
    pub(super) async fn stopped(&self) -> Nanos {
        let mut stop = self.stop.clone();
        let at = stop.wait_for(Option::is_some).await;
        let at = at.expect("the sender outlives every task of the run");
        (*at).expect("this is what was waited for")
    }

    /// Held for a look or a change, never over a wait.
    pub(super) fn admission(&self) -> MutexGuard<'_, Admission> {
        lock(&self.admission)
    }

    /// As [`Shared::admission`].
    pub(super) fn cache(&self) -> MutexGuard<'_, CacheBounds> {
        lock(&self.cache)
    }

    /// As [`Shared::admission`].
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

/// A run in which a task has panicked is still reported: its locks open.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
/// Needs a current-thread Tokio runtime with time and I/O; further threads bring their own.
///
/// # Errors
///
/// When the workload cannot be read again or a thread cannot be started.
pub async fn replay<C: Clock, N: Connector<C> + Clone + 'static>(
    runtime: Runtime<C, N>,
    options: ReplayOptions,
) -> Result<Replayed, ReplayError> {
    // It is polled whenever one of the tasks is to be.
    LocalSet::new().run_until(quiet(replay_here(runtime, options))).await
}

async fn replay_here<C: Clock, N: Connector<C> + Clone + 'static>(
    runtime: Runtime<C, N>,
    options: ReplayOptions,
) -> Result<Replayed, ReplayError> {
    let cache_scope = runtime.plan.options().cache_scope;
    let history = runtime.content.history();
    let mut cache = CacheBounds::new(cache_scope, history.feeds_back(), options.cache_block);
    let content = Arc::new(runtime.content);
    let mut source = Source { plan: runtime.plan, workload: runtime.workload, content, next: 0 };
    let mut shutdown = runtime.shutdown;
    let way = (&runtime.pool, &runtime.target);
    // Boxed: what it holds at a time, the run does not need room for.
    let primed = Box::pin(prime(&mut source, way, (options, &mut cache), &mut shutdown)).await?;
    let (maker, mut feed, makers) = makers(source, options)?;
    let (recorder, rows) = Recorder::start(runtime.files, Arc::clone(&runtime.progress))?;
    let threads = Threads { makers, rows };
    let ready = async {
        let workers = Workers::start(runtime.pool, options)?;
        ready(&mut feed, workers, &mut shutdown).await
    };
    let workers = match ready.await {
        Ok(workers) => workers,
        Err(error) => {
            threads.join((maker, feed, recorder));
            return Err(error);
        }
    };

    let start = Nanos(runtime.clock.now()).plus(LEAD);
    let deadline = start.plus(options.duration);
    runtime.progress.started(start);
    (runtime.started)(start, primed);
    let (stopper, stop) = watch::channel(None);
    let shared = Arc::new(Shared {
        clock: runtime.clock,
        target: runtime.target,
        options,
        history,
        admission: Mutex::new(admission(options, start, deadline)),
        feed: tokio::sync::Mutex::new(feed),
        maker,
        recorder,
        start,
        deadline,
        stop,
        give_up: Mutex::new(None),
        gave_up: Notify::new(),
        died: Notify::new(),
        alive: AtomicU32::new(options.concurrency),
        drained: Notify::new(),
        cache: Mutex::new(cache),
        queue: Mutex::default(),
    });
    let mut working = pin!(workers.run(Arc::clone(&shared)));
    let reason = tokio::select! {
        biased;
        reason = wait_for_end(&shared, shutdown) => reason,
        _ = &mut working => unreachable!("workers wait for the end of the run"),
    };
    stopper.send_replace(Some(shared.stopped_at(reason)));
    let panicked = working.await || reason == Reason::Failed;
    let shared = Arc::into_inner(shared).expect("no thread of the run is left");
    let end_ns = Nanos(shared.clock.now());
    let give_up = shared.give_up.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (recorded, died) = threads.join((shared.maker, shared.feed.into_inner(), shared.recorder));
    let ending = ending(end_ns, reason, give_up, panicked || died);
    Ok(Replayed { ending, recorded })
}

/// Makes first bodies and opens connections, so that no request of the run waits for either.
async fn ready<C: Clock, N: Connector<C> + Clone + 'static>(
    feed: &mut Feed,
    mut workers: Workers<C, N>,
    shutdown: &mut Shutdown,
) -> Result<Workers<C, N>, ReplayError> {
    let concurrency = workers.concurrency();
    let ready = async { tokio::join!(feed.prime(concurrency), workers.open()) };
    let (primed, ()) = tokio::select! {
        biased;
        () = asked(shutdown) => return Err(ReplayError::Interrupted),
        ready = ready => ready,
    };
    primed?;
    Ok(workers)
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
    if options.background {
        let (maker, feed, threads) = maker::start(source, options.concurrency)?;
        return Ok((maker, feed, Some(threads)));
    }
    let maker = Maker::Inline(Arc::clone(&source.content));
    Ok((maker, Feed::Inline(Box::new(source)), None))
}

async fn wait_for_end<C: Clock>(run: &Shared<C>, mut shutdown: Shutdown) -> Reason {
    tokio::select! {
        biased;
        () = run.died.notified() => Reason::Failed,
        () = run.gave_up.notified() => Reason::MaxFailures,
        () = over(run) => Reason::Deadline,
        () = asked(&mut shutdown) => Reason::Interrupted,
    }
}

/// Resolves at the deadline; where the run drains, once no trace is alive or there is no more time for it.
async fn over<C: Clock>(run: &Shared<C>) {
    run.clock.sleep_until(run.deadline.0).await;
    if run.options.drain > Nanos::ZERO {
        tokio::select! {
            biased;
            () = run.drained.notified() => {}
            () = run.clock.sleep_until(run.deadline.plus(run.options.drain).0) => {}
        }
    }
}

/// Resolves when the user wants the run to end.
pub(super) async fn asked(shutdown: &mut Shutdown) {
    if shutdown.wait_for(|wanted| *wanted).await.is_err() {
        // Whoever could ask is gone.
        std::future::pending::<()>().await;
    }
}
