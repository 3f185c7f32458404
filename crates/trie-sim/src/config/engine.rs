//! The options of the engine itself, which `trie serve` and `trie forecast` share.

use std::num::NonZeroUsize;

use super::{
    Config, PolicyName, Timing,
    options::{OptionRow, row},
    read::{count, factor, micros, millis, number, positive, put, share, switch},
};
use crate::engine::Preset;

/// The options of the engine, in the order of the documentation.
pub const ENGINE_OPTIONS: &[OptionRow] = &[
    row(
        "engine",
        "fixed",
        "A preset: `fixed` or `instant` (the policies with default times), `demo` (`qwen3-32b-1xh200` five times as fast, with a tenth of its KV cache), or one with the figures of real hardware: `qwen3-32b-1xh200`, `llama-3.1-70b-4xh100`, `deepseek-r1-8xh200`; by a roofline that nobody measured `llama-3.1-8b-1xh100`, `llama-3.1-8b-1xa100`, `qwen3-8b-1xh100`, `qwen3-30b-a3b-1xh100`. It sets all times and the cache; give it before the options that change them.",
        |c, v| {
            c.timing = match v {
                "fixed" => Timing::default(),
                "instant" => Timing { policy: PolicyName::Instant, ..Timing::default() },
                "demo" => Config::demo().timing,
                name => Timing::of_preset(Preset::named(name).ok_or(
                    "`fixed`, `instant`, `demo`, `qwen3-32b-1xh200`, `llama-3.1-70b-4xh100`, `deepseek-r1-8xh200`, `llama-3.1-8b-1xh100`, `llama-3.1-8b-1xa100`, `qwen3-8b-1xh100` or `qwen3-30b-a3b-1xh100`",
                )?),
            };
            Ok(())
        },
    ),
    row(
        "policy",
        "fixed",
        "When tokens come: `fixed` (on a schedule), `instant` (all at once; times are ignored), or in steps as `vllm`, `sglang` (sets `block` to 1), `trtllm` or `llamacpp` schedule them.",
        |c, v| {
            c.timing.policy = match v {
                "fixed" => PolicyName::Fixed,
                "instant" => PolicyName::Instant,
                "vllm" => PolicyName::Vllm,
                "sglang" => PolicyName::Sglang,
                "trtllm" => PolicyName::Trtllm,
                "llamacpp" => PolicyName::Llamacpp,
                _ => return Err("`fixed`, `instant`, `vllm`, `sglang`, `trtllm` or `llamacpp`"),
            };
            if c.timing.policy == PolicyName::Sglang {
                c.timing.block = NonZeroUsize::MIN;
            }
            Ok(())
        },
    ),
    row("api_ms", "0", "Milliseconds added to every time to first token.", |c, v| {
        put(&mut c.timing.api, millis(v))
    }),
    row(
        "ttft_ms",
        "250",
        "`fixed`: milliseconds to the first token of a fully cached prompt.",
        |c, v| put(&mut c.timing.ttft, millis(v)),
    ),
    row(
        "prefill_us_per_token",
        "0",
        "`fixed`: microseconds added to the time to first token for each uncached prompt token.",
        |c, v| put(&mut c.timing.prefill, micros(v)),
    ),
    row("itl_ms", "20", "`fixed`: milliseconds from each token to the next.", |c, v| {
        put(&mut c.timing.itl, millis(v))
    }),
    row("block", "16", "Tokens in a block of the cache.", |c, v| {
        put(&mut c.timing.block, number(v, "a whole number of at least 1"))
    }),
    row(
        "cache_tokens",
        "400000",
        "Capacity of the cache in tokens. With `fixed` and `instant` it holds prefixes only and 0 switches it off; in steps it is all the memory there is.",
        |c, v| put(&mut c.timing.cache_tokens, count(v)),
    ),
    row(
        "max_num_seqs",
        "0",
        "Requests worked on at once (256 with the presets of real hardware); later ones wait in order of arrival. 0: no limit.",
        |c, v| put(&mut c.timing.max_num_seqs, count(v).map(NonZeroUsize::new)),
    ),
    row("max_num_batched_tokens", "8192", "In steps: most tokens of a step.", |c, v| {
        put(&mut c.timing.steps.max_num_batched_tokens, number(v, "a whole number of at least 1"))
    }),
    row(
        "long_prefill_tokens",
        "0",
        "In steps: most tokens of one prompt in a step. 0: no limit of its own.",
        |c, v| put(&mut c.timing.steps.long_prefill_tokens, count(v).map(NonZeroUsize::new)),
    ),
    row(
        "chunked_prefill",
        "True",
        "In steps: whether a prompt may be split over steps; one over the budget has a step to itself otherwise.",
        |c, v| put(&mut c.timing.steps.chunked_prefill, switch(v)),
    ),
    row(
        "longest_prefix_first",
        "True",
        "`sglang`: of up to 128 waiting requests the one with the longest cached prefix goes first.",
        |c, v| put(&mut c.timing.longest_prefix_first, switch(v)),
    ),
    row(
        "speculative_tokens",
        "0",
        "In steps: tokens that a draft proposes behind each decoded one and the step checks with it. 0: no speculative decoding.",
        |c, v| put(&mut c.timing.speculative_tokens, count(v)),
    ),
    row(
        "acceptance",
        "0.7",
        "Chance of a proposed token to be right, where all before it are.",
        |c, v| put(&mut c.timing.acceptance, share(v)),
    ),
    row(
        "api_out_ms",
        "0",
        "In steps: milliseconds from the end of a step to its tokens.",
        |c, v| {
            let time = millis(v)?;
            c.timing.steps.api_out = super::nanos(time);
            Ok(())
        },
    ),
    row("step_a_ms", "0", "In steps: a step that decodes, whatever is in it.", |c, v| {
        put(&mut c.timing.steps.time.a, factor(v))
    }),
    row("step_b_ms", "0", "In steps: each token of a step that decodes.", |c, v| {
        put(&mut c.timing.steps.time.b, factor(v))
    }),
    row("step_c_ms", "0", "In steps: each token in the cache of a decoding request.", |c, v| {
        put(&mut c.timing.steps.time.c, factor(v))
    }),
    row("step_p0_ms", "0", "In steps: a step that computes, whatever is in it.", |c, v| {
        put(&mut c.timing.steps.time.p0, factor(v))
    }),
    row("step_p_ms", "0", "In steps: each token of a step that computes.", |c, v| {
        put(&mut c.timing.steps.time.p, factor(v))
    }),
    row(
        "step_q_ms",
        "0",
        "In steps: each pair of a prefilled token and a token before it.",
        |c, v| put(&mut c.timing.steps.time.q, factor(v)),
    ),
    row("step_d_ms", "0", "In steps: reading all experts of the model.", |c, v| {
        put(&mut c.timing.steps.time.d, factor(v))
    }),
    row("experts_used", "0", "Experts that a token is routed to.", |c, v| {
        put(&mut c.timing.steps.time.experts_used, factor(v))
    }),
    row("experts", "0", "Experts of the model; 0 for a dense one.", |c, v| {
        put(&mut c.timing.steps.time.experts, factor(v))
    }),
    row(
        "jitter",
        "0",
        "In steps: deviation of the logarithm of a step's time (0.025 with the presets of real hardware).",
        |c, v| put(&mut c.timing.steps.time.jitter, factor(v)),
    ),
    row("stall_chance", "0", "In steps: chance of a step to stall.", |c, v| {
        put(&mut c.timing.steps.time.stall_chance, factor(v))
    }),
    row("stall_ms", "0", "In steps: milliseconds that a stall adds.", |c, v| {
        put(&mut c.timing.steps.time.stall, factor(v))
    }),
    row(
        "host_tokens",
        "0",
        "In steps: capacity in tokens of a second tier of cache in the host's memory. 0: none.",
        |c, v| put(&mut c.timing.host_tokens, count(v)),
    ),
    row("kv_bytes_per_token", "262144", "Size of a token's keys and values.", |c, v| {
        put(&mut c.timing.bytes_per_token, number(v, "a whole number"))
    }),
    row(
        "host_gb_per_s",
        "50",
        "Speed of loading from the host's tier, in 10^9 bytes a second.",
        |c, v| put(&mut c.timing.host_gigabytes_per_s, positive(v)),
    ),
];
