//! Server-sent events: bytes in, the data of events out.
//!
//! Follows the event stream format of the HTML standard, section 9.2.6, for the `data` field:
//! lines end in LF, CRLF or CR, a leading byte order mark is dropped, comments and other fields
//! are skipped, several `data` lines are joined by LF. Two departures, both for the sake of
//! servers that end abruptly: [`Scanner::finish`] hands out an event that lacks its blank line, and
//! an event without any `data` line is no event.

use memchr::memchr2;
use thiserror::Error;

/// An event longer than this is refused: the echo of a 10^6-token prompt has about 6 MB.
pub(crate) const DEFAULT_LIMIT: usize = 64 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// The stream holds an event that cannot be kept.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SseError {
    /// Bytes without an end.
    #[error("an event is longer than {limit} bytes; is this an event stream?")]
    TooLong {
        /// The bound, bytes.
        limit: usize,
    },
}

/// Cuts a byte stream into events, wherever the pieces it is fed are cut.
///
/// An event that lies whole in one piece with a single data line is handed out as a slice of that
/// piece; all others are gathered in two buffers that are reused.
#[derive(Debug)]
pub struct Scanner {
    limit: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Data lines of the event so far, joined, once they could not stay where they were.
    data: Vec<u8>,
    has_data: bool,
    after_cr: bool,
    at_start: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Scanner {
    /// A scanner at the start of a stream that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            at_start: true,
        }
    }

    /// Whether bytes of an unfinished event are held; those of a comment do not count.
    pub fn is_mid_event(&self) -> bool {
        self.has_data || self.line.first().is_some_and(|first| *first != b':')
    }

    /// Takes the next piece and calls `on_event` with the data of each event that it completes.
    pub fn feed(&mut self, bytes: &[u8], on_event: &mut impl FnMut(&[u8])) -> Result<(), SseError> {
        let mut rest = bytes;
        // The only data line of the event so far, still in `bytes`.
        let mut lone: Option<&[u8]> = None;
        while let Some(line) = self.next_line(&mut rest) {
            if self.line.is_empty() {
                self.take_line(line, &mut lone, on_event);
            } else {
                self.take_joined_line(line, on_event);
            }
            self.check_length()?;
        }
        if let Some(data) = lone {
            self.push_data(data);
        }
        self.line.extend_from_slice(rest);
        self.check_length()
    }

    /// The stream ended well: hands out an event whose blank line never came.
    pub fn finish(&mut self, on_event: &mut impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.take_joined_line(&[], on_event);
        }
        self.end_event(&mut None, on_event);
    }

    /// Cuts the next whole line off `rest`; an LF that follows a CR belongs to that CR.
    fn next_line<'b>(&mut self, rest: &mut &'b [u8]) -> Option<&'b [u8]> {
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            *rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let end = memchr2(b'\n', b'\r', rest)?;
        let (line, tail) = rest.split_at(end);
        self.after_cr = tail[0] == b'\r';
        *rest = &tail[1..];
        Some(line)
    }

    /// Completes the held line with `end` and takes it; always the first line of a piece.
    fn take_joined_line(&mut self, end: &[u8], on_event: &mut impl FnMut(&[u8])) {
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(end);
        let mut lone = None;
        self.take_line(&line, &mut lone, on_event);
        self.spill(&mut lone);
        line.clear();
        self.line = line;
    }

    fn take_line<'b>(
        &mut self,
        line: &'b [u8],
        lone: &mut Option<&'b [u8]>,
        on_event: &mut impl FnMut(&[u8]),
    ) {
        let bom = if std::mem::take(&mut self.at_start) { BOM } else { b"" };
        let line = line.strip_prefix(bom).unwrap_or(line);
        if line.is_empty() {
            return self.end_event(lone, on_event);
        }
        let Some(value) = data_value(line) else { return };
        if self.has_data || lone.is_some() {
            self.spill(lone);
            self.push_data(value);
        } else {
            *lone = Some(value);
        }
    }

    fn end_event(&mut self, lone: &mut Option<&[u8]>, on_event: &mut impl FnMut(&[u8])) {
        if let Some(data) = lone.take() {
            on_event(data);
        } else if std::mem::take(&mut self.has_data) {
            on_event(&self.data);
            self.data.clear();
        }
    }

    fn spill(&mut self, lone: &mut Option<&[u8]>) {
        if let Some(data) = lone.take() {
            self.push_data(data);
        }
    }

    fn push_data(&mut self, data: &[u8]) {
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(data);
    }

    fn check_length(&self) -> Result<(), SseError> {
        if self.line.len() + self.data.len() > self.limit {
            return Err(SseError::TooLong { limit: self.limit });
        }
        Ok(())
    }
}

