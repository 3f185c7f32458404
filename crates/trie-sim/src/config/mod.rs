//! What can be set on the simulated engine: one table for the command line and the documentation.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use trie_core::units::Nanos;

use crate::{
    engine::{EngineConfig, HostTier, Policy, Preset, Scheduler, Speculation, StepTime, Steps},
    server::{Faults, Quirks},
};

mod engine;
mod options;
mod read;

pub use self::{
    engine::ENGINE_OPTIONS,
    options::{ConfigError, OPTIONS, OptionRow},
};

/// Everything about one simulated server.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// How long things take and what the prefix cache holds.
    pub timing: Timing,
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Name of the model; with None every name is served.
    pub model: Option<String>,
    /// Longest prompt and answer together, in tokens.
    pub max_model_len: usize,
    /// Seed of the answers' tokens and lengths.
    pub seed: u64,
    /// What answers are made of.
    pub output: Output,
    /// Deviations from vLLM's behaviour that real servers show.
    pub quirks: Quirks,
    /// What goes wrong.
    pub faults: Faults,
    /// Whether chunks of a stream say when and in which step the engine made their tokens.
    pub truth_stamps: bool,
    /// Where what the engine did with each request is written.
    pub truth_log: Option<PathBuf>,
}

/// How long things take and what the cache holds; see [`EngineConfig`].
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// On a schedule, or everything at once.
    pub policy: PolicyName,
    /// Added to every time to first token.
    pub api: Duration,
    /// Time to first token of a fully cached prompt.
    pub ttft: Duration,
    /// Added to the time to first token for each uncached prompt token.
    pub prefill: Duration,
    /// From each token to the next.
    pub itl: Duration,
    /// Tokens in a block of the prefix cache.
    pub block: NonZeroUsize,
    /// Capacity of the cache in tokens.
    pub cache_tokens: usize,
    /// Capacity of the host's tier in tokens; 0 for none.
    pub host_tokens: usize,
    /// Size of a token's keys and values.
    pub bytes_per_token: u64,
    /// Speed of loading from the host's tier.
    pub host_gigabytes_per_s: f64,
    /// Tokens that a draft proposes; 0 for none.
    pub speculative_tokens: usize,
    /// Chance of each of them to be right.
    pub acceptance: f64,
    /// Requests worked on at once; later ones wait in order of arrival.
    pub max_num_seqs: Option<NonZeroUsize>,
    /// With `sglang`: whether the longest cached prefix goes first.
    pub longest_prefix_first: bool,
    /// Everything about the steps of an engine that works in steps; its scheduler is the policy's, and
    /// its host tier, speculation and seed are filled in by [`Config::engine`].
    pub steps: Steps,
}

/// Which policy decides when tokens come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyName {
    /// On a schedule.
    Fixed,
    /// Everything at once.
    Instant,
    /// In steps, as vLLM V1.
    Vllm,
    /// In steps, as SGLang.
    Sglang,
    /// In steps, as TensorRT-LLM.
    Trtllm,
    /// In steps, as llama.cpp.
    Llamacpp,
}

/// What answers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tokens of the stable subset: the text re-tokenizes to exactly these tokens.
    Stable,
    /// Any tokens of the vocabulary: the text may re-tokenize to other tokens, as that of real models does.
    Raw,
}

impl Default for Config {
    /// A server like vLLM's on loopback: 250 ms to the first token, 20 ms between tokens.
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8000,
            model: None,
            max_model_len: 131_072,
            seed: 0,
            output: Output::Stable,
            quirks: Quirks::default(),
            faults: Faults::default(),
            truth_stamps: false,
            truth_log: None,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            policy: PolicyName::Fixed,
            api: Duration::ZERO,
            ttft: Duration::from_millis(250),
            prefill: Duration::ZERO,
            itl: Duration::from_millis(20),
            block: NonZeroUsize::new(16).expect("16 is not 0"),
            cache_tokens: 400_000,
            host_tokens: 0,
            bytes_per_token: 262_144,
            host_gigabytes_per_s: 50.0,
            speculative_tokens: 0,
            acceptance: 0.7,
            max_num_seqs: None,
            longest_prefix_first: true,
            steps: Steps::default(),
        }
    }
}

