//! What a forecast needs to know and leaves behind.

use std::{
    io::{self, Write},
    num::NonZeroUsize,
};

use trie_core::{
    record::Ending,
    session::RetryOptions,
    units::{Nanos, Tokens},
    workload::WorkloadError,
};

use super::fleet::Router;
use crate::engine::EngineConfig;

/// The engines, and how requests reach them. Traces, concurrency and duration are the plan's.
#[derive(Clone, Copy, Debug)]
pub struct ForecastOptions {
    /// Each replica's engine; the seed of its steps is mixed with the replica's number.
    pub engine: EngineConfig,
    /// How many engines there are.
    pub replicas: NonZeroUsize,
    /// Who gets a request.
    pub router: Router,
    /// Whether later prompts hold the very tokens that were generated.
    pub feeds_back: bool,
    /// How long a whole request may take.
    pub timeout: Nanos,
    /// Further attempts at failed requests.
    pub retries: RetryOptions,
    /// Failed requests in a row that end the run.
    pub max_failures: u32,
    /// How long traces that are alive at the end may go on.
    pub drain: Nanos,
    /// Whether rows hold every token's time.
    pub chunks: bool,
}

/// Where rows go.
pub struct Files<'f> {
    /// `requests.jsonl`.
    pub requests: &'f mut dyn Write,
    /// `traces.jsonl`.
    pub traces: &'f mut dyn Write,
    /// `client.jsonl`.
    pub client: &'f mut dyn Write,
    /// What the engines did with each request, if that is wanted.
    pub truth: Option<&'f mut dyn Write>,
}

/// What a forecast leaves behind, beside its files.
#[derive(Clone, Debug)]
pub struct Forecasted {
    /// When, in virtual time, and why it ended.
    pub ending: Ending,
    /// Text that the engines were given before the clock started.
    pub primed: Primed,
    /// Rows of `requests.jsonl`.
    pub requests: u64,
    /// Tokens whose times are in them.
    pub tokens: u64,
    /// Times that an engine took a running request's place.
    pub preemptions: u64,
}

/// Text that the engines were given before the clock started: the histories of the traces that are
/// entered in the middle of their life.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Primed {
    /// Requests with a history.
    pub requests: u64,
    /// Tokens of their histories.
    pub tokens: Tokens,
    /// Of those, what no engine held when the clock started: there was no room for all.
    pub lost: Tokens,
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// A row of the workload cannot be read again.
    #[error("the workload changed while it was replayed: {0}")]
    Workload(#[from] WorkloadError),
    /// A row cannot be written.
    #[error("cannot write the records: {0}")]
    Write(#[from] io::Error),
    /// Nothing takes any time, so that the deadline never comes.
    #[error(
        "virtual time stands still at {at:.3} s: {traces} traces began and ended there, one after another\n  hint: \
         neither the engine nor the workload's waits take any time; give the engine some (`engine=fixed`), or \
         rows with tool waits or arrival times",
        at = at.as_secs_f64()
    )]
    StandsStill {
        /// When.
        at: Nanos,
        /// Traces that took no time, in a row.
        traces: u64,
    },
}
