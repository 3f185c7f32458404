//! What goes into the engine and what comes out of it.

use trie_core::units::Nanos;

use super::sequence::Sequence;

/// A request's number, given by the driver and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One request as the engine sees it: lengths and the names of its tokens.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub id: RequestId,
    /// Length of the prompt in tokens, at least 1.
    pub prompt_tokens: usize,
    /// Length of the answer in tokens, at least 1: the driver knows how it will end.
    pub output_tokens: usize,
    /// Why it ends there.
    pub finish: FinishReason,
    /// The tokens of prompt and answer together.
    pub content: Sequence,
}

impl Request {
    /// # Panics
    ///
    /// When prompt or answer has no token, or the content is not as long as both.
    pub(super) fn check(&self) {
        assert!(self.prompt_tokens > 0 && self.output_tokens > 0, "a request has tokens");
        assert_eq!(
            self.content.len(),
            self.prompt_tokens + self.output_tokens,
            "the content is prompt and answer"
        );
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The limit of tokens was reached.
    Length,
    /// The model ended it.
    Stop,
}

/// What the engine did, and when (time since the engine's start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request left the queue for the first time.
    Admitted {
        /// Which.
        id: RequestId,
        /// When.
        at: Nanos,
        /// Prompt tokens that needed no work.
        cached_tokens: usize,
    },
    /// A running request lost its place for want of room, and goes first among those that wait.
    Preempted {
        /// Which.
        id: RequestId,
        /// When.
        at: Nanos,
    },
    /// Tokens of the answer were emitted: one, or several where a draft was right.
    Token {
        /// Of which request.
        id: RequestId,
        /// When.
        at: Nanos,
        /// The first one's place in the answer, from 0.
        index: usize,
        /// How many, at least 1.
        tokens: usize,
        /// The engine's step that made them, from 1; on a schedule each token is a step.
        step: u64,
        /// With the last token, why it is the last.
        finish: Option<FinishReason>,
    },
}

impl Event {
    /// Of which request.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Admitted { id, .. } | Self::Preempted { id, .. } | Self::Token { id, .. } => *id,
        }
    }

    /// When.
    pub fn at(&self) -> Nanos {
        match self {
            Self::Admitted { at, .. } | Self::Preempted { at, .. } | Self::Token { at, .. } => *at,
        }
    }
}
