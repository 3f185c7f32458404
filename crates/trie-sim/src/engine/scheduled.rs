//! An engine on a schedule: the time of each token depends on its request alone.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use trie_core::units::Nanos;

use super::{
    cache::{Lease, PrefixCache},
    counters::Counters,
    progress::Progress,
    request::{Event, Request, RequestId},
    sequence::Sequence,
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
    /// Tokens emitted.
    step: u64,
}

#[derive(Debug)]
struct Live {
    progress: Progress,
    /// Leading blocks that it has put to use in the cache; None while it waits.
    lease: Option<Lease>,
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
            step: 0,
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
        let earlier =
            self.live.insert(id, Live { progress: Progress::new(request, now), lease: None });
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
        match live.lease {
            Some(lease) => self.end(&live.progress, lease),
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

    pub(super) fn remember(&mut self, content: &Sequence) -> usize {
        let mut lease = Lease::default();
        self.cache.take_blocks(&mut lease, content, content.len() / self.block);
        self.cache.release(lease);
        self.holds(content)
    }

    pub(super) fn holds(&self, content: &Sequence) -> usize {
        self.cache.hit(content, content.len()) * self.block
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
            let Request { content, prompt_tokens, .. } = &live.progress.request;
            // The last prompt token is always computed anew.
            let blocks = self.cache.hit(content, prompt_tokens - 1);
            let cached_tokens = blocks * self.block;
            let mut lease = Lease::default();
            self.cache.take_blocks(&mut lease, content, blocks);
            let uncached = u64::try_from(prompt_tokens - cached_tokens).unwrap_or(u64::MAX);
            let work = Nanos(self.times.uncached.0.saturating_mul(uncached));
            live.lease = Some(lease);
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
        let lease = live.lease.as_mut().expect("only a running request has a token due");
        let Request { content, prompt_tokens, .. } = &live.progress.request;
        if live.progress.generated == 0 {
            self.cache.take_blocks(lease, content, prompt_tokens / self.block);
        }
        self.step += 1;
        events.push(live.progress.emit(at, 1, self.step, counters));
        if live.progress.is_done() {
            self.finish(at, id, counters, events);
        } else {
            self.schedule(at.plus(self.times.next), id);
        }
    }

    fn finish(
        &mut self,
        at: Nanos,
        id: RequestId,
        counters: &mut Counters,
        events: &mut Vec<Event>,
    ) {
        let live = self.live.remove(&id).expect("what finishes is alive");
        self.end(&live.progress, live.lease.expect("what finishes was running"));
        self.admit(at, counters, events);
    }

    /// Keeps what was computed for a request, and gives back what it used.
    ///
    /// The newest token is never in the cache: its keys and values are computed with the next one.
    fn end(&mut self, progress: &Progress, mut lease: Lease) {
        if progress.generated > 0 {
            let computed = progress.known() - 1;
            self.cache.take_blocks(&mut lease, &progress.request.content, computed / self.block);
        }
        self.cache.release(lease);
        self.running -= 1;
    }
}
