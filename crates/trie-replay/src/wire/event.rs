//! What one event of an OpenAI-style stream says.
//!
//! Completions and chat, streamed chunks and whole answers all pass through [`parse_event`]: the
//! fields that matter here do not clash. It decides what JSON says; the faster reader of `template`
//! stands in front of it and gives the same.

use std::borrow::Cow;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::failure::server_message;

/// One event's data, understood.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `[DONE]`.
    Done,
    /// An error object in place of a chunk.
    Error(StreamError),
    /// A chunk, or a whole answer.
    Chunk(Chunk<'a>),
}

/// The server gave up in the middle of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct StreamError {
    /// The server's own words.
    pub message: String,
    /// The HTTP status it would have sent, where `code` holds one.
    pub code: Option<u16>,
}

/// A value that a server may leave out, set to null, or say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Said<T> {
    /// No such key.
    #[default]
    Absent,
    /// The key, with null.
    Null,
    /// A value.
    Value(T),
}

impl<T: Copy> Said<T> {
    /// The value, if one was said.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Absent | Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }
}

/// Token counts as the server reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated so far; at the end, in all.
    pub completion_tokens: Option<u64>,
    /// Tokens of the prompt that came from the server's cache.
    pub cached_tokens: Said<u64>,
}

/// The facts of one chunk, with text borrowed from the event where it holds no escapes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The answer's id.
    pub id: Option<Cow<'a, str>>,
    /// `choices` holds an entry.
    pub has_choices: bool,
    /// The delta names a role and nothing else: it stands for no token.
    pub role_only: bool,
    /// Answer text of the first choice; empty when there is none.
    pub text: Cow<'a, str>,
    /// Reasoning of the first choice, where it comes on a channel of its own.
    pub reasoning: Cow<'a, str>,
    /// Text, reasoning or a tool call: any channel holds something.
    pub has_output: bool,
    /// Why the server stopped, where it says so.
    pub finish_reason: Option<Cow<'a, str>>,
    /// Ids of the tokens that this chunk stands for; `Some([])` says that there are none.
    pub token_ids: Option<Cow<'a, [u32]>>,
    /// Entries of `logprobs`, one a token.
    pub logprobs: Option<u64>,
    /// Counts, in the last chunk or in each.
    pub usage: Option<Usage>,
    /// llama.cpp's `timings.predicted_n`: tokens generated so far.
    pub predicted: Option<u64>,
    /// llama.cpp's `timings.cache_n`: cached tokens of the prompt.
    pub timings_cached: Option<u64>,
}

/// Reads one event's data.
pub fn parse_event(data: &[u8]) -> Result<Event<'_>, serde_json::Error> {
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Ok(Event::Done);
    }
    let wire: WireChunk<'_> = serde_json::from_slice(data)?;
    if let Some(error) = wire.error {
        return Ok(Event::Error(stream_error(data, error)));
    }
    if wire.object.as_ref().is_some_and(|object| object.0 == "error") {
        return Ok(Event::Error(StreamError { message: server_message(data), code: None }));
    }
    Ok(Event::Chunk(chunk(wire)))
}

fn stream_error(data: &[u8], error: &RawValue) -> StreamError {
    #[derive(Deserialize)]
    struct Coded {
        code: Option<serde_json::Value>,
    }
    let code = serde_json::from_str::<Coded>(error.get()).ok().and_then(|coded| coded.code);
    let code = code.and_then(|code| code.as_u64()).and_then(|code| u16::try_from(code).ok());
    StreamError { message: server_message(data), code }
}

