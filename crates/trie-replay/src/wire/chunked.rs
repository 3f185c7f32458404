//! Chunked bodies (RFC 9112, section 7.1): bytes in, content out, wherever the bytes are cut.

use super::message::HttpError;

/// Most bytes of chunk extensions and trailers in one body. Nothing reads them.
const EXTRA_LIMIT: u32 = 16 << 10;

/// Most hexadecimal digits of a chunk's size.
const MOST_DIGITS: u8 = 16;

/// A chunked body, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of extensions and trailers so far.
    extra: u32,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A size: what its digits say so far, and how many there were.
    Size(u64, u8),
    /// White space or an extension between a size and the end of its line.
    Extension(u64),
    /// The LF after a size.
    SizeLf(u64),
    /// So many bytes of content, at least one.
    Content(u64),
    /// The CR, and the LF, after a chunk's content.
    ContentCr,
    ContentLf,
    /// A line after the last chunk, and whether anything of it has come.
    Trailer(bool),
    /// The LF of such a line, and whether anything stood before it.
    TrailerLf(bool),
    Ended,
}

impl Chunked {
    /// At the start of a body.
    pub(super) fn new() -> Self {
        Self { state: State::Size(0, 0), extra: 0 }
    }

    /// Whether the last chunk and what follows it were read.
    pub(super) fn is_ended(self) -> bool {
        self.state == State::Ended
    }

    /// Cuts the next piece of content off the front of `rest`, and the framing before it; `None` when
    /// `rest` holds no more of it.
    pub(super) fn next<'b>(&mut self, rest: &mut &'b [u8]) -> Result<Option<&'b [u8]>, HttpError> {
        loop {
            if let State::Content(left) = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                if here == 0 {
                    return Ok(None);
                }
                let (content, tail) = rest.split_at(here);
                *rest = tail;
                let left = left - here as u64;
                self.state = if left > 0 { State::Content(left) } else { State::ContentCr };
                return Ok(Some(content));
            }
            if self.is_ended() {
                return Ok(None);
            }
            let Some((&byte, tail)) = rest.split_first() else { return Ok(None) };
            *rest = tail;
            self.state = self.after(byte)?;
        }
    }

    /// What comes after a byte that is not content.
    fn after(&mut self, byte: u8) -> Result<State, HttpError> {
        let state = self.state;
        let next = match (state, byte) {
            (State::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MOST_DIGITS {
                    return Err(HttpError::ChunkSize);
                }
                State::Size(size << 4 | u64::from(digit(byte)), digits + 1)
            }
            (State::Size(_, 0), _) => return Err(HttpError::ChunkSize),
            (State::Size(size, _) | State::Extension(size), b'\r') => State::SizeLf(size),
            (State::Size(size, _), b' ' | b'\t' | b';') => State::Extension(size),
            // A bare LF could end the line to one reader and not to the next.
            (State::Extension(size), other) if other != b'\n' => {
                self.count_extra()?;
                State::Extension(size)
            }
            (State::SizeLf(0) | State::TrailerLf(true), b'\n') => State::Trailer(false),
            (State::SizeLf(size), b'\n') => State::Content(size),
            (State::ContentCr, b'\r') => State::ContentLf,
            (State::ContentLf, b'\n') => State::Size(0, 0),
            (State::Trailer(some), b'\r') => State::TrailerLf(some),
            (State::Trailer(_), other) if other != b'\n' => {
                self.count_extra()?;
                State::Trailer(true)
            }
            (State::TrailerLf(false), b'\n') => State::Ended,
            _ => return Err(HttpError::Chunk { found: byte }),
        };
        Ok(next)
    }

    fn count_extra(&mut self) -> Result<(), HttpError> {
        self.extra += 1;
        if self.extra > EXTRA_LIMIT { Err(HttpError::Extras) } else { Ok(()) }
    }
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        other => (other | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content of a body that comes in these pieces, whether it ended, and what was left of the last
    /// piece.
    fn read(pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), HttpError> {
        let (mut chunked, mut content, mut left) = (Chunked::new(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            while let Some(piece) = chunked.next(&mut rest)? {
                assert!(!piece.is_empty());
                content.extend_from_slice(piece);
            }
            left = rest.len();
        }
        Ok((content, chunked.is_ended(), left))
    }

    /// The same comes out whole, cut once at each byte, and byte by byte.
    fn check(body: &[u8], content: &[u8], ended: bool) {
        let expected = Ok((content.to_vec(), ended, 0));
        assert_eq!(read(&[body]), expected);
        for cut in 0..=body.len() {
            let (left, right) = body.split_at(cut);
            assert_eq!(read(&[left, right]), expected, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(read(&bytes), expected, "byte by byte");
    }

    #[test]
    fn content_comes_out_without_its_framing() {
        check(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", true);
        check(b"0\r\n\r\n", b"", true);
        check(b"00A;x=\"y\"\r\n0123456789\r\n0 \r\nx-sum: 1\r\ny: 2\r\n\r\n", b"0123456789", true);
        check(b"3\r\nabc\r\n", b"abc", false);
        check(b"1f\r\nabc", b"abc", false);
    }

    #[test]
    fn what_follows_the_end_is_left_alone() {
        assert_eq!(read(&[b"1\r\na\r\n0\r\n\r\nHTTP/1.1"]), Ok((b"a".to_vec(), true, 8)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        let check = |body: &[u8], expected| assert_eq!(read(&[body]), Err(expected));
        check(b"\r\n", HttpError::ChunkSize);
        check(b"zz\r\n", HttpError::ChunkSize);
        check(b"-1\r\n", HttpError::ChunkSize);
        check(b"10000000000000000\r\n", HttpError::ChunkSize);
        check(b"1x\r\n", HttpError::Chunk { found: b'x' });
        check(b"1\na", HttpError::Chunk { found: b'\n' });
        check(b"1;a\n", HttpError::Chunk { found: b'\n' });
        check(b"1\r\nab", HttpError::Chunk { found: b'b' });
        check(b"1\r\na\n", HttpError::Chunk { found: b'\n' });
        check(b"0\r\n\n", HttpError::Chunk { found: b'\n' });
        let long = "x".repeat(20 << 10);
        check(format!("1;{long}\r\n").as_bytes(), HttpError::Extras);
        check(format!("0\r\n{long}\r\n").as_bytes(), HttpError::Extras);
    }

    proptest! {
        #[test]
        fn any_chunks_and_any_cuts_give_the_content_back(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
            cuts in prop::collection::vec(1_usize..9, 1..20),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let (mut pieces, mut rest) = (Vec::new(), &body[..]);
            for size in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            prop_assert_eq!(read(&pieces), Ok((chunks.concat(), true, 0)));
        }

        /// Whatever comes, it neither panics nor depends on the cuts.
        #[test]
        fn nonsense_is_the_same_nonsense_however_it_is_cut(
            body in prop::collection::vec(prop::sample::select(b"01fF;x\r\n \xff".to_vec()), 0..30),
        ) {
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            let (whole, cut) = (read(&[&body]), read(&bytes));
            prop_assert_eq!(whole.map(|(content, ended, _)| (content, ended)),
                cut.map(|(content, ended, _)| (content, ended)));
        }
    }
}
