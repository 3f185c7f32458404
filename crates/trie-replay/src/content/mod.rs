//! Request bodies: pieces of a prompt into JSON, made ahead of the send time on another thread.
//!
//! # Layout
//!
//! - here: what a body is made of, and the rungs of the history ladder.
//! - `ids`: prompts of ids. `text`: prompts of text. `chat`: prompts of messages.

mod chat;
mod ids;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use trie_core::plan::PlannedTrace;
use trie_core::record::{IdsBack, LengthFields};
use trie_core::units::Tokens;
use trie_core::workload::{ExtraKey, StepId};
use trie_tokens::{Message, Vocabulary};

use crate::wire::Keep;

pub use chat::Chat;
pub(crate) use chat::ChatPrompt;

/// An answer, as later prompts need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// Its text; empty where only ids go into later prompts.
    pub(crate) text: Arc<str>,
    /// What the model thought first, where the server keeps it apart.
    pub(crate) reasoning: Arc<str>,
    /// The ids of its tokens, where the server named them.
    pub(crate) ids: Arc<[u32]>,
    /// How many tokens its text was found to be where it stands; all clones know it.
    counted: Arc<OnceLock<Counted>>,
}

/// What an answer's text was counted as.
#[derive(Debug)]
struct Counted {
    /// The word of ours before it.
    before: String,
    /// The word of ours behind it.
    after: String,
    /// Its tokens between them.
    tokens: Tokens,
}

impl Answer {
    /// An answer as a server gave it.
    pub(crate) fn new(text: String, ids: Vec<u32>) -> Self {
        let reasoning = Arc::default();
        Self { text: text.into(), reasoning, ids: ids.into(), counted: Arc::default() }
    }

    /// The same with what the model thought first.
    pub(crate) fn with_reasoning(self, reasoning: String) -> Self {
        Self { reasoning: reasoning.into(), ..self }
    }
}

/// Answers of a trace's finished steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    given: BTreeMap<StepId, Answer>,
    /// What is known of the chats made of them; all clones know it.
    chat: Arc<chat::Memo>,
}

impl Answers {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The answer to a step.
    pub(crate) fn get(&self, step: StepId) -> Option<&Answer> {
        self.given.get(&step)
    }

    /// Takes the answer to a step.
    pub(crate) fn insert(&mut self, step: StepId, answer: Answer) {
        self.given.insert(step, answer);
    }
}

/// What later prompts hold in place of an answer: the rung of the history ladder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum History {
    /// The ids that the server generated, in prompts of ids: every count is exact, and each prompt
    /// continues the one before token by token.
    Ids(IdsBack),
    /// The answer's own text, made of the stable subset only because the server was told to
    /// generate nothing else: exact, and it changes what sampling costs.
    Stable,
    /// The answer's own text. It may make other tokens than those that the server generated: then
    /// the server's cache is lost behind it. The next text of ours makes up for their number.
    Text,
    /// Our own text of the planned length, so that every prompt is exact. The server's cache then
    /// never holds the answers.
    Recorded,
    /// Messages of a chat, the answer's own text as the assistant's. The next text of ours makes up
    /// for whatever the model's template makes of them.
    Chat,
}

impl History {
    /// Its name as users write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ids(_) => "ids",
            Self::Stable => "stable",
            Self::Text => "text",
            Self::Recorded => "recorded",
            Self::Chat => "chat",
        }
    }

    /// Whether later prompts hold what the server generated, so that its cache can hold them.
    #[must_use]
    pub fn feeds_back(self) -> bool {
        match self {
            Self::Ids(_) | Self::Stable | Self::Text | Self::Chat => true,
            Self::Recorded => false,
        }
    }

    /// What to keep of an answer for it.
    pub(crate) fn keep(self) -> Keep {
        match self {
            Self::Ids(_) => Keep { text: false, ids: true },
            Self::Stable | Self::Text | Self::Chat => Keep { text: true, ids: false },
            Self::Recorded => Keep::default(),
        }
    }
}

/// What usage a stream is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamUsage {
    /// None: the server refuses `stream_options`.
    NotAsked,
    /// At its end.
    Final,
    /// In every chunk too, which counts the chunk's tokens.
    Running,
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
    /// What usage to ask for in a stream.
    pub stream_usage: StreamUsage,
    /// What fixes the length of an answer.
    pub length: LengthFields,
    /// Further fields, from `sampling=`.
    pub sampling: Map<String, Value>,
}

impl BodyFields {
    /// A body with this prompt, text or ids, whose answer has `max_tokens` tokens.
    pub(crate) fn body(&self, prompt: &Value, max_tokens: Tokens) -> Map<String, Value> {
        let mut body = self.without_prompt(max_tokens);
        body.insert("prompt".into(), prompt.clone());
        body
    }

