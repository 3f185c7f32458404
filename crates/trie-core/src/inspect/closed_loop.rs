//! Who asks for which prompt in what order: a closed loop of slots in a time of its own.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;

use super::curve::Ranges;
use super::passage::Passage;
use super::stack::{Found, Spot, Stack};
use crate::plan::{Dwell, Piece, Plan, PlannedTrace};
use crate::session::{Action, Admission, AdmissionOptions, RetryOptions, Session, StepEnd, Turns};
use crate::units::{Nanos, Tokens};
use crate::workload::{StepId, Trace, Workload, WorkloadError};

/// What is asked of a cache, and how deep it lay.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Requests whose first token came.
    pub(super) requests: u64,
    /// Tokens of their prompts.
    pub(super) prompt_tokens: Tokens,
    /// Traces that were started.
    pub(super) traces: u64,
    /// How long it took.
    pub(super) length: Nanos,
    /// Where what was asked for lay.
    pub(super) ranges: Ranges,
    /// Tokens of the prompts that were found, in a cache of the capacity that was played.
    pub(super) hit_tokens: Tokens,
    /// The most blocks in use at a time.
    pub(super) most_in_use: u64,
}

/// How long requests take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) dwell: Dwell,
    /// Nanoseconds of an answer's token where no other answer is on its way, in an engine in steps;
    /// `dwell.decode` is with `most` of them. Between the two it is a straight line.
    pub(super) decode_alone: f64,
    /// Nanoseconds of each pair of a new prompt token and one before it.
    pub(super) attention: f64,
    pub(super) most: u32,
    /// Whether prompts are computed one after another, and all answers stand still meanwhile, as in engines
    /// that work in steps; else each request is on its own.
    pub(super) in_steps: bool,
}

impl Pace {
    /// Nanoseconds of a token of so many answers.
    fn decode(&self, answers: usize) -> f64 {
        let others = u32::try_from(answers.saturating_sub(1)).unwrap_or(u32::MAX).min(self.most);
        let more = (self.dwell.decode - self.decode_alone) / f64::from(self.most.max(2) - 1);
        self.decode_alone + more * f64::from(others)
    }
}

/// When the loop ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Until {
    /// At the plan's deadline, as a run does.
    Deadline,
    /// When so many traces have been started: all slots are full until then.
    Started(u64),
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub(super) struct Play {
    pub(super) pace: Pace,
    pub(super) until: Until,
    /// Tokens that the cache keeps or drops together.
    pub(super) block: Tokens,
    /// How many blocks the cache has. What it has lost is computed again, which takes time, and where
    /// running requests leave no room the next one waits. None: without end.
    pub(super) blocks: Option<u64>,
}

/// Plays a plan against a server that takes the pace for a request.
///
/// # Errors
///
/// When the workload cannot be read again.
pub(super) fn play(
    plan: &Plan,
    workload: &mut Workload,
    Play { pace, until, block, blocks }: Play,
) -> Result<Asked, WorkloadError> {
    let planned = plan.options();
    let deadline = match until {
        Until::Deadline => planned.duration,
        Until::Started(_) => Nanos::MAX,
    };
    let mut looped = Loop {
        pace,
        until,
        blocks: blocks.unwrap_or(u64::MAX),
        queue: VecDeque::new(),
        admission: Admission::new(AdmissionOptions {
            concurrency: planned.concurrency,
            start: Nanos::ZERO,
            deadline,
            ramp: planned.ramp,
            max_failures: 1,
        }),
        stack: Stack::new(block),
        slots: (0..planned.concurrency).map(|_| None).collect(),
        turns: Turns::new(),
        held: BTreeMap::new(),
        heap: BinaryHeap::new(),
        answers: Answers::default(),
        numbered: 0,
        asked: Asked::default(),
        actions: Vec::new(),
    };
    for slot in 0..planned.concurrency {
        looped.admit(slot, Nanos::ZERO);
    }
    while let Some((now, happening)) = looped.next()
        && now < deadline
        && !looped.is_over()
    {
        looped.asked.length = now;
        looped.happen(now, happening, plan, workload)?;
    }
    let admitted = looped.admission.admitted();
    looped.asked.traces = match until {
        Until::Deadline => admitted,
        // The one whose turn it is when the loop ends is not played any more.
        Until::Started(traces) => admitted.min(traces),
    };
    looped.asked.most_in_use = looped.stack.most_in_use();
    Ok(looped.asked)
}

