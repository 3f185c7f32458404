//! What templates expect of Python: JSON as its `json` module writes it, and its idea of what can be iterated.

use std::fmt::Write as _;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, ValueKind},
};

/// How `json.dumps` lays a document out.
struct Layout {
    indent: Option<String>,
    between_items: String,
    after_key: String,
    ascii: bool,
    sorted: bool,
}

/// The filter `tojson`, with the defaults and the options that `transformers` gives it: other letters
/// than ASCII stay, nothing is escaped for HTML, keys keep their order.
#[expect(clippy::needless_pass_by_value, reason = "filters are handed values")]
pub(crate) fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let layout = Layout::from_options(&options)?;
    options.assert_all_used()?;
    let mut out = String::new();
    layout.write(&value, 0, &mut out)?;
    Ok(out)
}

/// The test `iterable`: strings, lists and maps, and neither none nor undefined.
pub(crate) fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Iterable
    )
}

/// The test `sequence`: what has a length and items, which in Python strings and maps have too.
pub(crate) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
}

impl Layout {
    fn from_options(options: &Kwargs) -> Result<Self, Error> {
        let indent = match options.get::<Option<Value>>("indent")? {
            None => None,
            Some(value) => indent_of(&value)?,
        };
        let separators = options.get::<Option<Vec<String>>>("separators")?;
        let (between_items, after_key) = match separators.as_deref() {
            None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
            None => (", ".to_owned(), ": ".to_owned()),
            Some([items, key]) => (items.clone(), key.clone()),
            Some(_) => return Err(invalid("separators of tojson are two texts")),
        };
        let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
        let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
        Ok(Self { indent, between_items, after_key, ascii, sorted })
    }

    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        let kind = value.kind();
        let is_map = kind == ValueKind::Map;
        if !is_map && !matches!(kind, ValueKind::Seq | ValueKind::Iterable) {
            return self.write_scalar(value, out);
        }
        let mut items: Vec<_> = value.try_iter()?.collect();
        if self.sorted && is_map {
            items.sort();
        }
        out.push(if is_map { '{' } else { '[' });
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push_str(&self.between_items);
            }
            self.break_line(depth + 1, out);
            if is_map {
                self.write_text(&scalar(item)?, out);
                out.push_str(&self.after_key);
                self.write(&value.get_item(item)?, depth + 1, out)?;
            } else {
                self.write(item, depth + 1, out)?;
            }
        }
        if !items.is_empty() {
            self.break_line(depth, out);
        }
        out.push(if is_map { '}' } else { ']' });
        Ok(())
    }

    fn write_scalar(&self, value: &Value, out: &mut String) -> Result<(), Error> {
        match value.as_str() {
            Some(text) => self.write_text(text, out),
            None => out.push_str(&scalar(value)?),
        }
        Ok(())
    }

    fn break_line(&self, depth: usize, out: &mut String) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn write_text(&self, text: &str, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                _ if character < ' ' || (self.ascii && character > '~') => escape(character, out),
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

/// A character by its code, in two halves where one does not hold it.
fn escape(character: char, out: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}").expect("a string takes any text");
    }
}

/// A number of spaces, or the text itself.
fn indent_of(value: &Value) -> Result<Option<String>, Error> {
    if value.is_none() {
        return Ok(None);
    }
    match value.as_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None => Ok(Some(" ".repeat(usize::try_from(value.clone())?))),
    }
}

/// What is no list and no map, bare; a key is written the same way between quotes.
fn scalar(value: &Value) -> Result<String, Error> {
    let kind = value.kind();
    if let Some(text) = value.as_str() {
        Ok(text.to_owned())
    } else if kind == ValueKind::None {
        Ok("null".to_owned())
    } else if kind == ValueKind::Bool {
        Ok(if value.is_true() { "true" } else { "false" }.to_owned())
    } else if kind != ValueKind::Number {
        Err(invalid(format!("tojson cannot write a value that is {kind}")))
    } else if value.is_integer() {
        Ok(value.to_string())
    } else {
        Ok(float(f64::try_from(value.clone())?))
    }
}

/// A float as Python's `repr` writes it: the fewest digits that read back as the same, by an exponent
/// below 1e-4 and from 1e16 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the format has a whole exponent");
    if (-4..16).contains(&exponent) {
        return format!("{value:?}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

#[cfg(test)]
mod tests {
    use minijinja::Value;

    use super::{float, to_json};

    /// Expected texts are what Python's `json.dumps` gives.
    #[track_caller]
    fn check(json: &str, options: &[(&str, Value)], expected: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        let options = options.iter().cloned().collect();
        assert_eq!(to_json(value, options).unwrap(), expected);
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        check("[]", &[], "[]");
        check("{}", &[("indent", Value::from(2))], "{}");
        check(
            r#"{"b":[1,2.0,null,true],"a":"é<'\u0001\u007f"}"#,
            &[],
            "{\"b\": [1, 2.0, null, true], \"a\": \"é<'\\u0001\u{7f}\"}",
        );
        check(
            r#"{"b":{"x":[]},"a":1}"#,
            &[("indent", Value::from(2))],
            "{\n  \"b\": {\n    \"x\": []\n  },\n  \"a\": 1\n}",
        );
        check(r#"{"b":1,"a":2}"#, &[("sort_keys", Value::from(true))], r#"{"a": 2, "b": 1}"#);
        check(r#"["é🙂"]"#, &[("ensure_ascii", Value::from(true))], r#"["\u00e9\ud83d\ude42"]"#);
        check("[1,{\"a\":2}]", &[("separators", Value::from(vec![",", ":"]))], "[1,{\"a\":2}]");
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-0.1, "-0.1"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(float(value), expected);
        }
    }
}
