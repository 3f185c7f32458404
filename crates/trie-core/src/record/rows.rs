//! The rows of the record files, exactly as they stand on disk.
//!
//! All `*_ns` are nanoseconds; stamps are absolute on the run's monotonic clock
//! (`CLOCK_MONOTONIC` in a real run, from 0 in a simulated one). `null` means "the server did not
//! say" or "it never happened", never zero.

use serde::{Deserialize, Serialize};

use super::Histogram;
use crate::units::{Nanos, Tokens};

/// One attempt of one request; also those alive at the deadline. A row of `requests.jsonl`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RequestRow {
    /// Number of the trace instance, from 0, in order of admission to the plan.
    pub trace: u64,
    /// Row of the workload file, from 0.
    pub row: u64,
    /// How often the file had been gone through before this instance.
    pub cycle: u64,
    /// Lane (agent) inside the trace; 0 is the root.
    pub lane: u32,
    /// Step inside the trace, from 0.
    pub step: u32,
    /// The step whose context this one continues.
    pub parent: Option<u32>,
    /// Attempt at this step, from 0.
    pub attempt: u32,
    /// The response's own id.
    pub id: Option<String>,
    /// The step whose event let this one go: of all it waited for, what came last. `null` for one
    /// that starts with its trace.
    pub waited_for: Option<u32>,
    /// When that event happened, or the trace began; the wait for a tool lies between it and the
    /// intent.
    pub waited_until_ns: Option<Nanos>,
    /// Of a step that joins several branches: from when the first of them was ready to when the
    /// last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join_wait_ns: Option<Nanos>,
    /// When the session was due to send.
    pub intent_ns: Nanos,
    /// When the driver got to it.
    pub start_ns: Option<Nanos>,
    /// When its connection was ready.
    pub connected_ns: Option<Nanos>,
    /// When the last byte of the body had been written.
    pub sent_ns: Option<Nanos>,
    /// When the response's headers had been read. Not a first token.
    pub headers_ns: Option<Nanos>,
    /// First event of the stream, of any kind.
    pub first_event_ns: Option<Nanos>,
    /// First event that stands for a generated token of any channel.
    pub first_token_ns: Option<Nanos>,
    /// First event with text a user could see.
    pub first_visible_ns: Option<Nanos>,
    /// Last event that stands for a generated token.
    pub last_token_ns: Option<Nanos>,
    /// End of the response body, or of the attempt.
    pub end_ns: Option<Nanos>,
    /// Prompt length by the plan.
    pub planned_prompt_tokens: Tokens,
    /// Of it, tokens that are new in this request.
    pub planned_new_tokens: Tokens,
    /// Answer length by the plan (at least 1).
    pub planned_completion_tokens: Tokens,
    /// Prompt length by the server's count.
    pub prompt_tokens: Option<Tokens>,
    /// Answer length by the server's count.
    pub completion_tokens: Option<Tokens>,
    /// Prompt tokens the server says it took from its cache.
    pub cached_tokens: Option<Tokens>,
    /// Prompt tokens a perfect cache could have held.
    pub expected_cached_tokens: Option<Tokens>,
    /// The same if every request sent before this one had been answered at once: what is cached
    /// beyond this did not come from this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_cached_tokens: Option<Tokens>,
    /// Prompt tokens taken over from the step's context.
    pub eligible_tokens: Tokens,
    /// Events that stood for at least one token.
    pub chunks: u64,
    /// Tokens in the first of them.
    pub first_chunk_tokens: Option<Tokens>,
    /// Where the per-chunk token counts come from.
    pub token_source: Option<TokenSource>,
    /// Longest gap between two token chunks.
    pub stall_ns: Option<Nanos>,
    /// Inter-token latencies: a chunk of k tokens enters k times at gap/k; the first chunk never.
    /// Where the server does not say how many tokens a chunk holds, it is taken for one.
    pub itl: Histogram,
    /// The same between chunks with visible text only; left out where equal to `itl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible_itl: Option<Histogram>,
    /// Answer tokens by the second (from the run's start) in which they arrived.
    pub credit: Vec<Credit>,
    /// Number of the connection, from 0.
    pub connection: Option<u64>,
    /// How long opening it took, where this request opened it.
    pub connect_ns: Option<Nanos>,
    /// The reused connection was found closed and the request went out again on a fresh one.
    pub stale_resend: bool,
    /// Which clock stamped the chunks.
    pub stamp_source: Option<StampSource>,
    /// Token chunks that came in a read together with an earlier one.
    pub late_chunks: u64,
    /// HTTP/2: other requests that were under way on the connection when this one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<u64>,
    /// HTTP/2: how long the request waited, on its way, for the server's leave to send more (a full
    /// window); left out where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_wait_ns: Option<Nanos>,
    /// Answer tokens that only the final usage told of: they are credited to the last chunk, and
    /// stay out of the inter-token latencies.
    #[serde(default)]
    pub uncounted_tokens: u64,
    /// Tokens counted on arrival that the final usage does not count: a chunk was sent twice, or
    /// stood for no token.
    #[serde(default)]
    pub excess_tokens: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What failed.
    pub error: Option<ErrorRow>,
    /// With `chunks=true`: stamp of each token chunk, nanoseconds since `start_ns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_ns: Option<Vec<u64>>,
    /// With `chunks=true`: tokens of each token chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_tokens: Option<Vec<Tokens>>,
}

