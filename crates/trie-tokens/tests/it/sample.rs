//! Small tokenizers made on the spot: byte-level, and with the `SentencePiece` space mark.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// How a tokenizer's text is cut and marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Split by a pattern as Llama 3 does, then bytes as characters; `Ġ` is the space.
    ByteLevel,
    /// Not split; `▁` is the space and is put before every text, as Llama 2 does.
    Prepended,
    /// Not split; `▁` is the space, as Gemma does.
    Marked,
}

/// Two of these make a word.
const SYLLABLES: [&str; 10] = ["ka", "lo", "mi", "nu", "re", "so", "ti", "va", "we", "zu"];

/// The added tokens, which are special.
const ADDED: [&str; 4] = ["<s>", "</s>", "<|start|>", "<|end|>"];

/// Number of words: every pair of syllables, and three that anchors are made of.
pub(crate) const WORDS: usize = 103;

/// The `tokenizer.json` of a BPE vocabulary of [`WORDS`] words, both bare and spaced.
pub(crate) fn tokenizer_json(kind: Kind) -> Value {
    let mark = if kind == Kind::ByteLevel { 'Ġ' } else { '▁' };
    let mut bpe = Bpe::with_letters(mark);
    let mut words = Vec::new();
    for syllable in SYLLABLES {
        bpe.join(syllable);
    }
    for (first, second) in SYLLABLES.iter().flat_map(|a| SYLLABLES.iter().map(move |b| (a, b))) {
        bpe.merge(first, second);
        words.push(format!("{first}{second}"));
    }
    for anchor in ["the", "and", "of"] {
        bpe.join(anchor);
        words.push(anchor.to_owned());
    }
    for word in &words {
        bpe.merge(&mark.to_string(), word);
    }
    let mut file = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": null,
        "added_tokens": (bpe.next_id()..).zip(ADDED).map(|(id, name)| added(id, name)).collect::<Value>(),
        "normalizer": normalizer(kind),
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": decoder(kind),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": kind != Kind::ByteLevel,
            "vocab": bpe.vocab, "merges": bpe.merges,
        },
    });
    if kind == Kind::ByteLevel {
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"},
             "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]});
    }
    file
}

/// The same with a post-processor that puts `before` in front of every text and `after` behind it.
pub(crate) fn framed(kind: Kind, before: &[&str], after: &[&str]) -> Value {
    let mut file = tokenizer_json(kind);
    let special = |name: &&str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let mut single: Vec<_> = before.iter().map(special).collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(after.iter().map(special));
    let tokens = file["added_tokens"].as_array().unwrap().iter().map(|token| {
        let content = token["content"].as_str().unwrap();
        let row = json!({"id": content, "ids": [token["id"]], "tokens": [content]});
        (content.to_owned(), row)
    });
    let special_tokens: Map<String, Value> = tokens.collect();
    file["post_processor"] = json!({
        "type": "TemplateProcessing", "single": single,
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": special_tokens,
    });
    file
}

pub(crate) fn bytes(file: &Value) -> Vec<u8> {
    serde_json::to_vec(file).unwrap()
}

/// The id of an added token.
pub(crate) fn added_id(file: &Value, name: &str) -> u32 {
    let tokens = file["added_tokens"].as_array().unwrap();
    let token = tokens.iter().find(|token| token["content"] == name).unwrap();
    u32::try_from(token["id"].as_u64().unwrap()).unwrap()
}

/// A vocabulary under construction.
struct Bpe {
    vocab: Map<String, Value>,
    merges: Vec<String>,
}

impl Bpe {
    /// All 256 bytes, the way the kind of vocabulary writes them, letters and the mark.
    fn with_letters(mark: char) -> Self {
        let mut bpe = Self { vocab: Map::new(), merges: Vec::new() };
        if mark == 'Ġ' {
            (0..=u8::MAX).for_each(|byte| bpe.add(&byte_character(byte).to_string()));
        } else {
            for byte in 0..=u8::MAX {
                let mut name = String::new();
                write!(name, "<0x{byte:02X}>").unwrap();
                bpe.add(&name);
            }
            bpe.add(&mark.to_string());
            ('a'..='z').for_each(|letter| bpe.add(&letter.to_string()));
        }
        bpe
    }

    fn next_id(&self) -> usize {
        self.vocab.len()
    }

    fn add(&mut self, token: &str) {
        let id = self.next_id();
        self.vocab.entry(token).or_insert(json!(id));
    }

    fn merge(&mut self, left: &str, right: &str) {
        let rule = format!("{left} {right}");
        if !self.merges.contains(&rule) {
            self.merges.push(rule);
            self.add(&format!("{left}{right}"));
        }
    }

    /// Merges letters from the left until they are the word.
    fn join(&mut self, word: &str) {
        (1..word.len()).for_each(|at| self.merge(&word[..at], &word[at..=at]));
    }
}

/// The character that byte-level vocabularies write a byte as: itself where it prints, the next free one
/// from 256 on where it does not.
fn byte_character(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !prints(other)).count();
    char::from_u32(256 + u32::try_from(before).unwrap()).unwrap()
}

fn added(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

fn normalizer(kind: Kind) -> Value {
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    match kind {
        Kind::ByteLevel => Value::Null,
        Kind::Marked => replace,
        Kind::Prepended => json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, replace,
        ]}),
    }
}

fn decoder(kind: Kind) -> Value {
    match kind {
        Kind::ByteLevel => {
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
        }
        Kind::Marked | Kind::Prepended => json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
        ]}),
    }
}
