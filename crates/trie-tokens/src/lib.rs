//! Tokenizers, and text of an exact token count.
//!
//! A benchmark that makes prompts of text and hopes for the right number of tokens measures something
//! else than it says. Here a prompt is ids first: token `i` of a segment is a pure function of the
//! segment's key, drawn from a *stable subset* of the vocabulary, tokens whose concatenations re-encode
//! to exactly themselves. So no tokenizer runs while anything is measured.
//!
//! # Layout
//!
//! In the order in which a name becomes a prompt:
//!
//! - `builtin`: the generated vocabulary that needs no file.
//! - `encoder`: text to ids and back, by either kind of vocabulary.
//! - `certificate`: finds the stable subset and checks it by re-encoding.
//! - `hash`: the named hash behind every segment.
//! - `stable`: fills segments as ids, text or JSON.
//! - `vocabulary`: the loaded whole.

mod builtin;
mod certificate;
mod encoder;
mod hash;
mod stable;
mod vocabulary;

pub use certificate::{Certificate, Unstable};
pub use stable::StableSubset;
pub use vocabulary::{Source, Vocabulary};

/// Version of the rule that turns a segment's key into tokens. Content of different versions differs.
pub const CONTENT_VERSION: u32 = 1;
