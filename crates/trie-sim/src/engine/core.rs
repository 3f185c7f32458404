//! The engine as its drivers see it.

use trie_core::units::Nanos;

use super::{
    counters::Counters,
    request::{Event, Request, RequestId},
    scheduled::{Scheduled, Times},
    sequence::Sequence,
    settings::{EngineConfig, Policy},
    stepped::Stepped,
};

/// The engine: takes what happened with its time, gives back what it did with the time it did it.
///
/// Times are since the engine's start and must not decrease from call to call. What is due is done in
/// order of time and then of scheduling, so that the same calls always give the same events. A call that
/// comes late changes no event's time.
#[derive(Debug)]
pub struct Engine {
    work: Work,
    counters: Counters,
}

#[derive(Debug)]
enum Work {
    Scheduled(Box<Scheduled>),
    Stepped(Box<Stepped>),
}

impl Engine {
    /// An engine at time 0 with an empty cache.
    pub fn new(config: EngineConfig) -> Self {
        let work = match config.policy {
            Policy::Fixed { api, ttft, prefill, itl } => {
                let times = Times { first: api.plus(ttft), uncached: prefill, next: itl };
                Work::Scheduled(Box::new(Scheduled::new(&config, times)))
            }
            Policy::Instant => Work::Scheduled(Box::new(Scheduled::new(&config, Times::default()))),
            Policy::Steps(steps) => Work::Stepped(Box::new(Stepped::new(&config, steps))),
        };
        Self { work, counters: Counters::default() }
    }

    /// Whether a request whose prompt and answer have so many tokens could ever run. One that could not
    /// must be refused by the driver.
    pub fn fits(&self, tokens: usize) -> bool {
        match &self.work {
            Work::Scheduled(_) => true,
            Work::Stepped(stepped) => stepped.fits(tokens),
        }
    }

    /// A request came in. What is due before its time is done first; an engine that works in steps does
    /// what is due at that very time with the next [`wake`](Self::wake), so that requests of one instant
    /// are in one step.
    ///
    /// # Panics
    ///
    /// When its prompt or its answer has no token, its content has another length than both, it does not
    /// [fit](Self::fits), or its number is in use.
    pub fn arrive(&mut self, now: Nanos, request: Request, events: &mut Vec<Event>) {
        request.check();
        match &mut self.work {
            Work::Scheduled(work) => work.arrive(now, request, &mut self.counters, events),
            Work::Stepped(work) => work.arrive(now, request, &mut self.counters, events),
        }
    }

    /// A request is no longer wanted; one that has ended already is left alone.
    ///
    /// What was computed for it stays in the cache.
    pub fn cancel(&mut self, now: Nanos, id: RequestId, events: &mut Vec<Event>) {
        let there = match &mut self.work {
            Work::Scheduled(work) => work.cancel(now, id, &mut self.counters, events),
            Work::Stepped(work) => work.cancel(now, id, &mut self.counters, events),
        };
        self.counters.cancelled += u64::from(there);
    }

    /// Time has come to `now`.
    pub fn wake(&mut self, now: Nanos, events: &mut Vec<Event>) {
        match &mut self.work {
            Work::Scheduled(work) => work.advance(now, &mut self.counters, events),
            Work::Stepped(work) => work.advance(now, &mut self.counters, events),
        }
    }

    /// When the engine next does something if nothing else happens; None when it is idle.
    pub fn next_wake(&self) -> Option<Nanos> {
        match &self.work {
            Work::Scheduled(work) => work.next_wake(),
            Work::Stepped(work) => work.next_wake(),
        }
    }

    /// Takes text into the cache as if it had been computed, at no cost of time. How many of its tokens
    /// are held then: whole blocks, as far as there is room.
    pub fn remember(&mut self, content: &Sequence) -> usize {
        match &mut self.work {
            Work::Scheduled(work) => work.remember(content),
            Work::Stepped(work) => work.remember(content),
        }
    }

    /// How many of the first tokens of `content` are in the cache.
    pub fn holds(&self, content: &Sequence) -> usize {
        match &self.work {
            Work::Scheduled(work) => work.holds(content),
            Work::Stepped(work) => work.holds(content),
        }
    }

    /// Forgets every cached block that no running request uses.
    pub fn reset_prefix_cache(&mut self) {
        match &mut self.work {
            Work::Scheduled(work) => work.forget(),
            Work::Stepped(work) => work.forget(),
        }
    }

    /// Requests being worked on.
    pub fn running(&self) -> usize {
        match &self.work {
            Work::Scheduled(work) => work.running(),
            Work::Stepped(work) => work.running(),
        }
    }

    /// Requests in the queue.
    pub fn waiting(&self) -> usize {
        match &self.work {
            Work::Scheduled(work) => work.waiting(),
            Work::Stepped(work) => work.waiting(),
        }
    }

    /// How much of the cache is used, and its capacity, in blocks (with llama.cpp's slots in tokens). An
    /// engine that works in steps counts what running requests use, one on a schedule all that is kept.
    pub fn cache_use(&self) -> (usize, usize) {
        match &self.work {
            Work::Scheduled(work) => work.cache_use(),
            Work::Stepped(work) => work.cache_use(),
        }
    }

    /// Sums since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
