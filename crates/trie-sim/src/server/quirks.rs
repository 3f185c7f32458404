//! Deviations from vLLM's behaviour that real servers show, each a switch.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

/// What a server does otherwise than vLLM; by default nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each quirk is a switch of its own")]
pub struct Quirks {
    /// 400 on any field that TensorRT-LLM does not know.
    pub strict_fields: bool,
    /// 422 on `ignore_eos`, as Hugging Face serve.
    pub refuse_ignore_eos: bool,
    /// `ignore_eos` is taken and does nothing.
    pub no_ignore_eos: bool,
    /// `min_tokens` is taken and does nothing.
    pub no_min_tokens: bool,
    /// 400 on a prompt of token ids, as Hugging Face serve.
    pub refuse_ids: bool,
    /// `return_token_ids` is taken and does nothing, as with llama.cpp.
    pub no_token_ids: bool,
    /// A token is put before every prompt that is text.
    pub add_bos: bool,
    /// 404 on everything but the two routes for completions.
    pub bare: bool,
    /// 401 without this bearer token.
    pub api_key: Option<String>,
    /// How `usage.prompt_tokens_details.cached_tokens` is given.
    pub cached_tokens: CachedTokens,
    /// No usage is ever sent.
    pub no_usage: bool,
    /// The final usage rides on a chunk with a text-less choice, and comes without being asked for.
    pub usage_with_choices: bool,
    /// Streams end without `[DONE]`.
    pub no_done: bool,
    /// Tokens in each chunk of a stream, sent when the last of them is there.
    pub chunk_tokens: NonZeroUsize,
    /// The first token's chunk carries empty text; its text comes with the next token.
    pub empty_first_chunk: bool,
    /// The role chunk of a chat stream comes before prefill is done.
    pub early_role: bool,
    /// A stream's headers come with its first token instead of at once.
    pub late_headers: bool,
    /// Every chunk carries `timings`, as llama.cpp with `timings_per_token`.
    pub timings: bool,
    /// The last token's chunk carries no text; its text is lost.
    pub textless_end: bool,
    /// Events of a stream that go out together.
    pub events_per_write: NonZeroUsize,
    /// A stream is held back until so many bytes are there, as a proxy that buffers does.
    pub buffer_bytes: usize,
    /// Most bytes of one write to a socket, so that anything is cut anywhere.
    pub segment_bytes: Option<NonZeroUsize>,
    /// Lines of a stream end in CR LF.
    pub crlf: bool,
    /// A comment line is sent after this time without a token.
    pub comments: Option<Duration>,
    /// Answers are compressed, asked for or not.
    pub gzip: bool,
    /// An idle connection is closed after this time.
    pub keep_alive: Option<Duration>,
    /// A connection is closed after so many requests.
    pub keep_alive_requests: Option<NonZeroU64>,
    /// Requests that an HTTP/2 connection carries at a time.
    pub http2_streams: NonZeroU32,
}

/// As many as nginx allows.
const HTTP2_STREAMS: NonZeroU32 = NonZeroU32::new(128).expect("it is not 0");

/// How the number of cached prompt tokens is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedTokens {
    /// A number, also when it is 0.
    Present,
    /// No `prompt_tokens_details`.
    Absent,
    /// `prompt_tokens_details: null`.
    Null,
    /// No `prompt_tokens_details` when nothing was cached.
    OmittedAtZero,
    /// No `prompt_tokens_details` in a stream.
    AbsentInStreams,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            strict_fields: false,
            refuse_ignore_eos: false,
            no_ignore_eos: false,
            no_min_tokens: false,
            refuse_ids: false,
            no_token_ids: false,
            add_bos: false,
            bare: false,
            api_key: None,
            cached_tokens: CachedTokens::Present,
            no_usage: false,
            usage_with_choices: false,
            no_done: false,
            chunk_tokens: NonZeroUsize::MIN,
            empty_first_chunk: false,
            early_role: false,
            late_headers: false,
            timings: false,
            textless_end: false,
            events_per_write: NonZeroUsize::MIN,
            buffer_bytes: 0,
            segment_bytes: None,
            crlf: false,
            comments: None,
            gzip: false,
            keep_alive: None,
            keep_alive_requests: None,
            http2_streams: HTTP2_STREAMS,
        }
    }
}
