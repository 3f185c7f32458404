//! Request bodies: pieces of a prompt into JSON, made ahead of the send time on another thread.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trie_core::plan::{Piece, PlannedTrace};
use trie_core::record::LengthFields;
use trie_core::units::Tokens;
use trie_core::workload::StepId;
use trie_tokens::Vocabulary;

/// Answers of a trace's finished steps, by step.
pub(crate) type Answers = BTreeMap<StepId, Arc<str>>;

/// What later prompts hold in place of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum History {
    /// The answer's own text. Its token count may differ from the server's own count of what it
    /// generated: the drift is in the records.
    Text,
    /// Our own text of the planned length, so that every prompt is exact. The server's cache then
    /// never holds the answers.
    Recorded,
}

/// Fields of every body, in the order they are sent.
#[derive(Clone, Debug)]
pub struct BodyFields {
    /// Model name.
    pub model: String,
    /// Whether to stream.
    pub stream: bool,
    /// Whether to ask for the text of special tokens, without which a generated end token would
    /// be missing from the next prompt. Off for servers that refuse the field.
    pub special_tokens: bool,
    /// Whether to ask for usage in a stream.
    pub stream_options: bool,
    /// What fixes the length of an answer.
    pub length: LengthFields,
    /// Further fields, from `sampling=`.
    pub sampling: Map<String, Value>,
}

impl BodyFields {
    /// A body with this prompt, text or ids, whose answer has `max_tokens` tokens.
    pub(crate) fn body(&self, prompt: &Value, max_tokens: Tokens) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".into(), json!(self.model));
        body.insert("prompt".into(), prompt.clone());
        body.insert("max_tokens".into(), json!(max_tokens));
        body.insert("stream".into(), json!(self.stream));
        if self.stream && self.stream_options {
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if self.length.ignore_eos() {
            body.insert("ignore_eos".into(), json!(true));
        }
        if self.length.min_tokens() {
            body.insert("min_tokens".into(), json!(max_tokens));
        }
        if self.special_tokens {
            body.insert("skip_special_tokens".into(), json!(false));
        }
        body.extend(self.sampling.clone());
        body
    }
}

/// Makes bodies. Pure: the same trace, step and answers make the same bytes.
#[derive(Clone, Debug)]
pub struct Content {
    vocabulary: Vocabulary,
    history: History,
    fields: BodyFields,
}

impl Content {
    /// Bodies for one run.
    #[must_use]
    pub fn new(vocabulary: Vocabulary, history: History, mut fields: BodyFields) -> Self {
        // Answers that no prompt holds may come without their special tokens.
        fields.special_tokens &= history == History::Text;
        Self { vocabulary, history, fields }
    }

    /// The body of a step: its prompt written piece by piece, its answer's length fixed.
    pub(crate) fn body(&self, trace: &PlannedTrace, step: StepId, answers: &Answers) -> Bytes {
        let tokens = trace.trace.steps[step as usize].output.tokens;
        self.with_prompt(&self.prompt(trace, step, answers), tokens)
    }

    fn with_prompt(&self, prompt: &str, max_tokens: Tokens) -> Bytes {
        let body = self.fields.body(&json!(prompt), max_tokens);
        serde_json::to_vec(&body).expect("a map of strings and values is JSON").into()
    }

    fn prompt(&self, trace: &PlannedTrace, step: StepId, answers: &Answers) -> String {
        let mut text = String::new();
        // The server puts a token of its own before text: one of ours makes room for it.
        let mut room = u64::from(self.vocabulary.bos().is_some());
        for piece in trace.prompt(step) {
            match piece {
                Piece::Segment { key, tokens } => {
                    let start = (tokens.start + room).min(tokens.end);
                    room = 0;
                    self.fill(key.0, start..tokens.end, &mut text);
                }
                Piece::Carried { step, tokens } => match self.history {
                    History::Text => {
                        let planned = trace.trace.steps[step as usize].output.tokens;
                        let answer = answers.get(&step).map_or("", |answer| answer);
                        self.carry(answer, planned, tokens, &mut text);
                    }
                    History::Recorded => self.fill(trace.answer_key(step).0, tokens, &mut text),
                },
            }
        }
        self.vocabulary.prompt_text(&text).to_owned()
    }

    fn fill(&self, key: u128, tokens: Range<Tokens>, text: &mut String) {
        self.vocabulary.stable().fill_text(key, tokens, text);
    }

    /// Appends the tokens `range` of an answer of `planned` tokens. All of it is its text as it
    /// came; a part is cut by our own count.
    fn carry(&self, answer: &str, planned: Tokens, range: Range<Tokens>, text: &mut String) {
        if range == (0..planned) {
            text.push_str(answer);
            return;
        }
        let ids = self.vocabulary.encode(answer);
        let index = |at: Tokens| usize::try_from(at).unwrap_or(usize::MAX).min(ids.len());
        // Ranges at the end count from the end, so that the last tokens stay the last ones.
        let ends = range.end == planned;
        let end = if ends { ids.len() } else { index(range.end) };
        let length = index(range.end - range.start);
        let start = if ends { end.saturating_sub(length) } else { index(range.start).min(end) };
        text.push_str(&self.vocabulary.decode(&ids[start..end]));
    }
}
