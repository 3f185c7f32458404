//! A certificate is made once for a tokenizer, and a damaged one is never believed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use trie_tokens::{Kept, Places, Vocabulary};

use crate::sample::{Kind, bytes, framed};

/// A folder with a tokenizer and room for its certificate.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: TempDir::new().unwrap() };
        let file = bytes(&framed(Kind::Prepended, &["<s>"], &[]));
        fs::write(home.folder.path().join("tokenizer.json"), file).unwrap();
        home
    }

    fn load(&self, cache_dir: &Path) -> Vocabulary {
        let places = Places { cache_dir: Some(cache_dir.to_owned()), ..Places::default() };
        Vocabulary::load(self.folder.path().to_str().unwrap(), &places).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The one file in the cache.
    fn certificate(&self) -> PathBuf {
        let mut files = fs::read_dir(self.cache()).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none(), "unfinished files are left");
        file
    }
}

/// Everything but where it came from is the same.
#[track_caller]
fn assert_same(left: &Vocabulary, right: &Vocabulary) {
    let found = |vocabulary: &Vocabulary| {
        let mut certificate = vocabulary.certificate().clone();
        certificate.kept = Kept::Nowhere;
        certificate.took = std::time::Duration::ZERO;
        let mut text = String::new();
        vocabulary.stable().fill_text(7, 0..100, &mut text);
        vocabulary.openers().fill_text(7, 0..100, &mut text);
        let count = vocabulary.count(vocabulary.prompt_text(&text));
        let ids = vocabulary.stable().ids().to_vec();
        (certificate, text, count, ids, vocabulary.bos(), vocabulary.size())
    };
    assert_eq!(found(left), found(right));
}

#[test]
fn a_kept_certificate_gives_the_same_vocabulary() {
    let home = Home::new();
    let made = home.load(&home.cache());
    assert_eq!(made.certificate().kept, Kept::Written);
    let name = home.certificate().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("stable-v1-{}.json", made.sha256()));
    let read = home.load(&home.cache());
    assert_eq!(read.certificate().kept, Kept::Read);
    assert_eq!(read.certificate().took, made.certificate().took);
    assert_same(&read, &made);
}

#[test]
fn a_damaged_certificate_is_made_anew() {
    let home = Home::new();
    let made = home.load(&home.cache());
    let file = home.certificate();
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for damaged in [
        Vec::new(),
        whole[..60].to_vec(),
        whole[..200].to_vec(),
        flipped(3),
        flipped(whole.len() / 2),
    ] {
        fs::write(&file, damaged).unwrap();
        let anew = home.load(&home.cache());
        assert_eq!(anew.certificate().kept, Kept::Written);
        assert_same(&anew, &made);
        assert_eq!(home.load(&home.cache()).certificate().kept, Kept::Read);
    }
}

#[test]
fn another_config_needs_another_certificate() {
    let home = Home::new();
    assert!(home.load(&home.cache()).bos().is_some());
    let config = home.folder.path().join("tokenizer_config.json");
    fs::write(config, r#"{"add_bos_token": false}"#).unwrap();
    let other = home.load(&home.cache());
    assert_eq!((other.certificate().kept.clone(), other.bos()), (Kept::Written, None));
}

#[test]
fn a_cache_that_cannot_be_written_is_told_and_not_refused() {
    let home = Home::new();
    let blocked = home.folder.path().join("tokenizer.json/below-a-file");
    let vocabulary = home.load(&blocked);
    assert!(matches!(vocabulary.certificate().kept, Kept::Failed(_)));
    assert_eq!(vocabulary.count("the the"), 2);
}
