//! Requests that run side by side, against vLLM's scheduler written down naively: whole lists of tokens, and
//! all that happens in one step after another.

use std::{collections::VecDeque, num::NonZeroUsize};

use proptest::prelude::*;
use trie_core::units::Nanos;
use trie_sim::engine::{
    Engine, EngineConfig, Event, FinishReason, Policy, Request, RequestId, Sequence, Span,
    StepTime, Steps,
};

use crate::cache::{Naive, Token, sequences, tokens};

/// A step takes 1 ms, whatever is in it.
const STEP: Nanos = Nanos::from_millis(1);

/// A request, its tokens those of prompt and answer together.
struct Asked {
    at: Nanos,
    content: Sequence,
    tokens: Vec<Token>,
    prompt: usize,
}

/// What happened to which request, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Admitted { request: usize, cached: usize },
    Preempted { request: usize },
    Token { request: usize, index: usize },
}

#[derive(Default)]
struct Live {
    request: usize,
    generated: usize,
    computed: usize,
    ran_before: bool,
}

struct Reference<'a> {
    asked: &'a [Asked],
    cache: Naive,
    /// Tokens in a block of it.
    block: usize,
    /// Most tokens in a step.
    budget: usize,
    /// Most requests that run.
    seats: usize,
    waiting: VecDeque<Live>,
    running: Vec<Live>,
    said: Vec<(Nanos, Said)>,
}

impl Reference<'_> {
    fn replay(mut self) -> Vec<(Nanos, Said)> {
        let mut arrivals = (0..).zip(self.asked).peekable();
        let mut now = Nanos::ZERO;
        loop {
            while let Some((request, _)) = arrivals.next_if(|(_, asked)| asked.at <= now) {
                self.waiting.push_back(Live { request, ..Live::default() });
            }
            if !self.running.is_empty() || !self.waiting.is_empty() {
                self.step(now);
                now = now.plus(STEP);
            } else if let Some((_, next)) = arrivals.peek() {
                now = next.at;
            } else {
                return self.said;
            }
        }
    }

    /// Tokens of a request that are known: its prompt and what was generated.
    fn known(&self, one: &Live) -> usize {
        self.asked[one.request].prompt + one.generated
    }

    fn step(&mut self, now: Nanos) {
        let mut left = self.budget;
        let mut place = 0;
        let mut preempted = false;
        while place < self.running.len() && left > 0 {
            let one = &self.running[place];
            let want = left.min(self.known(one) - one.computed);
            let held = &self.asked[one.request].tokens;
            if self.cache.take(held, one.computed, one.computed + want) {
                self.running[place].computed += want;
                left -= want;
                place += 1;
            } else {
                preempted = true;
                self.preempt_last(now);
            }
        }
        while !preempted && left > 0 && self.running.len() < self.seats {
            match self.admit_next(now, left) {
                Some(want) => left -= want,
                None => break,
            }
        }
        self.end_step(now.plus(STEP));
    }

    fn preempt_last(&mut self, now: Nanos) {
        let last = self.running.pop().unwrap();
        self.cache.release(&self.asked[last.request].tokens, last.computed);
        self.said.push((now, Said::Preempted { request: last.request }));
        self.waiting.push_front(Live { computed: 0, ..last });
    }

    /// Tokens that the next one in the queue computes in this step, if there is one and room for it.
    fn admit_next(&mut self, now: Nanos, left: usize) -> Option<usize> {
        let next = self.waiting.front()?;
        let (request, known) = (next.request, self.known(next));
        let held = &self.asked[request].tokens;
        let cached = self.cache.hit(&held[..known - 1]) * self.block;
        let want = left.min(known - cached);
        if !self.cache.take(held, 0, cached + want) {
            return None;
        }
        let next = self.waiting.pop_front()?;
        if !next.ran_before {
            self.said.push((now, Said::Admitted { request, cached }));
        }
        self.running.push(Live { computed: cached + want, ran_before: true, ..next });
        Some(want)
    }

    fn end_step(&mut self, now: Nanos) {
        for place in 0..self.running.len() {
            let one = &self.running[place];
            let (request, index) = (one.request, one.generated);
            if one.computed == self.known(one) {
                self.said.push((now, Said::Token { request, index }));
                self.running[place].generated += 1;
            }
        }
        for one in std::mem::take(&mut self.running) {
            let held = &self.asked[one.request].tokens;
            if self.known(&one) == held.len() {
                self.cache.release(held, one.computed);
            } else {
                self.running.push(one);
            }
        }
    }
}

