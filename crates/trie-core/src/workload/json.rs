//! JSON values that know the column they stand at.
//!
//! A value is kept as the slice of the line it was written as, so its column is the distance from
//! the line's start, and a number is only interpreted where its meaning is known.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::error::Fault;
use crate::units::{Nanos, Tokens};

/// The most tokens one field, or one request's prompt and answer together, may have. No engine has
/// a context near it, and sums of it stay far from the end of 64 bits.
pub const MAX_TOKENS: Tokens = 1_000_000_000;

/// The longest wait, in seconds: 31 years.
const MAX_SECONDS: f64 = 1e9;

/// How much of a wrong value a message quotes, in characters.
const QUOTED: usize = 40;

const SIX_FIELDS: &str = "the six are num_turns, input_prompt_length, assistant_response_length, \
                          tool_call_output_length, tool_call_latency and \
                          final_assistant_response_length";

/// A value as it is written, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'l> {
    pub(super) text: &'l str,
    /// Byte column of its first character, from 1.
    pub(super) column: usize,
}

/// The members of an object that have not been taken yet.
pub(super) struct Fields<'l> {
    line: &'l str,
    column: usize,
    members: BTreeMap<Cow<'l, str>, Member<'l>>,
}

struct Member<'l> {
    key_column: usize,
    value: Value<'l>,
}

impl<'l> Fields<'l> {
    /// Reads the object that makes up the whole of `line`.
    pub(super) fn of_line(line: &'l str) -> Result<Self, Fault> {
        let text = line.trim_ascii();
        Self::of_value(line, Value { text, column: column(line, text) })
    }

    /// Reads an object inside `line`.
    pub(super) fn of_value(line: &'l str, value: Value<'l>) -> Result<Self, Fault> {
        if value.text.starts_with('\0') {
            return Err(wrong_byte(line, value.column - 1));
        }
        if !value.text.starts_with('{') {
            return Err(Fault::new(value.column, value.described(), "an object in braces"));
        }
        let mut reader = serde_json::Deserializer::from_str(value.text);
        let pairs = reader.deserialize_map(Pairs).and_then(|pairs| reader.end().map(|()| pairs));
        let pairs = pairs.map_err(|error| syntax_fault(line, value, &error))?;
        let mut fields = Self { line, column: value.column, members: BTreeMap::new() };
        for (key, value) in pairs {
            fields.insert(key.get(), value.get())?;
        }
        Ok(fields)
    }

    fn insert(&mut self, key: &'l str, value: &'l str) -> Result<(), Fault> {
        let key = Value { text: key, column: column(self.line, key) };
        let value = Value { text: value, column: column(self.line, value) };
        let member = Member { key_column: key.column, value };
        let name = key.string()?;
        match self.members.insert(name.clone(), member) {
            None => Ok(()),
            Some(first) => Err(Fault::new(key.column, "the key a second time", "it once")
                .field(name)
                .hint(format!("it already stands at column {}", first.key_column))),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value<'l>> {
        self.members.remove(name).map(|member| member.value)
    }

    pub(super) fn require(&mut self, name: &'static str) -> Result<Value<'l>, Fault> {
        self.take(name).ok_or_else(|| {
            Fault::new(self.column, "a row without it", "all six fields of a row")
                .field(name)
                .hint(SIX_FIELDS)
        })
    }

    /// Takes a member and reads it, where there is one. Faults name the member.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'l>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        self.take(name).map(|value| read(value).map_err(|fault| fault.under(name))).transpose()
    }

    /// Like [`Fields::read`] for a member that an element of a list must have.
    pub(super) fn need<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Value<'l>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let column = self.column;
        let missing = || Fault::new(column, format!("an element without {name}"), "one with it");
        self.read(name, read)?.ok_or_else(missing)
    }

    /// Column of a key that was not taken.
    pub(super) fn key_column(&self, name: &str) -> Option<usize> {
        self.members.get(name).map(|member| member.key_column)
    }

