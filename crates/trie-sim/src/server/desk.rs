//! The engine at work by the wall clock: requests are handed in, their events handed out.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};
use trie_core::units::Nanos;

use super::clock::Clock;
use crate::{
    engine::{Engine, EngineConfig, Event, FinishReason, Request, RequestId, Sequence},
    truth::{self, Arrival, Ledger, TruthEnd, TruthRow},
};

/// The engine, and who waits for which of its requests.
///
/// A lock guards it, held for one call of the engine at a time and never across an await.
#[derive(Debug)]
pub(super) struct Desk {
    clock: Clock,
    state: Mutex<State>,
    /// Rung when the engine's next wake may have become earlier.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    engine: Engine,
    next_id: u64,
    takers: BTreeMap<RequestId, mpsc::Sender<Event>>,
    truth: Option<TruthLog>,
    /// Kept between calls for its memory.
    events: Vec<Event>,
}

/// The log of what the engine did. Its rows are written as requests end: one short write each.
#[derive(Debug)]
struct TruthLog {
    ledger: Ledger,
    file: File,
    /// What became of the first row that could not be written.
    failed: Option<io::Error>,
}

impl TruthLog {
    fn write(&mut self, row: Option<&TruthRow>) {
        if let Some(row) = row.filter(|_| self.failed.is_none()) {
            self.failed = truth::write(row, &mut self.file).err();
        }
    }
}

/// One request in work; dropping it cancels what is left of it.
#[derive(Debug)]
pub(super) struct Ticket {
    desk: Arc<Desk>,
    id: RequestId,
    events: mpsc::Receiver<Event>,
}

/// What the engine needs to know of a request.
#[derive(Debug)]
pub(super) struct Order {
    /// The `id` of its answer.
    pub(super) name: String,
    pub(super) prompt_tokens: usize,
    pub(super) output_tokens: usize,
    pub(super) finish: FinishReason,
    pub(super) content: Sequence,
}

impl Desk {
    /// With a file, what the engine does is logged to it.
    pub(super) fn new(clock: Clock, config: EngineConfig, log: Option<File>) -> Self {
        let state = State {
            engine: Engine::new(config),
            next_id: 1,
            takers: BTreeMap::new(),
            truth: log.map(|file| TruthLog { ledger: Ledger::default(), file, failed: None }),
            events: Vec::new(),
        };
        Self { clock, state: Mutex::new(state), changed: Notify::new() }
    }

    /// Hands a request in, now.
    pub(super) fn order(self: &Arc<Self>, order: Order) -> Ticket {
        // At most one event per token and one more are handed on, so that this queue is never full.
        let (taker, events) = mpsc::channel(order.output_tokens + 1);
        let mut state = self.lock();
        let id = RequestId(state.next_id);
        state.next_id += 1;
        state.takers.insert(id, taker);
        let Order { name, prompt_tokens, output_tokens, finish, content } = order;
        let request = Request { id, prompt_tokens, output_tokens, finish, content };
        let now = self.now();
        if let Some(log) = &mut state.truth {
            log.ledger.arrived(id, Arrival { request: name, replica: 0, prompt_tokens, at: now });
        }
        state.act(|engine, events| engine.arrive(now, request, events));
        drop(state);
        self.changed.notify_one();
        Ticket { desk: Arc::clone(self), id, events }
    }

    /// Wakes the engine whenever something is due; returns only when the log cannot be written.
    pub(super) async fn run(&self) -> io::Error {
        loop {
            let now = self.now();
            let next = {
                let mut state = self.lock();
                state.act(|engine, events| engine.wake(now, events));
                if let Some(error) = state.truth.as_mut().and_then(|log| log.failed.take()) {
                    return error;
                }
                state.engine.next_wake()
            };
            tokio::select! {
                () = self.sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Looks at, or changes, the engine as it is now.
    pub(super) fn with_engine<T>(&self, look: impl FnOnce(&mut Engine) -> T) -> T {
        look(&mut self.lock().engine)
    }

    /// Puts a new engine in the place of this one. Nobody may wait for a request of the old one.
    pub(super) fn restart(&self, config: EngineConfig) {
        let mut state = self.lock();
        assert!(state.takers.is_empty(), "all connections were closed");
        state.engine = Engine::new(config);
    }

    /// The engine's time, which ends after 584 years.
    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.clock.now().as_nanos()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, time: Option<Nanos>) {
        match time {
            Some(time) => self.clock.sleep_until(Duration::from_nanos(time.0)).await,
            None => std::future::pending().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no call of the engine panics while it is locked")
    }
}

impl State {
    /// Calls the engine, and hands out the events of the call.
    fn act(&mut self, call: impl FnOnce(&mut Engine, &mut Vec<Event>)) {
        let Self { engine, takers, truth, events, next_id: _ } = self;
        call(engine, events);
        for event in events.drain(..) {
            if let Some(log) = truth {
                let row = log.ledger.note(&event);
                log.write(row.as_ref());
            }
            let (id, last) = match event {
                Event::Preempted { .. } => continue,
                Event::Admitted { id, .. } => (id, false),
                Event::Token { id, finish, .. } => (id, finish.is_some()),
            };
            if let Some(taker) = takers.get(&id) {
                let sent = taker.try_send(event);
                // A taker that is gone is about to cancel; one that is there has room by construction.
                let full = matches!(sent, Err(mpsc::error::TrySendError::Full(_)));
                assert!(!full, "a request gives no more events than its queue has room for");
            }
            if last {
                takers.remove(&id);
            }
        }
    }
}

impl Ticket {
    /// The request's next event; None after the last.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.desk.lock();
        let now = self.desk.now();
        if state.takers.remove(&self.id).is_some() {
            state.act(|engine, events| engine.cancel(now, self.id, events));
            if let Some(log) = &mut state.truth {
                let row = log.ledger.end(self.id, TruthEnd::Cancelled, now);
                log.write(row.as_ref());
            }
            drop(state);
            self.desk.changed.notify_one();
        }
    }
}
