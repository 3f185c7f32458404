//! A `tekken.json` is read as the same vocabulary.

use std::fs;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use trie_tokens::{Places, TokenizerError, Vocabulary};

/// Ids of special tokens; ranks follow.
const SPECIAL: u32 = 30;

/// The joined tokens after the 256 bytes, by rank; the last is beyond the vocabulary's size.
const JOINED: [&str; 9] = ["th", " th", " the", "an", "and", " and", "the", "kalomi", " cut"];

/// A small file as Mistral writes them.
fn file(special: Option<Value>) -> Value {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    let tokens = bytes.chain(JOINED.iter().map(|token| token.as_bytes().to_vec()));
    let vocab: Vec<_> = tokens
        .enumerate()
        .map(|(rank, token)| {
            let text = String::from_utf8(token.clone()).ok();
            json!({"rank": rank, "token_bytes": BASE64_STANDARD.encode(token), "token_str": text})
        })
        .collect();
    let mut file = json!({
        "config": {
            "pattern": r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+",
            "num_vocab_tokens": vocab.len(), "default_vocab_size": SPECIAL as usize + vocab.len() - 1,
            "default_num_special_tokens": SPECIAL, "version": "v3",
        },
        "vocab": vocab,
    });
    if let Some(special) = special {
        file["special_tokens"] = special;
    }
    file
}

fn load(file: &Value) -> Result<Vocabulary, TokenizerError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("tekken.json"), file.to_string()).unwrap();
    let vocabulary = Vocabulary::load(folder.path().to_str().unwrap(), &Places::default())?;
    let cached = Places { cache_dir: Some(folder.path().to_owned()), ..Places::default() };
    let path = folder.path().join("tekken.json");
    Vocabulary::load(path.to_str().unwrap(), &cached)?;
    let again = Vocabulary::load(path.to_str().unwrap(), &cached)?;
    assert_eq!(again.encode(" the and"), vocabulary.encode(" the and"));
    Ok(vocabulary)
}

/// The id of a joined token.
fn joined(token: &str) -> u32 {
    let at = JOINED.iter().position(|other| *other == token).unwrap();
    SPECIAL + 256 + u32::try_from(at).unwrap()
}

#[test]
fn tokens_are_joined_by_rank_and_follow_the_special_ones() {
    let vocabulary = load(&file(None)).unwrap();
    let byte = |byte: u8| SPECIAL + u32::from(byte);
    for (text, expected) in [
        (" the and", vec![joined(" the"), joined(" and")]),
        (" than", vec![joined(" th"), joined("an")]),
        // No two of its bytes are joined, so it is found as a whole word or not at all.
        ("kalomi", vec![joined("kalomi")]),
        ("kalom", b"kalom".map(byte).to_vec()),
        (" cut", b" cut".map(byte).to_vec()),
        ("</s>é", "</s>é".bytes().map(byte).collect()),
    ] {
        assert_eq!(vocabulary.encode(text), expected, "{text:?}");
        assert_eq!(vocabulary.decode(&expected), text);
    }
    // Three are stable, and of them the first two are kept.
    assert_eq!(vocabulary.certificate().stable, 3);
    assert_eq!(vocabulary.stable().ids(), [joined(" th"), joined(" the")]);
    assert_eq!(vocabulary.size(), SPECIAL as usize + 256 + JOINED.len() - 1);
}

#[test]
fn the_first_special_token_is_put_before_text() {
    assert_eq!(load(&file(None)).unwrap().bos(), Some(1));
    let named = json!([{"rank": 0, "token_str": "<pad>", "is_control": true},
                       {"rank": 2, "token_str": "<s>", "is_control": true}]);
    let vocabulary = load(&file(Some(named))).unwrap();
    assert_eq!(
        (vocabulary.bos(), vocabulary.decode(&[0, 2, 3])),
        (Some(2), "<pad><s><SPECIAL_3>".to_owned())
    );
}

#[test]
fn a_damaged_file_is_refused_with_what_is_wrong() {
    let check = |file: &Value, expected: &str| {
        let error = load(file).unwrap_err().to_string();
        assert!(error.contains("tekken.json") && error.contains(expected), "{error}");
    };
    check(&json!({"config": {}}), "pattern");
    let mut broken = file(None);
    broken["vocab"][7]["token_bytes"] = json!("?");
    check(&broken, "token_bytes of rank 7");
    let mut broken = file(None);
    broken["vocab"][7]["token_bytes"] = json!("AA==");
    check(&broken, "the first 256 ranks are not the 256 bytes");
    check(&file(Some(json!([{"rank": 1, "token_str": "<unk>"}]))), "no special token is named <s>");
}