    pub(super) fn holds(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// The members that nobody took.
    pub(super) fn into_members(self) -> impl Iterator<Item = (Cow<'l, str>, Value<'l>)> {
        self.members.into_iter().map(|(name, member)| (name, member.value))
    }

    /// The keys that nobody took, with their columns.
    pub(super) fn rest(self) -> impl Iterator<Item = (Cow<'l, str>, usize)> {
        self.members.into_iter().map(|(name, member)| (name, member.key_column))
    }
}

impl<'l> Value<'l> {
    /// A whole number of tokens from 0 to [`MAX_TOKENS`]; `16.0` and `1.6e1` are 16.
    pub(super) fn tokens(self) -> Result<Tokens, Fault> {
        match self.whole() {
            Some(tokens) if tokens <= MAX_TOKENS => Ok(tokens),
            Some(_) | None => {
                let wanted = format!("a whole number from 0 to {MAX_TOKENS}");
                Err(self.wrong(wanted))
            }
        }
    }

    /// A whole number of 64 bits.
    pub(super) fn number(self) -> Result<u64, Fault> {
        self.whole().ok_or_else(|| self.wrong(format!("a whole number from 0 to {}", u64::MAX)))
    }

    /// A finite number above 0.
    pub(super) fn positive(self) -> Result<f64, Fault> {
        let number = self.float().filter(|number| *number > 0.0 && number.is_finite());
        number.ok_or_else(|| self.wrong("a finite number above 0"))
    }

    pub(super) fn is_null(self) -> bool {
        self.text == "null"
    }

    /// Seconds from 0 to [`MAX_SECONDS`].
    pub(super) fn seconds(self) -> Result<Nanos, Fault> {
        let seconds = self.float().filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds));
        seconds
            .and_then(Nanos::from_secs_f64)
            .ok_or_else(|| self.wrong(format!("a number of seconds from 0 to {MAX_SECONDS}")))
    }

    /// The elements of a list.
    pub(super) fn list(self, line: &'l str) -> Result<Vec<Self>, Fault> {
        if !self.text.starts_with('[') {
            return Err(self.wrong("a list in square brackets"));
        }
        let items: Vec<&'l RawValue> =
            serde_json::from_str(self.text).map_err(|error| syntax_fault(line, self, &error))?;
        let place =
            |item: &'l RawValue| Self { text: item.get(), column: column(line, item.get()) };
        Ok(items.into_iter().map(place).collect())
    }

    /// The elements of a list, each read. Faults name the element.
    pub(super) fn each<T>(
        self,
        line: &'l str,
        mut read: impl FnMut(Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let items = self.list(line)?.into_iter().enumerate();
        items.map(|(index, item)| read(item).map_err(|fault| fault.at_index(index))).collect()
    }

    /// The text of a string that is not empty.
    pub(super) fn name(self) -> Result<Cow<'l, str>, Fault> {
        match self.string()? {
            name if name.is_empty() => Err(self.wrong("a name that is not empty")),
            name => Ok(name),
        }
    }

    /// The text of a string.
    pub(super) fn string(self) -> Result<Cow<'l, str>, Fault> {
        let inside = self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match inside {
            Some(inside) if !inside.contains('\\') => Ok(Cow::Borrowed(inside)),
            Some(_) => match serde_json::from_str::<String>(self.text) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(_) => Err(self.wrong("a string with valid escapes")),
            },
            None => Err(self.wrong("a string in quotes")),
        }
    }

    /// The fault of not being what is wanted.
    pub(super) fn wrong(self, wanted: impl Into<String>) -> Fault {
        let fault = Fault::new(self.column, self.described(), wanted);
        match self.text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inside) if inside.parse::<f64>().is_ok() => {
                fault.hint("numbers are written without quotes")
            }
            Some(_) | None => fault,
        }
    }

    /// The value and its type, cut to a readable length.
    pub(super) fn described(self) -> String {
        let kind = match self.text.as_bytes().first() {
            Some(b'"') => " (a string)",
            Some(b'[') => " (a list)",
            Some(b'{') => " (an object)",
            Some(_) => "",
            None => return "nothing".to_owned(),
        };
        format!("{}{kind}", cut(self.text))
    }

    fn whole(self) -> Option<u64> {
        self.text.parse().ok().or_else(|| self.whole_float())
    }

    /// A whole number written as a float. Floats beyond [`MAX_TOKENS`] are refused by the caller's
    /// bound, far below the 2^53 where they stop being exact.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value was checked to be whole and to lie inside the range just before"
    )]
    fn whole_float(self) -> Option<u64> {
        let number = self.float()?;
        let whole = number.fract().abs() <= 0.0 && (0.0..=1e15).contains(&number);
        whole.then_some(number as u64)
    }

    /// JSON's numbers only: `str::parse` would take `inf` and `nan` as well.
    fn float(self) -> Option<f64> {
        let first = *self.text.as_bytes().first()?;
        let number = first == b'-' || first.is_ascii_digit();
        number.then(|| self.text.parse().ok()).flatten()
    }
}