impl Config {
    /// An engine on which a newcomer sees what matters within seconds: [`DEMO_PRESET`], so many times
    /// as fast ([`DEMO_SPEED`]), with a tenth of its KV cache.
    ///
    /// A dozen agents with contexts of some 2,000 tokens fill that cache.
    pub fn demo() -> Self {
        let preset = Preset::named(DEMO_PRESET).expect("the demo's preset is in the table");
        let mut timing = Timing::of_preset(preset);
        timing.cache_tokens /= 10;
        timing.steps.time = faster(preset.time, DEMO_SPEED);
        Self { timing, ..Self::default() }
    }
}

/// The preset that the demo's engine is made of.
pub const DEMO_PRESET: &str = "qwen3-32b-1xh200";

/// How many times as fast as its preset the demo's engine is.
pub const DEMO_SPEED: f64 = 5.0;

impl Config {
    /// The engine core's view.
    pub fn engine(&self) -> EngineConfig {
        let timing = &self.timing;
        EngineConfig {
            policy: timing.policy(self.seed),
            block: timing.block,
            cache_tokens: timing.cache_tokens,
            max_num_seqs: timing.max_num_seqs,
        }
    }
}

impl Timing {
    /// An engine with the figures of real hardware.
    pub fn of_preset(preset: &Preset) -> Self {
        let EngineConfig { policy: _, block, cache_tokens, max_num_seqs } = preset.engine();
        Self {
            policy: PolicyName::Vllm,
            block,
            cache_tokens,
            bytes_per_token: preset.bytes_per_token,
            max_num_seqs,
            steps: Steps { time: preset.time, ..Steps::default() },
            ..Self::default()
        }
    }

    fn policy(&self, seed: u64) -> Policy {
        let steps = |scheduler| {
            let host = NonZeroUsize::new(self.host_tokens).map(|tokens| HostTier {
                tokens,
                bytes_per_token: self.bytes_per_token,
                gigabytes_per_s: self.host_gigabytes_per_s,
            });
            let api_in = nanos(self.api);
            let acceptance = self.acceptance;
            let speculation = NonZeroUsize::new(self.speculative_tokens)
                .map(|tokens| Speculation { tokens, acceptance });
            Policy::Steps(Steps { scheduler, api_in, host, speculation, seed, ..self.steps })
        };
        match self.policy {
            PolicyName::Fixed => Policy::Fixed {
                api: nanos(self.api),
                ttft: nanos(self.ttft),
                prefill: nanos(self.prefill),
                itl: nanos(self.itl),
            },
            PolicyName::Instant => Policy::Instant,
            PolicyName::Vllm => steps(Scheduler::Vllm),
            PolicyName::Sglang => {
                steps(Scheduler::Sglang { longest_prefix_first: self.longest_prefix_first })
            }
            PolicyName::Trtllm => steps(Scheduler::Trtllm),
            PolicyName::Llamacpp => steps(Scheduler::Llamacpp),
        }
    }
}

/// The same steps in a fraction of the time.
fn faster(time: StepTime, factor: f64) -> StepTime {
    let StepTime { a, b, c, p0, p, q, d, experts_used, experts, jitter, stall_chance, stall } =
        time;
    StepTime {
        a: a / factor,
        b: b / factor,
        c: c / factor,
        p0: p0 / factor,
        p: p / factor,
        q: q / factor,
        d: d / factor,
        experts_used,
        experts,
        jitter,
        stall_chance,
        stall: stall / factor,
    }
}

/// Times of over 584 years are cut there.
fn nanos(time: Duration) -> Nanos {
    Nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
