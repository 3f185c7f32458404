//! An engine that works in steps.

use std::collections::VecDeque;

use trie_core::{draw::uniform, units::Nanos};

use super::{
    counters::Counters,
    progress::Progress,
    request::{Event, Request, RequestId},
    sequence::Sequence,
    settings::{EngineConfig, Scheduler, Steps},
    store::{Hold, Store},
    timing::StepLoad,
};

/// Most requests that are sorted by the length of their cached prefix.
const SORTED: usize = 128;

/// The state of an engine that works in steps. A step begins when the one before has ended and there is
/// work; what arrives at the very time it begins is in it.
#[derive(Debug)]
pub(super) struct Stepped {
    steps: Steps,
    most_running: usize,
    store: Store,
    /// In order of arrival, but for preempted ones, which go first.
    waiting: VecDeque<Box<Live>>,
    /// In order of admission.
    running: Vec<Running>,
    /// When the step that is in work ends.
    ends: Option<Nanos>,
    /// When the last one ended.
    free_since: Nanos,
    step: u64,
    /// Tokens on their way out.
    outbox: VecDeque<Event>,
}

/// A request that is not over.
#[derive(Debug)]
struct Live {
    progress: Progress,
    /// When the scheduler sees it.
    visible: Nanos,
    /// Whether it has run before.
    admitted: bool,
}

impl Live {
    fn id(&self) -> RequestId {
        self.progress.request.id
    }

    fn content(&self) -> &Sequence {
        &self.progress.request.content
    }
}

/// A request that runs.
#[derive(Debug)]
struct Running {
    live: Box<Live>,
    hold: Hold,
    /// Tokens whose keys and values are there.
    computed: usize,
    /// Tokens that the step in work adds to them.
    scheduled: usize,
    /// Tokens of a draft that the step checks and that are not among those.
    rejected: usize,
}

impl Running {
    fn decodes(&self) -> bool {
        let progress = &self.live.progress;
        progress.generated > 0 && progress.known() - self.computed == 1
    }
}

/// What a step may still do, and has to do so far.
struct Plan {
    budget: usize,
    load: StepLoad,
    loaded: usize,
    /// How many requests lost their place to it.
    preempted: u64,
}

impl Plan {
    fn is_empty(&self) -> bool {
        self.load.tokens == 0
    }
}

impl Stepped {
    pub(super) fn new(config: &EngineConfig, steps: Steps) -> Self {
        Self {
            steps,
            most_running: config.most_running(),
            store: Store::new(config, &steps),
            waiting: VecDeque::new(),
            running: Vec::new(),
            ends: None,
            free_since: Nanos::ZERO,
            step: 0,
            outbox: VecDeque::new(),
        }
    }

    pub(super) fn fits(&self, tokens: usize) -> bool {
        self.store.fits(tokens)
    }

    pub(super) fn arrive(
        &mut self,
        now: Nanos,
        request: Request,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) {
        let tokens = request.prompt_tokens + request.output_tokens;
        assert!(self.fits(tokens), "a request of {tokens} tokens could never run");
        self.advance_before(now, counters, events);
        let visible = now.plus(self.steps.api_in);
        let live = Live { progress: Progress::new(request, now), visible, admitted: false };
        self.waiting.push_back(Box::new(live));
    }

    /// Whether the request was there.
    pub(super) fn cancel(
        &mut self,
        now: Nanos,
        id: RequestId,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) -> bool {
        self.advance_before(now, counters, events);
        let on_its_way = self.outbox.len();
        self.outbox.retain(|event| event.id() != id);
        if let Some(place) = self.running.iter().position(|one| one.live.id() == id) {
            let one = self.running.remove(place);
            self.store.release(one.hold, one.live.content(), one.computed);
            return true;
        }
        let waiting = self.waiting.len();
        self.waiting.retain(|live| live.id() != id);
        self.waiting.len() < waiting || self.outbox.len() < on_its_way
    }

    /// Does everything that is due up to `now`.
    pub(super) fn advance(&mut self, now: Nanos, counters: &mut Counters, events: &mut Vec<Event>) {
        while let Some(due) = self.next_wake()
            && due <= now
        {
            if self.outbox.front().is_some_and(|event| event.at() == due) {
                events.extend(self.outbox.pop_front());
            } else if self.ends.take().is_some() {
                self.end_step(due, counters, events);
                self.free_since = due;
            } else {
                let time = self.begin_step(due, counters, events);
                self.ends = Some(due.plus(time));
            }
        }
    }

