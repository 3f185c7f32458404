//! A file, cut into blocks at the ends of lines.

use std::io::{self, Read};

use memchr::memrchr;

/// Bytes that are read at once: some 200 rows, which with what is made of them fit into a core's cache.
pub(super) const BLOCK: usize = 256 << 10;

/// A file that is read block by block.
pub(super) struct Blocks {
    file: Box<dyn Read + Send>,
    /// The begin of a line whose end was not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl Blocks {
    pub(super) fn new(file: Box<dyn Read + Send>) -> Self {
        Self { file, rest: Vec::new(), ended: false }
    }

    /// Whether the last block was given out.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Puts the next whole lines into `text`; the last line of the last block may lack its end. Whether
    /// there are any. Nothing comes after an error.
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        text.clear();
        text.append(&mut self.rest);
        while !self.ended {
            let before = text.len();
            let read = (&mut self.file).take(BLOCK as u64).read_to_end(text);
            self.ended = read.as_ref().map_or(true, |read| *read < BLOCK);
            read?;
            let end = memrchr(b'\n', &text[before..]).filter(|_| !self.ended);
            if let Some(end) = end.map(|at| before + at + 1) {
                self.rest.extend_from_slice(&text[end..]);
                text.truncate(end);
                break;
            }
        }
        Ok(!text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The blocks of `text` put together are the text, and all but the last end with a line.
    fn check(text: &[u8], expected: usize) {
        let mut blocks = Blocks::new(Box::new(io::Cursor::new(text.to_vec())));
        let (mut all, mut count, mut block) = (Vec::<u8>::new(), 0, b"used before".to_vec());
        while blocks.next(&mut block).unwrap() {
            assert!(blocks.ended() || block.ends_with(b"\n"));
            all.extend(&block);
            count += 1;
        }
        assert!(all == text);
        assert_eq!(count, expected);
    }

    #[test]
    fn blocks_end_with_lines() {
        check(b"", 0);
        check(b"no end", 1);
        check(b"one\ntwo\n", 1);
        check(&b"0123456\n".repeat(BLOCK / 8), 1);
        check(&b"01234567\n".repeat(BLOCK), 9);
        check(&[&vec![b'x'; 2 * BLOCK + 1][..], b"\nshort"].concat(), 1);
        check(&[&b"x\n".repeat(BLOCK)[..], b"cut"].concat(), 3);
    }
}
