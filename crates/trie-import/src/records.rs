//! A source as records: lines of JSON, or one document, whole or cut short.

use std::io::{self, BufRead, Read};

use serde_json::Value;
use serde_json::error::Category;

use crate::repair::{finite, salvage};

/// The part of the memory that a record's bytes may take: as values they take several times as much.
const RECORD_SHARE: u64 = 8;

/// One JSON value of a source.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) value: Value,
    /// Bytes before it.
    pub(crate) offset: u64,
    /// From 1.
    pub(crate) line: u64,
}

/// How a source ended, and what of it could not be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ending {
    /// Bytes read.
    pub(crate) bytes: u64,
    /// Where it was cut short: what stands before was read.
    pub(crate) truncated: Option<u64>,
    /// Records that are no JSON, and the byte at which the first one starts.
    pub(crate) unreadable: Option<(u64, u64)>,
    /// Records with numbers that JSON does not have, such as NaN: read as null.
    pub(crate) not_finite: u64,
}

/// A record was too long.
#[derive(Debug)]
pub(crate) struct TooLong {
    pub(crate) offset: u64,
}

/// Reads lines or a document.
pub(crate) struct Records<'r> {
    source: &'r mut dyn BufRead,
    limit: u64,
    line: u64,
    ending: Ending,
    /// Values that were read ahead, in reverse.
    ahead: Vec<Record>,
    begun: bool,
    /// Names of columns, where the source is CSV.
    columns: Option<Vec<String>>,
    failed: Option<io::Error>,
}

