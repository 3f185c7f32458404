//! Bodies of requests and responses: as APIs have them, and as gateways log them.

use serde_json::{Value, json};
use trie_core::units::Tokens;

use crate::content::{Measure, Message, body, redacted};
use crate::format::Context;
use crate::value::{list, text, tokens};

/// The messages of a prompt, with tools and instructions before them.
pub(crate) fn prompt(body: &Value, measure: Measure<'_>) -> Vec<Message> {
    let opening = ["tools", "system", "instructions"];
    let mut prompt: Vec<Message> =
        opening.iter().filter_map(|key| measure.opening(body.get(*key))).collect();
    let mut messages = list(body, &["messages"]);
    if messages.is_empty() {
        messages = list(body, &["input"]);
    }
    prompt.extend(messages.iter().flat_map(|message| measure.messages(message)));
    if let Some(text) = text(body, &["input"]) {
        prompt.extend(measure.messages(&json!({"role": "user", "content": text})));
    }
    prompt
}

/// The message of a response, as a later prompt holds it.
pub(crate) fn answer(response: &Value, measure: Measure<'_>) -> Vec<Message> {
    if let Some(message) =
        list(response, &["choices"]).first().and_then(|first| first.get("message"))
    {
        return measure.messages(message);
    }
    let output = list(response, &["output"]);
    if !output.is_empty() {
        return output.iter().flat_map(|item| measure.messages(item)).collect();
    }
    if response.get("content").is_some_and(Value::is_array) {
        return measure.messages(response);
    }
    Vec::new()
}

/// The messages of a prompt as a gateway logs it: a list, a body that holds one, one message, or a
/// string of any of these. Nothing where it is none of them, or its texts were taken out.
pub(crate) fn logged_prompt(
    logged: Option<&Value>,
    tools: Option<&Value>,
    measure: Measure<'_>,
) -> Vec<Message> {
    let Some(found) = logged.and_then(body).filter(|found| !redacted(found)) else {
        return Vec::new();
    };
    let has_list = |key: &str| found.get(key).is_some_and(Value::is_array);
    let whole = match (found.as_array(), found.get("role")) {
        (Some(_), _) => json!({"messages": found, "tools": tools}),
        (None, _) if has_list("messages") || has_list("input") => found,
        (None, Some(_)) => json!({"messages": [found], "tools": tools}),
        (None, None) => return Vec::new(),
    };
    prompt(&whole, measure)
}

/// The message of an answer as a gateway logs it: a response, a message, a text, or a string of
/// one of these. Nothing where its texts were taken out.
pub(crate) fn logged_answer(logged: Option<&Value>, measure: Measure<'_>) -> Vec<Message> {
    let Some(logged) = logged.filter(|logged| !redacted(logged)) else { return Vec::new() };
    let plain = || json!({"role": "assistant", "content": logged});
    let Some(found) = body(logged) else { return measure.messages(&plain()) };
    let of_response = answer(&found, measure);
    if !of_response.is_empty() {
        return of_response;
    }
    match (found.as_array(), found.get("role").or_else(|| found.get("content"))) {
        (Some(items), _) => items.iter().flat_map(|item| measure.messages(item)).collect(),
        (None, Some(_)) => {
            let mut message = found.clone();
            if message.get("role").is_none_or(Value::is_null) {
                message["role"] = json!("assistant");
            }
            measure.messages(&message)
        }
        // A number or an object of the caller's own.
        (None, None) if logged.is_string() => measure.messages(&plain()),
        (None, None) => Vec::new(),
    }
}

/// How long an answer is asked to be: what a body says is taken for its length, else what the user
/// says of all that say nothing.
pub(crate) fn asked_length(body: &Value, context: &Context<'_>) -> Option<Tokens> {
    let keys = ["output_length", "max_completion_tokens", "max_tokens", "min_tokens"];
    let own = keys.iter().find_map(|key| tokens(body, &[key]));
    let own = own.or_else(|| keys.iter().find_map(|key| tokens(body, &["extra", key])));
    own.or(context.answer_length)
}
