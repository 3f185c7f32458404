//! The bodies of requests, as they come and as they are understood.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};

use super::refusal::Refusal;

/// Which of the two routes a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Completions,
    Chat,
}

/// A request that was understood, its prompt not yet tokenized.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) model: Option<String>,
    pub(super) prompt: Prompt,
    /// None: the route's default.
    pub(super) max_tokens: Option<usize>,
    pub(super) min_tokens: usize,
    pub(super) ignore_eos: bool,
    pub(super) seed: i64,
    pub(super) return_token_ids: bool,
    /// `logprobs` with `return_tokens_as_token_ids`, which names ids without repeating the prompt's.
    pub(super) logprob_ids: bool,
    pub(super) delivery: Delivery,
}

/// What is to be completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

/// How the answer is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    Stream(StreamUsage),
}

/// Which chunks of a stream carry usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamUsage {
    None,
    /// A last chunk of its own.
    Final,
    /// Every chunk, and a last one of its own.
    Continuous,
}

/// Reads the body of a request for a completion.
pub(super) fn read(api: Api, body: &[u8]) -> Result<Ask, Refusal> {
    let body: Body = parse(body)?;
    let prompt = match api {
        Api::Completions => {
            body.prompt.ok_or_else(|| Refusal::bad("prompt", "prompt is required"))?
        }
        Api::Chat => Prompt::Text(template(&body.messages.unwrap_or_default())?),
    };
    if body.n.is_some_and(|n| n != 1) {
        return Err(Refusal::bad("n", "the simulated engine gives one choice: n must be 1"));
    }
    Ok(Ask {
        model: body.model,
        prompt,
        max_tokens: limit(body.max_completion_tokens.or(body.max_tokens))?,
        min_tokens: body.min_tokens.unwrap_or(0),
        ignore_eos: body.ignore_eos.unwrap_or(false),
        seed: body.seed.unwrap_or(0),
        return_token_ids: body.return_token_ids.unwrap_or(false),
        logprob_ids: body.logprobs.is_some() && body.return_tokens_as_token_ids == Some(true),
        delivery: delivery(body.stream, body.stream_options)?,
    })
}

/// Reads the body of a request to tokenize.
pub(super) fn read_tokenize(body: &[u8]) -> Result<Prompt, Refusal> {
    let body: Body = parse(body)?;
    match (body.prompt, body.messages) {
        (Some(prompt), _) => Ok(prompt),
        (None, Some(messages)) => Ok(Prompt::Text(template(&messages)?)),
        (None, None) => Err(Refusal::bad("prompt", "either prompt or messages is required")),
    }
}

/// A body on the wire, of either route; unknown fields are left alone, as vLLM does.
#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    prompt: Option<Prompt>,
    messages: Option<Vec<Message>>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    min_tokens: Option<usize>,
    ignore_eos: Option<bool>,
    n: Option<u64>,
    seed: Option<i64>,
    return_token_ids: Option<bool>,
    logprobs: Option<IgnoredAny>,
    return_tokens_as_token_ids: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
    continuous_usage_stats: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

/// The text of a message, its parts joined.
struct Content(String);

fn parse(body: &[u8]) -> Result<Body, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::plain(400, format!("invalid body: {error}")))
}

fn limit(max_tokens: Option<i64>) -> Result<Option<usize>, Refusal> {
    let Some(wanted) = max_tokens else { return Ok(None) };
    let tokens = usize::try_from(wanted).ok().filter(|tokens| *tokens > 0);
    let message = || format!("max_tokens must be at least 1, got {wanted}.");
    tokens.map(Some).ok_or_else(|| Refusal::bad("max_tokens", message()))
}

fn delivery(stream: Option<bool>, options: Option<StreamOptions>) -> Result<Delivery, Refusal> {
    let streaming = stream.unwrap_or(false);
    let Some(options) = options else {
        let plain = Delivery::Stream(StreamUsage::None);
        return Ok(if streaming { plain } else { Delivery::Whole });
    };
    if !streaming {
        let message = "Stream options can only be defined when `stream=True`.";
        return Err(Refusal::bad("stream_options", message));
    }
    // As in vLLM, running usage comes only where final usage was asked for.
    let continuous = options.continuous_usage_stats.unwrap_or(false);
    Ok(Delivery::Stream(match (options.include_usage.unwrap_or(false), continuous) {
        (false, _) => StreamUsage::None,
        (true, false) => StreamUsage::Final,
        (true, true) => StreamUsage::Continuous,
    }))
}

