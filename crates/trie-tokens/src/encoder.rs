//! What turns text into ids: the built-in vocabulary or a `tokenizer.json`.

use crate::{builtin::Builtin, cuts::Added, json::JsonTokenizer, stable::Member};

/// Either kind of tokenizer, without special tokens of its own accord.
#[derive(Debug)]
pub(crate) enum Encoder {
    Builtin(Builtin),
    Json(JsonTokenizer),
}

impl Encoder {
    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Builtin(builtin) => builtin.encode(text),
            Self::Json(json) => json.encode(text),
        }
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        match self {
            Self::Builtin(builtin) => builtin.count(text),
            Self::Json(json) => json.count(text),
        }
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        match self {
            Self::Builtin(builtin) => builtin.decode(ids),
            Self::Json(json) => json.decode(ids),
        }
    }

    /// The added tokens that are sought in a text as it stands.
    pub(crate) fn added(&self) -> Vec<Added> {
        match self {
            Self::Builtin(_) => Vec::new(),
            Self::Json(json) => json.added(),
        }
    }

    /// Number of tokens, added ones included.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Builtin(builtin) => builtin.size(),
            Self::Json(json) => json.size(),
        }
    }

    /// The tokens that are not added ones, by id, with their text inside a sentence.
    pub(crate) fn entries(&self) -> Vec<Member> {
        match self {
            Self::Builtin(builtin) => builtin.entries().collect(),
            Self::Json(json) => json.entries(),
        }
    }

    /// Whether `text`, a few words, is cut into several pieces before tokens are looked for.
    pub(crate) fn splits_words(&self, text: &str) -> bool {
        match self {
            Self::Builtin(_) => true,
            Self::Json(json) => json.splits_words(text),
        }
    }
}
