//! One slot: trace after trace, until admission ends or the run stops.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use trie_core::plan::PlannedTrace;
use trie_core::record::{Release, TraceEvent, TraceOutcome};
use trie_core::session::{Action, Session, StepEnd};
use trie_core::units::Nanos;
use trie_core::workload::{LaneId, StepId, Trace, WorkloadError};

use crate::clock::Clock;
use crate::content::Answers;
use crate::maker::Prepared;
use crate::recorder::Row;
use crate::spawn;
use crate::wire::{Connector, Failure, Link};

use super::run::{GiveUp, Shared};
use super::shard::Shard;
use super::step::{self, Body, Done, FirstToken, Request, StepOutcome};

/// Runs traces in this slot.
pub(super) async fn run<C: Clock, N: Connector<C> + 'static>(
    shard: Rc<Shard<C, N>>,
    slot: u32,
    link: Link<C, N::Io>,
) {
    let _alive = Alive(&shard.shared);
    // Connections at rest go from trace to trace.
    let mut links = BTreeMap::from([(0, link)]);
    loop {
        let admitted = tokio::select! {
            biased;
            _ = shard.shared.stopped() => return,
            admitted = admit(&shard, slot) => admitted,
        };
        let (prepared, at, turn) = match admitted {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return,
            Err(error) => return shard.shared.give_up(GiveUp::Workload(error)),
        };
        let held = tokio::select! {
            biased;
            _ = shard.shared.stopped() => return,
            held = wait(&shard, turn, at) => held,
        };
        // While a run drains no trace starts, though its turn may come.
        if at.plus(held.unwrap_or_default()) >= shard.shared.deadline {
            return shard.shared.queue().leave(&prepared.trace, at);
        }
        let mut trace = LiveTrace::new(&shard, slot, prepared, at);
        trace.hold(held);
        trace.links = links;
        if !trace.run().await {
            return;
        }
        links = trace.links;
    }
}

/// A slot that may still have a trace.
struct Alive<'s, C>(&'s Shared<C>);

impl<C> Drop for Alive<'_, C> {
    fn drop(&mut self) {
        self.0.slot_ended();
    }
}

/// How a slot is told that its trace may start, where an earlier row of its session is alive.
type Turn = Option<oneshot::Receiver<Nanos>>;

/// The slot's next trace, when it is due, and whether it has to wait for its turn.
async fn admit<C: Clock, N: Connector<C>>(
    shard: &Shard<C, N>,
    slot: u32,
) -> Result<Option<(Prepared, Nanos, Turn)>, WorkloadError> {
    let shared = &shard.shared;
    let now = Nanos(shared.clock.now());
    // The lock is handed on in the order of asking.
    let mut feed = shared.feed.lock().await;
    let admitted = shared.admission().admit(slot, now);
    let Some(admitted) = admitted else { return Ok(None) };
    let Some(prepared) = feed.next().await? else { return Ok(None) };
    assert_eq!(
        admitted.instance, prepared.trace.instance.number,
        "traces are fed in the order of their admission"
    );
    let turn = shared.queue().enter(slot, &prepared.trace);
    Ok(Some((prepared, admitted.at, turn)))
}

/// Waits until the trace is due and its turn has come; how long it was held by an earlier row of
/// its session.
async fn wait<C: Clock, N: Connector<C>>(
    shard: &Shard<C, N>,
    turn: Turn,
    due: Nanos,
) -> Option<Nanos> {
    let came = match turn {
        None => due,
        Some(told) => told.await.expect("whoever is alive in a session tells the next one"),
    };
    shard.shared.clock.sleep_until(due.0).await;
    came.since(due).filter(|held| *held > Nanos::ZERO)
}

/// What happens to a trace.
enum Event<C: Clock, N: Connector<C>> {
    FirstToken(FirstToken),
    Done(Done<C, N>),
}

/// A trace while it is replayed.
struct LiveTrace<'r, C: Clock, N: Connector<C>> {
    shard: &'r Rc<Shard<C, N>>,
    slot: u32,
    trace: Arc<PlannedTrace>,
    /// Bodies of the steps that start with the trace, made ahead.
    first: BTreeMap<StepId, Bytes>,
    start: Nanos,
    /// How long the start was put off by an earlier row of its session.
    held: Option<Nanos>,
    answers: Answers,
    /// Connections at rest, by lane.
    links: BTreeMap<u32, Link<C, N::Io>>,
    requests: JoinSet<Done<C, N>>,
    /// First tokens of requests in flight: the end that they are told at, and the other one.
    first_tokens: (mpsc::Sender<FirstToken>, mpsc::Receiver<FirstToken>),
    cancel: watch::Sender<bool>,
}