/// What is due. Ordered as it is written; the number before it decides.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Happening {
    Start {
        slot: u32,
        instance: u64,
    },
    Turn {
        slot: u32,
    },
    Send {
        slot: u32,
        step: StepId,
    },
    /// The server is through with the prompts it has begun.
    Free,
    FirstToken {
        slot: u32,
        step: StepId,
    },
    End {
        slot: u32,
        step: StepId,
    },
}

/// Answers on their way in an engine in steps: all gain a token in the same time, which is longer the more
/// they are, and stand still while prompts are computed.
#[derive(Debug, Default)]
struct Answers {
    /// By how many thousandths of a token the clock shows when they end.
    ends: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    /// Tokens that an answer has gained which was there from the start.
    clock: f64,
    now: Nanos,
    /// Until when prompts are computed.
    busy: Nanos,
    /// Nanoseconds of a token, by the answers there are.
    token: f64,
}

impl Answers {
    /// Moves both clocks on.
    fn advance(&mut self, to: Nanos) {
        let from = self.now.max(self.busy);
        if self.token > 0.0 {
            self.clock += float(to.since(from).unwrap_or_default().0) / self.token;
        }
        self.now = to;
    }

    /// Adds an answer that has so many tokens to come.
    fn add(&mut self, tokens: Tokens, (number, end): (u64, Happening), pace: &Pace) {
        let at = whole(self.clock * THOUSAND) + tokens * 1_000;
        self.ends.push(Reverse((at, number, end)));
        self.token = pace.decode(self.ends.len());
    }

    /// When the next answer ends, if no further prompt comes.
    fn next(&self) -> Option<Nanos> {
        let Reverse((end, _, _)) = self.ends.peek()?;
        let left = (float(*end) / THOUSAND - self.clock).max(0.0);
        Some(self.now.max(self.busy).plus(nanos(left * self.token)))
    }
}

const THOUSAND: f64 = 1_000.0;

struct Loop {
    pace: Pace,
    until: Until,
    /// Capacity of the cache.
    blocks: u64,
    /// Requests that the server has not begun.
    queue: VecDeque<(u32, StepId)>,
    admission: Admission,
    stack: Stack,
    slots: Vec<Option<Live>>,
    turns: Turns,
    /// Traces that wait for an earlier row of their session, by slot.
    held: BTreeMap<u32, PlannedTrace>,
    heap: BinaryHeap<Reverse<(Nanos, u64, Happening)>>,
    answers: Answers,
    numbered: u64,
    asked: Asked,
    /// Kept between calls for its memory.
    actions: Vec<Action>,
}

/// A trace that is not over.
struct Live {
    planned: Rc<PlannedTrace>,
    session: Session<Shared>,
    /// Where the prompts of its answered steps end.
    ends: BTreeMap<StepId, Spot>,
    flights: BTreeMap<StepId, Flight>,
}

/// A session's share of its trace.
struct Shared(Rc<PlannedTrace>);

impl Borrow<Trace> for Shared {
    fn borrow(&self) -> &Trace {
        &self.0.trace
    }
}

/// A request that is not over.
struct Flight {
    lease: Spot,
    /// Its prompt behind the lease.
    rest: Passage,
    found: Vec<Found>,
    /// Tokens of it that the cache has.
    hit: Tokens,
}

impl Loop {
    fn is_over(&self) -> bool {
        match self.until {
            Until::Deadline => false,
            Until::Started(traces) => self.admission.admitted() > traces,
        }
    }