    /// A body with these messages and tools. The tools are there to be read: an answer is text,
    /// whatever it looks like, unless `sampling=` says so.
    pub(crate) fn chat(&self, prompt: &ChatPrompt, max_tokens: Tokens) -> Map<String, Value> {
        let ChatPrompt { messages, tools } = prompt;
        let mut body = self.without_prompt(max_tokens);
        if !tools.is_empty() {
            let tools = tools.iter().map(|tool| tool.to_json().expect("our schemas are JSON"));
            body.insert("tools".into(), tools.collect());
            body.entry("tool_choice").or_insert(json!("none"));
        }
        body.insert("messages".into(), messages.iter().map(Message::to_json).collect());
        body
    }

    fn without_prompt(&self, max_tokens: Tokens) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".into(), json!(self.model));
        body.insert("max_tokens".into(), json!(max_tokens));
        body.insert("stream".into(), json!(self.stream));
        let options = match self.stream_usage {
            StreamUsage::NotAsked => None,
            StreamUsage::Final => Some(json!({"include_usage": true})),
            StreamUsage::Running => {
                Some(json!({"include_usage": true, "continuous_usage_stats": true}))
            }
        };
        if let Some(options) = options.filter(|_| self.stream) {
            body.insert("stream_options".into(), options);
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

    /// The fields of llama.cpp's own `/completion`, less the prompt.
    fn native_without_prompt(&self, max_tokens: Tokens) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("n_predict".into(), json!(max_tokens));
        body.insert("stream".into(), json!(self.stream));
        body.insert("ignore_eos".into(), json!(true));
        body.insert("return_tokens".into(), json!(true));
        body.extend(self.sampling.clone());
        body
    }

    /// A body of llama.cpp's own `/completion` with this prompt.
    pub(crate) fn native(&self, prompt: &Value, max_tokens: Tokens) -> Map<String, Value> {
        let mut body = self.native_without_prompt(max_tokens);
        body.insert("prompt".into(), prompt.clone());
        body
    }
}

/// Merges what row and step say of this request alone.
fn specialise(body: &mut Map<String, Value>, trace: &PlannedTrace, step: StepId) {
    const CHECKED: &str = "extras were checked when the workload was read";
    for model in trace.extras(step, ExtraKey::Model) {
        body.insert("model".into(), serde_json::from_str(model).expect(CHECKED));
    }
    for sampling in trace.extras(step, ExtraKey::Sampling) {
        body.extend(serde_json::from_str::<Map<String, Value>>(sampling).expect(CHECKED));
    }
}

/// Headers that row and step name for this request alone.
pub(crate) fn headers(trace: &PlannedTrace, step: StepId) -> Vec<(HeaderName, HeaderValue)> {
    const CHECKED: &str = "headers were checked when the workload was read";
    let named = trace.extras(step, ExtraKey::Headers).flat_map(|headers| {
        serde_json::from_str::<BTreeMap<String, String>>(headers).expect(CHECKED)
    });
    named
        .map(|(name, value)| (name.parse().expect(CHECKED), value.parse().expect(CHECKED)))
        .collect()
}

/// Asks for the ids of generated tokens without those of the prompt.
pub(crate) fn name_ids_by_logprobs(body: &mut Map<String, Value>) {
    body.insert("logprobs".into(), json!(0));
    body.insert("return_tokens_as_token_ids".into(), json!(true));
}

/// Makes bodies. Pure: the same trace, step and answers make the same bytes.
#[derive(Clone, Debug)]
pub struct Content {
    vocabulary: Vocabulary,
    history: History,
    fields: BodyFields,
    /// `allowed_token_ids` of every body as JSON, where answers are limited.
    allowed: Option<Arc<[u8]>>,
    /// Makes the messages of chats.
    chat: Option<Chat>,
}

impl Content {
    /// Bodies of chats, for one run.
    #[must_use]
    pub fn of_chats(vocabulary: Vocabulary, chat: Chat, mut fields: BodyFields) -> Self {
        // Whoever talks to a chat never sees a special token.
        fields.special_tokens = false;
        Self { vocabulary, history: History::Chat, fields, allowed: None, chat: Some(chat) }
    }

    /// Bodies for one run, of one prompt each.
    ///
    /// Panics for [`History::Chat`], which is what [`of_chats`](Self::of_chats) is for.
    #[must_use]
    pub fn new(vocabulary: Vocabulary, history: History, mut fields: BodyFields) -> Self {
        assert_ne!(history, History::Chat, "chats need a template");
        // Answers that no prompt holds as text may come without their special tokens.
        fields.special_tokens &= history == History::Text;
        if fields.stream_usage == StreamUsage::Running && matches!(history, History::Ids(_)) {
            // Ids count the tokens of a chunk themselves.
            fields.stream_usage = StreamUsage::Final;
        }
        let allowed = (history == History::Stable).then(|| {
            let ids = serde_json::to_vec(vocabulary.stable().ids());
            ids.expect("a list of numbers is JSON").into()
        });
        Self { vocabulary, history, fields, allowed, chat: None }
    }

