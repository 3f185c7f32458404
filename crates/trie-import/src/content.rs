//! Messages of chats, in the notations that APIs and traces use, as roles, sizes and hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use trie_core::units::Tokens;

use crate::count::Count;
use crate::names::Salt;
use crate::value::{list, text};

/// Who a message is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A message, or a part of one: what is needed to see which prompts open alike, and how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    pub(crate) role: Role,
    /// Of its role and text, salted.
    pub(crate) hash: u64,
    /// By the importer's own count.
    pub(crate) size: Tokens,
}

/// Turns messages into hashes and sizes.
#[derive(Clone, Copy)]
pub(crate) struct Measure<'c> {
    pub(crate) salt: Salt,
    pub(crate) count: Count<'c>,
}

/// What a message says, without what differs between two records of it.
#[derive(Default)]
struct Said {
    text: String,
    /// Calls and images, which are hashed and, but for calls, not counted.
    other: String,
    results: Vec<String>,
}

impl Measure<'_> {
    /// A message in any notation: results of tools that stand in one message are one each.
    pub(crate) fn messages(self, message: &Value) -> Vec<Message> {
        let role = role(message);
        let said = said(message);
        let results = said.results.iter().map(|result| self.made(Role::Tool, result, ""));
        let mut parts: Vec<Message> = results.collect();
        if parts.is_empty() || !said.text.is_empty() || !said.other.is_empty() {
            parts.push(self.made(role, &said.text, &said.other));
        }
        parts
    }

    /// A text that opens a prompt beside its messages: instructions, definitions of tools.
    pub(crate) fn opening(self, value: Option<&Value>) -> Option<Message> {
        let value = value.filter(|value| !value.is_null())?;
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!is_empty && !text.is_empty()).then(|| self.made(Role::System, &text, ""))
    }

    /// A message whose role the notation does not say, or says otherwise.
    pub(crate) fn as_role(self, role: Role, message: &Value) -> Message {
        let Said { text, other, results } = said(message);
        self.made(role, &(text + &results.concat()), &other)
    }

    /// How long a text is.
    pub(crate) fn size(self, text: &str) -> Tokens {
        self.count.of(text)
    }

    /// A message of this text and, behind it, calls and images.
    pub(crate) fn made(self, role: Role, text: &str, other: &str) -> Message {
        let role_name: &[u8] = match role {
            Role::System => b"system",
            Role::User => b"user",
            Role::Assistant => b"assistant",
            Role::Tool => b"tool",
        };
        let hash = self.salt.hash(&[role_name, text.as_bytes(), other.as_bytes()]);
        Message { role, hash, size: self.count.of(text).saturating_add(self.calls(other)) }
    }

    /// Tokens of calls, which a model writes as it writes text.
    fn calls(self, other: &str) -> Tokens {
        match (self.count, other) {
            // Words stand for texts that are made of them: calls are none.
            (Count::Words, _) | (_, "") => 0,
            (count, other) => count.of(other),
        }
    }
}

fn role(message: &Value) -> Role {
    let kind = text(message, &["type"]);
    match (text(message, &["role"]), kind) {
        (Some("system" | "developer"), _) => Role::System,
        (Some("assistant" | "model" | "ai" | "gpt"), _)
        | (None, Some("function_call" | "reasoning")) => Role::Assistant,
        (Some("tool" | "function" | "tool_result"), _) | (None, Some("function_call_output")) => {
            Role::Tool
        }
        (Some(_) | None, _) => Role::User,
    }
}

fn said(message: &Value) -> Said {
    let mut said = Said::default();
    for key in ["content", "parts", "output"] {
        if let Some(value) = message.get(key) {
            take(value, &mut said);
        }
    }
    for call in list(message, &["tool_calls"]) {
        let function = call.get("function").unwrap_or(call);
        add_call(function, &mut said);
    }
    if text(message, &["type"]) == Some("function_call") {
        add_call(message, &mut said);
    }
    said
}

/// Takes content: a string, or a list of parts.
fn take(content: &Value, said: &mut Said) {
    if let Some(text) = content.as_str() {
        said.text.push_str(text);
        return;
    }
    for part in content.as_array().map_or(&[][..], Vec::as_slice) {
        take_part(part, said);
    }
}