/// The built-in chat template: a line with the role, a line with the text, and the assistant's turn.
fn template(messages: &[Message]) -> Result<String, Refusal> {
    if messages.is_empty() {
        return Err(Refusal::bad("messages", "at least one message is required"));
    }
    let mut text = String::new();
    for message in messages {
        let content = message.content.as_ref().map_or("", |content| &content.0);
        text.extend(["<|", &message.role, "|>\n", content, "\n"]);
    }
    text.push_str("<|assistant|>\n");
    Ok(text)
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptVisitor)
    }
}

struct PromptVisitor;

impl<'de> Visitor<'de> for PromptVisitor {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one prompt: a string, a list of token ids, or a list of one of these")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompt, E> {
        Ok(Prompt::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Prompt, E> {
        Ok(Prompt::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompt, A::Error> {
        let mut ids = match list.next_element()? {
            None => return Ok(Prompt::Ids(Vec::new())),
            Some(Item::Id(id)) => vec![id],
            Some(Item::Prompt(prompt)) => {
                return match list.next_element::<IgnoredAny>()? {
                    None => Ok(prompt),
                    Some(_) => {
                        Err(A::Error::custom("the simulated engine takes one prompt a request"))
                    }
                };
            }
        };
        while let Some(id) = list.next_element()? {
            ids.push(id);
        }
        Ok(Prompt::Ids(ids))
    }
}

/// An item of a list of prompts.
enum Item {
    Id(u32),
    Prompt(Prompt),
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token id, a string or a list of token ids")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Item, E> {
        u32::try_from(id)
            .map(Item::Id)
            .map_err(|_| E::custom(format!("token id {id} is out of vocabulary")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Prompt(Prompt::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = list.next_element()? {
            ids.push(id);
        }
        Ok(Item::Prompt(Prompt::Ids(ids)))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of parts with text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
        Ok(Content(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut joined = String::new();
        while let Some(part) = list.next_element::<Part>()? {
            joined.push_str(part.text.as_deref().unwrap_or(""));
        }
        Ok(Content(joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_come_in_four_forms() {
        let check = |json: &str, expected| {
            let body = format!(r#"{{"prompt":{json}}}"#);
            assert_eq!(read(Api::Completions, body.as_bytes()).unwrap().prompt, expected);
        };
        check(r#""a b""#, Prompt::Text("a b".into()));
        check(r#"["a\n"]"#, Prompt::Text("a\n".into()));
        check("[1,2,3]", Prompt::Ids(vec![1, 2, 3]));
        check("[[1,2]]", Prompt::Ids(vec![1, 2]));
        check("[]", Prompt::Ids(vec![]));
    }

    #[test]
    fn wrong_bodies_are_refused_by_name() {
        let check = |body: &str, expected: &str| {
            let refusal = read(Api::Completions, body.as_bytes()).unwrap_err();
            assert_eq!(refusal.status, 400);
            assert!(refusal.message.contains(expected), "{}", refusal.message);
        };
        check("{", "invalid body");
        check("{}", "prompt is required");
        check(r#"{"prompt":["a","b"]}"#, "one prompt a request");
        check(r#"{"prompt":[1,"b"]}"#, "invalid body");
        check(r#"{"prompt":[4294967296]}"#, "out of vocabulary");
        check(r#"{"prompt":"a","max_tokens":0}"#, "at least 1, got 0");
        check(r#"{"prompt":"a","max_tokens":-1}"#, "at least 1, got -1");
        check(r#"{"prompt":"a","n":2}"#, "n must be 1");
        check(r#"{"prompt":"a","stream_options":{}}"#, "Stream options");
    }

    #[test]
    fn running_usage_needs_final_usage() {
        let check = |options: &str, expected| {
            let body = format!(r#"{{"prompt":"a","stream":true,"stream_options":{options}}}"#);
            let ask = read(Api::Completions, body.as_bytes()).unwrap();
            assert_eq!(ask.delivery, Delivery::Stream(expected));
        };
        check("{}", StreamUsage::None);
        check("null", StreamUsage::None);
        check(r#"{"continuous_usage_stats":true}"#, StreamUsage::None);
        check(r#"{"include_usage":true}"#, StreamUsage::Final);
        check(r#"{"include_usage":true,"continuous_usage_stats":true}"#, StreamUsage::Continuous);
    }

    #[test]
    fn messages_are_joined_by_the_built_in_template() {
        let body = br#"{"messages":[{"role":"system","content":"s"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
            {"role":"assistant","content":null}]}"#;
        let ask = read(Api::Chat, body).unwrap();
        let expected = "<|system|>\ns\n<|user|>\nab\n<|assistant|>\n\n<|assistant|>\n";
        assert_eq!(ask.prompt, Prompt::Text(expected.into()));
    }
}