fn chunk(mut wire: WireChunk<'_>) -> Chunk<'_> {
    let native = wire.native();
    let mut chunk = Chunk {
        id: wire.id.map(|id| id.0),
        usage: wire.usage.map(usage),
        predicted: wire.timings.as_ref().and_then(|timings| timings.predicted_n).map(|n| n.0),
        timings_cached: wire.timings.as_ref().and_then(|timings| timings.cache_n).map(|n| n.0),
        ..Chunk::default()
    };
    // We ask for one choice; of more, the first one's text is the answer.
    if let Some(choice) = wire.choices.unwrap_or_default().into_iter().next() {
        fill_choice(&mut chunk, choice);
    } else if let Some(native) = native {
        native.fill(&mut chunk);
    }
    chunk
}

fn fill_choice<'a>(chunk: &mut Chunk<'a>, choice: WireChoice<'a>) {
    let delta = choice.delta.or(choice.message).unwrap_or_default();
    let named_role = delta.role.is_some();
    // Some servers send it under both names.
    let reasoning = [delta.reasoning_content, delta.reasoning].into_iter().flatten();
    let reasoning = reasoning.map(|text| text.0).find(|text| !text.is_empty());
    let other_channel =
        reasoning.is_some() || delta.tool_calls.is_some_and(|calls| !calls.is_empty());
    chunk.reasoning = reasoning.unwrap_or_default();
    chunk.has_choices = true;
    chunk.text = choice.text.or(delta.content).map(|text| text.0).unwrap_or_default();
    chunk.has_output = !chunk.text.is_empty() || other_channel;
    chunk.finish_reason = choice.finish_reason.map(|reason| reason.0);
    chunk.role_only = named_role && !chunk.has_output && chunk.finish_reason.is_none();
    let logprobs = choice.logprobs;
    let named = logprobs.as_ref().and_then(WireLogprobs::ids);
    chunk.token_ids = choice.token_ids.or(named).map(Cow::Owned);
    chunk.logprobs = logprobs.as_ref().and_then(WireLogprobs::entries);
}

fn usage(wire: WireUsage) -> Usage {
    let cached_tokens = match wire.prompt_tokens_details {
        Said::Absent => Said::Absent,
        Said::Null => Said::Null,
        Said::Value(details) => match details.cached_tokens {
            Said::Absent => Said::Absent,
            Said::Null => Said::Null,
            Said::Value(Count(tokens)) => Said::Value(tokens),
        },
    };
    Usage {
        prompt_tokens: wire.prompt_tokens.map(|count| count.0),
        completion_tokens: wire.completion_tokens.map(|count| count.0),
        cached_tokens,
    }
}

// What is read off the wire. Fields that are not named are skipped by the parser.

#[derive(Deserialize)]
struct WireChunk<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    object: Option<Text<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<WireChoice<'a>>>,
    usage: Option<WireUsage>,
    timings: Option<WireTimings>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    // llama.cpp's own `/completion`.
    #[serde(borrow)]
    content: Option<Text<'a>>,
    tokens: Option<Vec<u32>>,
    stop: Option<bool>,
    #[serde(borrow)]
    stop_type: Option<Text<'a>>,
    tokens_evaluated: Option<Count>,
    tokens_predicted: Option<Count>,
}

/// A chunk of llama.cpp's own `/completion`; the last one says `stop` and holds the counts.
struct Native<'a> {
    content: Cow<'a, str>,
    tokens: Option<Vec<u32>>,
    stop_type: Option<Cow<'a, str>>,
    usage: Option<Usage>,
}

impl<'a> WireChunk<'a> {
    fn native(&mut self) -> Option<Native<'a>> {
        let content = self.content.take()?.0;
        let stops = self.stop == Some(true);
        let stop_type = self.stop_type.take().map(|kind| kind.0);
        let count = |count: Option<Count>| count.map(|count| count.0);
        Some(Native {
            content,
            tokens: self.tokens.take(),
            stop_type: stops.then(|| stop_type.unwrap_or(Cow::Borrowed("stop"))),
            usage: stops.then(|| Usage {
                prompt_tokens: count(self.tokens_evaluated),
                completion_tokens: count(self.tokens_predicted),
                cached_tokens: Said::Absent,
            }),
        })
    }
}

impl<'a> Native<'a> {
    fn fill(self, chunk: &mut Chunk<'a>) {
        chunk.has_choices = true;
        chunk.has_output = !self.content.is_empty();
        chunk.text = self.content;
        chunk.token_ids = self.tokens.map(Cow::Owned);
        chunk.finish_reason = self.stop_type;
        chunk.usage = self.usage;
    }
}

