//! The optional first line, which says what the file is.

use std::borrow::Cow;

use super::error::Fault;
use super::json::{Fields, Value};
use super::warning::{IgnoredKey, KeyStanding};

/// The version of the format this program writes and, beside rows without a header, reads.
const VERSION: u64 = 2;

/// What a workload file says about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// What the workload is called.
    pub name: Option<String>,
    /// Where its lengths come from.
    pub source: Option<String>,
    /// Under which licence.
    pub license: Option<String>,
    /// The tokenizer its lengths were counted with.
    pub tokenizer: Option<String>,
    /// The program that wrote it.
    pub created_by: Option<String>,
    /// Tokens in a block of the source's cache.
    pub block_size: Option<u64>,
    /// The line as it stands, for writing it again.
    pub text: String,
}

/// Reads the header.
///
/// `shared` is kept in the text only: rows name their shared segments with their lengths.
pub(super) fn read_header<'l>(
    line: &'l str,
    mut fields: Fields<'l>,
) -> Result<(Header, Vec<IgnoredKey<'l>>), Fault> {
    let version = fields.require("trie_workload")?;
    if version.tokens().ok() != Some(VERSION) {
        return Err(version
            .wrong(format!("version {VERSION}"))
            .field("trie_workload")
            .hint("the file is of a version of the format that this program does not read"));
    }
    let header = Header {
        name: text(&mut fields, "name")?,
        source: text(&mut fields, "source")?,
        license: text(&mut fields, "license")?,
        tokenizer: text(&mut fields, "tokenizer")?,
        created_by: text(&mut fields, "created_by")?,
        block_size: number(&mut fields, "block_size")?,
        text: line.trim_ascii().to_owned(),
    };
    fields.take("shared");
    let path = |key: Cow<'l, str>| Cow::Owned(format!("(header).{key}"));
    let rest = fields.rest().map(|(key, column)| IgnoredKey {
        key: path(key),
        standing: KeyStanding::Unknown,
        column,
    });
    Ok((header, rest.collect()))
}

fn text(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>, Fault> {
    let value = fields.take(name).filter(is_given);
    let text = value.map(|value| value.string().map(Cow::into_owned));
    text.transpose().map_err(|fault| fault.field(name))
}

fn number(fields: &mut Fields<'_>, name: &str) -> Result<Option<u64>, Fault> {
    let value = fields.take(name).filter(is_given);
    value.map(Value::tokens).transpose().map_err(|fault| fault.field(name))
}

fn is_given(value: &Value<'_>) -> bool {
    value.text != "null"
}