    fn happen(
        &mut self,
        now: Nanos,
        happening: Happening,
        plan: &Plan,
        workload: &mut Workload,
    ) -> Result<(), WorkloadError> {
        match happening {
            Happening::Start { slot, instance } => {
                let planned = plan.trace(instance, workload)?;
                if self.turns.enter(slot, &planned) {
                    self.start(now, slot, planned);
                } else {
                    self.held.insert(slot, planned);
                }
            }
            Happening::Turn { slot } => {
                if let Some(planned) = self.held.remove(&slot) {
                    self.start(now, slot, planned);
                }
            }
            Happening::Send { slot, step } => {
                self.queue.push_back((slot, step));
                self.begin(now);
            }
            Happening::Free => self.begin(now),
            Happening::FirstToken { slot, step } => self.first_token(now, slot, step),
            Happening::End { slot, step } => self.end(now, slot, step),
        }
        Ok(())
    }

    /// What is due next, and when.
    fn next(&mut self) -> Option<(Nanos, Happening)> {
        let due = self.heap.peek().map(|Reverse((at, _, _))| *at);
        if let Some(end) = self.answers.next().filter(|end| due.is_none_or(|due| *end < due)) {
            let Reverse((_, _, happening)) = self.answers.ends.pop()?;
            self.answers.advance(end);
            self.answers.token = self.pace.decode(self.answers.ends.len());
            return Some((end, happening));
        }
        let Reverse((at, _, happening)) = self.heap.pop()?;
        self.answers.advance(at);
        Some((at, happening))
    }

    /// When a prompt is computed of which the cache has `hit` tokens and `new` are new.
    fn computed(&mut self, now: Nanos, hit: Tokens, new: Tokens) -> Nanos {
        let Pace { dwell, in_steps, attention, .. } = self.pace;
        let pairs = float(new) * (float(hit) + float(new) / 2.0);
        let work = nanos(dwell.prefill * float(new) + attention * pairs);
        let request = nanos(dwell.request);
        if !in_steps {
            return now.plus(work).plus(request);
        }
        self.answers.busy = self.answers.busy.max(now).plus(work);
        let free = self.answers.busy;
        self.at(free, Happening::Free);
        free.plus(request)
    }

    fn at(&mut self, at: Nanos, happening: Happening) {
        self.heap.push(Reverse((at, self.numbered, happening)));
        self.numbered += 1;
    }

    fn admit(&mut self, slot: u32, at: Nanos) {
        if let Some(admitted) = self.admission.admit(slot, at) {
            self.at(admitted.at, Happening::Start { slot, instance: admitted.instance });
        }
    }

    fn start(&mut self, now: Nanos, slot: u32, planned: PlannedTrace) {
        let planned = Rc::new(planned);
        let trace = Shared(Rc::clone(&planned));
        let session = Session::start(trace, RetryOptions::default(), now, &mut self.actions);
        let (ends, flights) = (BTreeMap::new(), BTreeMap::new());
        self.slots[slot as usize] = Some(Live { planned, session, ends, flights });
        self.act(now, slot);
    }

    /// Begins requests, in order of arrival: all of them at once; in steps one after the other's prompt, as far
    /// as there is room beside those that run.
    fn begin(&mut self, now: Nanos) {
        while let Some(&(slot, step)) = self.queue.front() {
            if self.pace.in_steps && (self.answers.busy > now || !self.has_room(slot, step)) {
                return;
            }
            self.queue.pop_front();
            self.send(now, slot, step);
        }
    }

    /// Whether a prompt has room beside the requests that run; beside none it always has.
    fn has_room(&self, slot: u32, step: StepId) -> bool {
        if self.blocks == u64::MAX {
            return true;
        }
        let live = self.slots[slot as usize].as_ref().expect(ALIVE);
        let (from, text) = live.prompt(step);
        let spot = self.stack.follow(from, &text);
        let used = self.stack.in_use();
        used == 0 || used + self.stack.needs(spot, text.end()) <= self.blocks
    }