    /// The rung of the history ladder.
    #[must_use]
    pub fn history(&self) -> History {
        self.history
    }

    /// The body of a step: its prompt written piece by piece, its answer's length fixed.
    pub(crate) fn body(&self, trace: &PlannedTrace, step: StepId, answers: &Answers) -> Bytes {
        let tokens = trace.trace.steps[step as usize].output.tokens;
        if let Some(chat) = &self.chat {
            let mut body = self.fields.chat(&chat.prompt(trace, step, answers), tokens);
            specialise(&mut body, trace, step);
            return serde_json::to_vec(&body).expect("messages are JSON").into();
        }
        let prompt = match self.history {
            History::Ids(_) => ids::prompt(&self.vocabulary, trace, step, answers),
            History::Stable | History::Text | History::Recorded | History::Chat => {
                let feeds_back = self.history.feeds_back();
                let text = text::prompt(&self.vocabulary, feeds_back, trace, step, answers);
                serde_json::to_vec(&text).expect("text is JSON")
            }
        };
        self.with_prompt(&prompt, (trace, step), tokens)
    }

    /// A body that brings the server what a step's prompt takes over from earlier ones, and asks for one
    /// token; `None` where it takes over nothing. Of a chat it is the earlier prompt: its answer is left out.
    pub(crate) fn history_body(
        &self,
        trace: &PlannedTrace,
        step: StepId,
        answers: &Answers,
    ) -> Option<Bytes> {
        let pieces = trace.history(step);
        if pieces.is_empty() {
            return None;
        }
        if let Some(chat) = &self.chat {
            let before = trace.trace.steps[step as usize].context.from?;
            let mut body = self.fields.chat(&chat.prompt(trace, before, answers), 1);
            specialise(&mut body, trace, step);
            return Some(serde_json::to_vec(&body).expect("messages are JSON").into());
        }
        let prompt = match self.history {
            History::Ids(_) => ids::prompt_of(&self.vocabulary, trace, pieces, answers),
            History::Stable | History::Text | History::Recorded | History::Chat => {
                let feeds_back = self.history.feeds_back();
                let text = text::prompt_of(&self.vocabulary, feeds_back, (trace, pieces), answers);
                serde_json::to_vec(&text).expect("text is JSON")
            }
        };
        Some(self.with_prompt(&prompt, (trace, step), 1))
    }

    /// What stands in for the answers to the steps before the one at which a trace is entered: text of ours
    /// of their length.
    pub(crate) fn stand_ins(&self, trace: &PlannedTrace) -> Answers {
        let mut answers = Answers::new();
        for step in 0..trace.entry.map_or(0, |entry| entry.step) {
            let (key, tokens) =
                (trace.answer_key(step).0, trace.trace.steps[step as usize].output.tokens);
            let (mut text, mut ids) = (String::new(), Vec::new());
            let keep = self.history.keep();
            if keep.text {
                self.vocabulary.stable().fill_text(key, 0..tokens, &mut text);
            }
            if keep.ids {
                self.vocabulary.stable().fill_ids(key, 0..tokens, &mut ids);
            }
            answers.insert(step, Answer::new(text, ids));
        }
        answers
    }

    /// The fields around a prompt that is JSON already: it is copied once and never parsed.
    fn with_prompt(
        &self,
        prompt: &[u8],
        (trace, step): (&PlannedTrace, StepId),
        max_tokens: Tokens,
    ) -> Bytes {
        let mut rest = match self.history {
            History::Ids(IdsBack::NativeCompletion) => {
                self.fields.native_without_prompt(max_tokens)
            }
            History::Ids(IdsBack::ReturnTokenIds) => {
                let mut fields = self.fields.without_prompt(max_tokens);
                fields.insert("return_token_ids".into(), json!(true));
                fields
            }
            History::Ids(IdsBack::Logprobs) => {
                let mut fields = self.fields.without_prompt(max_tokens);
                name_ids_by_logprobs(&mut fields);
                fields
            }
            History::Stable | History::Text | History::Recorded | History::Chat => {
                self.fields.without_prompt(max_tokens)
            }
        };
        specialise(&mut rest, trace, step);
        let rest = serde_json::to_vec(&rest).expect("a map of strings and values is JSON");
        let mut body = Vec::with_capacity(prompt.len() + rest.len() + 16);
        body.extend_from_slice(b"{\"prompt\":");
        body.extend_from_slice(prompt);
        if let Some(allowed) = &self.allowed {
            body.extend_from_slice(b",\"allowed_token_ids\":");
            body.extend_from_slice(allowed);
        }
        body.push(b',');
        // The fields are an object with at least one entry: its brace is ours.
        body.extend_from_slice(&rest[1..]);
        body.into()
    }
}
