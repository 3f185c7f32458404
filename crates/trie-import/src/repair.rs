//! JSON that is nearly right: numbers it does not have, and documents that were cut short.

/// Lists whose elements are records: a document that is cut short is kept up to the last whole one.
/// A list that is the whole document is one too.
const RECORD_LISTS: [&str; 10] = [
    "spans",
    "requests",
    "steps",
    "data",
    "observations",
    "messages",
    "history",
    "trajectory",
    "events",
    "items",
];

/// The deepest nesting that is looked into, as that of the JSON parser.
const MAX_DEPTH: usize = 128;

/// Words for numbers that JSON does not have, as Python and JavaScript write them.
const WORDS: [&str; 4] = ["-Infinity", "Infinity", "-NaN", "NaN"];

/// The text with null for every number that JSON does not have; `None` where it has none.
pub(crate) fn finite(text: &str) -> Option<String> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return None;
    }
    let mut fixed = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut changed, mut rest) = (false, false, false, text);
    while let Some(letter) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !quoted && rest.starts_with(**word));
        if let Some(word) = word {
            fixed.push_str("null");
            changed = true;
            rest = &rest[word.len()..];
            continue;
        }
        if letter == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && letter == '\\' && !escaped;
        fixed.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    changed.then_some(fixed)
}

/// A document up to its last whole record, its brackets closed, and where that ends.
pub(crate) fn salvage(text: &str) -> Option<(String, usize)> {
    let mut scan = Scan::default();
    let mut end = None;
    for (at, byte) in text.bytes().enumerate() {
        let before = scan.open.len();
        scan.take(text, at, byte)?;
        let ended = scan.open.len() < before;
        let of_records =
            |open: &Open| open.list && (before == 2 || RECORD_LISTS.contains(&open.key.as_str()));
        if ended && scan.open.last().is_some_and(of_records) {
            end = Some(at + 1);
        }
    }
    let end = end?;
    Some((finished(text, end)?, end))
}

/// A document up to its last whole member or element of any kind, for a look at what it is.
pub(crate) fn beginning(text: &str) -> Option<String> {
    let mut scan = Scan::default();
    let mut comma = None;
    for (at, byte) in text.bytes().enumerate() {
        if byte == b',' && scan.quote.is_none() {
            comma = Some(at);
        }
        scan.take(text, at, byte)?;
    }
    finished(text, comma?)
}

/// The text up to `end`, with the brackets closed that are open there.
fn finished(text: &str, end: usize) -> Option<String> {
    let mut scan = Scan::default();
    for (at, byte) in text.bytes().enumerate().take(end) {
        scan.take(text, at, byte)?;
    }
    let mut whole = text.get(..end)?.to_owned();
    whole.extend(scan.open.iter().rev().map(|open| if open.list { ']' } else { '}' }));
    Some(whole)
}

/// Where in a document a scan has got to.
#[derive(Default)]
struct Scan {
    open: Vec<Open>,
    /// Where the string that is being read starts.
    quote: Option<usize>,
    escaped: bool,
    /// The last string, which is a key where a colon follows.
    last: String,
    key: String,
}

/// A bracket that is open.
struct Open {
    list: bool,
    /// The key of the list or object; empty inside a list.
    key: String,
}

impl Scan {
    /// Takes a byte; `None` where the nesting is too deep or brackets do not match.
    fn take(&mut self, text: &str, at: usize, byte: u8) -> Option<()> {
        match (self.quote, byte) {
            (Some(_), b'\\') if !self.escaped => self.escaped = true,
            (Some(start), b'"') if !self.escaped => {
                self.quote = None;
                self.last.clear();
                // Keys of lists are short; longer strings are none of them.
                if at - start <= 32 {
                    self.last.push_str(text.get(start..at).unwrap_or_default());
                }
            }
            (Some(_), _) => self.escaped = false,
            (None, b'"') => (self.quote, self.escaped) = (Some(at + 1), false),
            (None, b':') => self.key = std::mem::take(&mut self.last),
            (None, b'{' | b'[') => {
                let key = std::mem::take(&mut self.key);
                self.open.push(Open { list: byte == b'[', key });
                if self.open.len() > MAX_DEPTH {
                    return None;
                }
            }
            (None, b'}' | b']') => {
                let open = self.open.pop()?;
                if open.list != (byte == b']') {
                    return None;
                }
                self.key.clear();
            }
            (None, b',') => self.key.clear(),
            (None, _) => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_left_as_they_are() {
        assert_eq!(
            finite(r#"{"a":NaN,"NaN":"\"NaN"}"#).as_deref(),
            Some(r#"{"a":null,"NaN":"\"NaN"}"#)
        );
        assert_eq!(finite(r#"{"a":"NaN"}"#), None);
        assert_eq!(finite("[Infinity,-Infinity]").as_deref(), Some("[null,null]"));
    }

    #[test]
    fn a_document_is_kept_up_to_its_last_record() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(salvage(text).map(|(text, _)| text).as_deref(), expected, "{text}");
        };
        check(r#"{"spans":[{"a":[1,2]},{"a":[1"#, Some(r#"{"spans":[{"a":[1,2]}]}"#));
        check(r#"[{"a":1},{"a""#, Some(r#"[{"a":1}]"#));
        check(r#"{"x":[{"a":1},{"a":"#, None);
        check(r#"{"r":[{"spans":[{"a":1},{"b":"#, Some(r#"{"r":[{"spans":[{"a":1}]}]}"#));
        check(r#"{"spans":[{"a":"],}"},{"#, Some(r#"{"spans":[{"a":"],}"}]}"#));
        check("]", None);
    }

    #[test]
    fn the_beginning_of_a_document_can_be_looked_at() {
        let check = |text: &str, expected: &str| {
            assert_eq!(beginning(text).as_deref(), Some(expected), "{text}");
        };
        check(r#"{"a":1,"b":[1,2,3"#, r#"{"a":1,"b":[1,2]}"#);
        check(r#"{"a":[{"b":1,"c":{"d":2},"e":"#, r#"{"a":[{"b":1,"c":{"d":2}}]}"#);
        check(r#"{"a":"x,y","b":"x,"#, r#"{"a":"x,y"}"#);
    }
}
