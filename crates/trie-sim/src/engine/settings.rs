//! What shapes an engine.

use std::num::NonZeroUsize;

use trie_core::units::Nanos;

use super::timing::StepTime;

/// The shape of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineConfig {
    /// How long things take, and who goes first.
    pub policy: Policy,
    /// Tokens in a block of the cache.
    pub block: NonZeroUsize,
    /// Capacity of the cache in tokens; what fills no block is not used.
    pub cache_tokens: usize,
    /// Requests worked on at once; later ones wait in order of arrival. None: no limit.
    pub max_num_seqs: Option<NonZeroUsize>,
}

impl EngineConfig {
    /// Blocks that fit the cache.
    pub(super) fn blocks(&self) -> usize {
        self.cache_tokens / self.block.get()
    }

    pub(super) fn most_running(&self) -> usize {
        self.max_num_seqs.map_or(usize::MAX, NonZeroUsize::get)
    }
}

/// How long things take, and who goes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// On a schedule, whatever else runs: the truth is known to the nanosecond. The cache holds prefixes
    /// and never limits what runs.
    Fixed {
        /// From arrival to admission at the earliest, and in no way dependent on the prompt.
        api: Nanos,
        /// From admission to the first token of a fully cached prompt.
        ttft: Nanos,
        /// Added to the time to first token for each prompt token that is not cached.
        prefill: Nanos,
        /// From each token to the next.
        itl: Nanos,
    },
    /// Everything at once.
    Instant,
    /// In steps, as real engines work: what runs shares the time of a step and the memory of the cache.
    Steps(Steps),
}

/// An engine that works in steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Whose scheduler.
    pub scheduler: Scheduler,
    /// Most tokens in a step.
    pub max_num_batched_tokens: NonZeroUsize,
    /// Most tokens of one prompt in a step. None: no limit of its own.
    pub long_prefill_tokens: Option<NonZeroUsize>,
    /// Whether a prompt may be split over steps. Without it one that is longer than
    /// `max_num_batched_tokens` has a step to itself.
    pub chunked_prefill: bool,
    /// From the arrival of a request to when the scheduler sees it.
    pub api_in: Nanos,
    /// From the end of a step to when its tokens are out.
    pub api_out: Nanos,
    /// How long a step takes.
    pub time: StepTime,
    /// A second, larger tier of cache in the host's memory.
    pub host: Option<HostTier>,
    /// Tokens guessed ahead by a draft. None: no speculative decoding.
    pub speculation: Option<Speculation>,
    /// Seed of jitter, stalls and drafts.
    pub seed: u64,
}

/// Speculative decoding: a step checks a draft's next tokens together with a request's own, and keeps those
/// up to the first wrong one.
///
/// All of them are tokens of the step's time; the draft itself takes none, and room for what is not kept is
/// not set aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speculation {
    /// Tokens proposed behind each decoded one; fewer at the end of an answer.
    pub tokens: NonZeroUsize,
    /// Chance of each to be right, where all before it are. A step of an endless answer then gives
    /// (1 - acceptance^(tokens + 1)) / (1 - acceptance) tokens on average.
    pub acceptance: f64,
}

/// Whose scheduler decides what is in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    /// vLLM V1: decode and chunks of prefill in one step, running requests first; blocks are allocated as
    /// they are needed, and the request that came last is preempted where there is none.
    Vllm,
    /// SGLang: a step prefills or decodes, prefill first. With blocks of 1 its cache is a radix tree.
    Sglang {
        /// Whether the waiting request with the longest cached prefix goes first (up to 128 waiting).
        longest_prefix_first: bool,
    },
    /// TensorRT-LLM: as vLLM, but a request is admitted only once its whole prompt and answer have room,
    /// and is never preempted.
    Trtllm,
    /// llama.cpp: `max_num_seqs` slots, each with an equal share of the cache and the last conversation
    /// it served; nothing is shared between slots.
    Llamacpp,
}

/// A tier of cache in the host's memory: whole blocks are written through to it when a request gives them
/// back, and loaded before the step that needs them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostTier {
    /// Its capacity in tokens.
    pub tokens: NonZeroUsize,
    /// Size of a token's keys and values.
    pub bytes_per_token: u64,
    /// Speed of loading, in 10^9 bytes a second.
    pub gigabytes_per_s: f64,
}
