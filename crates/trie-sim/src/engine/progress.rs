//! How far an engine is with a request.

use trie_core::units::Nanos;

use super::{
    counters::Counters,
    request::{Event, Request},
};

/// A request that is not over.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) request: Request,
    arrived: Nanos,
    /// Tokens of its answer so far.
    pub(super) generated: usize,
}

impl Progress {
    pub(super) fn new(request: Request, arrived: Nanos) -> Self {
        Self { request, arrived, generated: 0 }
    }

    /// Tokens that are known: the prompt and what was generated.
    pub(super) fn known(&self) -> usize {
        self.request.prompt_tokens + self.generated
    }

    /// Tokens of prompt and answer together.
    pub(super) fn most(&self) -> usize {
        self.request.prompt_tokens + self.request.output_tokens
    }

    pub(super) fn is_done(&self) -> bool {
        self.generated == self.request.output_tokens
    }

    /// The next `tokens` of the answer are there.
    pub(super) fn emit(
        &mut self,
        at: Nanos,
        tokens: usize,
        step: u64,
        counters: &mut Counters,
    ) -> Event {
        let index = self.generated;
        self.generated += tokens;
        let since = at.since(self.arrived).unwrap_or_default();
        counters.tokens(tokens, (index == 0).then_some(self.request.prompt_tokens), since);
        let finish = self.is_done().then_some(self.request.finish);
        if let Some(reason) = finish {
            counters.finished(reason, since);
        }
        Event::Token { id: self.request.id, at, index, tokens, step, finish }
    }
}
