//! Streams as servers send them, made from a count: the same bytes every time.

use std::fmt::Write as _;

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
        let text = self.text(n);
        match self {
            Self::Timings => llamacpp(text, n),
            Self::Plain | Self::Escapes => vllm(text, "null", ""),
            Self::Ids => vllm(text, &format!("[{}]", 1_000 + 7_919 * n % 150_000), ""),
            Self::RunningUsage => vllm(text, "null", &usage(n + 1)),
        }
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

fn vllm(text: &str, ids: &str, usage: &str) -> String {
    format!(
        r#"{{"id":"cmpl-9d4950bdea11a4c6","object":"text_completion","created":1795493995,"model":"tiny-qwen3","choices":[{{"index":0,"text":"{text}","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":{ids}}}]{usage}}}"#
    )
}

fn usage(tokens: usize) -> String {
    let total = 6_000 + tokens;
    format!(
        r#","usage":{{"prompt_tokens":6000,"total_tokens":{total},"completion_tokens":{tokens}}}"#
    )
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
