//! A model's chat template, rendered as the server renders it.

use std::{collections::BTreeMap, fmt};

use jiff::{civil::DateTime, fmt::strtime};
use minijinja::{Environment, Error, ErrorKind, Value, syntax::SyntaxConfig, value::Serde};
use minijinja_contrib::pycompat;

use crate::chat::{
    error::ChatError,
    files::ChatFiles,
    message::{Message, Tool},
    python,
};

/// The names under which the two templates are compiled.
const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// The function that prints the date of today.
const DATE_FUNCTION: &str = "strftime_now";

/// The texts of a model's templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Templates {
    /// Where they stand, for messages.
    pub(crate) file: String,
    pub(crate) default: String,
    /// For chats with tools, where the model has one of its own for them.
    pub(crate) tool_use: Option<String>,
}

/// How a server hands the arguments of a tool call to the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arguments {
    /// Parsed: what `transformers` documents, and what vLLM and SGLang do.
    Object,
    /// As the text they were sent as.
    Text,
}

/// How a server hands a message without content to the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absent {
    /// As none.
    Null,
    /// As an empty text, as vLLM does.
    Empty,
}

/// All that decides the text of a prompt beside its messages and tools.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
    /// Whether the prompt ends where the model is to speak; a server sets this.
    pub generation_prompt: bool,
    /// What templates that print today's date get. Without it they are refused: their prompts would
    /// change at midnight.
    pub now: Option<DateTime>,
    /// How arguments of tool calls come to the template.
    pub arguments: Arguments,
    /// How an absent content comes to the template.
    pub absent: Absent,
    /// Further variables, as `chat_template_kwargs` of a request.
    pub variables: BTreeMap<String, serde_json::Value>,
}

impl Default for ChatOptions {
    fn default() -> Self {
        Self {
            generation_prompt: true,
            now: None,
            arguments: Arguments::Object,
            absent: Absent::Null,
            variables: BTreeMap::new(),
        }
    }
}

/// A chat template that was read and compiled.
#[derive(Clone)]
pub struct ChatTemplate {
    file: String,
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
    has_tool_use: bool,
    prints_date: bool,
}

impl ChatTemplate {
    /// A template from its text, as if it were the file `file` beside a tokenizer whose special tokens
    /// have these names (`bos_token` and so on).
    ///
    /// # Errors
    ///
    /// Its syntax is broken.
    pub fn parse(
        file: &str,
        text: &str,
        special_tokens: BTreeMap<String, String>,
    ) -> Result<Self, ChatError> {
        let texts = Templates { file: file.to_owned(), default: text.to_owned(), tool_use: None };
        Self::compile(texts, special_tokens)
    }

    /// The template of a model's files; `None` when they hold none.
    pub(crate) fn of_files(files: &ChatFiles) -> Result<Option<Self>, ChatError> {
        match files.templates()? {
            None => Ok(None),
            Some(texts) => Self::compile(texts, files.special_tokens()?).map(Some),
        }
    }

    fn compile(
        texts: Templates,
        special_tokens: BTreeMap<String, String>,
    ) -> Result<Self, ChatError> {
        let Templates { file, default, tool_use } = texts;
        let mut environment = environment();
        let has_tool_use = tool_use.is_some();
        let both = [Some((DEFAULT, default)), tool_use.map(|text| (TOOL_USE, text))];
        let mut prints_date = false;
        for (name, text) in both.into_iter().flatten() {
            prints_date |= text.contains(DATE_FUNCTION);
            environment
                .add_template_owned(name, without_generation_tags(&text))
                .map_err(|error| syntax(&file, &error))?;
        }
        Ok(Self { file, environment, special_tokens, has_tool_use, prints_date })
    }

    /// The file it was read from, for reports.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether it may print today's date, so that a server's prompts change at midnight.
    pub fn prints_date(&self) -> bool {
        self.prints_date
    }