#[derive(Deserialize)]
struct WireChoice<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    delta: Option<WireDelta<'a>>,
    #[serde(borrow)]
    message: Option<WireDelta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    token_ids: Option<Vec<u32>>,
    #[serde(borrow)]
    logprobs: Option<WireLogprobs<'a>>,
}

#[derive(Deserialize, Default)]
struct WireDelta<'a> {
    role: Option<IgnoredAny>,
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Text<'a>>,
    tool_calls: Option<Vec<IgnoredAny>>,
}

/// Completions list `tokens`, chat lists `content`.
#[derive(Deserialize)]
struct WireLogprobs<'a> {
    #[serde(borrow)]
    tokens: Option<Vec<Text<'a>>>,
    content: Option<Vec<IgnoredAny>>,
}

impl WireLogprobs<'_> {
    fn entries(&self) -> Option<u64> {
        let entries = self.tokens.as_ref().map(Vec::len);
        entries.or(self.content.as_ref().map(Vec::len)).map(|entries| entries as u64)
    }

    /// The ids in place of texts that `return_tokens_as_token_ids` asks for.
    fn ids(&self) -> Option<Vec<u32>> {
        let tokens = self.tokens.as_ref().filter(|tokens| !tokens.is_empty())?;
        tokens.iter().map(|token| token.0.strip_prefix("token_id:")?.parse().ok()).collect()
    }
}

/// The most tokens that a count may say. Sums over any number of requests then fit 64 bits.
pub(super) const MOST: u64 = 1 << 40;

/// A count of tokens, refused beyond [`MOST`].
#[derive(Clone, Copy, Debug)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let count = u64::deserialize(from)?;
        if count > MOST {
            return Err(D::Error::custom(format!("{count} tokens are more than any server has")));
        }
        Ok(Self(count))
    }
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    #[serde(default)]
    prompt_tokens_details: Said<WireDetails>,
}

#[derive(Deserialize)]
struct WireDetails {
    #[serde(default)]
    cached_tokens: Said<Count>,
}

#[derive(Deserialize)]
struct WireTimings {
    predicted_n: Option<Count>,
    cache_n: Option<Count>,
}

