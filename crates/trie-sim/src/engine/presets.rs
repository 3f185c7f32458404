//! Engines with the coefficients of real hardware.
//!
//! The coefficients were fitted to the tables of NVIDIA's `AIConfigurator` 0.12, which are measured on the
//! silicon (mean error of the fit 1 to 3 %). Engines on the same hardware differ by 35 % either way, so a
//! preset gives the shape of what a server does (where it saturates, what the cache is worth), not the
//! level.

use std::num::NonZeroUsize;

use trie_core::units::Nanos;

use super::{
    settings::{EngineConfig, Policy, Scheduler, Steps},
    timing::StepTime,
};

/// An engine under a name.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// Model, precision and hardware.
    pub about: &'static str,
    /// Tokens whose keys and values fit beside the weights.
    pub cache_tokens: usize,
    /// Size of a token's keys and values.
    pub bytes_per_token: u64,
    /// GPUs of one replica.
    pub gpus: u32,
    /// How long a step takes.
    pub time: StepTime,
}

/// Deviation of a step's time where nothing else is set: engines show 2 to 3 %.
const JITTER: f64 = 0.025;

const DENSE: StepTime = StepTime {
    a: 0.0,
    b: 0.0,
    c: 0.0,
    p0: 0.0,
    p: 0.0,
    q: 0.0,
    d: 0.0,
    experts_used: 0.0,
    experts: 0.0,
    jitter: JITTER,
    stall_chance: 0.0,
    stall: 0.0,
};

/// All of them.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "qwen3-32b-1xh200",
        about: "Qwen3-32B in bf16 on one H200",
        cache_tokens: 218_000,
        bytes_per_token: 262_144,
        gpus: 1,
        time: StepTime {
            a: 18.67,
            b: 0.0358,
            c: 60.0e-6,
            p0: 6.64,
            p: 0.0851,
            q: 3.32e-6,
            ..DENSE
        },
    },
    Preset {
        name: "llama-3.1-70b-4xh100",
        about: "Llama-3.1-70B in bf16 on four H100",
        cache_tokens: 465_000,
        bytes_per_token: 327_680,
        gpus: 4,
        time: StepTime {
            a: 15.20,
            b: 0.0325,
            c: 26.5e-6,
            p0: 7.43,
            p: 0.0606,
            q: 1.00e-6,
            ..DENSE
        },
    },
    Preset {
        name: "deepseek-r1-8xh200",
        about: "DeepSeek-R1 in fp8 on eight H200 (TP8, EP8); it does not fit eight H100 of 80 GB",
        cache_tokens: 500_000,
        bytes_per_token: 70_272,
        gpus: 8,
        time: StepTime {
            a: 15.34,
            b: 0.0480,
            c: 11.2e-6,
            p0: 35.0,
            p: 0.0479,
            q: 1.03e-6,
            d: 15.7,
            experts_used: 8.0,
            experts: 256.0,
            ..DENSE
        },
    },
];

impl Preset {
    /// The preset of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// An engine with vLLM's scheduler and its defaults: blocks of 16, 256 requests, 8,192 tokens a step.
    pub fn engine(&self) -> EngineConfig {
        EngineConfig {
            policy: Policy::Steps(Steps { time: self.time, ..Steps::default() }),
            block: NonZeroUsize::new(16).expect("16 is not 0"),
            cache_tokens: self.cache_tokens,
            max_num_seqs: NonZeroUsize::new(256),
        }
    }
}

impl Default for Steps {
    /// vLLM's scheduler and its defaults, and steps that take no time.
    fn default() -> Self {
        Self {
            scheduler: Scheduler::Vllm,
            max_num_batched_tokens: NonZeroUsize::new(8_192).expect("8,192 is not 0"),
            long_prefill_tokens: None,
            chunked_prefill: true,
            api_in: Nanos::ZERO,
            api_out: Nanos::ZERO,
            time: StepTime::default(),
            host: None,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (at, preset) in PRESETS.iter().enumerate() {
            assert!(PRESETS[..at].iter().all(|other| other.name != preset.name), "{}", preset.name);
        }
    }
}
