//! Where in a chunk the values lie that change from chunk to chunk.
//!
//! Walks JSON that serde has read without an error, so it checks nothing: on other bytes it finds
//! nonsense or nothing, and never fails.

use std::ops::Range;

/// A value that changes, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// The answer's id: what is between the quotes.
    Id,
    /// Answer text: what is between the quotes.
    Text,
    /// Reasoning on a channel of its own: what is between the quotes.
    Reasoning,
    /// Ids of the chunk's tokens: the list with its brackets.
    Ids,
    /// Tokens of the prompt, by the running usage.
    Prompt,
    /// Tokens generated so far, by the running usage.
    Completion,
    /// Tokens generated so far, by llama.cpp's timings.
    Predicted,
    /// Cached tokens of the prompt, by llama.cpp's timings.
    Cached,
    /// A count that says nothing here, but that has to be one.
    Count,
    /// A number that nobody reads.
    Number,
}

/// Where the walk is: what the keys of this object, or the entries of this list, mean.
#[derive(Clone, Copy)]
enum Place {
    Chunk,
    Choices,
    Choice,
    Delta,
    Usage,
    Timings,
    /// Nothing in here changes.
    Elsewhere,
    Leaf(Hole),
}

/// The holes of a chunk in the order of its bytes. Numbers and lists of another form than a hole
/// takes are listed all the same.
pub(super) fn holes(data: &[u8]) -> Vec<(Hole, Range<usize>)> {
    let mut walk = Walk { data, at: 0, found: Vec::new() };
    walk.value(Place::Chunk);
    walk.found
}

struct Walk<'d> {
    data: &'d [u8],
    at: usize,
    found: Vec<(Hole, Range<usize>)>,
}

impl Walk<'_> {
    fn value(&mut self, place: Place) {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.object(place),
            Some(b'[') => self.list(place),
            Some(b'"') => self.string(),
            Some(_) => self.word(),
            None => return,
        }
        if let Place::Leaf(hole) = place {
            self.note(hole, start..self.at);
        }
    }

    /// Notes a value of the type that its hole takes.
    fn note(&mut self, hole: Hole, span: Range<usize>) {
        let first = self.data[span.start];
        match hole {
            Hole::Id | Hole::Text | Hole::Reasoning if first == b'"' => {
                self.found.push((hole, span.start + 1..span.end - 1));
            }
            Hole::Ids if first == b'[' => self.found.push((hole, span)),
            Hole::Prompt
            | Hole::Completion
            | Hole::Predicted
            | Hole::Cached
            | Hole::Count
            | Hole::Number
                if first == b'-' || first.is_ascii_digit() =>
            {
                self.found.push((hole, span));
            }
            Hole::Id
            | Hole::Text
            | Hole::Reasoning
            | Hole::Ids
            | Hole::Prompt
            | Hole::Completion
            | Hole::Predicted
            | Hole::Cached
            | Hole::Count
            | Hole::Number => {}
        }
    }

    fn object(&mut self, place: Place) {
        self.at += 1;
        loop {
            self.skip_space();
            match self.peek() {
                Some(b'"') => {
                    let start = self.at + 1;
                    self.string();
                    let inside = inside(place, &self.data[start..self.at - 1]);
                    self.skip_space();
                    self.at += 1;
                    self.value(inside);
                }
                Some(b',') => self.at += 1,
                Some(_) | None => break,
            }
        }
        self.at += 1;
    }

    /// Of several choices only the first one is read.
    fn list(&mut self, place: Place) {
        let mut entry = if let Place::Choices = place { Place::Choice } else { Place::Elsewhere };
        self.at += 1;
        loop {
            self.skip_space();
            match self.peek() {
                Some(b']') | None => break,
                Some(b',') => self.at += 1,
                Some(_) => {
                    let before = self.at;
                    self.value(std::mem::replace(&mut entry, Place::Elsewhere));
                    if self.at == before {
                        break;
                    }
                }
            }
        }
        self.at += 1;
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.data.len());
    }

    /// A number, or `true`, `false`, `null`.
    fn word(&mut self) {
        let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        self.at += self.data[self.at..].iter().take_while(|byte| in_word(byte)).count();
    }

    fn skip_space(&mut self) {
        let rest = self.data.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }
}

