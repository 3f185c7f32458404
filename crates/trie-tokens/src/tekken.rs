//! A `tekken.json`, Mistral's own form of a vocabulary, as a tokenizer.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json::JsonFault;

/// Special tokens of files that name none, by id.
const SPECIAL: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

/// The token before every text.
const FIRST: &str = "<s>";

/// The keys of the file that are read.
#[derive(Deserialize)]
struct TekkenFile {
    config: Config,
    vocab: Vec<Entry>,
    special_tokens: Option<Vec<SpecialEntry>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: usize,
    default_num_special_tokens: usize,
}

#[derive(Deserialize)]
struct Entry {
    token_bytes: String,
}

#[derive(Deserialize)]
struct SpecialEntry {
    rank: usize,
    token_str: String,
}

/// The same vocabulary as a `tokenizer.json`.
///
/// Ids are those of the special tokens, then the ranks. A text's special tokens are not looked for, as
/// Mistral's own tokenizer does not: their names in a text are plain text.
pub(crate) fn to_tokenizer_json(bytes: &[u8]) -> Result<Value, JsonFault> {
    let file: TekkenFile =
        serde_json::from_slice(bytes).map_err(|error| JsonFault::from(&error))?;
    let special = special_names(&file);
    let tokens = ranked_tokens(&file)?;
    let first = special.iter().position(|name| name == FIRST);
    let first = first.ok_or_else(|| fault(format!("no special token is named {FIRST}")))?;
    let named = special.into_iter().chain(tokens.iter().map(|token| shown(token)));
    let vocab: BTreeMap<String, usize> = named.zip(0..).collect();
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": file.config.pattern},
             "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": FIRST, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {FIRST: {"id": FIRST, "ids": [first], "tokens": [FIRST]}},
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": vocab, "merges": merges(&tokens),
        },
    }))
}

/// The names of all special tokens by id, made up where the file names none.
fn special_names(file: &TekkenFile) -> Vec<String> {
    let count = file.config.default_num_special_tokens;
    let mut names: Vec<_> = (0..count).map(|id| format!("<SPECIAL_{id}>")).collect();
    let usual = SPECIAL.iter().map(|&name| name.to_owned()).enumerate();
    let own = file.special_tokens.iter().flatten();
    let own: Vec<_> = own.map(|entry| (entry.rank, entry.token_str.clone())).collect();
    let known = if own.is_empty() { usual.collect() } else { own };
    for (id, name) in known {
        if let Some(place) = names.get_mut(id) {
            *place = name;
        }
    }
    names
}

/// The bytes of the tokens by rank, as many as the vocabulary's size leaves room for.
fn ranked_tokens(file: &TekkenFile) -> Result<Vec<Vec<u8>>, JsonFault> {
    let Config { default_vocab_size, default_num_special_tokens, .. } = file.config;
    let count = default_vocab_size.saturating_sub(default_num_special_tokens);
    let decode = |(rank, entry): (usize, &Entry)| {
        BASE64_STANDARD
            .decode(&entry.token_bytes)
            .map_err(|error| fault(format!("token_bytes of rank {rank}: {error}")))
    };
    let tokens: Vec<_> =
        file.vocab.iter().take(count).enumerate().map(decode).collect::<Result<_, _>>()?;
    let is_byte = |(byte, token): (u8, &Vec<u8>)| token.as_slice() == [byte];
    if tokens.len() < 256 || !(0..=u8::MAX).zip(&tokens).all(is_byte) {
        return Err(fault("the first 256 ranks are not the 256 bytes".to_owned()));
    }
    Ok(tokens)
}

/// Which two tokens each token is joined from, by rank: those that the tokens of lower ranks make of its
/// bytes. A token that they make more than two pieces of is only ever found as a whole word.
fn merges(tokens: &[Vec<u8>]) -> Vec<[String; 2]> {
    let mut ranks = BTreeMap::new();
    let mut merges = Vec::new();
    for (rank, token) in tokens.iter().enumerate() {
        if token.len() > 1
            && let [left, right] = pieces(token, &ranks).as_slice()
        {
            merges.push([shown(left), shown(right)]);
        }
        ranks.insert(token.as_slice(), rank);
    }
    merges
}

/// Joins the two neighbours whose joint has the lowest rank until none has one.
fn pieces<'t>(token: &'t [u8], ranks: &BTreeMap<&[u8], usize>) -> Vec<&'t [u8]> {
    let mut borders: Vec<_> = (0..=token.len()).collect();
    loop {
        let joints = borders.windows(3).enumerate();
        let ranked = joints.filter_map(|(at, ends)| {
            ranks.get(&token[ends[0]..ends[2]]).map(|&rank| (rank, at + 1))
        });
        let Some((_, border)) = ranked.min() else { break };
        borders.remove(border);
    }
    borders.windows(2).map(|ends| &token[ends[0]..ends[1]]).collect()
}

/// Bytes as byte-level vocabularies write them.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| shown_byte(byte)).collect()
}

/// A byte that prints is itself; the others are, in order, the characters from 256 on.
fn shown_byte(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !prints(other)).count();
    let code = 256 + u32::try_from(before).expect("there are 256 bytes");
    char::from_u32(code).expect("these characters exist")
}

fn fault(message: String) -> JsonFault {
    JsonFault { at: None, message }
}
