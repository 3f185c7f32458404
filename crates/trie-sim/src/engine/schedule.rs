//! When each request is admitted and each token emitted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    num::NonZeroUsize,
    time::Duration,
};

use super::{blocks::BlockHash, cache::PrefixCache, counters::Counters};

/// A request's number, given by the driver and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One request as the engine sees it: lengths and the names of its blocks.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// Length of the prompt in tokens, at least 1.
    pub prompt_tokens: usize,
    /// Length of the answer in tokens, at least 1: the driver knows how it will end.
    pub output_tokens: usize,
    /// Why it ends there.
    pub finish: FinishReason,
    /// Names of the full blocks of prompt and answer together.
    pub blocks: Vec<BlockHash>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The limit of tokens was reached.
    Length,
    /// The model ended it.
    Stop,
}

/// What the engine did, and when (time since the engine's start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request left the queue.
    Admitted {
        /// Which.
        id: RequestId,
        /// When.
        at: Duration,
        /// Prompt tokens that needed no work.
        cached_tokens: usize,
    },
    /// A token of the answer was emitted.
    Token {
        /// Of which request.
        id: RequestId,
        /// When.
        at: Duration,
        /// The token's place in the answer, from 0.
        index: usize,
        /// With the last token, why it is the last.
        finish: Option<FinishReason>,
    },
}

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// On a schedule, whatever else runs: the truth is known to the nanosecond.
    Fixed {
        /// From arrival to admission at the earliest, and in no way dependent on the prompt.
        api: Duration,
        /// From admission to the first token of a fully cached prompt.
        ttft: Duration,
        /// Added to the time to first token for each prompt token that is not cached.
        prefill: Duration,
        /// From each token to the next.
        itl: Duration,
    },
    /// Everything at once.
    Instant,
}

/// The shape of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long things take.
    pub policy: Policy,
    /// Tokens in a block of the prefix cache.
    pub block: NonZeroUsize,
    /// Capacity of the prefix cache in tokens; what fills no block is not used.
    pub cache_tokens: usize,
    /// Requests worked on at once; later ones wait in order of arrival. None: no limit.
    pub max_num_seqs: Option<NonZeroUsize>,
}

/// The engine: takes what happened with its time, gives back what it did with the time it did it.
///
/// Times are since the engine's start and must not decrease from call to call. Everything due up to the
/// time of a call is done first, in order of time and then of scheduling, so that the same calls always
/// give the same events. A call that comes late changes no event's time.
#[derive(Clone, Debug)]
pub struct Engine {
    config: EngineConfig,
    cache: PrefixCache,
    live: BTreeMap<RequestId, Live>,
    waiting: VecDeque<RequestId>,
    running: usize,
    due: BinaryHeap<Reverse<(Duration, u64, RequestId)>>,
    next_sequence: u64,
    counters: Counters,
}

#[derive(Clone, Debug)]
struct Live {
    request: Request,
    arrived: Duration,
    /// None while it waits.
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Leading blocks that this request has put to use in the cache.
    held: usize,
    generated: usize,
}

impl Engine {
    /// An engine at time 0 with an empty cache.
    pub fn new(config: EngineConfig) -> Self {
        Self {
            config,
            cache: PrefixCache::new(config.cache_tokens / config.block.get()),
            live: BTreeMap::new(),
            waiting: VecDeque::new(),
            running: 0,
            due: BinaryHeap::new(),
            next_sequence: 0,
            counters: Counters::default(),
        }
    }

    /// A request came in.
    ///
    /// # Panics
    ///
    /// When its prompt or its answer has no token, or its number is in use.
    pub fn arrive(&mut self, now: Duration, request: Request, events: &mut Vec<Event>) {
        assert!(request.prompt_tokens > 0 && request.output_tokens > 0, "a request has tokens");
        self.wake(now, events);
        let id = request.id;
        let earlier = self.live.insert(id, Live { request, arrived: now, running: None });
        assert!(earlier.is_none(), "request {} arrives once", id.0);
        self.waiting.push_back(id);
        self.admit(now, events);
        self.wake(now, events);
    }

    /// A request is no longer wanted; one that has ended already is left alone.
    ///
    /// What was computed for it stays in the cache.
    pub fn cancel(&mut self, now: Duration, id: RequestId, events: &mut Vec<Event>) {
        self.wake(now, events);
        let Some(live) = self.live.remove(&id) else { return };
        self.counters.cancelled += 1;
        match live.running {
            Some(running) => self.end(&live.request, running),
            None => self.waiting.retain(|waiting| *waiting != id),
        }
        self.admit(now, events);
        self.wake(now, events);
    }

    /// Time has come to `now`.
    pub fn wake(&mut self, now: Duration, events: &mut Vec<Event>) {
        while let Some(Reverse((at, _, id))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            self.emit(at, id, events);
        }
    }

