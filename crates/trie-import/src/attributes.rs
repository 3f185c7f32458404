//! Attributes of spans, by two sets of names: OpenTelemetry's conventions for generative AI, old
//! and new, and those of `OpenInference`.

use serde_json::{Map, Value, json};
use trie_core::units::Tokens;

use crate::content::{Measure, Message, body, flat_text, redacted};
use crate::model::{Request, Time};
use crate::spans::{Is, Span};
use crate::value::{at, number, seconds, text, tokens, whole};

/// Names with dots are looked into so deep.
const MOST_PARTS: usize = 12;

/// What `OpenInference` calls spans of each kind.
pub(crate) const KINDS: [&str; 10] = [
    "LLM",
    "TOOL",
    "AGENT",
    "CHAIN",
    "RETRIEVER",
    "RERANKER",
    "EMBEDDING",
    "GUARDRAIL",
    "EVALUATOR",
    "PROMPT",
];

/// Names, times and state of a span, wherever they stand in it.
pub(crate) struct Outline<'s> {
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) trace: String,
    pub(crate) name: &'s str,
    pub(crate) start: Option<Time>,
    pub(crate) end: Option<Time>,
    pub(crate) failed: bool,
}

/// What attributes say of a span.
#[derive(Default)]
struct Told {
    is: Option<Is>,
    input: Option<Tokens>,
    output: Option<Tokens>,
    cached: Option<Tokens>,
    reasoning: Option<Tokens>,
    ttft: Option<Time>,
    messages: Vec<Message>,
    answer: Vec<Message>,
    size: Option<Tokens>,
}

/// Reads a span's attributes.
pub(crate) fn span(
    outline: Outline<'_>,
    attributes: &Map<String, Value>,
    measure: Measure<'_>,
) -> Span {
    let told = if is_open_inference(attributes) {
        open_inference(attributes, measure)
    } else {
        gen_ai(outline.name, attributes, measure)
    };
    let names = ["gen_ai.conversation.id", "session.id"];
    let named = names.iter().find_map(|name| attributes.get(*name)?.as_str());
    let nested = || attributes.get("session")?.get("id")?.as_str();
    let other = || {
        let other = attributes.iter().find(|(key, _)| key.ends_with(".session.id"));
        other.and_then(|(_, value)| value.as_str())
    };
    let request = Request {
        start: outline.start,
        end: outline.end,
        ttft: told.ttft,
        reasoning: told.reasoning,
        cached: told.cached,
        ..Request::default()
    };
    Span {
        conversation: named.or_else(nested).or_else(other).map(str::to_owned),
        loose: false,
        failed: outline.failed || attributes.contains_key("error.type"),
        id: outline.id,
        parent: outline.parent,
        trace: outline.trace,
        is: told.is.unwrap_or(Is::Other),
        input: told.input,
        output: told.output,
        messages: told.messages,
        answer: told.answer,
        request,
        size: told.size,
    }
}

/// How long a tool's result is, where it was recorded.
fn result(value: Option<&Value>, measure: Measure<'_>) -> Option<Tokens> {
    let value = value.filter(|value| !value.is_null() && !redacted(value))?;
    Some(measure.size(&flat_text(value)))
}

