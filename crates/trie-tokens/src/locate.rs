//! From a name to the bytes of a `tokenizer.json` or `tekken.json`: a file or folder, the hub's cache, the hub.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    disk,
    error::{Attempt, Miss, OtherForm, TokenizerError},
    json::Form,
    places::Places,
    vocabulary::Source,
};

/// The file that is read.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// The file that is read where the first is missing.
pub(crate) const TEKKEN: &str = "tekken.json";

/// The file beside it that says whether a first token is added.
pub(crate) const CONFIG: &str = "tokenizer_config.json";

/// The file beside it that holds the chat template, where that is no key of the config.
pub(crate) const TEMPLATE: &str = "chat_template.jinja";

/// The files of a tokenizer and where they came from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) form: Form,
    pub(crate) config: Option<Vec<u8>>,
    pub(crate) template: Option<Vec<u8>>,
}

/// Finds the tokenizer that `name` stands for, at the first place that has it.
pub(crate) fn locate(name: &str, places: &Places) -> Result<Found, TokenizerError> {
    if let Some(found) = named_path(Path::new(name))? {
        return Ok(found);
    }
    let mut tried = vec![Attempt { place: format!("path {name}"), miss: Miss::NoSuchFile }];
    if !is_repository(name) {
        tried.push(Attempt { place: "hub".to_owned(), miss: Miss::NotARepository });
        return Err(TokenizerError::NotFound { name: name.to_owned(), tried });
    }
    let cached = cached(name, places)?;
    let revision = match cached {
        Cached::Whole(found) => return Ok(found),
        Cached::Missing { attempt, revision } => {
            tried.push(attempt);
            revision
        }
    };
    match ask_hub(name, revision.as_deref(), places) {
        Ok(found) => Ok(found),
        Err(attempt) => {
            tried.push(attempt);
            Err(TokenizerError::NotFound { name: name.to_owned(), tried })
        }
    }
}

/// A file or folder that the user named; `None` when there is neither.
fn named_path(path: &Path) -> Result<Option<Found>, TokenizerError> {
    if path.is_file() {
        let form = form_of(path);
        if form != OtherForm::Unknown {
            return Err(TokenizerError::Form { path: path.to_owned(), form });
        }
        return read(path, form_named(path), Source::File);
    }
    if !path.is_dir() {
        return Ok(None);
    }
    match read_in(path, Source::File)? {
        Some(found) => Ok(Some(found)),
        None => Err(TokenizerError::Form { path: path.to_owned(), form: form_in(path) }),
    }
}

/// What the hub's cache has.
enum Cached {
    Whole(Found),
    Missing { attempt: Attempt, revision: Option<String> },
}

/// Looks where `refs/main` of the repository points to.
fn cached(name: &str, places: &Places) -> Result<Cached, TokenizerError> {
    let missing = |place: String, miss, revision| {
        Ok(Cached::Missing {
            attempt: Attempt { place: format!("hub cache{place}"), miss },
            revision,
        })
    };
    let Some(cache) = places.hub_cache() else {
        return missing(String::new(), Miss::NoCacheFolder, None);
    };
    let repository = repository_folder(&cache, name);
    let place = format!(" {}", repository.display());
    let main = repository.join("refs/main");
    let read_main = disk::read_if_there(&main).map_err(|source| read_error(&main, source))?;
    let revision = read_main.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let Some(revision) = revision.filter(|revision| is_revision(revision)) else {
        return missing(place, Miss::NotCached, None);
    };
    let snapshot = repository.join("snapshots").join(&revision);
    match read_in(&snapshot, Source::HubCache)? {
        Some(found) => Ok(Cached::Whole(found)),
        None => missing(place, Miss::CachedWithout(form_in(&snapshot)), Some(revision)),
    }
}

#[cfg(feature = "hub")]
fn ask_hub(name: &str, revision: Option<&str>, places: &Places) -> Result<Found, Attempt> {
    if places.offline {
        return Err(Attempt { place: "hub".to_owned(), miss: Miss::Offline });
    }
    crate::hub::download(name, revision, places)
}

#[cfg(not(feature = "hub"))]
fn ask_hub(_name: &str, _revision: Option<&str>, places: &Places) -> Result<Found, Attempt> {
    let miss = if places.offline { Miss::Offline } else { Miss::NotBuiltIn };
    Err(Attempt { place: "hub".to_owned(), miss })
}

/// The cache's folder of one repository: slashes become `--`.
pub(crate) fn repository_folder(cache: &Path, name: &str) -> PathBuf {
    cache.join(format!("models--{}", name.replace('/', "--")))
}

/// Whether `name` can be a repository: one or two parts of letters, digits, `-`, `_` and `.`, none of
/// which could leave a folder.
fn is_repository(name: &str) -> bool {
    let parts: Vec<_> = name.split('/').collect();
    let is_part = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && part.bytes().any(|byte| byte.is_ascii_alphanumeric())
            && !part.starts_with('.')
    };
    parts.len() <= 2 && parts.iter().all(is_part)
}

/// Whether a revision can be the name of a folder: hexadecimal, as commits are.
pub(crate) fn is_revision(revision: &str) -> bool {
    !revision.is_empty() && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The form that a file's name says.
fn form_named(path: &Path) -> Form {
    if path.ends_with(TEKKEN) { Form::Tekken } else { Form::TokenizerJson }
}

/// The first tokenizer file of a folder that can be read.
fn read_in(
    folder: &Path,
    source: impl Fn(PathBuf) -> Source,
) -> Result<Option<Found>, TokenizerError> {
    let found = read(&folder.join(TOKENIZER), Form::TokenizerJson, &source)?;
    match found {
        Some(found) => Ok(Some(found)),
        None => read(&folder.join(TEKKEN), Form::Tekken, &source),
    }
}

/// A tokenizer file and what lies beside it; `None` when it is not there.
fn read(
    path: &Path,
    form: Form,
    source: impl Fn(PathBuf) -> Source,
) -> Result<Option<Found>, TokenizerError> {
    let file = |path: &Path| disk::read_if_there(path).map_err(|error| read_error(path, error));
    let Some(tokenizer) = file(path)? else { return Ok(None) };
    let config = file(&path.with_file_name(CONFIG))?;
    let template = file(&path.with_file_name(TEMPLATE))?;
    Ok(Some(Found { source: source(path.to_owned()), tokenizer, form, config, template }))
}

fn read_error(path: &Path, source: std::io::Error) -> TokenizerError {
    TokenizerError::Read { path: path.to_owned(), source }
}

/// Which other kind of tokenizer file this is, by its name.
fn form_of(path: &Path) -> OtherForm {
    match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "tokenizer.model" | "spiece.model" | "sentencepiece.bpe.model" => OtherForm::SentencePiece,
        "vocab.json" | "merges.txt" => OtherForm::VocabAndMerges,
        "tiktoken.model" => OtherForm::Tiktoken,
        name if name.ends_with(".tiktoken") => OtherForm::Tiktoken,
        _ => OtherForm::Unknown,
    }
}

/// The first other kind of tokenizer file in a folder, by name.
fn form_in(folder: &Path) -> OtherForm {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let mut forms = paths.iter().map(|path| form_of(path));
    forms.find(|form| *form != OtherForm::Unknown).unwrap_or(OtherForm::Unknown)
}