    /// When the engine next does something if nothing else happens; None when it is idle.
    pub fn next_wake(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Forgets every cached block that no running request uses.
    pub fn reset_prefix_cache(&mut self) {
        self.cache.forget();
    }

    /// Requests being worked on.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Requests in the queue.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Blocks in the prefix cache, and its capacity in blocks.
    pub fn cache_use(&self) -> (usize, usize) {
        (self.cache.len(), self.config.cache_tokens / self.config.block.get())
    }

    /// Sums since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn admit(&mut self, now: Duration, events: &mut Vec<Event>) {
        let limit = self.config.max_num_seqs.map_or(usize::MAX, NonZeroUsize::get);
        while self.running < limit
            && let Some(id) = self.waiting.pop_front()
        {
            let live = self.live.get_mut(&id).expect("what waits is alive");
            let cached_tokens = cached_tokens(&self.cache, &live.request, self.config.block);
            let held = cached_tokens / self.config.block.get();
            let held = self.cache.acquire(&live.request.blocks[..held]);
            live.running = Some(Running { held, generated: 0 });
            self.running += 1;
            self.counters.queried_tokens += count(live.request.prompt_tokens);
            self.counters.hit_tokens += count(cached_tokens);
            let uncached = live.request.prompt_tokens - cached_tokens;
            events.push(Event::Admitted { id, at: now, cached_tokens });
            self.schedule(now + self.config.policy.first_token(uncached), id);
        }
    }

    fn schedule(&mut self, at: Duration, id: RequestId) {
        self.due.push(Reverse((at, self.next_sequence, id)));
        self.next_sequence += 1;
    }

    /// Emits the token that is due; a request cancelled meanwhile has none.
    fn emit(&mut self, at: Duration, id: RequestId, events: &mut Vec<Event>) {
        let Some(live) = self.live.get_mut(&id) else { return };
        let running = live.running.as_mut().expect("only a running request has a token due");
        let index = running.generated;
        running.generated += 1;
        self.counters.generated_tokens += 1;
        if index == 0 {
            let prompt_blocks = live.request.prompt_tokens / self.config.block.get();
            keep(&mut self.cache, &live.request.blocks[..prompt_blocks], running);
            self.counters.prompt_tokens += count(live.request.prompt_tokens);
            self.counters.ttft.add(at.saturating_sub(live.arrived));
        }
        let last = running.generated == live.request.output_tokens;
        let finish = last.then_some(live.request.finish);
        events.push(Event::Token { id, at, index, finish });
        match finish {
            None => self.schedule(at + self.config.policy.next_token(), id),
            Some(reason) => self.finish(at, id, reason, events),
        }
    }

    fn finish(&mut self, at: Duration, id: RequestId, why: FinishReason, events: &mut Vec<Event>) {
        let live = self.live.remove(&id).expect("what finishes is alive");
        match why {
            FinishReason::Length => self.counters.finished_length += 1,
            FinishReason::Stop => self.counters.finished_stop += 1,
        }
        self.counters.e2e.add(at.saturating_sub(live.arrived));
        self.end(&live.request, live.running.expect("what finishes was running"));
        self.admit(at, events);
    }

    /// Keeps what was computed for a request, and gives back what it used.
    ///
    /// The newest token is never in the cache: its keys and values are computed with the next one.
    fn end(&mut self, request: &Request, mut running: Running) {
        if running.generated > 0 {
            let computed = request.prompt_tokens + running.generated - 1;
            let blocks = computed / self.config.block.get();
            keep(&mut self.cache, &request.blocks[..blocks], &mut running);
        }
        self.cache.release(&request.blocks[..running.held]);
        self.running -= 1;
    }
}

impl Policy {
    fn first_token(self, uncached: usize) -> Duration {
        match self {
            Self::Fixed { api, ttft, prefill, itl: _ } => {
                let uncached = u32::try_from(uncached).unwrap_or(u32::MAX);
                api + ttft + prefill.saturating_mul(uncached)
            }
            Self::Instant => Duration::ZERO,
        }
    }

    fn next_token(self) -> Duration {
        match self {
            Self::Fixed { itl, .. } => itl,
            Self::Instant => Duration::ZERO,
        }
    }
}

/// Full blocks of the prompt that are kept; the last prompt token is always computed anew.
fn cached_tokens(cache: &PrefixCache, request: &Request, block: NonZeroUsize) -> usize {
    let block = block.get();
    let prompt_blocks = request.prompt_tokens / block;
    let hit = cache.hit(&request.blocks[..prompt_blocks]) * block;
    hit.min(request.prompt_tokens - 1) / block * block
}

/// Puts the blocks after those held to use as well, as far as there is room.
fn keep(cache: &mut PrefixCache, blocks: &[BlockHash], running: &mut Running) {
    if let Some(more) = blocks.get(running.held..) {
        running.held += cache.acquire(more);
    }
}

fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).expect("a length in memory fits in 64 bits")
}