    /// Looks a prompt up and puts what is found to use; in steps the rest as well, since others find what is
    /// being computed.
    fn send(&mut self, now: Nanos, slot: u32, step: StepId) {
        let live = self.slots[slot as usize].as_mut().expect(ALIVE);
        let (from, text) = live.prompt(step);
        let prompt = live.planned.trace.steps[step as usize].prompt_tokens;
        let spot = self.stack.follow(from, &text);
        let found = self.stack.depths(spot, prompt - 1);
        let hit = self.stack.held(&found, self.blocks).min(prompt - 1);
        let mut lease = self.stack.take_known(Spot::default(), spot);
        let mut rest = Passage::at(lease.tokens());
        rest.extend(&text, text.end());
        if self.pace.in_steps {
            lease = self.stack.take(lease, &rest);
            rest = Passage::at(lease.tokens());
        }
        live.flights.insert(step, Flight { lease, rest, found, hit });
        let first = self.computed(now, hit, prompt - hit);
        self.at(first, Happening::FirstToken { slot, step });
    }

    /// Keeps the whole prompt.
    fn first_token(&mut self, now: Nanos, slot: u32, step: StepId) {
        let live = self.slots[slot as usize].as_mut().expect(ALIVE);
        let flight = live.flights.get_mut(&step).expect("a token is of a request");
        flight.lease = self.stack.take(flight.lease, &flight.rest);
        live.ends.insert(step, flight.lease);
        let of = &live.planned.trace.steps[step as usize];
        self.asked.requests += 1;
        self.asked.prompt_tokens += of.prompt_tokens;
        self.asked.hit_tokens += flight.hit;
        self.asked.ranges.add(&flight.found);
        live.session.first_token(step, now, &mut self.actions);
        let (more, end) = (of.output.tokens - 1, Happening::End { slot, step });
        if self.pace.in_steps {
            self.answers.add(more, (self.numbered, end), &self.pace);
            self.numbered += 1;
        } else {
            self.at(now.plus(nanos(self.pace.dwell.decode * float(more))), end);
        }
        self.act(now, slot);
    }

    /// Keeps the answer but for its newest token, and gives all of it back.
    fn end(&mut self, now: Nanos, slot: u32, step: StepId) {
        let live = self.slots[slot as usize].as_mut().expect(ALIVE);
        let Flight { lease, .. } = live.flights.remove(&step).expect("a request ends once");
        let generated = live.planned.trace.steps[step as usize].output.tokens;
        let mut answer = Passage::at(lease.tokens());
        answer.push(live.planned.answer_key(step).0, &(0..generated - 1));
        let lease = self.stack.take(lease, &answer);
        self.stack.release(lease);
        live.session.ended(step, StepEnd::Ok, now, &mut self.actions);
        self.act(now, slot);
        self.begin(now);
    }

    /// Carries out what a slot's session asks for.
    fn act(&mut self, now: Nanos, slot: u32) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Send { step, intent, attempt: _ } => {
                    self.at(intent, Happening::Send { slot, step });
                }
                Action::Cancel { step: _ } => unreachable!("nothing fails here"),
                Action::Over(_) => self.over(now, slot),
            }
        }
        self.actions = actions;
    }

    fn over(&mut self, now: Nanos, slot: u32) {
        let live = self.slots[slot as usize].take().expect("a trace ends once");
        if let Some(slot) = self.turns.leave(&live.planned) {
            self.at(now, Happening::Turn { slot });
        }
        self.admit(slot, now);
    }
}

impl Live {
    /// A step's prompt from where an answered step of its trace left off.
    fn prompt(&self, step: StepId) -> (Spot, Passage) {
        let context = &self.planned.trace.steps[step as usize].context;
        let goes_on = context.keep.is_none() && context.drop.is_empty();
        let from = context.from.filter(|_| goes_on).and_then(|from| self.ends.get(&from));
        let (spot, pieces): (Spot, Vec<Piece>) = match from {
            Some(spot) => (*spot, self.planned.continuation(step)),
            None => (Spot::default(), self.planned.prompt(step)),
        };
        let mut text = Passage::at(spot.tokens());
        text.add(&self.planned, &pieces);
        (spot, text)
    }
}

const ALIVE: &str = "what is due in a slot is of the trace in it";

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
fn float(tokens: Tokens) -> f64 {
    tokens as f64
}

fn nanos(time: f64) -> Nanos {
    Nanos(whole(time))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond 64 bits becomes the end of time, which it is"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}
