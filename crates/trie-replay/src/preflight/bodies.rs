//! What a preflight sends: the run's own fields, with content that no trace holds.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trie_core::units::Tokens;
use trie_tokens::{Message, Role, Vocabulary};

use crate::content::{BodyFields, Chat, ChatPrompt, name_ids_by_logprobs};

/// Makes the bodies of one preflight.
pub(super) struct Bodies<'a> {
    vocabulary: &'a Vocabulary,
    /// Makes messages, where the run does.
    chat: Option<&'a Chat>,
    key: u128,
    /// The run's own fields, less what the server refuses.
    pub(super) fields: BodyFields,
}

/// A prompt to be sent.
pub(super) struct Prompt {
    content: Prompted,
    /// Its length by our own count.
    pub(super) tokens: Tokens,
}

enum Prompted {
    Text(Value),
    Chat(ChatPrompt),
}

impl<'a> Bodies<'a> {
    /// Bodies with content of this key.
    pub(super) fn new(
        (vocabulary, chat): (&'a Vocabulary, Option<&'a Chat>),
        key: u128,
        fields: BodyFields,
    ) -> Self {
        Self { vocabulary, chat, key, fields }
    }

    /// Makes messages, where the run does.
    pub(super) fn chat(&self) -> Option<&'a Chat> {
        self.chat
    }

    /// A prompt as the run sends them, of `tokens` tokens with what the server puts around it; of
    /// more where a chat's template needs more. Prompts of different numbers share nothing beside
    /// the template's own text.
    pub(super) fn prompt(&self, number: u32, tokens: Tokens) -> Prompt {
        match self.chat {
            None => Prompt { content: Prompted::Text(self.text(number, tokens)), tokens },
            Some(chat) => {
                let (chat, tokens) = chat.question(self.key(number), tokens);
                Prompt { content: Prompted::Chat(chat), tokens }
            }
        }
    }

    /// A chat with everything in it that one can hold, where the run sends chats.
    pub(super) fn tour(&self, number: u32, tokens: Tokens) -> Option<Prompt> {
        let (chat, tokens) = self.chat?.tour(self.key(number), tokens)?;
        Some(Prompt { content: Prompted::Chat(chat), tokens })
    }

    /// What the tokenizer's own configuration puts before text.
    pub(super) fn bos(&self) -> Option<u32> {
        self.vocabulary.bos()
    }

    /// A prompt that is text, of `tokens` tokens with what the server puts before it. Prompts of
    /// different numbers share nothing.
    fn text(&self, number: u32, tokens: Tokens) -> Value {
        let room = u64::from(self.bos().is_some()).min(tokens);
        let mut text = String::new();
        self.vocabulary.stable().fill_text(self.key(number), room..tokens, &mut text);
        json!(self.vocabulary.prompt_text(&text))
    }

    /// A prompt that is ids, `tokens` of them.
    pub(super) fn ids(&self, number: u32, tokens: Tokens) -> Value {
        let mut ids: Vec<u32> = self.bos().into_iter().take(1).collect();
        let room = ids.len() as u64;
        self.vocabulary.stable().fill_ids(self.key(number), room..tokens.max(room), &mut ids);
        json!(ids)
    }

    /// The run's own body with this prompt.
    pub(super) fn body(&self, prompt: &Prompt, max_tokens: Tokens) -> Bytes {
        bytes(&match &prompt.content {
            Prompted::Text(text) => self.fields.body(text, max_tokens),
            Prompted::Chat(chat) => self.fields.chat(chat, max_tokens),
        })
    }

    /// Whether the tokenizer's file asks for composition of Unicode.
    pub(super) fn composes(&self) -> bool {
        self.vocabulary.uncomposed().is_some()
    }

    /// How many tokens a text is made of; `None` where one of them is not of the stable subset.
    pub(super) fn stable_tokens(&self, text: &str) -> Option<Tokens> {
        let ids = self.vocabulary.encode(self.vocabulary.prompt_text(text));
        let stable = self.vocabulary.stable().ids();
        let all = ids.iter().all(|id| stable.binary_search(id).is_ok());
        all.then_some(ids.len() as Tokens)
    }

    /// The run's own body with a prompt, or a message of the user, of exactly this text.
    pub(super) fn saying(&self, text: &str, max_tokens: Tokens) -> Bytes {
        let content = if self.chat.is_some() {
            let messages = vec![Message::text(Role::User, text)];
            Prompted::Chat(ChatPrompt { messages, tools: Vec::new() })
        } else {
            Prompted::Text(json!(text))
        };
        self.body(&Prompt { content, tokens: 0 }, max_tokens)
    }

    /// The run's own body with a prompt of ids.
    pub(super) fn body_of_ids(&self, ids: &Value, max_tokens: Tokens) -> Bytes {
        bytes(&self.fields.body(ids, max_tokens))
    }

    /// The same with `return_token_ids`.
    pub(super) fn asking_for_ids(&self, prompt: &Value, max_tokens: Tokens) -> Bytes {
        let mut body = self.fields.body(prompt, max_tokens);
        body.insert("return_token_ids".into(), json!(true));
        bytes(&body)
    }

    /// The same with the ids in place of the tokens that log probabilities are of.
    pub(super) fn asking_for_logprobs(&self, prompt: &Value, max_tokens: Tokens) -> Bytes {
        let mut body = self.fields.body(prompt, max_tokens);
        name_ids_by_logprobs(&mut body);
        bytes(&body)
    }

    /// The body of llama.cpp's own `/completion`.
    pub(super) fn native(&self, prompt: &Value, max_tokens: Tokens) -> Bytes {
        bytes(&self.fields.native(prompt, max_tokens))
    }

    /// The run's own body with a prompt of text, whose answer is limited to the stable subset.
    pub(super) fn limited(&self, number: u32, tokens: Tokens, max_tokens: Tokens) -> Bytes {
        let mut body = self.fields.body(&self.text(number, tokens), max_tokens);
        body.insert("allowed_token_ids".into(), json!(self.vocabulary.stable().ids()));
        bytes(&body)
    }

    fn key(&self, number: u32) -> u128 {
        self.key.wrapping_add(u128::from(number))
    }
}

fn bytes(body: &Map<String, Value>) -> Bytes {
    serde_json::to_vec(body).expect("a map of strings and values is JSON").into()
}
