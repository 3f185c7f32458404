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
//! - `places`: where to look, as plain values.
//! - `locate`: from a name to the bytes of a `tokenizer.json`: a file or folder, the hub's cache, the hub.
//! - `hub`: downloads into the hub's cache.
//! - `disk`: files that are there whole or not at all.
//! - `builtin`: the generated vocabulary that needs no file.
//! - `tekken`: a `tekken.json` as a `tokenizer.json`.
//! - `json`: either, parsed when it is first needed.
//! - `encoder`: the built-in one or that of a file.
//! - `cuts`: where a text may be cut and its parts counted alone.
//! - `bos`: which token a server puts before a text.
//! - `certificate`: finds the stable subset and checks it by re-encoding.
//! - `cache`: keeps certificates on disk.
//! - `hash`: the named hash behind every segment.
//! - `stable`: fills segments as ids, text or JSON.
//! - `vocabulary`: the loaded whole.
//! - `chat`: messages, the model's chat template, and prompts of an exact length made of both.
//! - `error`: why there is none.

mod bos;
mod builtin;
mod cache;
mod certificate;
mod chat;
mod cuts;
mod disk;
mod encoder;
mod error;
mod hash;
#[cfg(feature = "hub")]
mod hub;
mod json;
mod locate;
mod places;
mod stable;
mod tekken;
mod vocabulary;

pub use certificate::{Certificate, Kept, Unstable};
pub use chat::{
    Absent, Arguments, ChatError, ChatOptions, ChatTemplate, Composer, Message, Part, PartPlace,
    Role, Tally, Tool, ToolCall, Turn,
};
pub use error::{Attempt, Miss, OtherForm, TokenizerError};
pub use places::Places;
pub use stable::StableSubset;
pub use vocabulary::{Source, Vocabulary};

/// Version of the rule that turns a segment's key into tokens. Content of different versions differs.
pub const CONTENT_VERSION: u32 = 1;

/// Name of the hash behind that rule, for manifests.
pub const CONTENT_HASH: &str = "trie-splitmix2";
