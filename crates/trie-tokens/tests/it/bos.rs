//! The token that a server puts before a text is found by what the tokenizer itself does.

use serde_json::{Value, json};
use trie_tokens::{TokenizerError, Vocabulary};

use crate::sample::{Kind, added_id, bytes, framed, tokenizer_json};

#[track_caller]
fn check(file: &Value, config: Option<Value>, expected: Option<&str>) {
    let config = config.map(|config| bytes(&config));
    let vocabulary = Vocabulary::from_bytes("sample", &bytes(file), config.as_deref()).unwrap();
    assert_eq!(vocabulary.bos(), expected.map(|name| added_id(file, name)));
}

#[test]
fn without_a_post_processor_the_config_decides() {
    let file = tokenizer_json(Kind::ByteLevel);
    let object = json!({"__type": "AddedToken", "content": "<s>"});
    check(&file, None, None);
    check(&file, Some(json!({})), None);
    check(&file, Some(json!({"bos_token": "<s>"})), None);
    check(&file, Some(json!({"add_bos_token": true, "bos_token": "<s>"})), Some("<s>"));
    check(&file, Some(json!({"add_bos_token": true, "bos_token": object})), Some("<s>"));
    check(&file, Some(json!({"add_bos_token": true, "bos_token": null})), None);
    check(&file, Some(json!({"add_bos_token": false, "bos_token": "<s>"})), None);
}

#[test]
fn a_post_processor_decides_unless_the_config_says_otherwise() {
    for kind in [Kind::ByteLevel, Kind::Prepended] {
        let file = framed(kind, &["<s>"], &[]);
        check(&file, None, Some("<s>"));
        check(&file, Some(json!({"bos_token": "</s>"})), Some("<s>"));
        check(&file, Some(json!({"add_bos_token": false})), None);
    }
}

#[test]
fn a_frame_of_more_than_one_leading_token_is_refused() {
    for (before, after) in [(&["<s>"][..], &["</s>"][..]), (&["<s>", "<s>"], &[]), (&[], &["</s>"])]
    {
        let file = framed(Kind::ByteLevel, before, after);
        let error = Vocabulary::from_bytes("sample", &bytes(&file), None).unwrap_err();
        let TokenizerError::Frame { before: found, after: behind, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((found, behind), (before.len(), after.len()));
    }
}

#[test]
fn a_damaged_config_is_refused_with_its_place() {
    let file = bytes(&tokenizer_json(Kind::ByteLevel));
    let error = Vocabulary::from_bytes("sample", &file, Some(b"{\n  oops}")).unwrap_err();
    assert!(error.to_string().starts_with("tokenizer_config.json:2:3: "), "{error}");
}