/// By the names of the conventions for generative AI.
fn gen_ai(name: &str, attributes: &Map<String, Value>, measure: Measure<'_>) -> Told {
    let tokens = |keys: &[&str]| keys.iter().find_map(|key| whole(attributes.get(*key)?));
    let input = tokens(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]);
    let (messages, answer) = contents(attributes, measure);
    let first = attributes.get("gen_ai.response.time_to_first_chunk").and_then(number);
    Told {
        is: Some(is(name, attributes, input.is_some() || !messages.is_empty())),
        input,
        output: tokens(&["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]),
        cached: tokens(&["gen_ai.usage.cache_read.input_tokens"]),
        reasoning: tokens(&["gen_ai.usage.reasoning.output_tokens"]),
        ttft: first.and_then(seconds),
        messages,
        answer,
        size: result(attributes.get("gen_ai.tool.call.result"), measure),
    }
}

fn is(name: &str, attributes: &Map<String, Value>, has_lengths: bool) -> Is {
    let operation = attributes.get("gen_ai.operation.name").and_then(Value::as_str);
    match operation.or_else(|| name.split(' ').next()) {
        Some("chat" | "generate_content" | "text_completion") => Is::Request,
        Some("execute_tool") => Is::Tool,
        Some("invoke_agent" | "create_agent" | "invoke_workflow") => Is::Agent,
        Some(_) if operation.is_some() => Is::Other,
        Some(_) | None if has_lengths => Is::Request,
        Some(_) | None => Is::Other,
    }
}

/// The messages of prompt and answer, where the source recorded them.
fn contents(attributes: &Map<String, Value>, measure: Measure<'_>) -> (Vec<Message>, Vec<Message>) {
    let messages = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| body(attributes.get(*key)?)).unwrap_or_default();
        let found = found.as_array().map_or(&[][..], Vec::as_slice);
        found.iter().flat_map(|message| measure.messages(message)).collect::<Vec<Message>>()
    };
    let asked = messages(&["gen_ai.input.messages", "gen_ai.prompt"]);
    let mut answer = messages(&["gen_ai.output.messages", "gen_ai.completion"]);
    if let Some(text) = attributes.get("gen_ai.output.text").filter(|_| answer.is_empty()) {
        let message = json!({"role": "assistant", "content": text});
        answer = measure.messages(&message);
    }
    if asked.is_empty() {
        return (asked, answer);
    }
    let opening = ["gen_ai.tool.definitions", "gen_ai.system_instructions"];
    let opening = opening.iter().filter_map(|key| measure.opening(attributes.get(*key)));
    (opening.chain(asked).collect(), answer)
}

/// Whether attributes have the names of `OpenInference`, flat or as objects.
pub(crate) fn is_open_inference(attributes: &Map<String, Value>) -> bool {
    let ours = |key: &String| key.starts_with("openinference.") || key.starts_with("llm.");
    attributes.keys().any(ours)
        || attributes.get("openinference").is_some_and(Value::is_object)
        || attributes.get("llm").is_some_and(Value::is_object)
}

/// By the names of `OpenInference`, as the specification in github.com/Arize-ai/openinference has
/// them: lists are written as names with indices, or as lists, and tokens of the prompt hold those
/// of the cache.
fn open_inference(attributes: &Map<String, Value>, measure: Measure<'_>) -> Told {
    let mut whole = Map::new();
    for (key, value) in attributes {
        let wanted = ["openinference", "llm"].iter().any(|name| key.starts_with(name));
        if wanted {
            put(&mut whole, key, nested(value), MOST_PARTS);
        }
    }
    let whole = Value::Object(whole);
    let llm = at(&whole, &["llm"]).unwrap_or(&Value::Null);
    let count = |path: &[&str]| tokens(llm, &[&["token_count"], path].concat());
    let is = match text(&whole, &["openinference", "span", "kind"]) {
        Some("LLM") => Is::Request,
        Some("TOOL") => Is::Tool,
        Some("AGENT") => Is::Agent,
        None if count(&["prompt"]).is_some() => Is::Request,
        Some(_) | None => Is::Other,
    };
    let messages = |key: &str, role: &str| -> Vec<Message> {
        let found = llm.get(key).filter(|found| !redacted(found));
        let found = items(found).into_iter().map(|item| message(item, role));
        found.flat_map(|message| measure.messages(&message)).collect()
    };
    let asked = messages("input_messages", "user");
    let tools = at(llm, &["tools"]).filter(|_| !asked.is_empty());
    Told {
        is: Some(is),
        input: count(&["prompt"]),
        output: count(&["completion"]),
        cached: count(&["prompt_details", "cache_read"]),
        reasoning: count(&["completion_details", "reasoning"]),
        ttft: None,
        messages: measure.opening(tools).into_iter().chain(asked).collect(),
        answer: messages("output_messages", "assistant"),
        size: result(attributes.get("output.value"), measure).filter(|_| is == Is::Tool),
    }
}

/// A value whose names with dots are objects in objects.
fn nested(value: &Value) -> Value {
    if let Some(items) = value.as_array() {
        return items.iter().map(nested).collect();
    }
    let Some(members) = value.as_object() else { return value.clone() };
    let mut whole = Map::new();
    for (key, value) in members {
        put(&mut whole, key, nested(value), MOST_PARTS);
    }
    Value::Object(whole)
}

