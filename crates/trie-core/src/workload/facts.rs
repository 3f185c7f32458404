//! Counts of a workload.

use super::graph::Trace;
use crate::units::Tokens;

/// What a workload file holds, in one pass over it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// As given.
    pub path: String,
    /// sha256 of the file's bytes (unpacked, where it is packed), in hexadecimal.
    pub sha256: String,
    /// Traces in the file.
    pub rows: u64,
    /// Requests in them.
    pub requests: u64,
    /// Prompt tokens of those.
    pub prompt_tokens: Tokens,
    /// Answer tokens of those.
    pub completion_tokens: Tokens,
    /// The longest prompt plus answer.
    pub max_context_tokens: Tokens,
}

impl Facts {
    /// Of a file of which nothing has been counted yet.
    pub(crate) fn of(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }
    }

    /// Counts a trace's requests and tokens. 64 bits hold 18 billion requests of the longest
    /// context a row may have.
    pub(crate) fn add(&mut self, trace: &Trace) {
        for step in &trace.steps {
            self.requests += 1;
            self.prompt_tokens += step.prompt_tokens;
            self.completion_tokens += step.output.tokens;
            let context = step.prompt_tokens + step.output.tokens;
            self.max_context_tokens = self.max_context_tokens.max(context);
        }
    }
}