/// What the value of `key` means. A key that is written with escapes means nothing here.
fn inside(place: Place, key: &[u8]) -> Place {
    match (place, key) {
        (Place::Chunk, b"id") => Place::Leaf(Hole::Id),
        (Place::Chunk, b"choices") => Place::Choices,
        (Place::Choice, b"delta") => Place::Delta,
        (Place::Chunk, b"usage") => Place::Usage,
        (Place::Chunk, b"timings") => Place::Timings,
        // `content`, `tokens` and `tokens_predicted` are llama.cpp's own `/completion`.
        (Place::Choice, b"text") | (Place::Delta | Place::Chunk, b"content") => {
            Place::Leaf(Hole::Text)
        }
        (Place::Delta, b"reasoning" | b"reasoning_content") => Place::Leaf(Hole::Reasoning),
        (Place::Choice, b"token_ids") | (Place::Chunk, b"tokens") => Place::Leaf(Hole::Ids),
        (Place::Usage, b"prompt_tokens") => Place::Leaf(Hole::Prompt),
        (Place::Usage, b"completion_tokens") => Place::Leaf(Hole::Completion),
        (Place::Timings, b"predicted_n") => Place::Leaf(Hole::Predicted),
        (Place::Timings, b"cache_n") => Place::Leaf(Hole::Cached),
        (Place::Chunk, b"tokens_predicted") => Place::Leaf(Hole::Count),
        // SGLang's chat says the time of each chunk.
        (Place::Chunk, b"created")
        | (Place::Usage, b"total_tokens")
        | (
            Place::Timings,
            b"prompt_n"
            | b"prompt_ms"
            | b"prompt_per_token_ms"
            | b"prompt_per_second"
            | b"predicted_ms"
            | b"predicted_per_token_ms"
            | b"predicted_per_second",
        ) => Place::Leaf(Hole::Number),
        (
            Place::Chunk
            | Place::Choices
            | Place::Choice
            | Place::Delta
            | Place::Usage
            | Place::Timings
            | Place::Elsewhere
            | Place::Leaf(_),
            _,
        ) => Place::Elsewhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &str, expected: &[(Hole, &str)]) {
        let found = holes(data.as_bytes());
        let found: Vec<_> = found.into_iter().map(|(hole, span)| (hole, &data[span])).collect();
        assert_eq!(found, expected, "{data}");
    }

    #[test]
    fn values_that_change_are_found_where_they_lie() {
        check(
            r#"{"id":"x","created": 17 ,"choices":[{"index":0,"text":"a\"b","token_ids":[1, 2]}],"usage":{"total_tokens":9,"prompt_tokens":7,"completion_tokens":2}}"#,
            &[
                (Hole::Id, "x"),
                (Hole::Number, "17"),
                (Hole::Text, "a\\\"b"),
                (Hole::Ids, "[1, 2]"),
                (Hole::Number, "9"),
                (Hole::Prompt, "7"),
                (Hole::Completion, "2"),
            ],
        );
        check(
            r#"{"choices":[{"delta":{"role":"x","content":null,"reasoning_content":"hm"}},{"text":"no"}]}"#,
            &[(Hole::Reasoning, "hm")],
        );
        check(
            r#"{"content":" a","tokens":[7],"stop":false,"tokens_predicted":1}"#,
            &[(Hole::Text, " a"), (Hole::Ids, "[7]"), (Hole::Count, "1")],
        );
        check(
            r#"{"timings":{"cache_n":5,"prompt_n":1,"predicted_n":2,"predicted_ms":-4.5e3}}"#,
            &[
                (Hole::Cached, "5"),
                (Hole::Number, "1"),
                (Hole::Predicted, "2"),
                (Hole::Number, "-4.5e3"),
            ],
        );
    }

    #[test]
    fn what_stands_elsewhere_or_is_of_another_type_is_no_hole() {
        check(r#"{"text":"a","delta":{"content":"b"},"x":{"choices":[{"text":"c"}]}}"#, &[]);
        check(r#"{"choices":{"text":"a"},"content":7,"created":"now","tokens":null}"#, &[]);
        check(r#"{"choices":[[{"text":"a"}],{"text":"b"}]}"#, &[]);
    }

    #[test]
    fn bytes_that_are_no_json_end_the_walk() {
        for data in ["", "{", "[", "{\"a", "{\"a\\", "{\"a\":", "[[[", "}", "{\"choices\":[;", "[}"]
        {
            holes(data.as_bytes());
        }
    }
}