/// Byte column of `part` in `line`, from 1. `part` is a slice of `line`.
pub(super) fn column(line: &str, part: &str) -> usize {
    let distance = part.as_ptr().addr().checked_sub(line.as_ptr().addr());
    let distance = distance.filter(|distance| distance + part.len() <= line.len());
    distance.expect("values are slices of their line") + 1
}

/// Collects an object's members as they are written.
struct Pairs;

impl<'l> Visitor<'l> for Pairs {
    type Value = Vec<(&'l RawValue, &'l RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(12);
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Says in our words what `error` found in `value`.
fn syntax_fault(line: &str, value: Value<'_>, error: &serde_json::Error) -> Fault {
    // serde_json counts from 1, but for control characters in strings, which it has not passed.
    let passed = usize::from(!error.to_string().starts_with("control character"));
    let offset = (value.column - 1 + error.column().max(passed) - passed).min(line.len());
    let (field, end) = (field_at(line, offset), line.trim_ascii_end().len());
    let fault = match error.classify() {
        Category::Eof => Fault::new(end + 1, "the end of the line", "the rest of the JSON object")
            .hint("the file may have been cut short, or the object spread over several lines"),
        Category::Io | Category::Syntax | Category::Data => wrong_byte(line, offset),
    };
    match field {
        Some(field) => fault.field(field),
        None => fault,
    }
}

fn wrong_byte(line: &str, offset: usize) -> Fault {
    if line.as_bytes().get(offset) == Some(&0) {
        return Fault::new(offset + 1, "a NUL byte", "text")
            .hint("the file may be binary, or UTF-16: write it as UTF-8");
    }
    let (start, word) = word_at(line, offset);
    match word.trim_start_matches('-').to_ascii_lowercase().as_str() {
        "nan" | "inf" | "infinity" => {
            Fault::new(start + 1, word, "a finite number").hint("JSON has no such number")
        }
        _ => {
            let found = line.get(offset..).unwrap_or_default();
            let found = if found.is_empty() { "nothing".to_owned() } else { cut(found) };
            Fault::new(offset + 1, found, "valid JSON")
        }
    }
}

/// The word around a byte, and where it starts.
fn word_at(line: &str, offset: usize) -> (usize, &str) {
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+');
    let (before, after) = line.as_bytes().split_at(offset);
    let start = offset - before.iter().rev().take_while(|byte| part_of_word(byte)).count();
    let end = offset + after.iter().take_while(|byte| part_of_word(byte)).count();
    (start, line.get(start..end).unwrap_or_default())
}

/// The row's key, and the index in its list, that a byte belongs to.
fn field_at(line: &str, offset: usize) -> Option<String> {
    let (mut depth, mut index, mut quote, mut escaped) = (0_usize, 0_usize, None, false);
    let (mut last_string, mut key, mut listed) = (None, None, false);
    for (at, byte) in line.bytes().enumerate().take(offset) {
        match (quote, byte) {
            (Some(_), b'\\') => escaped = !escaped,
            (Some(start), b'"') if !escaped => {
                last_string = line.get(start..at);
                quote = None;
            }
            (Some(_), _) => escaped = false,
            (None, b'"') => quote = Some(at + 1),
            (None, b'{' | b'[') => {
                depth += 1;
                (index, listed) = if depth == 2 { (0, byte == b'[') } else { (index, listed) };
            }
            (None, b'}' | b']') => depth = depth.saturating_sub(1),
            (None, b':') if depth == 1 => (key, listed) = (last_string, false),
            (None, b',') if depth == 1 => (key, listed) = (None, false),
            (None, b',') if depth == 2 => index += 1,
            (None, _) => {}
        }
    }
    let key = cut(key?);
    Some(if depth >= 2 && listed { format!("{key}[{index}]") } else { key })
}

/// The beginning of a text, marked where it was cut.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// JSON without the spaces between its words.
pub(super) fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let kept = |letter: &char| {
        let space = !quoted && letter.is_ascii_whitespace();
        if *letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && *letter == '\\' && !escaped;
        !space
    };
    json.chars().filter(kept).collect()
}
