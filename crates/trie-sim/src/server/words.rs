//! Text into tokens, and tokens into the text that a stream of them shows.

use std::collections::BTreeMap;

use trie_tokens::{ChatError, ChatOptions, ChatTemplate, Vocabulary};

use super::ask::Chat;
use crate::config::Output;

/// A vocabulary, and what its tokens look like in the middle of a text.
#[derive(Debug)]
pub(super) struct Words {
    vocabulary: Vocabulary,
    /// The vocabulary's own, else that of the built-in one.
    template: ChatTemplate,
    /// The text of each token of the stable subset, which never hangs on its neighbours.
    stable: BTreeMap<u32, String>,
}

impl Words {
    pub(super) fn new(vocabulary: Vocabulary) -> Self {
        let ids = vocabulary.stable().ids();
        let stable = ids.iter().map(|id| (*id, after(&vocabulary, ids[0], &[*id]))).collect();
        Self { template: template(&vocabulary), vocabulary, stable }
    }

    /// Number of tokens there are: ids are smaller.
    pub(super) fn size(&self) -> usize {
        self.vocabulary.size()
    }

    /// The tokens of a prompt that came as text, with the one that servers put before it.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids: Vec<u32> = self.vocabulary.bos().into_iter().collect();
        ids.extend(self.vocabulary.encode(text));
        ids
    }

    /// The tokens of a chat, which its template has put everything around.
    pub(super) fn encode_chat(&self, chat: &Chat) -> Result<Vec<u32>, ChatError> {
        let Chat { messages, tools } = chat;
        let prompt = self.template.render(messages, tools, &ChatOptions::default())?;
        Ok(self.vocabulary.encode(&prompt))
    }

    /// The token that the random number `number` picks.
    pub(super) fn pick(&self, output: Output, number: u64) -> u32 {
        let stable = self.vocabulary.stable().ids();
        match output {
            Output::Stable => stable[below(number, stable.len())],
            Output::Raw => {
                u32::try_from(below(number, self.size())).expect("token ids have 32 bits")
            }
        }
    }

    fn text(&self, pending: &[u32]) -> String {
        match pending {
            [id] if self.stable.contains_key(id) => self.stable[id].clone(),
            _ => after(&self.vocabulary, self.vocabulary.stable().ids()[0], pending),
        }
    }
}

/// A template that cannot be used is as good as none: a server of plain prompts needs none.
fn template(vocabulary: &Vocabulary) -> ChatTemplate {
    let builtin = || {
        let template = Vocabulary::builtin().chat_template();
        template.ok().flatten().expect("the built-in vocabulary has a template")
    };
    vocabulary.chat_template().ok().flatten().unwrap_or_else(builtin)
}

/// The text of a growing answer, piece by piece.
///
/// A token that ends inside a character shows no text; its bytes come with the token that completes it, or
/// are lost when none does. Four bytes are a character at most, so that held bytes are shown as damaged
/// after four tokens.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pending: Vec<u32>,
}

/// Longest UTF-8 sequence in bytes, and so in tokens.
const LONGEST_CHARACTER: usize = 4;

impl Pieces {
    /// The text that `id` adds.
    pub(super) fn next(&mut self, words: &Words, id: u32) -> String {
        self.pending.push(id);
        let text = words.text(&self.pending);
        if text.ends_with(char::REPLACEMENT_CHARACTER) && self.pending.len() < LONGEST_CHARACTER {
            return String::new();
        }
        self.pending.clear();
        text
    }
}

/// The text of `ids` as it stands after the token `anchor`: some decoders drop a text's first space.
fn after(vocabulary: &Vocabulary, anchor: u32, ids: &[u32]) -> String {
    let alone = vocabulary.decode(&[anchor]);
    let together = vocabulary.decode(&[&[anchor], ids].concat());
    together.strip_prefix(&alone).unwrap_or_default().to_owned()
}

/// A number below `bound`, by multiplication: the bias is at most `bound` / 2^64.
fn below(number: u64, bound: usize) -> usize {
    let wide = u128::from(number) * u128::try_from(bound).expect("usize fits in 128 bits");
    usize::try_from(wide >> 64).expect("the product's upper half is below the bound")
}
