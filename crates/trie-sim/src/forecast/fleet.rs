//! The replicas of an engine, and who gets a request.

use trie_core::units::Nanos;

use super::{
    heap::{Happening, Heap},
    options::ForecastOptions,
};
use crate::engine::{Engine, EngineConfig, Event, Policy, Request, Sequence, Steps, draw};

/// Which replica gets a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Router {
    /// One after another.
    #[default]
    RoundRobin,
    /// All requests of a trace, or of a session, go to one: a hash of their routing key.
    Session,
    /// The one with the fewest requests, waiting and running.
    LeastLoaded,
}

/// Names the random streams of routing and of the replicas.
const ROUTE: u64 = 0x726f_7574_6500;
const REPLICA: u64 = 0x7265_706c_6963;

/// Text that was given to an engine before the clock started.
pub(super) struct Given {
    replica: usize,
    pub(super) content: Sequence,
    kept: usize,
}

pub(super) struct Fleet {
    engines: Vec<Engine>,
    /// When each is going to be woken.
    wakes: Vec<Option<Nanos>>,
    router: Router,
    routed: usize,
}

impl Fleet {
    pub(super) fn new(options: &ForecastOptions) -> Self {
        let engines = (0..).take(options.replicas.get());
        let engines: Vec<_> =
            engines.map(|replica| Engine::new(own_seed(options.engine, replica))).collect();
        let wakes = vec![None; engines.len()];
        Self { engines, wakes, router: options.router, routed: 0 }
    }

    /// Whether a request of so many tokens could ever run.
    pub(super) fn fits(&self, tokens: usize) -> bool {
        self.engines[0].fits(tokens)
    }

    /// Chooses a replica.
    pub(super) fn route(&mut self, key: u64) -> usize {
        let replicas = self.engines.len();
        let load = |engine: &Engine| engine.waiting() + engine.running();
        self.routed += 1;
        match self.router {
            Router::RoundRobin => (self.routed - 1) % replicas,
            Router::Session => {
                let replicas = u64::try_from(replicas).expect("a length fits in 64 bits");
                let replica = draw(0, ROUTE, key) % replicas;
                usize::try_from(replica).expect("it is under the number of replicas")
            }
            Router::LeastLoaded => {
                let least = (0..replicas).min_by_key(|replica| load(&self.engines[*replica]));
                least.expect("there is at least one replica")
            }
        }
    }

    /// Gives an engine text to keep before the clock starts: the one that the router chooses by a key, or
    /// one after another.
    pub(super) fn prime(&mut self, key: u64, number: usize, content: Sequence) -> Given {
        let replica = match self.router {
            Router::Session => self.route(key),
            Router::RoundRobin | Router::LeastLoaded => number % self.engines.len(),
        };
        let kept = self.engines[replica].remember(&content);
        Given { replica, content, kept }
    }

    /// How many tokens of it have had to make room for other text. What fills no block was never kept.
    pub(super) fn lost(&self, given: &Given) -> usize {
        given.kept.saturating_sub(self.engines[given.replica].holds(&given.content))
    }

    pub(super) fn arrive(
        &mut self,
        now: Nanos,
        (replica, request): (usize, Request),
        events: &mut Vec<Event>,
        heap: &mut Heap,
    ) {
        self.engines[replica].arrive(now, request, events);
        self.plan_wake(replica, heap);
    }

    pub(super) fn cancel(
        &mut self,
        now: Nanos,
        (replica, request): (usize, crate::engine::RequestId),
        events: &mut Vec<Event>,
        heap: &mut Heap,
    ) {
        self.engines[replica].cancel(now, request, events);
        self.plan_wake(replica, heap);
    }

    /// Wakes a replica, unless its plans have changed since this was planned.
    pub(super) fn wake(
        &mut self,
        now: Nanos,
        replica: usize,
        events: &mut Vec<Event>,
        heap: &mut Heap,
    ) {
        if self.wakes[replica] != Some(now) {
            return;
        }
        self.engines[replica].wake(now, events);
        self.wakes[replica] = None;
        self.plan_wake(replica, heap);
    }

    pub(super) fn preemptions(&self) -> u64 {
        self.engines.iter().map(|engine| engine.counters().preemptions).sum()
    }

    fn plan_wake(&mut self, replica: usize, heap: &mut Heap) {
        let next = self.engines[replica].next_wake();
        if let Some(at) = next.filter(|_| next != self.wakes[replica]) {
            heap.add(at, Happening::Wake { replica });
        }
        self.wakes[replica] = next;
    }
}

/// Jitter differs between replicas.
fn own_seed(config: EngineConfig, replica: u64) -> EngineConfig {
    let policy = match config.policy {
        Policy::Steps(steps) => {
            Policy::Steps(Steps { seed: draw(steps.seed, REPLICA, replica), ..steps })
        }
        Policy::Fixed { .. } | Policy::Instant => config.policy,
    };
    EngineConfig { policy, ..config }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use trie_core::session::RetryOptions;

    use super::*;
    use crate::engine::{FinishReason, PRESETS, RequestId, Sequence, Span};

    fn routed(router: Router, keys: &[u64]) -> Vec<usize> {
        let mut fleet = Fleet::new(&ForecastOptions {
            engine: PRESETS[0].engine(),
            replicas: NonZeroUsize::new(3).unwrap(),
            router,
            feeds_back: true,
            timeout: Nanos::SECOND,
            retries: RetryOptions::default(),
            max_failures: 1,
            drain: Nanos::ZERO,
            chunks: false,
        });
        let (mut events, mut heap) = (vec![], Heap::default());
        let mut replicas = vec![];
        for (id, key) in (0..).zip(keys) {
            let replica = fleet.route(*key);
            let content: Sequence = [Span { key: 1, from: 0, tokens: 2 }].into_iter().collect();
            let request = Request {
                id: RequestId(id),
                prompt_tokens: 1,
                output_tokens: 1,
                finish: FinishReason::Length,
                content,
            };
            fleet.arrive(Nanos(id), (replica, request), &mut events, &mut heap);
            replicas.push(replica);
        }
        replicas
    }

    #[test]
    fn requests_go_where_the_router_sends_them() {
        assert_eq!(routed(Router::RoundRobin, &[7, 7, 7, 7]), [0, 1, 2, 0]);
        assert_eq!(routed(Router::LeastLoaded, &[7, 7, 7, 7]), [0, 1, 2, 0]);
        let sessions = routed(Router::Session, &[1, 2, 3, 4, 5, 6, 1, 2, 3]);
        assert_eq!(sessions[..3], sessions[6..]);
        assert!((0..3).all(|replica| sessions.contains(&replica)), "{sessions:?}");
    }
}