/// What the engine does with the same requests.
fn replay(config: EngineConfig, asked: &[Asked]) -> Vec<(Nanos, Said)> {
    let mut engine = Engine::new(config);
    let mut events = vec![];
    for (id, asked) in (0..).zip(asked) {
        let request = Request {
            id: RequestId(id),
            prompt_tokens: asked.prompt,
            output_tokens: asked.tokens.len() - asked.prompt,
            finish: FinishReason::Length,
            content: asked.content.clone(),
        };
        engine.arrive(asked.at, request, &mut events);
    }
    while let Some(next) = engine.next_wake() {
        engine.wake(next, &mut events);
    }
    events.iter().map(|event| (event.at(), said(event))).collect()
}

fn said(event: &Event) -> Said {
    let request = usize::try_from(event.id().0).unwrap();
    match *event {
        Event::Admitted { cached_tokens: cached, .. } => Said::Admitted { request, cached },
        Event::Preempted { .. } => Said::Preempted { request },
        Event::Token { index, .. } => Said::Token { request, index },
    }
}

/// One request by how it differs from those before it.
#[derive(Clone, Debug)]
struct Draft {
    /// Which request's prompt and answer it goes on from, if any.
    goes_on: Option<usize>,
    new: Sequence,
    output: usize,
    /// Half steps since the one before.
    gap: u64,
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let draft = (proptest::option::of(any::<usize>()), sequences(), 1..9_usize, 0..9_u64);
    let draft = draft.prop_map(|(goes_on, new, output, gap)| Draft { goes_on, new, output, gap });
    proptest::collection::vec(draft, 1..30)
}

/// The requests that a cache of `room` tokens can hold.
fn asked(drafts: Vec<Draft>, room: usize) -> Vec<Asked> {
    let mut asked: Vec<Asked> = vec![];
    let mut at = Nanos::ZERO;
    for (number, Draft { goes_on, new, output, gap }) in (0_u128..).zip(drafts) {
        at = at.plus(Nanos(gap * STEP.0 / 2));
        let before = goes_on.filter(|_| !asked.is_empty()).map(|which| which % asked.len());
        let mut content = before.map(|which| asked[which].content.clone()).unwrap_or_default();
        content.extend(new.slice(0, new.len()));
        let prompt = content.len();
        content.push(Span { key: 1_000 + number, from: 0, tokens: output });
        if content.len() <= room {
            asked.push(Asked { at, tokens: tokens(&content), content, prompt });
        }
    }
    asked
}

#[test]
fn equal_prompts_in_chunks_come_to_share_a_block() {
    let content: Sequence = [Span { key: 1, from: 0, tokens: 5 }].into_iter().collect();
    let one =
        || Asked { at: Nanos::ZERO, tokens: tokens(&content), content: content.clone(), prompt: 4 };
    let chunks = NonZeroUsize::new(2);
    let time = StepTime { p0: 1.0, ..StepTime::default() };
    let steps = Steps { long_prefill_tokens: chunks, time, ..Steps::default() };
    let config = EngineConfig {
        policy: Policy::Steps(steps),
        block: NonZeroUsize::new(4).unwrap(),
        cache_tokens: 16,
        max_num_seqs: None,
    };
    let admitted = |request| (Nanos::ZERO, Said::Admitted { request, cached: 0 });
    let answered = |request| (Nanos::from_millis(2), Said::Token { request, index: 0 });
    let expected = [admitted(0), admitted(1), answered(0), answered(1)];
    assert_eq!(replay(config, &[one(), one()]), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Of the workloads drawn nearly half preempt, and 4 of 10 requests find something in the cache.
    #[test]
    fn requests_side_by_side_find_preempt_and_end_as_a_naive_scheduler_says(
        block in 1..5_usize,
        capacity in 16..50_usize,
        budget in 3..40_usize,
        seats in 1..7_usize,
        drafts in drafts(),
    ) {
        let asked = asked(drafts, block * capacity);
        let some = |count| NonZeroUsize::new(count).unwrap();
        let time = StepTime { p0: 1.0, ..StepTime::default() };
        let steps = Steps { max_num_batched_tokens: some(budget), time, ..Steps::default() };
        let config = EngineConfig {
            policy: Policy::Steps(steps),
            block: some(block),
            cache_tokens: block * capacity,
            max_num_seqs: Some(some(seats)),
        };
        let reference = Reference {
            asked: &asked,
            cache: Naive::new(block, capacity),
            block,
            budget,
            seats,
            waiting: VecDeque::new(),
            running: vec![],
            said: vec![],
        };
        prop_assert_eq!(replay(config, &asked), reference.replay());
    }
}
