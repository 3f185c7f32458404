//! An engine on a schedule: the time of each token depends on its request alone.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use trie_core::units::Nanos;

use super::{
    cache::{Lease, PrefixCache},
    counters::Counters,
    request::{Event, FinishReason, Request, RequestId},
    settings::EngineConfig,
};

/// From admission to the first token, and from token to token.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    /// To the first token of a fully cached prompt.
    pub(super) first: Nanos,
    /// Added for each prompt token that is not cached.
    pub(super) uncached: Nanos,
    pub(super) next: Nanos,
}

/// The state of an engine on a schedule.
#[derive(Debug)]
pub(super) struct Scheduled {
    times: Times,
    block: usize,
    most_running: usize,
    cache: PrefixCache,
    live: BTreeMap<RequestId, Live>,
    waiting: VecDeque<RequestId>,
    running: usize,
    due: BinaryHeap<Reverse<(Nanos, u64, RequestId)>>,
    next_sequence: u64,
}

#[derive(Debug)]
struct Live {
    request: Request,
    arrived: Nanos,
    /// None while it waits.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Leading blocks that this request has put to use in the cache.
    lease: Lease,
    generated: usize,
}

impl Scheduled {
    pub(super) fn new(config: &EngineConfig, times: Times) -> Self {
        Self {
            times,
            block: config.block.get(),
            most_running: config.most_running(),
            cache: PrefixCache::new(config.block, config.blocks()),
            live: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: 0,
            due: BinaryHeap::new(),
            next_sequence: 0,
        }
    }

    pub(super) fn arrive(
        &mut self,
        now: Nanos,
        request: Request,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) {
        self.advance(now, counters, events);
        let id = request.id;
        let earlier = self.live.insert(id, Live { request, arrived: now, running: None });
        assert!(earlier.is_none(), "request {} arrives once", id.0);
        self.waiting.push_back(id);
        self.admit(now, counters, events);
        self.advance(now, counters, events);
    }

    /// Whether the request was there.
    pub(super) fn cancel(
        &mut self,
        now: Nanos,
        id: RequestId,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) -> bool {
        self.advance(now, counters, events);
        let Some(live) = self.live.remove(&id) else { return false };
        match live.running {
            Some(running) => self.end(&live.request, running),
            None => self.waiting.retain(|waiting| *waiting != id),
        }
        self.admit(now, counters, events);
        self.advance(now, counters, events);
        true
    }

    /// Does everything that is due up to `now`.
    pub(super) fn advance(&mut self, now: Nanos, counters: &mut Counters, events: &mut Vec<Event>) {
        while let Some(Reverse((at, _, id))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            self.emit(at, id, counters, events);
        }
    }

    pub(super) fn next_wake(&self) -> Option<Nanos> {
        self.due.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(super) fn forget(&mut self) {
        self.cache.forget();
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn cache_use(&self) -> (usize, usize) {
        (self.cache.len(), self.cache.capacity())
    }

    fn admit(&mut self, now: Nanos, counters: &mut Counters, events: &mut Vec<Event>) {
        while self.running < self.most_running
            && let Some(id) = self.waiting.pop_front()
        {
            let live = self.live.get_mut(&id).expect("what waits is alive");
            let Request { content, prompt_tokens, .. } = &live.request;
            // The last prompt token is always computed anew.
            let blocks = self.cache.hit(content, prompt_tokens - 1);
            let cached_tokens = blocks * self.block;
            let mut lease = Lease::default();
            self.cache.take_blocks(&mut lease, content, blocks);
            let uncached = u64::try_from(prompt_tokens - cached_tokens).unwrap_or(u64::MAX);
            let work = Nanos(self.times.uncached.0.saturating_mul(uncached));
            live.running = Some(Running { lease, generated: 0 });
            self.running += 1;
            counters.admitted(*prompt_tokens, cached_tokens);
            events.push(Event::Admitted { id, at: now, cached_tokens });
            self.schedule(now.plus(self.times.first).plus(work), id);
        }
    }

    fn schedule(&mut self, at: Nanos, id: RequestId) {
        self.due.push(Reverse((at, self.next_sequence, id)));
        self.next_sequence += 1;
    }

    /// Emits the token that is due; a request cancelled meanwhile has none.
    fn emit(&mut self, at: Nanos, id: RequestId, counters: &mut Counters, events: &mut Vec<Event>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let running = live.running.as_mut().expect("only a running request has a token due");
        let index = running.generated;
        running.generated += 1;
        let Request { content, prompt_tokens, .. } = &live.request;
        if index == 0 {
            self.cache.take_blocks(&mut running.lease, content, prompt_tokens / self.block);
        }
        counters.token(index == 0, *prompt_tokens, at.since(live.arrived).unwrap_or_default());
        let last = running.generated == live.request.output_tokens;
        let finish = last.then_some(live.request.finish);
        events.push(Event::Token { id, at, index, finish });
        match finish {
            None => self.schedule(at.plus(self.times.next), id),
            Some(reason) => self.finish((at, id, reason), counters, events),
        }
    }

    fn finish(
        &mut self,
        (at, id, why): (Nanos, RequestId, FinishReason),
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) {
        let live = self.live.remove(&id).expect("what finishes is alive");
        counters.finished(why, at.since(live.arrived).unwrap_or_default());
        self.end(&live.request, live.running.expect("what finishes was running"));
        self.admit(at, counters, events);
    }

    /// Keeps what was computed for a request, and gives back what it used.
    ///
    /// The newest token is never in the cache: its keys and values are computed with the next one.
    fn end(&mut self, request: &Request, mut running: Running) {
        if running.generated > 0 {
            let computed = request.prompt_tokens + running.generated - 1;
            self.cache.take_blocks(&mut running.lease, &request.content, computed / self.block);
        }
        self.cache.release(running.lease);
        self.running -= 1;
    }
}
