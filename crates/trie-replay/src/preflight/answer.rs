//! An answer read whole, streamed or not: the ids in it.

use serde_json::Value;

use crate::wire::Scanner;

/// What an answer says about ids.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Answer {
    /// Generated ids, in order, under `token_ids` of a choice or llama.cpp's `tokens`.
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
    let mut take = |data: &[u8]| {
        if let Ok(value) = serde_json::from_slice::<Value>(data) {
            answer.take(&value);
        }
    };
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
    fn take(&mut self, value: &Value) {
        let whole = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
        let choices = value.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten() {
            self.take_ids(choice.get("token_ids"));
            self.echoes |= choice.get("prompt_token_ids").is_some_and(Value::is_array);
        }
        self.take_ids(value.get("tokens"));
        if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
            self.prompt_tokens = whole(usage, "prompt_tokens");
            self.completion_tokens = whole(usage, "completion_tokens");
        }
        self.prompt_tokens = self.prompt_tokens.or(whole(value, "tokens_evaluated"));
        self.completion_tokens = whole(value, "tokens_predicted").or(self.completion_tokens);
    }

    fn take_ids(&mut self, ids: Option<&Value>) {
        let ids = ids.and_then(Value::as_array).into_iter().flatten();
        let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
        self.ids.extend(ids.filter_map(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_streams_and_whole_answers_of_both_routes() {
        let answer = |ids: &[u32], echoes, prompt_tokens, completion_tokens| Answer {
            ids: ids.to_vec(),
            echoes,
            prompt_tokens,
            completion_tokens,
        };
        let check = |body: &str, stream: bool, expected: Answer| {
            assert_eq!(read(body.as_bytes(), stream), expected, "{body}");
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
            "data: {\"tokens\":[5],\"tokens_predicted\":1,\"tokens_evaluated\":3}\n\n\
             data: {\"tokens\":[],\"tokens_predicted\":1,\"tokens_evaluated\":3}\n\n",
            true,
            answer(&[5], false, Some(3), Some(1)),
        );
        check(r#"{"choices":[{"token_ids":[7,8]}]}"#, false, answer(&[7, 8], false, None, None));
        check("<html>", false, Answer::default());
    }
}