/// Puts a value where its name says; names that contradict each other are left out.
fn put(whole: &mut Map<String, Value>, name: &str, value: Value, parts: usize) {
    match name.split_once('.').filter(|_| parts > 1) {
        Some((first, rest)) => {
            let inner = whole.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value, parts - 1);
            }
        }
        None => match (whole.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (Some(_), _) => {}
            (None, value) => {
                whole.insert(name.to_owned(), value);
            }
        },
    }
}

/// The elements of a list, or of an object whose names are indices, in order.
fn items(value: Option<&Value>) -> Vec<&Value> {
    let Some(value) = value else { return Vec::new() };
    let mut indexed: Vec<(usize, &Value)> = match (value.as_array(), value.as_object()) {
        (Some(items), _) => items.iter().enumerate().collect(),
        (None, Some(members)) => {
            members.iter().filter_map(|(key, item)| Some((key.parse().ok()?, item))).collect()
        }
        (None, None) => Vec::new(),
    };
    indexed.sort_by_key(|(index, _)| *index);
    indexed.into_iter().map(|(_, item)| item).collect()
}

/// A message as chats have it.
fn message(item: &Value, role: &str) -> Value {
    let message = item.get("message").unwrap_or(item);
    let parts = items(message.get("contents")).into_iter().map(|part| {
        let part = part.get("message_content").unwrap_or(part);
        json!({"type": part.get("type"), "text": part.get("text").unwrap_or(&Value::Null)})
    });
    let parts: Vec<Value> = parts.collect();
    let content = match message.get("content") {
        Some(content) if parts.is_empty() => content.clone(),
        Some(_) | None => Value::Array(parts),
    };
    let mut calls: Vec<Value> = items(message.get("tool_calls"))
        .into_iter()
        .map(|call| json!({"function": call.get("tool_call").unwrap_or(call).get("function")}))
        .collect();
    if let Some(name) = message.get("function_call_name") {
        let arguments = message.get("function_call_arguments_json");
        calls.push(json!({"function": {"name": name, "arguments": arguments}}));
    }
    let role = text(message, &["role"]).unwrap_or(role);
    json!({"role": role, "content": content, "tool_calls": calls})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::Count;
    use crate::names::Salt;

    fn told(attributes: &Value) -> Told {
        let measure = Measure { salt: Salt(1), count: Count::Words };
        open_inference(attributes.as_object().expect("it is an object"), measure)
    }

    #[test]
    fn names_with_indices_lists_and_objects_are_the_same() {
        let long: Vec<Value> =
            (0..11).map(|_| json!({"message.role": "user", "message.content": "a"})).collect();
        let listed = told(&json!({"llm.input_messages": long, "llm.token_count.prompt": 11}));
        let mut flat = json!({"llm.token_count": {"prompt": 11}});
        let mut objects = json!({"llm": {"token_count": {"prompt": 11}, "input_messages": {}}});
        for index in 0..11 {
            flat[format!("llm.input_messages.{index}.message.role")] = json!("user");
            flat[format!("llm.input_messages.{index}.message.content")] = json!("a");
            let message = json!({"message": {"role": "user", "contents": [{"message_content": {"type": "text", "text": "a"}}]}});
            objects["llm"]["input_messages"][index.to_string()] = message;
        }
        assert_eq!(listed.messages.len(), 11);
        for other in [told(&flat), told(&objects)] {
            assert_eq!(other.messages, listed.messages);
            assert_eq!((other.input, other.is), (Some(11), Some(Is::Request)));
        }
    }

    #[test]
    fn names_that_contradict_each_other_or_are_deep_do_no_harm() {
        let deep = format!("llm.{}x", "a.".repeat(1000));
        let mut odd = json!({"llm": 3, "llm.token_count": 4, "llm.token_count.prompt": 7});
        odd[deep] = json!(1);
        assert_eq!(told(&odd).input, None);
        let hidden = json!({"llm.token_count.prompt": 7, "llm.input_messages.0.message.content": "__REDACTED__"});
        assert!(told(&hidden).messages.is_empty());
    }
}
