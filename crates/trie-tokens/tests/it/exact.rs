//! Text made of the subset counts exactly what was asked, with every kind of tokenizer.

use proptest::prelude::*;
use serde_json::{Value, json};
use trie_tokens::{Kept, TokenizerError, Unstable, Vocabulary};

use crate::sample::{Kind, WORDS, bytes, tokenizer_json};

fn load(kind: Kind) -> Vocabulary {
    Vocabulary::from_bytes("sample", &bytes(&tokenizer_json(kind)), None).unwrap()
}

/// What was found of a sample: whether words are split, whether the first space goes.
#[track_caller]
fn check(kind: Kind, splits_words: bool, drops_leading_space: bool) {
    let vocabulary = load(kind);
    let certificate = vocabulary.certificate();
    assert_eq!(certificate.stable, WORDS, "{kind:?}");
    assert_eq!(vocabulary.stable().len(), 64, "{kind:?}");
    assert_eq!(certificate.splits_words, splits_words, "{kind:?}");
    assert_eq!(vocabulary.drops_leading_space(), drops_leading_space, "{kind:?}");
    assert_eq!(certificate.sample_tokens, 1 << 15);
    assert_eq!(certificate.kept, Kept::Nowhere);
    for segments in [&[1_u64, 1, 1][..], &[1], &[500, 1, 3_000], &[0, 7]] {
        let (mut text, mut ids) = (String::new(), Vec::new());
        for (key, &count) in segments.iter().enumerate() {
            vocabulary.stable().fill_text(key as u128, 0..count, &mut text);
            vocabulary.stable().fill_ids(key as u128, 0..count, &mut ids);
        }
        assert_eq!(vocabulary.encode(vocabulary.prompt_text(&text)), ids, "{kind:?} {segments:?}");
        assert_eq!(vocabulary.count(vocabulary.prompt_text(&text)), ids.len());
        assert_eq!(vocabulary.decode(&ids), text, "{kind:?}");
    }
}

#[test]
fn a_byte_level_tokenizer_is_exact() {
    check(Kind::ByteLevel, true, false);
}

#[test]
fn a_tokenizer_that_does_not_split_is_exact() {
    check(Kind::Marked, false, false);
}

#[test]
fn a_tokenizer_that_prepends_a_space_is_exact_once_the_first_is_dropped() {
    check(Kind::Prepended, false, true);
    let vocabulary = load(Kind::Prepended);
    assert_eq!(vocabulary.count(" the and"), 3);
    assert_eq!(vocabulary.count(vocabulary.prompt_text(" the and")), 2);
}

#[test]
fn a_message_may_begin_with_a_bare_word() {
    for kind in [Kind::ByteLevel, Kind::Marked, Kind::Prepended] {
        let vocabulary = load(kind);
        let (mut text, mut ids) = ("\n".to_owned(), vocabulary.encode("\n"));
        for (subset, range) in [(vocabulary.openers(), 0..1), (vocabulary.stable(), 1..40)] {
            subset.fill_text(9, range.clone(), &mut text);
            subset.fill_ids(9, range, &mut ids);
        }
        assert_eq!(vocabulary.encode(&text), ids, "{kind:?}");
    }
}

#[test]
fn limits_in_the_file_do_not_cut_text() {
    let vocabulary = load(Kind::ByteLevel);
    assert_eq!(vocabulary.count(&" the".repeat(1_000)), 1_000);
}

/// The per-token test keeps out a word that its neighbour can swallow.
#[test]
fn a_word_that_does_not_survive_its_neighbours_is_left_out() {
    let mut file = tokenizer_json(Kind::ByteLevel);
    file["model"]["ignore_merges"] = json!(false);
    let next = file["model"]["vocab"].as_object().unwrap().len();
    file["model"]["vocab"]["Ġorphan"] = json!(next);
    let vocabulary = Vocabulary::from_bytes("sample", &bytes(&file), None).unwrap();
    assert_eq!(vocabulary.certificate().candidates, WORDS + 1);
    assert_eq!(vocabulary.certificate().stable, WORDS);
}

#[test]
fn a_vocabulary_whose_words_may_merge_is_refused() {
    let mut file = tokenizer_json(Kind::Marked);
    let next = file["model"]["vocab"].as_object().unwrap().len();
    file["model"]["vocab"]["e▁"] = json!(next);
    let error = Vocabulary::from_bytes("sample", &bytes(&file), None).unwrap_err();
    let TokenizerError::Unstable { why, .. } = error else { panic!("{error}") };
    assert_eq!(why, Unstable::MergesWords { tokens: 1 });
}

#[test]
fn a_vocabulary_without_words_is_refused() {
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "the": 1}, "unk_token": "[UNK]"},
    });
    let error = Vocabulary::from_bytes("sample", &bytes(&file), None).unwrap_err();
    let TokenizerError::Unstable { why, .. } = error else { panic!("{error}") };
    assert_eq!(why, Unstable::NoAnchor { candidates: 0 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_builtin_vocabulary_counts_like_it_encodes(text in "[ a-z\\n]{0,40}|\\PC{0,40}") {
        let vocabulary = Vocabulary::builtin();
        let ids = vocabulary.encode(&text);
        prop_assert_eq!(vocabulary.count(&text), ids.len());
        prop_assert_eq!(vocabulary.decode(&ids), text);
    }
}

#[test]
fn a_vocabulary_that_does_not_compose_reads_accents_as_they_stand() {
    let mut file = tokenizer_json(Kind::ByteLevel);
    let load =
        |file: &Value| Vocabulary::from_bytes("sample", file.to_string().as_bytes(), None).unwrap();
    assert!(load(&file).uncomposed().is_none());
    file["normalizer"] = json!({"type": "NFC"});
    let composing = load(&file);
    let apart = composing.uncomposed().unwrap();
    assert!(apart.uncomposed().is_none());
    let check = |text: &str, counts: (usize, usize)| {
        assert_eq!((composing.count(text), apart.count(text)), counts, "{text:?}");
    };
    // Two bytes of one character; a letter, and two bytes of an accent.
    check("\u{e9}", (2, 2));
    check("e\u{301}", (2, 3));
    check(" kalo", (1, 1));
}