/// `[second from run start, tokens]`. The second that holds the deadline is split at it: the part
/// after the deadline stands under the deadline itself, as a fraction.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Credit(pub f64, pub Tokens);

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer was read to its end.
    Ok,
    /// It failed; `error` says how.
    Failed,
    /// It was alive at the deadline, at Ctrl-C, or when another lane failed its trace.
    #[default]
    CutOff,
}

/// Where the number of tokens in a chunk comes from, best first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenSource {
    /// The chunk carries the token ids.
    TokenIds,
    /// Difference of the running usage.
    RunningUsage,
    /// Difference of llama.cpp's running `timings.predicted_n`.
    Timings,
    /// Length of the chunk's logprobs.
    Logprobs,
    /// One token per chunk, by assumption.
    Assumed,
    /// Only the final usage says (a response that was not streamed).
    Usage,
}

/// Which clock stamps the chunks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StampSource {
    /// The kernel, when the segment arrived.
    Kernel,
    /// The process, at the read.
    User,
    /// The simulated engine's own time.
    Virtual,
}

/// What failed, in the server's own words where it said some.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorRow {
    /// Stable name of the kind of failure, such as `status`, `timeout`, `reset`.
    pub kind: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// Message, cut at 2 kB, secrets replaced by `***`.
    pub message: String,
}

/// A row of `traces.jsonl`: one at admission, one at the end.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TraceRow {
    /// Number of the trace instance.
    pub trace: u64,
    /// Row of the workload file, from 0.
    pub row: u64,
    /// How often the file had been gone through before.
    pub cycle: u64,
    /// The row's own name.
    pub trace_id: String,
    /// The slot it ran in, from 0.
    pub slot: u32,
    /// When.
    pub at_ns: Nanos,
    /// Steps the plan gives it.
    pub steps: u32,
    /// The step whose first token is the final answer's.
    pub final_step: u32,
    /// Answer tokens the plan gives it.
    pub planned_completion_tokens: Tokens,
    /// Prompt tokens the plan gives it, summed over its requests.
    pub planned_prompt_tokens: Tokens,
    /// How long its slot waited because an earlier row of its session was alive; `None` where it did
    /// not have to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_ns: Option<Nanos>,
    /// The step at which it was entered in the middle of its life; those before it were never sent.
    /// `None`: it was replayed from its first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered_step: Option<u32>,
    /// What happened.
    pub event: TraceEvent,
}

/// What a trace row reports.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TraceEvent {
    /// It was given a slot; `at_ns` is the intent of its first request.
    Admitted,
    /// It ended.
    Ended(TraceOutcome),
}

/// How a trace ended: exactly one of three.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TraceOutcome {
    /// Every step ended well.
    Completed,
    /// A step failed; the kind of failure.
    Failed(String),
    /// Alive at the deadline or at Ctrl-C.
    CutOff,
}

/// What the client itself did in one second; a row of `client.jsonl`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ClientRow {
    /// Seconds from the run's start.
    pub second: u64,
    /// Which thread, from 0.
    pub thread: u32,
    /// `sent` minus `intent` of the requests sent in this second, connect time included.
    pub send_lateness: Histogram,
    /// Read minus kernel stamp; empty where the process stamps.
    pub lag: Histogram,
    /// How late the thread's own timer woke from naps of 5 ms; a timer's own step, some 1 ms, is
    /// inside.
    pub timer_lag: Histogram,
    /// Reads of this second.
    pub reads: u64,
    /// Reads that held several events of one stream.
    pub merged_reads: u64,
    /// CPU time the thread used in this second.
    pub cpu_ns: Option<Nanos>,
    /// How long the thread could have run in this second and had no core; Linux says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_wait_ns: Option<Nanos>,
    /// Rows waiting for the recorder at the end of the second.
    pub queue_depth: u64,
    /// How often the recorder's queue was found full.
    pub queue_full: u64,
    /// Requests in flight at the end of the second.
    pub in_flight: u64,
    /// Monotonic time minus that of the kernel's stamps, where these are used.
    pub clock_offset_ns: Option<i64>,
    /// How often the clock of the kernel's stamps was set, since the run's start.
    pub clock_steps: u64,
}