/// The value of a `data` line, without the one space that may follow the colon.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut scanner = Scanner::default();
        let mut out = Vec::new();
        let mut push = |data: &[u8]| out.push(String::from_utf8_lossy(data).into_owned());
        for piece in pieces {
            scanner.feed(piece, &mut push).unwrap();
        }
        scanner.finish(&mut push);
        out
    }

    /// The same events come out whole, cut once at each byte, and byte by byte.
    fn check(stream: &[u8], expected: &[&str]) {
        assert_eq!(events(&[stream]), expected);
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(events(&[left, right]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events(&bytes), expected, "byte by byte");
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        check(b"data: a\n\ndata: b\n\n", &["a", "b"]);
        check(b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
        check(b"data: a\r\rdata: b\r\r", &["a", "b"]);
        check(b"data: a\r\n\ndata: b\n\r\n", &["a", "b"]);
    }

    #[test]
    fn comments_and_other_fields_are_skipped() {
        check(b": ping\n\n: ping\r\nevent: x\nid: 7\nretry: 5\ndata: a\n\nid: 8\n\n", &["a"]);
        check(b"database: no\ndata\n\n", &[""]);
    }

    #[test]
    fn data_lines_are_joined_and_lose_one_space() {
        check(b"data:a\ndata:  b\ndata:\ndata: c\n\n", &["a\n b\n\nc"]);
        check(b"data: a\nevent: x\ndata: b\n\n", &["a\nb"]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_only() {
        check(b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\ndata: c\n\n", &["a", "c"]);
    }

    #[test]
    fn the_last_event_may_lack_its_blank_line() {
        check(b"data: a\n\ndata: b\n", &["a", "b"]);
        check(b"data: a\n\ndata: b", &["a", "b"]);
        check(b"data: a\n\n", &["a"]);
        check(b"", &[]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        for stream in [&b"data: 0123456789"[..], b"data: 01234\ndata: 56789\n", b"xxxxxxxxxxxxxxxx"]
        {
            let mut scanner = Scanner::new(8);
            let result = stream.chunks(3).try_for_each(|piece| scanner.feed(piece, &mut |_| ()));
            assert_eq!(result, Err(SseError::TooLong { limit: 8 }));
        }
    }

    #[test]
    fn mid_event_tells_held_bytes_from_none() {
        let mut scanner = Scanner::default();
        for (piece, mid) in
            [(&b"data: a"[..], true), (b"\n", true), (b"\n: pi", false), (b"ng\n", false)]
        {
            scanner.feed(piece, &mut |_| ()).unwrap();
            assert_eq!(scanner.is_mid_event(), mid);
        }
    }

    proptest! {
        #[test]
        fn any_cuts_give_the_same_events(
            parts in prop::collection::vec(prop::sample::select(vec![
                "data: {\"a\":1}", "data:x", "data", ": c", "event: e", "\n", "\r", "\r\n", "\n\n", "é",
            ]), 0..40),
            cuts in prop::collection::vec(1_usize..7, 1..20),
        ) {
            let stream = parts.concat().into_bytes();
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for size in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            prop_assert_eq!(events(&pieces), events(&[&stream]));
        }
    }
}
