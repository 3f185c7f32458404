//! Which token a server puts before a prompt that is text.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::TokenizerError,
    json::{JsonFault, JsonTokenizer},
    locate::CONFIG,
};

/// What `tokenizer_config.json` says about the first token.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BosConfig {
    add: Option<bool>,
    token: Option<String>,
}

/// The two keys that are read; `bos_token` is a string, an object with `content`, or null.
#[derive(Deserialize)]
struct ConfigFile {
    add_bos_token: Option<bool>,
    bos_token: Option<Value>,
}

impl BosConfig {
    /// Reads the file; no file says nothing.
    pub(crate) fn parse(config: Option<&[u8]>) -> Result<Self, TokenizerError> {
        let Some(bytes) = config else { return Ok(Self::default()) };
        let file: ConfigFile = serde_json::from_slice(bytes).map_err(|error| {
            let JsonFault { at, message } = JsonFault::from(&error);
            TokenizerError::Corrupt { file: CONFIG.to_owned(), at, message }
        })?;
        let named =
            |token: &Value| token.get("content").unwrap_or(token).as_str().map(str::to_owned);
        let token = file.bos_token.as_ref().and_then(named);
        Ok(Self { add: file.add_bos_token, token })
    }
}

/// The token that is put before every text, by what the tokenizer itself does.
///
/// `add_bos_token` decides where it is given, since the tokenizer's class then rewrites the
/// post-processor; elsewhere the post-processor of `tokenizer.json` is tried.
pub(crate) fn bos(
    name: &str,
    tokenizer: &JsonTokenizer,
    config: &BosConfig,
) -> Result<Option<u32>, TokenizerError> {
    let (before, after) = tokenizer.frame();
    if before.len() > 1 || !after.is_empty() {
        let (before, after) = (before.len(), after.len());
        return Err(TokenizerError::Frame { name: name.to_owned(), before, after });
    }
    let framed = before.first().copied();
    Ok(match config.add {
        Some(true) => {
            let named = config.token.as_ref().and_then(|token| tokenizer.token_to_id(token));
            named.or(framed)
        }
        Some(false) => None,
        None => framed,
    })
}
