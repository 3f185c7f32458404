//! What APIs say of the tokens of a request.

use serde_json::Value;
use trie_core::units::Tokens;

use crate::value::tokens;

/// Tokens of a request, by an API's own account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    pub(crate) input: Option<Tokens>,
    pub(crate) output: Option<Tokens>,
    pub(crate) cached: Option<Tokens>,
    pub(crate) reasoning: Option<Tokens>,
}

/// Reads `usage` in the words of OpenAI's two APIs or of Anthropic's, whose input tokens leave out
/// those of the cache. `prompt_tokens` hold them, also where `LiteLLM` writes both.
pub(crate) fn usage(value: &Value) -> Usage {
    let first = |paths: &[&[&str]]| paths.iter().find_map(|path| tokens(value, path));
    let read = tokens(value, &["cache_read_input_tokens"]);
    let created = tokens(value, &["cache_creation_input_tokens"]);
    let beside = read.unwrap_or(0).saturating_add(created.unwrap_or(0));
    let fresh = first(&[&["input_tokens"]]).map(|input| input.saturating_add(beside));
    Usage {
        input: first(&[&["prompt_tokens"]]).or(fresh),
        output: first(&[&["completion_tokens"], &["output_tokens"]]),
        cached: read.or_else(|| {
            first(&[
                &["prompt_tokens_details", "cached_tokens"],
                &["input_tokens_details", "cached_tokens"],
                &["cached_tokens"],
                &["cache_read_tokens"],
            ])
        }),
        reasoning: first(&[
            &["completion_tokens_details", "reasoning_tokens"],
            &["output_tokens_details", "reasoning_tokens"],
            &["reasoning_tokens"],
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn input_is_the_whole_prompt_in_every_dialect() {
        let check = |value: Value, expected: [Option<u64>; 4]| {
            let Usage { input, output, cached, reasoning } = usage(&value);
            assert_eq!([input, output, cached, reasoning], expected, "{value}");
        };
        check(
            json!({"prompt_tokens": 10, "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2}}),
            [Some(10), Some(5), Some(4), Some(2)],
        );
        check(
            json!({"input_tokens": 2, "cache_creation_input_tokens": 228,
                "cache_read_input_tokens": 1000, "output_tokens": 40}),
            [Some(1230), Some(40), Some(1000), None],
        );
        check(
            json!({"input_tokens": 7, "output_tokens": 1,
                "output_tokens_details": {"reasoning_tokens": 1}}),
            [Some(7), Some(1), None, Some(1)],
        );
        // LiteLLM's account of an answer of Anthropic's: the prompt is whole already.
        check(
            json!({"prompt_tokens": 1230, "completion_tokens": 40,
                "cache_creation_input_tokens": 228, "cache_read_input_tokens": 1000}),
            [Some(1230), Some(40), Some(1000), None],
        );
        check(json!(null), [None; 4]);
    }
}
