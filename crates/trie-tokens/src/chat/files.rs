//! Where a model keeps its chat template: a file beside the tokenizer, or a key of its config.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::{
    chat::{error::ChatError, template::Templates},
    locate::{CONFIG, TEMPLATE},
};

/// The files that may hold a template, as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChatFiles {
    /// Where they were found: a folder or an address, for messages.
    pub(crate) place: String,
    /// `tokenizer_config.json`.
    pub(crate) config: Option<Vec<u8>>,
    /// `chat_template.jinja`, which goes before the key of the config.
    pub(crate) template: Option<Vec<u8>>,
}

impl ChatFiles {
    /// What the built-in vocabulary has in their place.
    pub(crate) fn builtin() -> Self {
        let template = include_bytes!("builtin.jinja").to_vec();
        Self { place: "builtin".to_owned(), config: None, template: Some(template) }
    }

    /// The template's text and the file it stands in; `None` when the model has none.
    pub(crate) fn templates(&self) -> Result<Option<Templates>, ChatError> {
        let config = self.config()?;
        if let Some(bytes) = &self.template {
            let file = self.file(TEMPLATE);
            let text = String::from_utf8(bytes.clone()).map_err(|error| ChatError::File {
                file: file.clone(),
                message: error.to_string(),
            })?;
            return Ok(Some(Templates { file, default: text, tool_use: None }));
        }
        let file = self.file(CONFIG);
        match config.get("chat_template") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(default)) => {
                Ok(Some(Templates { file, default: default.clone(), tool_use: None }))
            }
            Some(named) => by_name(named, file).map(Some),
        }
    }

    /// The names of special tokens that templates may print, such as `bos_token`.
    pub(crate) fn special_tokens(&self) -> Result<BTreeMap<String, String>, ChatError> {
        let tokens = self.config()?.into_iter().filter(|(key, _)| key.ends_with("_token"));
        let named = tokens.filter_map(|(key, token)| {
            let token = token.get("content").unwrap_or(&token).as_str()?.to_owned();
            Some((key, token))
        });
        Ok(named.collect())
    }

    /// The config's keys; none when there is no such file.
    fn config(&self) -> Result<Map<String, Value>, ChatError> {
        let Some(bytes) = &self.config else { return Ok(Map::new()) };
        serde_json::from_slice(bytes).map_err(|error| ChatError::File {
            file: self.file(CONFIG),
            message: error.to_string(),
        })
    }

    fn file(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}/{name}", self.place) }
    }
}

/// From a list of objects with `name` and `template`: the default one, and the one for chats with tools
/// where there is one.
fn by_name(named: &Value, file: String) -> Result<Templates, ChatError> {
    let text = |name: &str| {
        let entry = named.as_array()?.iter().find(|entry| entry["name"] == name)?;
        entry["template"].as_str().map(str::to_owned)
    };
    let Some(default) = text("default") else {
        let message = "`chat_template` is no text and lists no template named `default`".to_owned();
        return Err(ChatError::File { file, message });
    };
    Ok(Templates { file, default, tool_use: text("tool_use") })
}