fn take_part(part: &Value, said: &mut Said) {
    if let Some(text) = part.as_str() {
        said.text.push_str(text);
        return;
    }
    let content =
        || part.get("content").or_else(|| part.get("response")).or_else(|| part.get("result"));
    match text(part, &["type"]) {
        Some("tool_result" | "tool_call_response") => {
            said.results.push(content().map(flat_text).unwrap_or_default());
        }
        Some("tool_use" | "tool_call" | "function_call") => add_call(part, said),
        // What a model thought is no part of later prompts.
        Some("thinking" | "reasoning" | "redacted_thinking") => {}
        Some(
            "image" | "image_url" | "input_image" | "input_audio" | "audio" | "file" | "document",
        ) => {
            said.other.push_str("image");
        }
        Some(_) | None => {
            let text = part.get("text").or_else(content);
            said.text.push_str(&text.map(flat_text).unwrap_or_default());
        }
    }
}

fn add_call(call: &Value, said: &mut Said) {
    let name = text(call, &["name"]).unwrap_or_default();
    let arguments = call.get("arguments").or_else(|| call.get("input"));
    said.other.push_str(name);
    said.other.push(' ');
    said.other.push_str(&arguments.map(flat_text).unwrap_or_default());
}

/// All text in a value.
pub(crate) fn flat_text(value: &Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    match value.as_array() {
        Some(parts) => {
            let mut said = Said::default();
            for part in parts {
                take_part(part, &mut said);
            }
            said.text + &said.results.concat()
        }
        None if value.is_null() => String::new(),
        None => value.to_string(),
    }
}

/// What stands in a log for a text that was taken out of it: `LiteLLM`'s word, and `OpenInference`'s.
const REDACTED: [&str; 2] = ["redacted-by-litellm", "__REDACTED__"];

/// Whether texts of a value were taken out before it was logged: what is left says nothing of
/// lengths, and nothing of what is shared.
pub(crate) fn redacted(value: &Value) -> bool {
    match (value.as_str(), value.as_array(), value.as_object()) {
        (Some(text), _, _) => REDACTED.contains(&text),
        (_, Some(items), _) => items.iter().any(redacted),
        (_, _, Some(members)) => members.values().any(redacted),
        (None, None, None) => false,
    }
}

/// A body: JSON, or JSON in a string, or that in base64.
pub(crate) fn body(value: &Value) -> Option<Value> {
    let Some(text) = value.as_str() else { return Some(value.clone()).filter(|it| !it.is_null()) };
    let parsed = serde_json::from_str(text.trim()).ok();
    parsed.or_else(|| serde_json::from_slice(&STANDARD.decode(text.trim()).ok()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn measured(message: &Value) -> Vec<Message> {
        Measure { salt: Salt(1), count: Count::Words }.messages(message)
    }

    #[test]
    fn one_message_in_several_notations_is_one() {
        let plain = measured(&json!({"role": "user", "content": "a b c"}));
        for other in [
            json!({"role": "user", "content": [{"type": "text", "text": "a b c"}]}),
            json!({"role": "user", "content": [{"type": "input_text", "text": "a b c"}], "name": null}),
            json!({"role": "user", "parts": [{"type": "text", "content": "a b c"}]}),
        ] {
            assert_eq!(measured(&other), plain, "{other}");
        }
        let other_role = measured(&json!({"role": "assistant", "content": "a b c"}));
        assert_ne!(other_role[0].hash, plain[0].hash);
        assert_eq!((plain[0].role, plain[0].size), (Role::User, 3));
    }

    #[test]
    fn results_of_parallel_calls_are_apart() {
        let message = json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": "a b"},
            {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "c"}]},
        ]});
        let found: Vec<_> = measured(&message).iter().map(|it| (it.role, it.size)).collect();
        assert_eq!(found, [(Role::Tool, 2), (Role::Tool, 1)]);
    }

    #[test]
    fn bodies_may_be_strings_or_base64() {
        let plain = json!({"a": 1});
        assert_eq!(body(&plain), Some(plain.clone()));
        assert_eq!(body(&json!("{\"a\": 1}")), Some(plain.clone()));
        assert_eq!(body(&json!(STANDARD.encode("{\"a\":1}"))), Some(plain));
        assert_eq!(body(&json!("hello")), None);
        assert_eq!(body(&Value::Null), None);
    }
}
