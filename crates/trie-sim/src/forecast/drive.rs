//! A forecast, from the first admission to the last row.

use std::collections::BTreeMap;

use trie_core::{
    plan::{Plan, PlannedTrace},
    record::{Arrivals, ClientRow, Ending, Reason, TraceEvent, TraceOutcome},
    session::{Action, Admission, AdmissionOptions, CacheBounds, StepEnd, StopReason, Turns},
    units::{Nanos, Tokens},
    workload::{StepId, Workload},
};

use super::{
    fleet::Fleet,
    flight::{self, End, Flight},
    heap::{Happening, Heap},
    options::{Files, ForecastError, ForecastOptions, Forecasted, Primed},
    prime::prime,
    recorder::Recorder,
    slot::LiveTrace,
};
use crate::{
    engine::{Event, RequestId},
    truth::Arrival,
};

/// Traces of one instant in a row after which virtual time is taken to stand still. Each slot may have a
/// thousand of them: a row of the workload that takes time comes up long before, if there is one.
const INSTANT_TRACES_PER_SLOT: u64 = 1_000;

/// Replays a plan against simulated engines in virtual time, which counts from 0, until its deadline or
/// too many failures. Whether to stop before is asked once a second of virtual time.
///
/// # Errors
///
/// When the workload cannot be read again or a row cannot be written, and when nothing takes any time.
pub fn forecast(
    plan: &Plan,
    workload: &mut Workload,
    options: &ForecastOptions,
    files: Files<'_>,
    asked_to_stop: &dyn Fn() -> bool,
) -> Result<Forecasted, ForecastError> {
    let mut drive = Drive::new(plan, options, Recorder::new(files));
    drive.primed = prime(plan, workload, &mut drive.fleet, &mut drive.cache)?;
    for slot in 0..plan.options().concurrency {
        drive.admit(slot, Nanos::ZERO);
    }
    drive.heap.add(Nanos::SECOND, Happening::Second);
    let limit = drive.deadline.plus(options.drain);
    let mut end = limit;
    while let Some((now, happening)) = drive.heap.next_before(limit) {
        if now >= drive.deadline && drive.is_idle() {
            end = drive.last_over.max(drive.deadline);
            break;
        }
        drive.happen(now, happening, workload)?;
        drive.interrupted = happening == Happening::Second && asked_to_stop();
        if drive.stopped.is_some() || drive.interrupted {
            end = now;
            break;
        }
    }
    drive.finish(end)
}

struct Drive<'d, 'f> {
    plan: &'d Plan,
    options: &'d ForecastOptions,
    recorder: Recorder<'f>,
    admission: Admission,
    deadline: Nanos,
    heap: Heap,
    fleet: Fleet,
    slots: Vec<Option<LiveTrace>>,
    /// By number of the request; None once it is over.
    flights: Vec<Option<Box<Flight>>>,
    cache: CacheBounds,
    primed: Primed,
    turns: Turns,
    /// Traces that wait for an earlier row of their session, by slot, and since when.
    waiting: BTreeMap<u32, (Nanos, PlannedTrace)>,
    /// The current second's account.
    client: ClientRow,
    in_flight: u64,
    tokens: u64,
    stopped: Option<StopReason>,
    interrupted: bool,
    /// When the latest trace ended.
    last_over: Nanos,
    /// Traces in a row that ended at the time at which they began.
    timeless: u64,
    /// Kept between calls for their memory.
    events: Vec<Event>,
    actions: Vec<Action>,
}