    fn advance_before(&mut self, now: Nanos, counters: &mut Counters, events: &mut Vec<Event>) {
        if let Some(before) = now.0.checked_sub(1) {
            self.advance(Nanos(before), counters, events);
        }
    }

    pub(super) fn next_wake(&self) -> Option<Nanos> {
        let step = self.ends.or_else(|| self.next_start());
        let out = self.outbox.front().map(Event::at);
        [step, out].into_iter().flatten().min()
    }

    pub(super) fn remember(&mut self, content: &Sequence) -> usize {
        let tokens = content.len();
        if let Some(hold) = self.store.admit(content, tokens, tokens, tokens) {
            self.store.release(hold, content, tokens);
        }
        self.holds(content)
    }

    pub(super) fn holds(&self, content: &Sequence) -> usize {
        self.store.hit(content, content.len()).cached
    }

    pub(super) fn forget(&mut self) {
        self.store.forget();
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn cache_use(&self) -> (usize, usize) {
        self.store.usage()
    }

    /// When the next step begins; None where there is no work.
    fn next_start(&self) -> Option<Nanos> {
        if !self.running.is_empty() {
            return Some(self.free_since);
        }
        self.waiting.front().map(|live| live.visible.max(self.free_since))
    }

    /// Fills a step and gives its time.
    fn begin_step(
        &mut self,
        now: Nanos,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) -> Nanos {
        let mut plan = Plan {
            budget: self.steps.max_num_batched_tokens.get(),
            load: StepLoad::default(),
            loaded: 0,
            preempted: 0,
        };
        match self.steps.scheduler {
            Scheduler::Vllm | Scheduler::Trtllm | Scheduler::Llamacpp => {
                self.go_on(now, &mut plan, |_| true, events);
                self.admit(now, &mut plan, counters, events);
            }
            Scheduler::Sglang { longest_prefix_first } => {
                if longest_prefix_first {
                    self.sort_waiting(now);
                }
                self.go_on(now, &mut plan, |one| !one.decodes(), events);
                self.admit(now, &mut plan, counters, events);
                if plan.is_empty() {
                    self.go_on(now, &mut plan, Running::decodes, events);
                }
            }
        }
        counters.preemptions += plan.preempted;
        assert!(!plan.is_empty(), "a request that fits can run alone");
        let more = self.store.load_millis(plan.loaded);
        self.step += 1;
        self.steps.time.of_step(plan.load, more, self.steps.seed, self.step)
    }

    /// Gives the running requests that take part their share of the step, in order of admission. Where
    /// there is no room, the last one is preempted.
    fn go_on(
        &mut self,
        now: Nanos,
        plan: &mut Plan,
        takes_part: impl Fn(&Running) -> bool,
        events: &mut Vec<Event>,
    ) {
        let mut place = 0;
        while place < self.running.len() && plan.budget > 0 {
            let one = &mut self.running[place];
            if !takes_part(one) {
                place += 1;
                continue;
            }
            let progress = &one.live.progress;
            let mut want = share(&self.steps, progress.known() - one.computed, plan);
            if one.decodes() && want > 0 {
                let accepted;
                (accepted, one.rejected) = drafts(&self.steps, progress, plan.budget - want);
                want += accepted;
            }
            let content = &progress.request.content;
            if want == 0 || self.store.extend(&mut one.hold, content, one.computed + want) {
                one.scheduled = want;
                if want > 0 {
                    plan.add(one);
                }
                place += 1;
            } else {
                plan.preempted += 1;
                let id = self.preempt_last();
                events.push(Event::Preempted { id, at: now });
            }
        }
    }

    fn preempt_last(&mut self) -> RequestId {
        let last = self.running.pop().expect("a request that found no room runs");
        assert_eq!(last.scheduled, 0, "who is preempted has no share of the step yet");
        self.store.release(last.hold, last.live.content(), last.computed);
        let id = last.live.id();
        self.waiting.push_front(last.live);
        id
    }

    /// Admits waiting requests in order, until one has no room.
    fn admit(
        &mut self,
        now: Nanos,
        plan: &mut Plan,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) {
        while plan.preempted == 0
            && plan.budget > 0
            && self.running.len() < self.most_running
            && let Some(live) = self.waiting.front().filter(|live| live.visible <= now)
        {
            let known = live.progress.known();
            let content = live.content();
            let hit = self.store.hit(content, known - 1);
            let want = share(&self.steps, known - hit.cached, plan);
            if want == 0 {
                return;
            }
            let to = hit.cached + want;
            let Some(hold) = self.store.admit(content, known - 1, to, live.progress.most()) else {
                return;
            };
            let mut live = self.waiting.pop_front().expect("it was looked at just before");
            if !live.admitted {
                live.admitted = true;
                counters.admitted(live.progress.request.prompt_tokens, hit.cached);
                let id = live.id();
                events.push(Event::Admitted { id, at: now, cached_tokens: hit.cached });
            }
            plan.loaded += hit.loaded;
            let one = Running { live, hold, computed: hit.cached, scheduled: want, rejected: 0 };
            plan.add(&one);
            self.running.push(one);
        }
    }

    /// Brings those with the longest cached prefix to the front of the requests that are seen.
    fn sort_waiting(&mut self, now: Nanos) {
        let seen = self.waiting.iter().take_while(|live| live.visible <= now).count();
        if seen <= SORTED {
            let store = &self.store;
            self.waiting.make_contiguous()[..seen].sort_by_cached_key(|live| {
                let hit = store.hit(live.content(), live.progress.known() - 1);
                std::cmp::Reverse(hit.cached)
            });
        }
    }

    /// Emits a token of each request that is through with what is known of it.
    fn end_step(&mut self, end: Nanos, counters: &mut Counters, events: &mut Vec<Event>) {
        let at = end.plus(self.steps.api_out);
        let mut over = false;
        for one in &mut self.running {
            let tokens = if one.decodes() { one.scheduled } else { 1 };
            one.computed += std::mem::take(&mut one.scheduled);
            one.rejected = 0;
            let progress = &mut one.live.progress;
            if one.computed < progress.known() {
                continue;
            }
            let token = progress.emit(at, tokens, self.step, counters);
            over |= progress.is_done();
            if self.steps.api_out == Nanos::ZERO {
                events.push(token);
            } else {
                self.outbox.push_back(token);
            }
        }
        if over {
            self.give_back();
        }
    }

    /// Takes the requests that are over out of those that run.
    fn give_back(&mut self) {
        let over = self.running.extract_if(.., |one| one.live.progress.is_done());
        for one in over {
            self.store.release(one.hold, one.live.content(), one.computed);
        }
    }
}

impl Plan {
    fn add(&mut self, one: &Running) {
        let wide = |tokens: usize| u64::try_from(tokens).expect("tokens in memory fit in 64 bits");
        let tokens = one.scheduled + one.rejected;
        self.budget = self.budget.saturating_sub(tokens);
        if one.decodes() {
            self.load.add_decode(wide(tokens), wide(one.computed));
        } else {
            self.load.add_chunk(wide(one.scheduled), wide(one.computed));
        }
    }
}

/// How many of the tokens that a request has left a step takes.
fn share(steps: &Steps, left: usize, plan: &Plan) -> usize {
    let most = steps.long_prefill_tokens.map_or(left, |most| left.min(most.get()));
    if steps.chunked_prefill {
        return most.min(plan.budget);
    }
    if left <= plan.budget || plan.is_empty() { left } else { 0 }
}

/// Names the random stream of drafts.
const DRAFT: u64 = 0x6472_6166_7400;

/// Of the tokens that a draft proposes behind a request's next one, how many are taken and how many are
/// not. Whether one is depends on the request and its place in the answer alone, not on what else runs.
fn drafts(steps: &Steps, progress: &Progress, budget: usize) -> (usize, usize) {
    let Some(speculation) = steps.speculation else { return (0, 0) };
    let Progress { request, generated, .. } = progress;
    let left = request.output_tokens - generated - 1;
    let proposed = speculation.tokens.get().min(left).min(budget);
    let stream = DRAFT.wrapping_add(request.id.0);
    let is_right = |place: &usize| {
        let place = u64::try_from(*place).expect("a length in memory fits in 64 bits");
        uniform(steps.seed, stream, place) < speculation.acceptance
    };
    let accepted = (generated + 1..).take(proposed).take_while(is_right).count();
    (accepted, proposed - accepted)
}