    /// The prompt's text, byte for byte what `transformers` renders.
    ///
    /// The text holds the names of special tokens, also of the first one: a server encodes it without
    /// adding any.
    ///
    /// # Errors
    ///
    /// The template fails on these messages, or refuses them, or prints a date that is not given;
    /// arguments or parameters are not JSON.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[Tool],
        options: &ChatOptions,
    ) -> Result<String, ChatError> {
        let name = if self.has_tool_use && !tools.is_empty() { TOOL_USE } else { DEFAULT };
        let context = self.context(messages, tools, options)?;
        let template = self.environment.get_template(name).map_err(|error| self.failed(&error))?;
        template.render(context).map_err(|error| self.failed(&error))
    }

    fn context(
        &self,
        messages: &[Message],
        tools: &[Tool],
        options: &ChatOptions,
    ) -> Result<Value, ChatError> {
        let ChatOptions { generation_prompt, now, arguments, absent, variables } = options;
        let messages: Result<Vec<_>, _> =
            messages.iter().map(|message| message.to_value(*arguments, *absent)).collect();
        let tools: Result<Vec<_>, _> = tools.iter().map(Tool::to_value).collect();
        let tools = Some(tools?).filter(|tools| !tools.is_empty());
        let mut fields: BTreeMap<&str, Value> = BTreeMap::from([
            ("messages", Value::from(messages?)),
            ("tools", tools.map_or_else(|| Value::from(()), Value::from)),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(*generation_prompt)),
            (DATE_FUNCTION, date_function(*now)),
        ]);
        fields.extend(self.special_tokens.iter().map(|(k, v)| (k.as_str(), Value::from(v))));
        let variables = variables.iter();
        fields.extend(variables.map(|(k, v)| (k.as_str(), Value::from(Serde(v)))));
        Ok(Value::from_pairs(fields))
    }

    fn failed(&self, error: &Error) -> ChatError {
        let (file, line) = (self.file.clone(), error.line().unwrap_or(1));
        match std::error::Error::source(error).and_then(|source| source.downcast_ref::<Raised>()) {
            Some(Raised(message)) => ChatError::Refused { file, line, message: message.clone() },
            None => ChatError::Render { file, line, message: said(error) },
        }
    }
}

/// Shows where it is from, not the machine it was compiled to.
impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What a template said by `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// Jinja as `transformers` sets it up, Python's methods included.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_filter("tojson", python::to_json);
    environment.add_test("iterable", python::is_iterable);
    environment.add_test("sequence", python::is_sequence);
    environment.add_function("raise_exception", raise_exception);
    environment
}

fn raise_exception(message: String) -> Result<Value, Error> {
    let error = Error::new(ErrorKind::InvalidOperation, message.clone());
    Err(error.with_source(Raised(message)))
}

/// `strftime_now` of one moment.
fn date_function(now: Option<DateTime>) -> Value {
    Value::from_function(move |format: &str| {
        let invalid = |message| Error::new(ErrorKind::InvalidOperation, message);
        let now = now.ok_or_else(|| {
            invalid("it prints today's date, and no date was fixed for the run".to_owned())
        })?;
        strtime::format(format, now).map_err(|error| invalid(error.to_string()))
    })
}

/// Turns the tags that mark what the model said into blocks that are always shown, so that the
/// whitespace around them is trimmed as before.
fn without_generation_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at + 2);
        out.push_str(before);
        let word = tag.trim_start_matches(['-', '+']).trim_start();
        out.push_str(&tag[..tag.len() - word.len()]);
        let (shown, word_length) = match word {
            word if is_tag(word, "generation") => ("if true", "generation".len()),
            word if is_tag(word, "endgeneration") => ("endif", "endgeneration".len()),
            _ => ("", 0),
        };
        out.push_str(shown);
        rest = &word[word_length..];
    }
    out + rest
}

/// Whether a tag is this word and nothing else.
fn is_tag(text: &str, word: &str) -> bool {
    let Some(after) = text.strip_prefix(word) else { return false };
    let after = after.trim_start();
    after.strip_prefix(['-', '+']).unwrap_or(after).starts_with("%}")
}

fn syntax(file: &str, error: &Error) -> ChatError {
    let line = error.line().unwrap_or(1);
    ChatError::Syntax { file: file.to_owned(), line, message: said(error) }
}

/// What went wrong, without the place, which is told beside it.
fn said(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
