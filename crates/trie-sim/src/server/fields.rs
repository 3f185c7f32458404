//! The fields that TensorRT-LLM's server knows, for `strict_fields`.

use serde_json::{Map, Value};

use super::{ask::Api, refusal::Refusal};

/// Fields of both routes (`tensorrt_llm/serve/openai_protocol.py`, where models forbid any other).
const BOTH: &[&str] = &[
    "add_special_tokens",
    "best_of",
    "conversation_params",
    "disaggregated_params",
    "early_stopping",
    "frequency_penalty",
    "ignore_eos",
    "include_stop_str_in_output",
    "length_penalty",
    "logit_bias",
    "logprobs",
    "lora_request",
    "max_tokens",
    "min_p",
    "min_tokens",
    "model",
    "n",
    "presence_penalty",
    "priority",
    "prompt_ignore_length",
    "repetition_penalty",
    "response_format",
    "seed",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "stop",
    "stop_token_ids",
    "stream",
    "stream_options",
    "temperature",
    "thinking_token_budget",
    "top_k",
    "top_p",
    "top_p_min",
    "truncate_prompt_tokens",
    "use_beam_search",
    "user",
];

/// Fields of `/v1/completions` alone.
const COMPLETIONS: &[&str] = &["detokenize", "echo", "prompt", "return_context_logits", "suffix"];

/// Fields of `/v1/chat/completions` alone.
const CHAT: &[&str] = &[
    "add_generation_prompt",
    "cache_salt",
    "chat_template",
    "chat_template_kwargs",
    "documents",
    "echo",
    "max_completion_tokens",
    "messages",
    "mm_processor_kwargs",
    "reasoning_effort",
    "tool_choice",
    "tools",
    "top_logprobs",
];

/// Refuses a body with a field that TensorRT-LLM does not know.
pub(super) fn check_known(api: Api, body: &[u8]) -> Result<(), Refusal> {
    let own = match api {
        Api::Completions => COMPLETIONS,
        Api::Chat => CHAT,
    };
    let unknown = |name: &String| !BOTH.iter().chain(own).any(|known| known == name);
    match names(body).into_iter().find(unknown) {
        Some(name) => {
            let message =
                format!("1 validation error: body.{name}: Extra inputs are not permitted");
            Err(Refusal::plain(400, message))
        }
        None => Ok(()),
    }
}

/// Refuses a body that says anything about `ignore_eos`.
pub(super) fn check_no_ignore_eos(body: &[u8]) -> Result<(), Refusal> {
    let name = "ignore_eos";
    if names(body).iter().any(|given| given == name) {
        return Err(Refusal::unexpected_field(name));
    }
    Ok(())
}

/// The names of a body's fields; none when it is no object, which reading it reports.
fn names(body: &[u8]) -> Vec<String> {
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    fields.into_iter().map(|(name, _)| name).collect()
}
