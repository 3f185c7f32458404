//! Token counts of an answer, as JSON.

use std::io::Write;

use super::quirks::CachedTokens;

/// What an answer cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    pub(super) completion: usize,
}

/// `prompt_tokens_details` as the server's quirk has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Details {
    Absent,
    Null,
    Cached(usize),
}

impl Details {
    pub(super) fn new(quirk: CachedTokens, cached: usize, streaming: bool) -> Self {
        let given = match quirk {
            CachedTokens::Present => true,
            CachedTokens::Absent => false,
            CachedTokens::Null => return Self::Null,
            CachedTokens::OmittedAtZero => cached > 0,
            CachedTokens::AbsentInStreams => !streaming,
        };
        if given { Self::Cached(cached) } else { Self::Absent }
    }
}

impl Usage {
    /// Appends the object.
    pub(super) fn write(self, details: Details, out: &mut Vec<u8>) {
        let Self { prompt, completion } = self;
        let total = prompt + completion;
        push(
            out,
            format_args!(
                r#"{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{completion}"#
            ),
        );
        match details {
            Details::Absent => {}
            Details::Null => push(out, format_args!(r#","prompt_tokens_details":null"#)),
            Details::Cached(cached) => {
                push(out, format_args!(r#","prompt_tokens_details":{{"cached_tokens":{cached}}}"#));
            }
        }
        out.push(b'}');
    }
}

/// Appends formatted text.
pub(super) fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes every byte");
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a vector takes every string");
}

/// Appends `ids` as a JSON list, or null.
pub(super) fn push_ids(out: &mut Vec<u8>, ids: Option<&[u32]>) {
    serde_json::to_writer(out, &ids).expect("a vector takes every list of numbers");
}

/// Writes log probabilities whose tokens are named by their ids, or `null`.
pub(super) fn push_logprobs(out: &mut Vec<u8>, ids: Option<&[u32]>) {
    let Some(ids) = ids else { return out.extend_from_slice(b"null") };
    let names: Vec<_> = ids.iter().map(|id| format!("token_id:{id}")).collect();
    let (probable, offsets) = (vec![-1.0; ids.len()], vec![0; ids.len()]);
    let logprobs = serde_json::json!({
        "text_offset": offsets, "token_logprobs": probable, "tokens": names, "top_logprobs": null,
    });
    serde_json::to_writer(out, &logprobs).expect("a vector takes every list of numbers");
}
