//! A block of lines and its rows.

use memchr::memchr_iter;
use trie_core::record::Row;

/// Some lines of a file, and what was read from them.
pub(super) struct Block<T> {
    pub(super) text: Vec<u8>,
    /// The first of them are this block's; the others are memory for later ones.
    made: Vec<T>,
    count: usize,
    pub(super) lines: Lines,
}

/// What is said of the lines of a block beside their rows.
#[derive(Clone, Default)]
pub(super) struct Lines {
    /// How many there are.
    pub(super) count: u64,
    /// Those that cannot be read.
    pub(super) bad: Option<Bad>,
    /// The last one lacks its end and cannot be read.
    pub(super) cut_off: bool,
}

/// Lines that cannot be read.
#[derive(Clone)]
pub(super) struct Bad {
    /// How many.
    pub(super) lines: u64,
    /// The number of the first, from 1.
    pub(super) first: u64,
    /// What is wrong with that.
    pub(super) why: String,
}

impl<T> Default for Block<T> {
    fn default() -> Self {
        let (text, made) = (Vec::new(), Vec::new());
        Self { text, made, count: 0, lines: Lines::default() }
    }
}

impl<T: Row> Block<T> {
    /// Reads the rows from the text.
    pub(super) fn read(&mut self) {
        let text = std::mem::take(&mut self.text);
        (self.count, self.lines) = (0, Lines::default());
        let mut start = 0;
        for end in memchr_iter(b'\n', &text).map(|at| at + 1).chain([text.len()]) {
            if start < end {
                self.lines.count += 1;
                self.add(&text[start..end]);
            }
            start = end;
        }
        self.text = text;
    }

    pub(super) fn rows(&self) -> &[T] {
        &self.made[..self.count]
    }

    fn add(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let read = match self.made.get_mut(self.count) {
            Some(row) => row.read_again(line),
            None => T::read(line).map(|row| self.made.push(row)),
        };
        match read {
            Ok(()) => self.count += 1,
            Err(_) if !line.ends_with(b"\n") => self.lines.cut_off = true,
            Err(error) => {
                let bad = Bad { lines: 1, first: self.lines.count, why: error.to_string() };
                Bad::add(&mut self.lines.bad, bad);
            }
        }
    }
}

impl Bad {
    /// The same in a file in which `lines` come before.
    pub(super) fn behind(&self, lines: u64) -> Self {
        Self { first: self.first + lines, ..self.clone() }
    }

    /// Adds lines that come later.
    pub(super) fn add(all: &mut Option<Self>, later: Self) {
        match all {
            Some(all) => all.lines += later.lines,
            None => *all = Some(later),
        }
    }
}