/// Borrows inside an `Option`, which a bare `Cow` does not.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &str) -> Chunk<'_> {
        match parse_event(data.as_bytes()) {
            Ok(Event::Chunk(chunk)) => chunk,
            other => panic!("not a chunk: {other:?}"),
        }
    }

    #[test]
    fn plain_text_is_borrowed_from_the_event() {
        let chunk =
            parse(r#"{"id":"c-1","choices":[{"index":0,"text":" the","finish_reason":null}]}"#);
        assert!(matches!(chunk.text, Cow::Borrowed(" the")));
        assert!(matches!(chunk.id, Some(Cow::Borrowed("c-1"))));
        assert!(chunk.has_choices && chunk.has_output && !chunk.role_only);
        let escaped = parse(r#"{"choices":[{"text":"a\n\u00e9"}]}"#);
        assert_eq!(escaped.text, "a\né");
    }

    #[test]
    fn role_only_frames_are_told_from_output() {
        let check = |delta: &str, role_only: bool, has_output: bool| {
            let data = format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#);
            let chunk = parse(&data);
            assert_eq!((chunk.role_only, chunk.has_output), (role_only, has_output), "{delta}");
        };
        check(r#"{"role":"assistant","content":""}"#, true, false);
        check(r#"{"role":"assistant","content":null}"#, true, false);
        check(r#"{"role":"assistant"}"#, true, false);
        check(r#"{"role":"assistant","content":"x"}"#, false, true);
        check(r#"{"content":""}"#, false, false);
        check(r#"{"reasoning_content":"hm"}"#, false, true);
        check(r#"{"reasoning":"hm"}"#, false, true);
        check(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#, false, true);
        check(r#"{"role":"assistant","tool_calls":[]}"#, true, false);
    }

    #[test]
    fn cached_tokens_are_absent_null_or_a_number() {
        let check = |usage: &str, expected: Said<u64>| {
            let data = format!(r#"{{"choices":[],"usage":{usage}}}"#);
            assert_eq!(parse(&data).usage.unwrap().cached_tokens, expected, "{usage}");
        };
        check(r#"{"prompt_tokens":1}"#, Said::Absent);
        check(r#"{"prompt_tokens_details":null}"#, Said::Null);
        check(r#"{"prompt_tokens_details":{}}"#, Said::Absent);
        check(r#"{"prompt_tokens_details":{"cached_tokens":null}}"#, Said::Null);
        check(r#"{"prompt_tokens_details":{"cached_tokens":0}}"#, Said::Value(0));
    }

    #[test]
    fn a_count_beyond_reason_is_a_broken_event() {
        let check = |counts: &str| {
            let error = parse_event(counts.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("more than any server has"), "{error}");
        };
        check(r#"{"choices":[],"usage":{"prompt_tokens":9223372036854775808}}"#);
        check(
            r#"{"choices":[],"usage":{"prompt_tokens_details":{"cached_tokens":1099511627777}}}"#,
        );
        check(r#"{"choices":[],"timings":{"predicted_n":1099511627777}}"#);
    }

    #[test]
    fn counters_of_every_kind_are_read() {
        let chunk = parse(
            r#"{"choices":[{"text":"","token_ids":[5,6],"logprobs":{"tokens":["a","b"]}}],
                "usage":{"prompt_tokens":3,"completion_tokens":2},
                "timings":{"predicted_n":7,"cache_n":4}}"#,
        );
        assert_eq!(chunk.token_ids.as_deref(), Some(&[5, 6][..]));
        assert_eq!(
            (chunk.logprobs, chunk.predicted, chunk.timings_cached),
            (Some(2), Some(7), Some(4))
        );
        let chat = parse(r#"{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{}]}}]}"#);
        assert_eq!(chat.logprobs, Some(1));
    }

    #[test]
    fn llama_cpps_own_chunks_are_read() {
        let chunk = parse(
            r#"{"index":0,"content":" a","tokens":[7],"stop":false,"tokens_predicted":1,"tokens_evaluated":9}"#,
        );
        assert_eq!((&*chunk.text, chunk.usage), (" a", None));
        assert_eq!(chunk.token_ids.as_deref(), Some(&[7][..]));
        assert!(chunk.has_choices && chunk.finish_reason.is_none());
        let last = parse(
            r#"{"content":"","tokens":[],"stop":true,"stop_type":"limit","tokens_predicted":3,
                "tokens_evaluated":9,"timings":{"cache_n":4,"predicted_n":3}}"#,
        );
        let usage = last.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (Some(9), Some(3)));
        assert_eq!(last.finish_reason.as_deref(), Some("limit"));
        assert_eq!((last.token_ids.as_deref(), last.timings_cached), (Some(&[][..]), Some(4)));
    }

    #[test]
    fn errors_and_the_end_are_told_from_chunks() {
        assert!(matches!(parse_event(b" [DONE] "), Ok(Event::Done)));
        let check =
            |data: &str, message: &str, code: Option<u16>| match parse_event(data.as_bytes()) {
                Ok(Event::Error(error)) => {
                    assert_eq!(error, StreamError { message: message.to_owned(), code });
                }
                other => panic!("{other:?}"),
            };
        check(r#"{"error":{"message":"engine died","code":500}}"#, "engine died", Some(500));
        check(r#"{"error":"no memory"}"#, "no memory", None);
        check(r#"{"object":"error","message":"too long"}"#, "too long", None);
        assert!(matches!(parse_event(br#"{"error":null,"choices":[]}"#), Ok(Event::Chunk(_))));
        assert!(parse_event(b"{\"choices\":[").is_err());
        assert!(parse_event(b"hello").is_err());
    }
}
