//! Lines of a text file, bounded, hashed and checked to be UTF-8.

use std::io::{self, BufRead};

use sha2::{Digest, Sha256};

use super::error::Fault;

/// The longest line, in bytes.
pub(crate) const MAX_LINE: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines one by one.
pub(super) struct Lines<R> {
    source: R,
    hash: Sha256,
    line: Vec<u8>,
    /// Where the next line starts, in bytes from the start of the source.
    offset: u64,
    /// Number of the line that was read last, from 1.
    number: u64,
}

/// A line without its end.
pub(super) struct Line<'b> {
    /// Where it starts, in bytes from the start of the source.
    pub(super) offset: u64,
    /// From 1.
    pub(super) number: u64,
    pub(super) bytes: &'b [u8],
}

/// Why there is no next line.
pub(super) enum LineFault {
    Read(io::Error),
    TooLong { line: u64 },
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, hash: Sha256::new(), line: Vec::new(), offset: 0, number: 0 }
    }

    /// The next line; `None` at the end of the source.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, LineFault> {
        self.line.clear();
        let start = self.offset;
        if self.fill()? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mark = if start == 0 && self.line.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        let bytes = self.line[mark..].strip_suffix(b"\n").unwrap_or(&self.line[mark..]);
        Ok(Some(Line { offset: start + mark as u64, number: self.number, bytes }))
    }

    /// Appends bytes up to and with the end of the line; stops reading when it gets too long.
    fn fill(&mut self) -> Result<usize, LineFault> {
        loop {
            let buffer = match self.source.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LineFault::Read(error)),
            };
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            if self.line.len() + taken > MAX_LINE {
                return Err(LineFault::TooLong { line: self.number + 1 });
            }
            self.line.extend_from_slice(&buffer[..taken]);
            self.hash.update(&buffer[..taken]);
            self.source.consume(taken);
            self.offset += taken as u64;
            if end.is_some() || taken == 0 {
                return Ok(self.line.len());
            }
        }
    }

    /// Lines read so far.
    pub(super) fn count(&self) -> u64 {
        self.number
    }

    /// sha256 of all bytes read, in hexadecimal.
    pub(super) fn into_sha256(self) -> String {
        format!("{:x}", self.hash.finalize())
    }
}

impl<'b> Line<'b> {
    /// The line as text.
    pub(super) fn text(&self) -> Result<&'b str, Fault> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let byte = self.bytes[at];
            let place = self.offset + at as u64;
            let fault = Fault::new(
                at + 1,
                format!("byte 0x{byte:02x} (byte {place} of the file)"),
                "UTF-8",
            );
            match (place, self.bytes) {
                (1, [0x1f, 0x8b, ..]) => fault.hint("the file is gzip: name it .gz"),
                (_, [0x28, 0xb5, 0x2f, 0xfd, ..]) => fault.hint("the file is zstd: name it .zst"),
                _ => fault.hint("write the file as UTF-8"),
            }
        })
    }
}

/// Whether a line holds neither a row nor a header.
pub(super) fn is_idle(text: &str) -> bool {
    let text = text.trim_ascii_start();
    text.is_empty() || text.starts_with('#')
}