impl<'r> Records<'r> {
    /// Of a source that may take `limit` bytes of memory.
    pub(crate) fn new(source: &'r mut dyn BufRead, limit: u64) -> Self {
        let limit = limit / RECORD_SHARE;
        let (ending, ahead) = (Ending::default(), Vec::new());
        Self { source, limit, line: 0, ending, ahead, begun: false, columns: None, failed: None }
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, TooLong> {
        loop {
            if let Some(record) = self.ahead.pop() {
                return Ok(Some(record));
            }
            let (line, offset) = (self.line + 1, self.ending.bytes);
            let Some(text) = self.read_line()? else { return Ok(None) };
            let whole = text.ends_with('\n');
            let words = text.trim_start_matches('\u{feff}').trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if let Some(columns) = &self.columns {
                match row_of(columns, words).filter(|_| whole || self.ending.truncated.is_none()) {
                    Some(value) => return Ok(Some(Record { value, offset, line })),
                    None if whole => self.unreadable(offset),
                    None => self.ending.truncated = Some(offset),
                }
                continue;
            }
            if !self.begun
                && let Some(columns) = columns(words)
            {
                (self.begun, self.columns) = (true, Some(columns));
                continue;
            }
            match self.parse(words) {
                Some(value) => {
                    self.begun = true;
                    return Ok(Some(Record { value, offset, line }));
                }
                None if !self.begun && (words.starts_with('{') || words.starts_with('[')) => {
                    self.begun = true;
                    self.document(text, offset, line)?;
                }
                None if whole => self.unreadable(offset),
                // A last line without its end.
                None => self.ending.truncated = Some(offset),
            }
        }
    }

    /// What is to be said of the source; an error where it could not be read at all.
    pub(crate) fn finish(self) -> (Ending, Option<io::Error>) {
        (self.ending, self.failed)
    }

    fn unreadable(&mut self, offset: u64) {
        self.ending.unreadable.get_or_insert((0, offset)).0 += 1;
    }

    /// JSON, or JSON but for its numbers.
    fn parse(&mut self, text: &str) -> Option<Value> {
        if let Ok(value) = serde_json::from_str(text) {
            return Some(value);
        }
        let value = serde_json::from_str(&finite(text)?).ok()?;
        self.ending.not_finite += 1;
        Some(value)
    }

    /// A line with its end; `None` at the end of the source, or where it breaks off.
    fn read_line(&mut self) -> Result<Option<String>, TooLong> {
        let mut bytes = Vec::new();
        let start = self.ending.bytes;
        let read = (&mut *self.source).take(self.limit + 1).read_until(b'\n', &mut bytes);
        self.line += 1;
        self.ending.bytes += bytes.len() as u64;
        if bytes.len() as u64 > self.limit {
            return Err(TooLong { offset: start });
        }
        if let Err(error) = read {
            self.broke_off(error);
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A packed source that ends early is a source that was cut short.
    fn broke_off(&mut self, error: io::Error) {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            self.ending.truncated = Some(self.ending.bytes);
        } else {
            self.failed = Some(error);
        }
    }

    /// Reads on to the end, as one document; as lines where it is none.
    fn document(&mut self, first: String, offset: u64, line: u64) -> Result<(), TooLong> {
        let mut bytes = first.into_bytes();
        let more = (self.limit + 1).saturating_sub(bytes.len() as u64);
        let before = bytes.len();
        let read = (&mut *self.source).take(more).read_to_end(&mut bytes);
        self.ending.bytes += (bytes.len() - before) as u64;
        if bytes.len() as u64 > self.limit {
            return Err(TooLong { offset });
        }
        if let Err(error) = read {
            self.broke_off(error);
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_start_matches('\u{feff}');
        match self.values(text, offset, line) {
            Ok(()) => {}
            Err(Category::Eof) => self.cut_short(text, offset, line),
            Err(Category::Syntax | Category::Data | Category::Io) => {
                self.lines(text, offset, line);
            }
        }
        self.ahead.reverse();
        Ok(())
    }

    /// Values one after another, over as many lines as they like.
    fn values(&mut self, text: &str, offset: u64, line: u64) -> Result<(), Category> {
        let fixed = finite(text);
        let mut found = Vec::new();
        for text in [Some(text), fixed.as_deref()].into_iter().flatten() {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            found.clear();
            let mut at = 0;
            let mut failed = None;
            while let Some(value) = values.next() {
                match value {
                    Ok(value) => found.push(Record { value, offset: offset + at, line }),
                    Err(error) => {
                        failed = Some(error.classify());
                        break;
                    }
                }
                at = values.byte_offset() as u64;
            }
            match failed {
                None => {
                    self.ahead = found;
                    return Ok(());
                }
                Some(Category::Eof) if fixed.is_none() => return Err(Category::Eof),
                Some(_) => {}
            }
        }
        Err(if text.trim_end().ends_with(['}', ']']) { Category::Syntax } else { Category::Eof })
    }

    /// What stands before the place where a document was cut short.
    fn cut_short(&mut self, text: &str, offset: u64, line: u64) {
        let saved = salvage(text);
        let end = saved.as_ref().map_or(0, |(_, end)| *end as u64);
        self.ending.truncated = Some(offset + end);
        let fixed = saved.map(|(text, _)| text);
        if let Some(value) = fixed.and_then(|text| self.parse(&text)) {
            self.ahead = vec![Record { value, offset, line }];
        }
    }

    /// Lines after all, of which the first is no JSON.
    fn lines(&mut self, text: &str, offset: u64, line: u64) {
        let mut at = offset;
        for (index, part) in text.split_inclusive('\n').enumerate() {
            let words = part.trim();
            if !words.is_empty() && !words.starts_with('#') {
                match self.parse(words) {
                    Some(value) => {
                        let line = line + index as u64;
                        self.ahead.push(Record { value, offset: at, line });
                    }
                    None if part.ends_with('\n') => self.unreadable(at),
                    None => self.ending.truncated = Some(at),
                }
            }
            at += part.len() as u64;
        }
    }
}

/// The names in a first line of CSV: several words between commas, none of them JSON.
pub(crate) fn columns(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if !line.contains(',') || line.starts_with(['{', '[', '"', '#']) {
        return None;
    }
    let names: Vec<String> = line.split(',').map(|name| name.trim().to_owned()).collect();
    let is_name = |name: &String| name.starts_with(|first: char| first.is_ascii_alphabetic());
    names.iter().all(is_name).then_some(names)
}

/// A line of CSV by its columns; `None` where it has another number of them.
pub(crate) fn row_of(columns: &[String], line: &str) -> Option<Value> {
    let mut fields = Vec::with_capacity(columns.len());
    let (mut field, mut quoted) = (String::new(), false);
    for letter in line.trim_end_matches(['\r', '\n']).chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    let pairs = columns.iter().cloned().zip(fields.iter().cloned().map(Value::String));
    (fields.len() == columns.len()).then(|| Value::Object(pairs.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values, where each starts, and what is said at the end.
    fn check(text: &str, expected: &[(&str, u64)], ending: &Ending) {
        let mut bytes = text.as_bytes();
        let mut records = Records::new(&mut bytes, 8 << 20);
        let mut found = Vec::new();
        while let Some(Record { value, offset, .. }) = records.next().expect("it is short") {
            found.push((value.to_string(), offset));
        }
        let found: Vec<_> = found.iter().map(|(text, at)| (text.as_str(), *at)).collect();
        assert_eq!(found, expected, "{text}");
        assert_eq!(
            records.finish().0,
            Ending { bytes: text.len() as u64, ..ending.clone() },
            "{text}"
        );
    }

    #[test]
    fn lines_and_documents_are_read() {
        let none = &Ending::default();
        check("", &[], none);
        check("{\"a\":1}\n\n# note\n{\"a\":2}", &[("{\"a\":1}", 0), ("{\"a\":2}", 16)], none);
        check("{\n \"a\": 1\n}\n", &[("{\"a\":1}", 0)], none);
        check("[{\"a\":1},\n{\"a\":2}]", &[("[{\"a\":1},{\"a\":2}]", 0)], none);
        check("\u{feff}{\"a\":1}", &[("{\"a\":1}", 0)], none);
    }

    #[test]
    fn lines_of_csv_are_objects() {
        let rows = [("{\"a\":\"1\",\"b c\":\"x,y\"}", 6), ("{\"a\":\"2\",\"b c\":\"\"}", 14)];
        let one = Ending { unreadable: Some((1, 17)), ..Ending::default() };
        check("a,b c\n1,\"x,y\"\n2,\n3,4,5\n", &rows, &one);
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        let one = Ending { not_finite: 1, ..Ending::default() };
        check("{\"a\":NaN,\"b\":\"NaN\"}\n", &[("{\"a\":null,\"b\":\"NaN\"}", 0)], &one);
        check("{\"a\":-Infinity}", &[("{\"a\":null}", 0)], &one);
    }

    #[test]
    fn what_stands_before_a_cut_is_kept() {
        let cut = |at| Ending { truncated: Some(at), ..Ending::default() };
        check("{\"a\":1}\n{\"a\":", &[("{\"a\":1}", 0)], &cut(8));
        check("{\"spans\":[{\"a\":1},{\"a\":", &[("{\"spans\":[{\"a\":1}]}", 0)], &cut(17));
        check("{\"spans\":\n[{\"a\":1},\n{\"a\":", &[("{\"spans\":[{\"a\":1}]}", 0)], &cut(18));
        check("{\"spans\":[{\"a\":", &[], &cut(0));
    }

    #[test]
    fn records_that_are_no_json_are_counted_with_their_place() {
        let one = Ending { unreadable: Some((1, 8)), ..Ending::default() };
        check("{\"a\":1}\n{\"a\":}\n{\"a\":2}\n", &[("{\"a\":1}", 0), ("{\"a\":2}", 15)], &one);
        let first = Ending { unreadable: Some((1, 0)), ..Ending::default() };
        check("{\"a\":}\n{\"a\":2}\n", &[("{\"a\":2}", 7)], &first);
    }
}
