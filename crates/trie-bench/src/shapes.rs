//! Streams as servers send them, made from a count: the same bytes every time.

use std::fmt::Write as _;
use std::io::Write as _;

/// Whose chunks they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// The id in each chunk.
    pub(crate) id: &'a str,
    /// What the usage says of the prompt.
    pub(crate) prompt_tokens: usize,
}

impl Default for Answer<'_> {
    fn default() -> Self {
        Self { id: "cmpl-9d4950bdea11a4c6", prompt_tokens: 6_000 }
    }
}

/// What the chunks of a stream carry besides text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// vLLM's completions, nothing asked for.
    Plain,
    /// The same with `return_token_ids`.
    Ids,
    /// The same with `continuous_usage_stats`.
    RunningUsage,
    /// llama.cpp's completions with `timings_per_token`.
    Timings,
    /// [`Shape::Plain`] with an escape in the text of every eighth chunk, as code has it.
    Escapes,
}

impl Shape {
    pub(crate) const ALL: [Self; 5] =
        [Self::Plain, Self::Ids, Self::RunningUsage, Self::Timings, Self::Escapes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ids => "ids",
            Self::RunningUsage => "usage",
            Self::Timings => "timings",
            Self::Escapes => "escapes",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.name() == name)
    }

    /// The JSON of chunk `n`, from 0.
    pub(crate) fn chunk(self, n: usize) -> String {
        self.chunk_of(Answer::default(), n, "null")
    }

    /// The JSON of chunk `n` of an answer, with a finish reason as JSON.
    fn chunk_of(self, answer: Answer<'_>, n: usize, finish: &str) -> String {
        let text = self.text(n);
        match self {
            Self::Timings => llamacpp(text, n),
            Self::Plain | Self::Escapes => vllm(answer.id, (text, "null", ""), finish),
            Self::Ids => {
                let ids = format!("[{}]", 1_000 + 7_919 * n % 150_000);
                vllm(answer.id, (text, &ids, ""), finish)
            }
            Self::RunningUsage => {
                let usage = format!(r#","usage":{}"#, usage(answer, n + 1));
                vllm(answer.id, (text, "null", &usage), finish)
            }
        }
    }

    /// Adds chunk `n` as an HTTP chunk of its own; the last one has a finish reason.
    pub(crate) fn push_frame(self, to: &mut Vec<u8>, answer: Answer<'_>, (n, last): (usize, bool)) {
        let finish = if last { r#""length""# } else { "null" };
        push_frame(to, &self.chunk_of(answer, n, finish));
    }

    /// Event `n` as it stands on the wire.
    pub(crate) fn event(self, n: usize) -> Vec<u8> {
        format!("data: {}\n\n", self.chunk(n)).into_bytes()
    }

    fn text(self, n: usize) -> &'static str {
        const WORDS: [&str; 8] =
            [" the", " größte", "EqualTo", " distra", "にも", "_animation", ",", " of"];
        if self == Self::Escapes && n % 8 == 7 { r"\n    " } else { WORDS[n % WORDS.len()] }
    }
}

/// Adds what comes after the last chunk of an answer of so many tokens: its usage, and the end of the
/// stream and of the body.
pub(crate) fn push_end(to: &mut Vec<u8>, answer: Answer<'_>, tokens: usize) {
    let (id, usage) = (answer.id, usage(answer, tokens));
    let json = format!(
        r#"{{"id":"{id}","object":"text_completion","created":1795493995,"model":"tiny-qwen3","choices":[],"usage":{usage}}}"#
    );
    push_frame(to, &json);
    push_frame(to, "[DONE]");
    to.extend_from_slice(b"0\r\n\r\n");
}

fn push_frame(to: &mut Vec<u8>, data: &str) {
    let length = "data: ".len() + data.len() + 2;
    write!(to, "{length:x}\r\ndata: {data}\n\n\r\n").expect("a vector takes everything");
}

fn vllm(id: &str, (text, ids, usage): (&str, &str, &str), finish: &str) -> String {
    format!(
        r#"{{"id":"{id}","object":"text_completion","created":1795493995,"model":"tiny-qwen3","choices":[{{"index":0,"text":"{text}","logprobs":null,"finish_reason":{finish},"stop_reason":null,"prompt_token_ids":null,"token_ids":{ids}}}]{usage}}}"#
    )
}

fn usage(answer: Answer<'_>, tokens: usize) -> String {
    let prompt = answer.prompt_tokens;
    let total = prompt + tokens;
    format!(r#"{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{tokens}}}"#)
}

fn llamacpp(text: &str, n: usize) -> String {
    let mut json = format!(
        r#"{{"choices":[{{"text":"{text}","index":0,"logprobs":null,"finish_reason":null}}],"created":1795493373,"model":"tiny-qwen3","system_fingerprint":"b0-unknown","object":"text_completion","id":"chatcmpl-kkASwMv2Q4pEDLrRzsI6RrDgh8Vga78U","timings":{{"cache_n":3,"prompt_n":1,"prompt_ms":4.585,"prompt_per_token_ms":4.585,"prompt_per_second":218.10250817884406,"#
    );
    let (tokens, micros) = (n + 1, 4_530 * n + 1);
    write!(
        json,
        r#""predicted_n":{tokens},"predicted_ms":{}.{:03},"predicted_per_token_ms":4.{n},"predicted_per_second":220.7505518763797}}}}"#,
        micros / 1_000,
        micros % 1_000,
    )
    .expect("a string takes everything");
    json
}
