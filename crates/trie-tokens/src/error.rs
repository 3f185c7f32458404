//! Why a tokenizer could not be had.

use std::{fmt, io, path::PathBuf};

use crate::certificate::Unstable;

/// Why a tokenizer could not be loaded, or must not be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// None of the places where the name could lead held a tokenizer.
    #[error("no tokenizer for `{name}`; tried:{}", list(tried))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Every place in the order tried, and what was wrong with it.
        tried: Vec<Attempt>,
    },
    /// The name asks for the server's own counting.
    #[error(
        "`tokenizer_model=server` is not supported: text of an exact token count is made before the run, \
         without the server\nhint: pass the folder or the hub's name of the tokenizer that the server uses, \
         or `tokenizer_model=builtin` to count in made-up tokens"
    )]
    Server,
    /// A file or folder that the user named holds a tokenizer in a form that is not read.
    #[error("{} is not a tokenizer.json, or a folder with one: {form}\nhint: {}", path.display(), form.hint())]
    Form {
        /// The file or folder.
        path: PathBuf,
        /// What it is instead.
        form: OtherForm,
    },
    /// A file that exists could not be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{file}{}: {message}\nhint: the file may be cut short or a Git LFS pointer; fetch it again", place(*at))]
    Corrupt {
        /// The file.
        file: String,
        /// Line and column, both from 1, where the syntax breaks; `None` when the syntax is right and
        /// the meaning is wrong.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
    },
    /// A server frames text prompts in a way that cannot be counted as one leading token.
    #[error(
        "the tokenizer of `{name}` puts {before} tokens before and {after} after every text; only one \
         before can be counted\nhint: it may belong to an embedding or translation model"
    )]
    Frame {
        /// What was asked for.
        name: String,
        /// Tokens put before a text.
        before: usize,
        /// Tokens put after a text.
        after: usize,
    },
    /// Text of an exact token count cannot be made with this vocabulary.
    #[error(
        "the tokenizer of `{name}` cannot make text of an exact token count: {why}\nhint: pass the model's \
         own tokenizer, or `tokenizer_model=builtin` to count in made-up tokens"
    )]
    Unstable {
        /// What was asked for.
        name: String,
        /// What the check found.
        #[source]
        why: Unstable,
    },
}

/// One place where a tokenizer was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// A path, a cache folder or an address without its secrets.
    pub place: String,
    /// What was wrong with it.
    pub miss: Miss,
}

/// What was wrong with one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// There is no such file or folder.
    NoSuchFile,
    /// The name cannot be a repository of the hub (`name` or `organisation/name`).
    NotARepository,
    /// No folder of a hub cache is known.
    NoCacheFolder,
    /// The hub cache does not hold the repository's main revision.
    NotCached,
    /// The hub cache holds the repository, but no `tokenizer.json` in it.
    CachedWithout(OtherForm),
    /// The hub may not be asked.
    Offline,
    /// This program was built without the part that asks the hub.
    NotBuiltIn,
    /// The hub wants a token, or the token given has no access.
    NoAccess {
        /// 401 or 403.
        status: u16,
        /// What the hub said.
        said: String,
        /// Whether a token was sent.
        token_sent: bool,
    },
    /// The hub knows no such repository, or no `tokenizer.json` in it.
    NotOnHub {
        /// What the hub said.
        said: String,
    },
    /// The hub answered with another status.
    Status {
        /// The status.
        status: u16,
        /// What the hub said.
        said: String,
    },
    /// The hub could not be reached, or the answer broke off.
    Unreachable {
        /// What the client said.
        said: String,
    },
}

/// A tokenizer that is there, but not as a `tokenizer.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherForm {
    /// `tokenizer.model` or `spiece.model`.
    SentencePiece,
    /// A `.tiktoken` file or `tiktoken.model`.
    Tiktoken,
    /// `vocab.json` and `merges.txt`.
    VocabAndMerges,
    /// Nothing that is known.
    Unknown,
}

impl OtherForm {
    /// How to get a `tokenizer.json`.
    pub fn hint(self) -> &'static str {
        match self {
            Self::SentencePiece | Self::VocabAndMerges | Self::Tiktoken => {
                "convert it once: python -c \"from transformers import AutoTokenizer as A; \
                 A.from_pretrained('FOLDER').save_pretrained('OUT')\", then pass OUT"
            }
            Self::Unknown => "pass the model's tokenizer.json, or a folder that holds it",
        }
    }
}

impl fmt::Display for OtherForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SentencePiece => "it is a SentencePiece model (tokenizer.model)",
            Self::Tiktoken => "it is a tiktoken vocabulary",
            Self::VocabAndMerges => "it is a vocab.json with a merges.txt",
            Self::Unknown => "there is no tokenizer file in it",
        })
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.miss)
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFile => f.write_str("no such file or folder"),
            Self::NotARepository => f.write_str(
                "not the name of a repository (hint: `organisation/name`, or `builtin`)",
            ),
            Self::NoCacheFolder => {
                f.write_str("no cache folder is known (hint: set HF_HOME or HF_HUB_CACHE)")
            }
            Self::NotCached => f.write_str("its main revision is not there"),
            Self::CachedWithout(form) => {
                write!(f, "no tokenizer.json in it: {form} (hint: {})", form.hint())
            }
            Self::Offline => f.write_str("not asked, because HF_HUB_OFFLINE is set"),
            Self::NotBuiltIn => f.write_str("not asked, because this build has no `hub` feature"),
            Self::NoAccess { status, said, token_sent: false } => {
                write!(
                    f,
                    "{status} {said} (hint: set HF_TOKEN; a private or gated repository needs one)"
                )
            }
            Self::NoAccess { status, said, token_sent: true } => write!(
                f,
                "{status} {said} (hint: accept the model's licence on its page with the account that \
                 HF_TOKEN belongs to, and check that the token may read it)"
            ),
            Self::NotOnHub { said } => {
                write!(
                    f,
                    "404 {said} (hint: check the spelling; a private repository needs HF_TOKEN)"
                )
            }
            Self::Status { status, said } => write!(f, "{status} {said} (hint: try again later)"),
            Self::Unreachable { said } => {
                write!(
                    f,
                    "{said} (hint: check the network and HF_ENDPOINT, or pass a local folder)"
                )
            }
        }
    }
}

/// One attempt a line.
fn list(tried: &[Attempt]) -> String {
    tried.iter().fold(String::new(), |list, attempt| list + "\n  - " + &attempt.to_string())
}

/// `:line:column`, or nothing.
fn place(at: Option<(usize, usize)>) -> String {
    at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default()
}
