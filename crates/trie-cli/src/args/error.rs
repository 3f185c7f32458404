//! What can be wrong with what the user typed.

use thiserror::Error;

use super::layers::Origin;

/// Wrong use; exit code 2.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub(crate) enum ArgsError {
    /// No such command.
    #[error("unknown command `{word}`{}", hint(suggestion.as_deref()))]
    UnknownCommand { word: String, suggestion: Option<String> },
    /// No such option; the suggestion is in the user's spelling.
    #[error("{origin}unknown option `{typed}`{}", hint(suggestion.as_deref()))]
    UnknownOption { typed: String, suggestion: Option<String>, origin: Origin },
    /// The option exists, but not for this command.
    #[error("{origin}`{typed}` is not an option of `trie {command}`")]
    WrongCommand { typed: String, command: &'static str, origin: Origin },
    /// An option without its value.
    #[error("`{typed}` needs a value: {wanted}\nhint: write `{name}=VALUE` or `--{dashed} VALUE`", dashed = name.replace('_', "-"))]
    NoValue { typed: String, name: String, wanted: String },
    /// A value of the wrong kind or out of range.
    #[error("{origin}`{name}={found}` is not valid: {wanted}")]
    BadValue { name: String, found: String, wanted: String, origin: Origin },
    /// An option the command cannot do without.
    #[error(
        "`{name}` is required: {help}\nhint: `trie {command} {name}=...`; `trie {command} --help` lists all options"
    )]
    Missing { name: &'static str, help: String, command: &'static str },
    /// A word that is neither an option nor expected.
    #[error("unexpected word `{word}`\nhint: options are written `key=value` or `--key value`")]
    Stray { word: String },
    /// The same option twice in one place.
    #[error("`{name}` is given twice on the command line: `{first}` and `{second}`")]
    Twice { name: String, first: String, second: String },
    /// Options that exclude each other, or a choice that this version does not have.
    #[error("{0}")]
    Conflict(String),
    /// A run file that cannot be read.
    #[error(
        "{path}:{line}: {message}\nhint: a run file is TOML with option names as keys, such as `concurrency = 8`"
    )]
    RunFile { path: String, line: usize, message: String },
}

fn hint(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(suggestion) => format!("\nhint: did you mean `{suggestion}`?"),
        None => "\nhint: `trie --help` lists commands, `trie run --help` options".to_owned(),
    }
}
