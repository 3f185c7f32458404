//! How long requests dwell in an engine, for the entry points of a run that starts in equilibrium.

use trie_core::{
    plan::Dwell,
    record::WorkloadFacts,
    units::{Nanos, Tokens},
};

use super::{
    settings::{EngineConfig, Policy},
    timing::StepLoad,
};

impl EngineConfig {
    /// How long a request takes with `alive` others around it, all of the workload's average length: its
    /// steps by their formula, without queue and without eviction. Where the histories of all do not fit
    /// into the cache, none is found again: every request is prefilled whole, and waits for all others to
    /// be.
    pub fn dwell(&self, alive: u64, facts: &WorkloadFacts) -> Dwell {
        match self.policy {
            Policy::Fixed { api, ttft, prefill, itl } => Dwell {
                request: float(api.plus(ttft)),
                prefill: float(prefill),
                history: 0.0,
                decode: float(itl),
            },
            Policy::Instant => Dwell::default(),
            Policy::Steps(steps) => {
                let context = facts.prompt_tokens / facts.requests.max(1);
                let (all, alive) = (alive, alive.min(self.most_at_once(context)).max(1));
                let mut decoding = StepLoad::default();
                (0..alive).for_each(|_| decoding.add_decode(1, context));
                let time = steps.time;
                let prefill = (time.p + time.q * tokens(context)) * 1e6;
                let lost = if self.holds(all, context) { 0.0 } else { 1.0 };
                let others = prefill * tokens(all) * tokens(context);
                Dwell {
                    request: float(steps.api_in.plus(steps.api_out)) + lost * others,
                    prefill,
                    history: lost * prefill,
                    decode: time.millis(decoding) * 1e6,
                }
            }
        }
    }

    /// Whether the histories of `alive` traces of an average length fit into the cache.
    fn holds(&self, alive: u64, context: Tokens) -> bool {
        let held = u64::try_from(self.cache_tokens).unwrap_or(u64::MAX);
        alive.saturating_mul(context) <= held
    }

    /// How many requests of an average length run at once.
    fn most_at_once(&self, context: Tokens) -> u64 {
        let room = u64::try_from(self.cache_tokens).unwrap_or(u64::MAX) / context.max(1);
        room.min(u64::try_from(self.most_running()).unwrap_or(u64::MAX))
    }
}

fn float(time: Nanos) -> f64 {
    tokens(time.0)
}

#[expect(clippy::cast_precision_loss, reason = "lengths and times of a request are under 2^53")]
fn tokens(count: u64) -> f64 {
    count as f64
}
