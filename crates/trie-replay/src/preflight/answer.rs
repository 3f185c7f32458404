//! An answer read whole, streamed or not: the ids in it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::wire::{Event, Scanner, parse_event};

/// What an answer says about ids.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    /// Generated text.
    pub(super) text: String,
    /// Generated ids, in order.
    pub(super) ids: Vec<u32>,
    /// It repeats the ids of the prompt.
    pub(super) echoes: bool,
    /// The server's count of the prompt.
    pub(super) prompt_tokens: Option<u64>,
    /// The server's count of the answer.
    pub(super) completion_tokens: Option<u64>,
}

/// Reads an event stream or one JSON object; what cannot be read says nothing.
pub(super) fn read(body: &[u8], stream: bool) -> Answer {
    let mut answer = Answer::default();
    let mut take = |data: &[u8]| answer.take(data);
    if stream {
        let mut scanner = Scanner::default();
        // A stream that cannot be cut into events holds no more ids.
        drop(scanner.feed(body, &mut take));
        scanner.finish(&mut take);
    } else {
        take(body);
    }
    answer
}

impl Answer {
    fn take(&mut self, data: &[u8]) {
        self.echoes |= echoes(data);
        let Ok(Event::Chunk(chunk)) = parse_event(data) else { return };
        self.text.push_str(&chunk.text);
        self.ids.extend_from_slice(chunk.token_ids.as_deref().unwrap_or_default());
        if let Some(usage) = chunk.usage {
            self.prompt_tokens = usage.prompt_tokens;
            self.completion_tokens = usage.completion_tokens;
        }
    }
}

/// Whether a chunk repeats the ids of the prompt, which a run never reads.
fn echoes(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Echo {
        #[serde(default)]
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        prompt_token_ids: Option<Vec<IgnoredAny>>,
    }
    let echo = serde_json::from_slice::<Echo>(data);
    echo.is_ok_and(|echo| echo.choices.iter().any(|choice| choice.prompt_token_ids.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_streams_and_whole_answers_of_both_routes() {
        let answer = |ids: &[u32], echoes, prompt_tokens, completion_tokens| Answer {
            text: String::new(),
            ids: ids.to_vec(),
            echoes,
            prompt_tokens,
            completion_tokens,
        };
        let check = |body: &str, stream: bool, expected: Answer| {
            let found = Answer { text: String::new(), ..read(body.as_bytes(), stream) };
            assert_eq!(found, expected, "{body}");
        };
        check(
            "data: {\"choices\":[{\"token_ids\":[5],\"prompt_token_ids\":[1,2]}]}\n\n\
             data: {\"choices\":[{\"token_ids\":[6],\"prompt_token_ids\":null}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":2}}\n\n\
             data: [DONE]\n\n",
            true,
            answer(&[5, 6], true, Some(2), Some(2)),
        );
        check(
            "data: {\"choices\":[{\"text\":\"a\",\"logprobs\":{\"tokens\":[\"token_id:9\"]}}]}\n\n\
             data: {\"choices\":[{\"text\":\"b\",\"logprobs\":{\"tokens\":[\"token_id:8\"]}}]}\n\n",
            true,
            answer(&[9, 8], false, None, None),
        );
        check(
            "data: {\"content\":\"a\",\"tokens\":[5]}\n\n\
             data: {\"content\":\"\",\"tokens\":[],\"stop\":true,\"tokens_predicted\":1,\
             \"tokens_evaluated\":3}\n\n",
            true,
            answer(&[5], false, Some(3), Some(1)),
        );
        check(r#"{"choices":[{"token_ids":[7,8]}]}"#, false, answer(&[7, 8], false, None, None));
        check(
            r#"{"choices":[{"text":"a b","logprobs":{"tokens":["a","b"]}}]}"#,
            false,
            Answer::default(),
        );
        check("<html>", false, Answer::default());
    }
}
