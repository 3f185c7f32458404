//! A name is looked for in every place in order, and an error names them all.

use std::{fs, path::Path};

use tempfile::TempDir;
use trie_tokens::{Miss, OtherForm, Places, Source, TokenizerError, Vocabulary};

use crate::sample::{Kind, bytes, tokenizer_json};

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn sample() -> Vec<u8> {
    bytes(&tokenizer_json(Kind::ByteLevel))
}

fn offline(folder: &TempDir) -> Places {
    Places { hf_home: Some(folder.path().to_owned()), offline: true, ..Places::default() }
}

/// What was wrong with each place tried for `name`.
#[track_caller]
fn check_missing(name: &str, places: &Places, expected: &[Miss]) {
    let error = Vocabulary::load(name, places).unwrap_err();
    let shown = error.to_string();
    let TokenizerError::NotFound { tried, .. } = error else { panic!("{shown}") };
    let misses: Vec<_> = tried.iter().map(|attempt| attempt.miss.clone()).collect();
    assert_eq!(misses, expected, "{shown}");
    assert!(tried.iter().all(|attempt| shown.contains(&attempt.place)), "{shown}");
}

/// Which other form a path is said to hold.
#[track_caller]
fn check_form(path: &Path, expected: OtherForm) {
    let error = Vocabulary::load(path.to_str().unwrap(), &Places::default()).unwrap_err();
    let shown = error.to_string();
    let TokenizerError::Form { form, .. } = error else { panic!("{shown}") };
    assert_eq!(form, expected);
    assert!(shown.contains("hint: "), "{shown}");
}

#[test]
fn the_builtin_vocabulary_needs_no_place() {
    let vocabulary = Vocabulary::load("builtin", &Places::default()).unwrap();
    assert_eq!((vocabulary.source(), vocabulary.size()), (&Source::Builtin, 4_352));
    assert_eq!((vocabulary.stable().len(), vocabulary.bos()), (4_096, None));
}

#[test]
fn a_file_or_its_folder_is_read_with_the_config_beside_it() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokenizer.json");
    write(&file, sample());
    write(
        &folder.path().join("tokenizer_config.json"),
        br#"{"add_bos_token": true, "bos_token": "<s>"}"#,
    );
    for name in [file.as_path(), folder.path()] {
        let vocabulary = Vocabulary::load(name.to_str().unwrap(), &Places::default()).unwrap();
        assert_eq!(vocabulary.source(), &Source::File(file.clone()));
        assert!(vocabulary.bos().is_some());
    }
}

#[test]
fn other_forms_of_tokenizer_are_named() {
    for (name, form) in [
        ("tokenizer.model", OtherForm::SentencePiece),
        ("qwen.tiktoken", OtherForm::Tiktoken),
        ("vocab.json", OtherForm::VocabAndMerges),
    ] {
        let folder = TempDir::new().unwrap();
        write(&folder.path().join("config.json"), "{}");
        write(&folder.path().join(name), "{}");
        check_form(folder.path(), form);
        check_form(&folder.path().join(name), form);
    }
    check_form(TempDir::new().unwrap().path(), OtherForm::Unknown);
}

#[test]
fn the_hub_cache_is_read_where_its_main_reference_points() {
    let folder = TempDir::new().unwrap();
    let repository = folder.path().join("hub/models--some--model");
    let file = repository.join("snapshots/0abc/tokenizer.json");
    write(&repository.join("refs/main"), "0abc\n");
    write(&file, sample());
    let vocabulary = Vocabulary::load("some/model", &offline(&folder)).unwrap();
    assert_eq!(vocabulary.source(), &Source::HubCache(file));
    let moved = Places { hf_hub_cache: Some(folder.path().join("hub")), ..Places::default() };
    assert_eq!(Vocabulary::load("some/model", &moved).unwrap().sha256(), vocabulary.sha256());
}

#[test]
fn every_place_tried_is_named() {
    let folder = TempDir::new().unwrap();
    let cached = |miss| [Miss::NoSuchFile, miss, Miss::Offline];
    check_missing("a/b", &offline(&folder), &cached(Miss::NotCached));
    let homeless = Places { offline: true, ..Places::default() };
    check_missing("a/b", &homeless, &cached(Miss::NoCacheFolder));
    let repository = folder.path().join("hub/models--a--b");
    write(&repository.join("refs/main"), "../../../../etc");
    check_missing("a/b", &offline(&folder), &cached(Miss::NotCached));
    write(&repository.join("refs/main"), "0abc");
    write(&repository.join("snapshots/0abc/tokenizer.model"), "{}");
    check_missing("a/b", &offline(&folder), &cached(Miss::CachedWithout(OtherForm::SentencePiece)));
    for name in ["./nowhere", "/no/such/tokenizer.json", "../x", "a/b/c", "", "a b", "..", "a/.."] {
        let name =
            if name.starts_with("..") { format!("{name}-nowhere/") } else { name.to_owned() };
        check_missing(&name, &offline(&folder), &[Miss::NoSuchFile, Miss::NotARepository]);
    }
}

#[test]
fn damaged_json_is_refused_with_line_and_column() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tokenizer.json");
    write(&file, "{\n  \"version\": \"1.0\",\n  \"model\": {]\n}");
    let error = Vocabulary::load(file.to_str().unwrap(), &Places::default()).unwrap_err();
    let TokenizerError::Corrupt { at, .. } = &error else { panic!("{error}") };
    assert_eq!(*at, Some((3, 13)));
    assert!(error.to_string().contains("tokenizer.json:3:13: "), "{error}");
}

#[test]
fn counting_by_the_server_is_refused_with_what_to_do() {
    let error = Vocabulary::load("server", &Places::default()).unwrap_err();
    assert!(matches!(error, TokenizerError::Server), "{error}");
    assert!(error.to_string().contains("hint: "), "{error}");
}

#[test]
fn json_that_is_no_tokenizer_is_refused() {
    let error =
        Vocabulary::from_bytes("sample", b"{\"model\": {\"type\": \"Odd\"}}", None).unwrap_err();
    assert!(matches!(error, TokenizerError::Corrupt { .. }), "{error}");
}

#[test]
fn debug_output_of_places_holds_no_secret() {
    let places = Places {
        hf_token: Some("hf_canary".to_owned()),
        hf_endpoint: Some("https://user:canary@mirror.example/hub".to_owned()),
        proxy: Some("http://user:canary@proxy.example:3128".to_owned()),
        ..Places::default()
    };
    let shown = format!("{places:?}");
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("https://***@mirror.example/hub"), "{shown}");
}