impl<'r, C: Clock, N: Connector<C> + 'static> LiveTrace<'r, C, N> {
    fn new(shard: &'r Rc<Shard<C, N>>, slot: u32, prepared: Prepared, start: Nanos) -> Self {
        // Every attempt has at most one, and a step has no attempt before its last one has ended.
        let attempts = u64::from(shard.shared.options.retries.max) + 1;
        let most = attempts.saturating_mul(prepared.trace.trace.steps.len() as u64);
        let room = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let first_tokens = mpsc::channel(room);
        Self {
            shard,
            slot,
            trace: prepared.trace,
            first: prepared.first,
            start,
            held: None,
            answers: prepared.answers,
            links: BTreeMap::new(),
            requests: JoinSet::new(),
            first_tokens,
            cancel: watch::channel(false).0,
        }
    }

    /// Puts its start off.
    fn hold(&mut self, held: Option<Nanos>) {
        self.held = held;
        self.start = self.start.plus(held.unwrap_or_default());
    }

    /// Runs the trace to its end. Whether the slot may go on.
    async fn run(&mut self) -> bool {
        self.record(self.start, TraceEvent::Admitted).await;
        let trace = Arc::clone(&self.trace);
        let mut actions = vec![];
        let retries = self.shard.shared.options.retries;
        let entry = trace.entry.unwrap_or_default();
        let mut session = Session::enter(&trace.trace, entry, (retries, self.start), &mut actions);
        let mut at = self.start;
        loop {
            if let Some(outcome) = self.act(&session, &mut actions) {
                self.end(at, outcome).await;
                return true;
            }
            let done = match self.next_event().await {
                Event::FirstToken(FirstToken { step, at }) => {
                    session.first_token(step, at, &mut actions);
                    continue;
                }
                Event::Done(done) => done,
            };
            let step = done.step;
            at = done.at;
            match self.settle(done) {
                StepOutcome::CutOff => {
                    self.end(at, TraceOutcome::CutOff).await;
                    return false;
                }
                StepOutcome::Answered => {
                    session.ended(step, StepEnd::Ok, at, &mut actions);
                }
                StepOutcome::Failed(failure) => {
                    let end = step_end(&failure);
                    session.ended(step, end, at, &mut actions);
                }
            }
        }
    }

    /// Carries out actions; the outcome once the trace is over.
    fn act(
        &mut self,
        session: &Session<&Trace>,
        actions: &mut Vec<Action>,
    ) -> Option<TraceOutcome> {
        let mut over = None;
        for action in actions.drain(..) {
            match action {
                Action::Send { step, attempt, intent } => {
                    self.send(step, attempt, intent, session.release(step));
                }
                // Only a failed trace cancels, and then everything that is left of it.
                Action::Cancel { step: _ } => {
                    self.cancel.send_replace(true);
                }
                Action::Over(outcome) => over = Some(outcome),
            }
        }
        over
    }

    fn send(&mut self, step: StepId, attempt: u32, intent: Nanos, release: Release) {
        let first = self.first.get(&step).cloned();
        let body = first.map_or_else(|| Body::Make(self.answers.clone()), Body::Ready);
        let lane = self.trace.trace.steps[step as usize].lane;
        let link = self.link(lane);
        let trace = Arc::clone(&self.trace);
        let first_tokens = self.first_tokens.0.clone();
        let held = Cell::default();
        let request = Request { trace, step, attempt, intent, release, body, first_tokens, held };
        let cancelled = self.cancel.subscribe();
        let work = step::run(Rc::clone(self.shard), request, link, cancelled);
        spawn::task(&mut self.requests, work);
    }

    /// A connection for a lane: its own, one at rest of another lane, or a new one.
    fn link(&mut self, lane: LaneId) -> Link<C, N::Io> {
        let own = self.links.remove(&lane);
        let rested = own.or_else(|| self.links.pop_last().map(|(_, link)| link));
        rested.unwrap_or_else(|| self.shard.pool.link())
    }

    /// What happened next; a first token before the end of its answer.
    async fn next_event(&mut self) -> Event<C, N> {
        let done = tokio::select! {
            biased;
            Some(first_token) = self.first_tokens.1.recv() => return Event::FirstToken(first_token),
            done = self.requests.join_next() => done,
        };
        let done = done.expect("a trace that is not over has a request in flight");
        Event::Done(done.expect("tasks of a run are not cancelled and do not panic"))
    }

    /// Takes back what a request held and tells admission how it ended.
    fn settle(&mut self, done: Done<C, N>) -> StepOutcome {
        let lane = self.trace.trace.steps[done.step as usize].lane;
        self.links.insert(lane, done.link);
        let mut admission = self.shard.shared.admission();
        match &done.outcome {
            StepOutcome::Answered => {
                self.answers.insert(done.step, done.answer.clone());
                admission.request_ok(self.slot, done.at);
            }
            StepOutcome::Failed(failure) => {
                let stop = admission.request_failed(self.slot, done.at, is_server_down(failure));
                if let Some(stop) = stop {
                    self.shard.shared.give_up(GiveUp::Failures(stop, failure.clone()));
                }
            }
            StepOutcome::CutOff => {}
        }
        done.outcome
    }

    async fn end(&mut self, at: Nanos, outcome: TraceOutcome) {
        // Lanes that were cut off hand in their rows first.
        self.cancel.send_replace(true);
        while let Some(done) = self.requests.join_next().await {
            drop(done.expect("tasks of a run are not cancelled and do not panic"));
        }
        self.shard.shared.cache().forget(&self.trace);
        self.shard.shared.queue().leave(&self.trace, at);
        if outcome == TraceOutcome::Completed {
            self.shard.shared.admission().trace_completed(at);
        }
        self.record(at, TraceEvent::Ended(outcome)).await;
    }

    async fn record(&self, at_ns: Nanos, event: TraceEvent) {
        let row = self.trace.trace_row(self.slot, self.held, at_ns, event);
        self.shard.shared.recorder.send(Row::Trace(Box::new(row))).await;
    }
}

/// A connection that cannot be made or that breaks, a 429 or a 5xx: the slot gives the server time.
fn is_server_down(failure: &Failure) -> bool {
    failure.kind.is_connect()
        || failure.kind.is_broken()
        || failure.status.is_some_and(|status| status == 429 || status >= 500)
}

/// The statuses that are worth another attempt are those the `OpenAI` clients retry.
fn step_end(failure: &Failure) -> StepEnd {
    let busy = failure.status.is_some_and(|status| matches!(status, 408 | 409 | 429 | 500..));
    let retryable = busy || failure.kind.is_connect() || failure.kind.is_broken();
    let kind = failure.kind.as_str().to_owned();
    StepEnd::Failed { kind, retryable, retry_after: failure.retry_after.map(Nanos) }
}