impl<'d, 'f> Drive<'d, 'f> {
    fn new(plan: &'d Plan, options: &'d ForecastOptions, recorder: Recorder<'f>) -> Self {
        let planned = plan.options();
        let admission = Admission::new(AdmissionOptions {
            concurrency: planned.concurrency,
            start: Nanos::ZERO,
            deadline: planned.duration,
            ramp: planned.ramp,
            max_failures: options.max_failures,
        });
        let block = Tokens::try_from(options.engine.block.get()).unwrap_or(Tokens::MAX);
        Self {
            plan,
            options,
            recorder,
            admission,
            deadline: planned.duration,
            heap: Heap::default(),
            fleet: Fleet::new(options),
            slots: (0..planned.concurrency).map(|_| None).collect(),
            flights: Vec::new(),
            cache: CacheBounds::new(planned.cache_scope, options.feeds_back, block),
            primed: Primed::default(),
            turns: Turns::new(),
            waiting: BTreeMap::new(),
            client: ClientRow::default(),
            in_flight: 0,
            tokens: 0,
            stopped: None,
            interrupted: false,
            last_over: Nanos::ZERO,
            timeless: 0,
            events: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Whether no trace is alive.
    fn is_idle(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    fn happen(
        &mut self,
        now: Nanos,
        happening: Happening,
        workload: &mut Workload,
    ) -> Result<(), ForecastError> {
        match happening {
            Happening::Start { slot, instance } => {
                let planned = self.plan.trace(instance, workload)?;
                if self.turns.enter(slot, &planned) {
                    return self.start(now, slot, planned, None);
                }
                self.waiting.insert(slot, (now, planned));
                Ok(())
            }
            Happening::Turn { slot } => match self.waiting.remove(&slot) {
                // While a run drains no trace starts, though its turn may come.
                Some((_, planned)) if now >= self.deadline => {
                    self.turns.leave(&planned);
                    Ok(())
                }
                Some((since, planned)) => self.start(now, slot, planned, now.since(since)),
                None => Ok(()),
            },
            Happening::Send { slot, instance, step, attempt } => {
                let live = self.slots[slot as usize].as_ref();
                match live.filter(|live| live.number() == instance) {
                    Some(_) => self.send(now, slot, step, attempt),
                    None => Ok(()),
                }
            }
            Happening::Wake { replica } => {
                self.fleet.wake(now, replica, &mut self.events, &mut self.heap);
                self.take_events()
            }
            Happening::Timeout { request } => match self.flights[request] {
                Some(_) => {
                    self.end_flight(now, request, End::TimedOut)?;
                    self.take_events()
                }
                None => Ok(()),
            },
            Happening::Second => {
                self.heap.add(now.plus(Nanos::SECOND), Happening::Second);
                self.end_second()
            }
        }
    }

    /// Starts a trace, whose slot may have been held by an earlier row of its session.
    fn start(
        &mut self,
        now: Nanos,
        slot: u32,
        planned: PlannedTrace,
        held: Option<Nanos>,
    ) -> Result<(), ForecastError> {
        let retries = self.options.retries;
        let mut live = LiveTrace::start(planned, retries, now, &mut self.actions);
        live.held = held.filter(|held| *held > Nanos::ZERO);
        self.recorder.trace(&live.row(slot, now, TraceEvent::Admitted))?;
        self.slots[slot as usize] = Some(live);
        self.act(now, slot)
    }

    /// Gives the slot its next trace.
    fn admit(&mut self, slot: u32, at: Nanos) {
        if let Some(admitted) = self.admission.admit(slot, at) {
            self.heap.add(admitted.at, Happening::Start { slot, instance: admitted.instance });
        }
    }

    fn send(
        &mut self,
        now: Nanos,
        slot: u32,
        step: StepId,
        attempt: u32,
    ) -> Result<(), ForecastError> {
        let live = self.slots[slot as usize].as_mut().expect("a step is sent of a live trace");
        let number = self.flights.len();
        live.flights.insert(step, number);
        let trace = live.number();
        let mut row = flight::planned(live, step, attempt, now);
        let held = self.cache.sent(&live.planned, step);
        row.expected_cached_tokens = Some(held.expected);
        row.shown_cached_tokens = Some(held.shown);
        let id = RequestId(u64::try_from(number).expect("a length fits in 64 bits"));
        let request = flight::request(live, step, id, self.options.feeds_back);
        let replica = self.fleet.route(live.planned.routing_key());
        let arrivals = Arrivals::new(Nanos::ZERO, self.deadline, self.options.chunks);
        let flight = Flight { slot, replica, row, arrivals, cached: None };
        self.flights.push(Some(Box::new(flight)));
        self.in_flight += 1;
        self.client.send_lateness.add(0, 1);
        if !self.fleet.fits(request.content.len()) {
            return self.end_flight(now, number, End::TooLong);
        }
        let timeout = now.plus(self.options.timeout);
        if timeout < self.deadline.plus(self.options.drain) {
            self.heap.add(timeout, Happening::Timeout { request: number });
        }
        self.recorder.arrived(id, || Arrival {
            request: format!("{trace}/{step}/{attempt}"),
            replica: u32::try_from(replica).unwrap_or(u32::MAX),
            prompt_tokens: request.prompt_tokens,
            at: now,
        });
        self.fleet.arrive(now, (replica, request), &mut self.events, &mut self.heap);
        self.take_events()
    }

    /// Tells flights and sessions what the engines did.
    fn take_events(&mut self) -> Result<(), ForecastError> {
        while !self.events.is_empty() {
            let mut events = std::mem::take(&mut self.events);
            for event in events.drain(..) {
                self.recorder.note(&event)?;
                self.take_event(event)?;
            }
            // Kept for its memory, unless taking them has brought others.
            if self.events.is_empty() {
                self.events = events;
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: Event) -> Result<(), ForecastError> {
        let number = usize::try_from(event.id().0).expect("it was made of a length");
        let Some(flight) = self.flights[number].as_mut() else { return Ok(()) };
        match event {
            Event::Admitted { cached_tokens, .. } => flight.cached = Some(cached_tokens),
            Event::Preempted { .. } => {}
            Event::Token { at, index, tokens, finish, .. } => {
                let tokens = Tokens::try_from(tokens).expect("a length fits in 64 bits");
                flight.arrivals.add(at, tokens);
                self.tokens += tokens;
                self.client.reads += 1;
                if index == 0 {
                    self.first_token(at, number)?;
                }
                if finish.is_some() {
                    self.end_flight(at, number, End::Answered)?;
                }
            }
        }
        Ok(())
    }

    fn first_token(&mut self, at: Nanos, number: usize) -> Result<(), ForecastError> {
        let flight = self.flights[number].as_ref().expect("a token is of a live request");
        let (slot, step) = (flight.slot, flight.row.step);
        let live = self.slots[slot as usize].as_mut().expect("a request is of a live trace");
        self.cache.first_token(&live.planned, step);
        if self.plan.options().stream {
            live.session.first_token(step, at, &mut self.actions);
        }
        self.act(at, slot)
    }

    /// Writes a request's row and tells its session and the admission.
    fn end_flight(&mut self, at: Nanos, number: usize, end: End) -> Result<(), ForecastError> {
        let Some(flight) = self.flights[number].take() else { return Ok(()) };
        let (slot, replica, step) = (flight.slot, flight.replica, flight.row.step);
        self.in_flight -= 1;
        self.recorder.request(&flight.row(end, at, self.plan.options().stream))?;
        let live = self.slots[slot as usize].as_mut().expect("a request is of a live trace");
        live.flights.remove(&step);
        match end {
            End::Answered => {
                self.admission.request_ok(slot, at);
                live.session.ended(step, StepEnd::Ok, at, &mut self.actions);
            }
            End::TimedOut | End::TooLong => {
                let kind = end.kind().to_owned();
                let failed = StepEnd::Failed { kind, retryable: false, retry_after: None };
                live.session.ended(step, failed, at, &mut self.actions);
                let stop = self.admission.request_failed(slot, at, false);
                self.stopped = self.stopped.take().or(stop);
            }
            End::CutOff => {}
        }
        if matches!(end, End::TimedOut | End::CutOff) {
            let id = RequestId(u64::try_from(number).expect("a length fits in 64 bits"));
            self.recorder.cancelled(id, at)?;
            self.fleet.cancel(at, (replica, id), &mut self.events, &mut self.heap);
        }
        self.act(at, slot)
    }

    /// Carries out what a slot's session asks for.
    fn act(&mut self, now: Nanos, slot: u32) -> Result<(), ForecastError> {
        let actions = std::mem::take(&mut self.actions);
        for action in actions {
            let live = self.slots[slot as usize].as_mut().expect("a session acts while it lives");
            match action {
                Action::Send { step, attempt, intent } => {
                    let instance = live.number();
                    let send = Happening::Send { slot, instance, step, attempt };
                    self.heap.add(intent, send);
                }
                Action::Cancel { step } => {
                    if let Some(number) = live.flights.get(&step).copied() {
                        self.end_flight(now, number, End::CutOff)?;
                    }
                }
                Action::Over(outcome) => self.over(now, slot, outcome)?,
            }
        }
        Ok(())
    }

    fn over(&mut self, at: Nanos, slot: u32, outcome: TraceOutcome) -> Result<(), ForecastError> {
        let live = self.slots[slot as usize].take().expect("a trace ends once");
        self.last_over = at;
        self.timeless = if live.since == at { self.timeless + 1 } else { 0 };
        if self.timeless > INSTANT_TRACES_PER_SLOT * u64::from(self.plan.options().concurrency) {
            return Err(ForecastError::StandsStill { at, traces: self.timeless });
        }
        self.cache.forget(&live.planned);
        if let Some(slot) = self.turns.leave(&live.planned) {
            self.heap.add(at, Happening::Turn { slot });
        }
        if outcome == TraceOutcome::Completed {
            self.admission.trace_completed(at);
        }
        self.recorder.trace(&live.row(slot, at, TraceEvent::Ended(outcome)))?;
        self.admit(slot, at);
        Ok(())
    }

    fn end_second(&mut self) -> Result<(), ForecastError> {
        let second = self.client.second + 1;
        let next = ClientRow { second, ..ClientRow::default() };
        let row = std::mem::replace(&mut self.client, next);
        self.recorder.client(&ClientRow { in_flight: self.in_flight, ..row })?;
        Ok(())
    }

    /// Cuts off what is alive, and writes the rest.
    fn finish(mut self, end: Nanos) -> Result<Forecasted, ForecastError> {
        self.end_second()?;
        let stream = self.plan.options().stream;
        for flight in std::mem::take(&mut self.flights).into_iter().flatten() {
            self.recorder.request(&flight.row(End::CutOff, end, stream))?;
        }
        for (slot, live) in (0..).zip(std::mem::take(&mut self.slots)) {
            if let Some(live) = live {
                let event = TraceEvent::Ended(TraceOutcome::CutOff);
                self.recorder.trace(&live.row(slot, end, event))?;
            }
        }
        let reason = match (&self.stopped, self.interrupted) {
            (Some(_), _) => Reason::MaxFailures,
            (None, true) => Reason::Interrupted,
            (None, false) => Reason::Deadline,
        };
        let message = self.stopped.map(|why| why.to_string());
        Ok(Forecasted {
            ending: Ending { end_ns: end, reason, message },
            primed: self.primed,
            requests: self.recorder.finish(end)?,
            tokens: self.tokens,
            preemptions: self.fleet.preemptions(),
        })
    }
}
