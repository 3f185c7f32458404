//! What was found out about a server before the clock started.

use serde::{Deserialize, Serialize};

use crate::units::Tokens;

/// All that the preflight tried and found.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preflight {
    /// One entry per thing tried, in the order tried.
    pub findings: Vec<Finding>,
    /// What they come to: what a run may rely on.
    pub capabilities: Capabilities,
}

impl Preflight {
    /// Whether a run could go ahead: nothing that it needs is missing.
    pub fn can_run(&self) -> bool {
        self.count(FindingStatus::Fail) == 0
    }

    /// Number of findings of a status.
    pub fn count(&self, status: FindingStatus) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What was tried.
    pub check: PreflightCheck,
    /// How it stands.
    pub status: FindingStatus,
    /// What was found, in words.
    pub found: String,
    /// What to do about it, in words.
    pub advice: Option<String>,
}

/// How a finding stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FindingStatus {
    /// As it should be.
    Ok,
    /// Good to know; no number suffers.
    Note,
    /// A run can go ahead, and some number will be missing or in doubt.
    Warn,
    /// No run can go ahead.
    Fail,
}

impl FindingStatus {
    /// The word in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What a preflight tries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PreflightCheck {
    /// Address, connection, TLS.
    Reach,
    /// Which engine answers.
    Engine,
    /// Nothing else is at work on it.
    Idle,
    /// It serves the model.
    Model,
    /// It takes the run's own request.
    Request,
    /// Answers come in pieces.
    Streaming,
    /// Answers have the length that was asked for.
    Length,
    /// It says how many tokens it counted.
    Usage,
    /// Its count of a prompt is ours.
    PromptCount,
    /// It puts a first token before text where the tokenizer says so.
    Bos,
    /// A letter and its accent are one character, where the tokenizer's file asks for it (NFC).
    Composition,
    /// It takes prompts that are token ids.
    IdsIn,
    /// It names the ids that it generated.
    IdsBack,
    /// Answers hold nothing but what they are allowed to.
    OutputLimit,
    /// It says how much of a prompt came from its cache.
    CachedTokens,
    /// Tokens that its cache keeps or drops together.
    BlockSize,
    /// The longest request fits.
    Context,
    /// How much context it can keep.
    KvCache,
    /// Connections stay open between requests.
    KeepAlive,
}

impl PreflightCheck {
    /// The word in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::Engine => "engine",
            Self::Idle => "idle",
            Self::Model => "model",
            Self::Request => "request",
            Self::Streaming => "streaming",
            Self::Length => "length",
            Self::Usage => "usage",
            Self::PromptCount => "prompt_count",
            Self::Bos => "bos",
            Self::Composition => "composition",
            Self::IdsIn => "ids_in",
            Self::IdsBack => "ids_back",
            Self::OutputLimit => "output_limit",
            Self::CachedTokens => "cached_tokens",
            Self::BlockSize => "block_size",
            Self::Context => "context",
            Self::KvCache => "kv_cache",
            Self::KeepAlive => "keep_alive",
        }
    }
}

/// What a run may rely on. The default is what is assumed of a server that nobody asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a server")]
pub struct Capabilities {
    /// Which engine answers, as far as it can be recognised.
    pub engine: EngineKind,
    /// Its version, in its own words.
    pub engine_version: Option<String>,
    /// The fields that fix the length of an answer.
    pub length: LengthFields,
    /// It takes `skip_special_tokens`.
    pub special_tokens: bool,
    /// It takes `stream_options`.
    pub stream_options: bool,
    /// It reports usage.
    pub usage: bool,
    /// It reports usage in every chunk, if it is asked to.
    #[serde(default)]
    pub running_usage: bool,
    /// Usage says how much came from the cache, if only where that is more than 0.
    pub cached_tokens: bool,
    /// Usage leaves out how much came from the cache where that is 0.
    #[serde(default)]
    pub omits_cached_zero: bool,
    /// It takes prompts that are token ids, and counts them as we do.
    pub ids_in: bool,
    /// How it names the ids that it generated.
    pub ids_back: Option<IdsBack>,
    /// Whether it composes Unicode (NFC) where the tokenizer's file asks for it; `None` where it does not
    /// ask, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composes: Option<bool>,
    /// An answer with ids repeats the ids of the whole prompt.
    pub echoes_prompt_ids: bool,
    /// It puts a first token of its own before text. `None`: its count of text is not known.
    pub adds_bos: Option<bool>,
    /// Tokens that its prefix cache keeps or drops together.
    pub block_size: Option<Tokens>,
    /// Tokens that its KV cache holds, of all its replicas that it knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_tokens: Option<Tokens>,
    /// The longest prompt and answer together.
    pub context_limit: Option<Tokens>,
    /// A connection stays open after an answer.
    pub keeps_connection: bool,
    /// How long it takes for a request that is alone; measured for `start=equilibrium` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
}

/// How long a server takes for a request that is alone, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Speed {
    /// For each request, whatever its length.
    pub request_ns: u64,
    /// For each prompt token that is in no cache.
    pub prefill_ns: u64,
    /// For each token of an answer after the first.
    pub decode_ns: u64,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            engine: EngineKind::Unknown,
            engine_version: None,
            length: LengthFields::IgnoreEos,
            special_tokens: true,
            stream_options: true,
            usage: true,
            running_usage: false,
            cached_tokens: true,
            omits_cached_zero: false,
            ids_in: false,
            ids_back: None,
            composes: None,
            echoes_prompt_ids: false,
            adds_bos: None,
            block_size: None,
            cache_tokens: None,
            context_limit: None,
            keeps_connection: true,
            speed: None,
        }
    }
}

/// Which engine answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// vLLM.
    Vllm,
    /// `SGLang`.
    Sglang,
    /// `TensorRT-LLM`.
    TensorrtLlm,
    /// llama.cpp's server.
    LlamaCpp,
    /// The engine of `trie serve`.
    Simulated,
    /// Any other, or one that does not say.
    #[default]
    Unknown,
}

impl EngineKind {
    /// Its name in words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Vllm => "vLLM",
            Self::Sglang => "SGLang",
            Self::TensorrtLlm => "TensorRT-LLM",
            Self::LlamaCpp => "llama.cpp",
            Self::Simulated => "the simulated engine",
            Self::Unknown => "an engine that does not say what it is",
        }
    }
}

/// The fields that fix the length of an answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LengthFields {
    /// `ignore_eos`.
    #[default]
    IgnoreEos,
    /// `ignore_eos`, and `min_tokens` equal to `max_tokens`.
    Both,
    /// `min_tokens` equal to `max_tokens`.
    MinTokens,
    /// None: `max_tokens` is a limit, and answers may end before it.
    Neither,
}

impl LengthFields {
    /// Whether `ignore_eos` is sent.
    pub fn ignore_eos(self) -> bool {
        match self {
            Self::IgnoreEos | Self::Both => true,
            Self::MinTokens | Self::Neither => false,
        }
    }

    /// Whether `min_tokens` is sent.
    pub fn min_tokens(self) -> bool {
        match self {
            Self::Both | Self::MinTokens => true,
            Self::IgnoreEos | Self::Neither => false,
        }
    }
}

/// How a server names the ids that it generated.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IdsBack {
    /// `return_token_ids: true` on `/v1/completions`, streamed as `token_ids` of each choice.
    ReturnTokenIds,
    /// `logprobs` with `return_tokens_as_token_ids` on completions: the prompt's are not repeated.
    Logprobs,
    /// llama.cpp's own `/completion` with `return_tokens: true`, streamed as `tokens`.
    NativeCompletion,
}
