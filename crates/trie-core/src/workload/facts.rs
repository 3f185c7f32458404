//! Counts of a workload.

use super::graph::Trace;
use crate::record::WorkloadFacts;

impl WorkloadFacts {
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
