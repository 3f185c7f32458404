//! Engines with the coefficients of real hardware.
//!
//! Those of three were fitted to the tables of NVIDIA's `AIConfigurator` 0.12, which are measured on the
//! silicon (mean error of the fit 1 to 3 %). Engines on the same hardware differ by 35 % either way, so a
//! preset gives the shape of what a server does (where it saturates, what the cache is worth), not the
//! level.
//!
//! The others are a roofline: nobody measured them. From the GPU's data sheet (H100 SXM: 3.35 TB/s, 989
//! TFLOP/s dense in bf16; A100 of 80 GB: 2.039 TB/s, 312 TFLOP/s) and the model's published shape:
//!
//! ```text
//! a  = bytes of weights without experts / (0.75 * bandwidth)      d = bytes of experts / (0.75 * bandwidth)
//! c  = bytes of a token's keys and values / (0.75 * bandwidth)    p = 2 * active parameters / (0.65 * FLOP/s)
//! q  = 4 * layers * query heads * head size / (0.65 * FLOP/s)     b = p / 2, p0 = a / 3
//! bytes of keys and values = 2 * layers * key-value heads * head size * 2
//! tokens of cache = (0.9 * 80 GB - bytes of weights - 4 GB) / bytes of keys and values
//! ```
//!
//! The two efficiencies and the ratios b/p and p0/a are about those of the fitted presets: for Qwen3-32B on
//! an H200 the roofline gives a = 18.2 (fitted 18.7), p = 0.102 (0.085), c = 73e-6 (60e-6), q = 3.3e-6 (3.3e-6).

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
    /// Where its coefficients are from, in words.
    pub source: &'static str,
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

const FITTED: &str = "coefficients fitted to AIConfigurator 0.12's tables";
const ROOFLINE: &str =
    "coefficients from data sheets by a roofline, measured by nobody (docs/guide/forecast.md)";

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
        source: FITTED,
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
        source: FITTED,
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
        source: FITTED,
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
    Preset {
        name: "llama-3.1-8b-1xh100",
        about: "Llama-3.1-8B in bf16 on one H100",
        source: ROOFLINE,
        cache_tokens: 396_000,
        bytes_per_token: 131_072,
        gpus: 1,
        time: StepTime { a: 6.39, b: 0.0125, c: 52.2e-6, p0: 2.13, p: 0.0250, q: 0.82e-6, ..DENSE },
    },
    Preset {
        name: "llama-3.1-8b-1xa100",
        about: "Llama-3.1-8B in bf16 on one A100 of 80 GB",
        source: ROOFLINE,
        cache_tokens: 396_000,
        bytes_per_token: 131_072,
        gpus: 1,
        time: StepTime {
            a: 10.50,
            b: 0.0396,
            c: 85.7e-6,
            p0: 3.50,
            p: 0.0792,
            q: 2.59e-6,
            ..DENSE
        },
    },
    Preset {
        name: "qwen3-8b-1xh100",
        about: "Qwen3-8B in bf16 on one H100",
        source: ROOFLINE,
        cache_tokens: 349_000,
        bytes_per_token: 147_456,
        gpus: 1,
        time: StepTime { a: 6.53, b: 0.0128, c: 58.7e-6, p0: 2.18, p: 0.0255, q: 0.92e-6, ..DENSE },
    },
    Preset {
        name: "qwen3-30b-a3b-1xh100",
        about: "Qwen3-30B-A3B in bf16 on one H100",
        source: ROOFLINE,
        cache_tokens: 71_000,
        bytes_per_token: 98_304,
        gpus: 1,
        time: StepTime {
            a: 1.20,
            b: 0.0051,
            c: 39.1e-6,
            p0: 0.40,
            p: 0.0103,
            q: 1.22e-6,
            d: 23.08,
            experts_used: 8.0,
            experts: 128.0,
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
            speculation: None,
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

    /// Bandwidth and arithmetic of a GPU, per second.
    const H100: (f64, f64) = (3.35e12, 989e12);
    const A100: (f64, f64) = (2.039e12, 312e12);

    /// What a model's shape is made of: bytes of weights, of them experts, active parameters, layers,
    /// heads of keys and values.
    struct Shape(f64, f64, f64, f64, f64);

    #[test]
    fn rooflines_are_worked_out_from_data_sheets() {
        let check = |name: &str, (bandwidth, arithmetic): (f64, f64), shape: Shape| {
            let preset = Preset::named(name).unwrap();
            let Shape(weights, experts, active, layers, heads) = shape;
            let read = |bytes: f64| bytes / (0.75 * bandwidth) * 1e3;
            let compute = |operations: f64| operations / (0.65 * arithmetic) * 1e3;
            // Two bytes a number, heads of 128; all of them have 32 query heads.
            let kv = 2.0 * layers * heads * 128.0 * 2.0;
            let time = preset.time;
            let cache = f64::from(u32::try_from(preset.cache_tokens).unwrap());
            let bytes_per_token = f64::from(u32::try_from(preset.bytes_per_token).unwrap());
            for (what, stated, worked) in [
                ("a", time.a, read(weights - experts)),
                ("b", time.b, compute(active)),
                ("c", time.c, read(kv)),
                ("p0", time.p0, read(weights - experts) / 3.0),
                ("p", time.p, compute(2.0 * active)),
                ("q", time.q, compute(4.0 * layers * 32.0 * 128.0)),
                ("d", time.d, read(experts)),
                ("bytes", bytes_per_token, kv),
                ("cache", cache, (72e9 - weights - 4e9) / kv),
            ] {
                let off = (stated - worked).abs();
                assert!(off <= 0.015 * worked, "{name}: {what} is {stated}, worked out {worked}");
            }
        };
        let llama = || Shape(16.06e9, 0.0, 8.03e9, 32.0, 8.0);
        check("llama-3.1-8b-1xh100", H100, llama());
        check("llama-3.1-8b-1xa100", A100, llama());
        check("qwen3-8b-1xh100", H100, Shape(16.4e9, 0.0, 8.2e9, 36.0, 8.0));
        // 48 layers of 128 experts: three matrices of 2,048 by 768.
        let experts = 48.0 * 128.0 * 3.0 * 2_048.0 * 768.0 * 2.0;
        check("qwen3-30b-a3b-1xh100", H100, Shape(61.0e9, experts, 3.3e9, 48.0, 4.0));
    }
}
