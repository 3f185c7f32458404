//! The rows of a record file, in the order of the file.
//!
//! # Layout
//!
//! - `blocks`: the file, cut into blocks at the ends of lines.
//! - `block`: from such lines to rows, and to what cannot be read.
//! - `threads`: blocks read, and their rows dealt out, on all cores.

mod block;
mod blocks;
mod threads;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::bail;
use trie_core::record::{Row, Source};

use block::{Bad, Block, Lines};
use blocks::Blocks;
use threads::Deal;

/// Rows that were read and wait for a thread that takes them, at most.
const ROWS_AHEAD: usize = 1_000;

/// The rows of a file, read once, and what went wrong with that.
///
/// A file of a single block is read by whoever asks for its rows, others by several threads, a bounded
/// number of blocks ahead.
pub(crate) struct Rows {
    path: PathBuf,
    /// `None` once it was read.
    file: Option<Box<dyn Read + Send>>,
    /// Lines that were read.
    lines: u64,
    /// What ended the reading.
    fault: Option<Fault>,
    /// Lines that cannot be read.
    bad: Option<Bad>,
}

/// What is wrong with a record file.
enum Fault {
    Missing,
    CutOff,
    Unreadable(String),
}

impl Rows {
    /// The rows of a file, which may be missing.
    pub(crate) fn open(path: PathBuf) -> Self {
        match File::open(&path) {
            Ok(file) => Self::new(Box::new(file), path),
            Err(error) => {
                let missing = error.kind() == io::ErrorKind::NotFound;
                let fault =
                    if missing { Fault::Missing } else { Fault::Unreadable(error.to_string()) };
                Self { path, file: None, lines: 0, fault: Some(fault), bad: None }
            }
        }
    }

    /// The rows that a reader gives; `path` names it.
    pub(crate) fn new(file: Box<dyn Read + Send>, path: PathBuf) -> Self {
        Self { path, file: Some(file), lines: 0, fault: None, bad: None }
    }

    /// All rows, in memory.
    pub(crate) fn collect<T: Row + Send + Clone>(&mut self) -> Vec<T> {
        let mut all = Vec::new();
        self.each(&mut |row: &T| all.push(row.clone()));
        all
    }

    /// Hands out every row, in order, on the calling thread: for who cannot take rows on another one.
    pub(crate) fn each_here<T: Row + Send + Clone>(&mut self, take: &mut dyn FnMut(&T)) {
        let (send, received) = sync_channel(ROWS_AHEAD);
        thread::scope(|scope| {
            // Nobody receives any more where `take` has panicked.
            scope.spawn(move || self.each(&mut |row: &T| drop(send.send(row.clone()))));
            for row in received {
                take(&row);
            }
        });
    }

    /// After the last row: what is missing, in words.
    pub(crate) fn missing(&self) -> anyhow::Result<Vec<String>> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let bad = self.bad.as_ref().map(|Bad { lines, first, why }| {
            format!(
                "lines of {name} that cannot be read and are left out: {lines}; the first is line \
                 {first}: {why}"
            )
        });
        let fault = match &self.fault {
            None => None,
            Some(Fault::Missing) => Some(format!("{name} is missing")),
            Some(Fault::CutOff) => {
                Some(format!("the last line of {name} was cut off in the middle"))
            }
            Some(Fault::Unreadable(why)) => bail!("{}: {why}", self.path.display()),
        };
        Ok(bad.into_iter().chain(fault).collect())
    }

    /// Notes what became of the lines of the next block.
    fn note(&mut self, lines: &Lines) {
        if let Some(bad) = &lines.bad {
            Bad::add(&mut self.bad, bad.behind(self.lines));
        }
        self.lines += lines.count;
        if lines.cut_off {
            self.fault = Some(Fault::CutOff);
        }
    }

    fn note_fault(&mut self, fault: Option<&io::Error>) {
        if let Some(error) = fault {
            self.fault = Some(Fault::Unreadable(error.to_string()));
        }
    }
}

impl<T: Row + Send> Source<T> for &mut Rows {
    fn deal<S: Send>(self, shares: &mut [S], which: fn(&T) -> usize, take: fn(&mut S, &T)) {
        let Some(mut blocks) = self.file.take().map(Blocks::new) else { return };
        let mut first = Block::default();
        let read = blocks.next(&mut first.text);
        self.note_fault(read.as_ref().err());
        first.read();
        for row in first.rows() {
            take(&mut shares[which(row)], row);
        }
        self.note(&first.lines);
        if !blocks.ended() {
            let (said, fault) = threads::deal(blocks, shares, Deal { which, take });
            for lines in &said {
                self.note(lines);
            }
            self.note_fault(fault.as_ref());
        }
    }
}

/// The rows of a file, and those that no file holds.
pub(crate) struct With<'r, T>(pub(crate) &'r mut Rows, pub(crate) &'r [T]);

impl<T: Row + Send> Source<T> for With<'_, T> {
    fn deal<S: Send>(self, shares: &mut [S], which: fn(&T) -> usize, take: fn(&mut S, &T)) {
        self.0.deal(shares, which, take);
        for row in self.1 {
            take(&mut shares[which(row)], row);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[derive(Clone, Debug, serde::Deserialize, PartialEq)]
    #[serde(transparent)]
    struct Number(u32);

    impl Row for Number {}

    fn rows(text: Vec<u8>) -> (Vec<u32>, Vec<String>) {
        let mut rows = Rows::new(Box::new(io::Cursor::new(text)), PathBuf::from("rows.jsonl"));
        let read: Vec<Number> = rows.collect();
        (read.into_iter().map(|number| number.0).collect(), rows.missing().unwrap())
    }

    fn check(text: Vec<u8>, read: &[u32], missing: &[&str]) {
        let (got, said) = rows(text);
        assert!(got == read, "{} rows instead of {}", got.len(), read.len());
        assert_eq!(said.len(), missing.len(), "{said:?}");
        let starts = |(said, start): (&String, &&str)| said.starts_with(start);
        assert!(said.iter().zip(missing).all(starts), "{said:?}");
    }

    const CUT_OFF: &str = "the last line of rows.jsonl was cut off in the middle";

    /// How lines that cannot be read are told of.
    fn left_out(lines: u32, first: usize) -> String {
        let what = "lines of rows.jsonl that cannot be read and are left out";
        format!("{what}: {lines}; the first is line {first}: ")
    }

    #[test]
    fn lines_that_cannot_be_read_are_left_out_and_named() {
        check(b"1\n\n2\n".to_vec(), &[1, 2], &[]);
        check(b"1\n2\n{\"a".to_vec(), &[1, 2], &[CUT_OFF]);
        check(b"1\n{\"a\n2\n".to_vec(), &[1, 2], &[&left_out(1, 2)]);
        check(b"x\n1\ny\n2".to_vec(), &[1, 2], &[&left_out(2, 1)]);
        check(vec![], &[], &[]);
    }

    #[test]
    fn rows_of_many_blocks_come_in_the_order_of_the_file() {
        let numbers: Vec<u32> = (0..1_000_000).collect();
        let lines = || numbers.iter().map(|number| format!("{number}\n").into_bytes());
        let text: Vec<u8> = lines().flatten().collect();
        assert!(text.len() > 6 * blocks::BLOCK);
        check(text.clone(), &numbers, &[]);

        // Lines 900,001 and 950,001 in blocks far behind the first, and an end cut off.
        let (mut bad, mut read) = (text, numbers.clone());
        for number in [950_000, 900_000] {
            let at: usize = lines().take(number).map(|line| line.len()).sum();
            bad.splice(at..at, *b"oh no\n");
            assert!(at > 5 * blocks::BLOCK);
        }
        bad.extend(b"1234x");
        check(bad.clone(), &read, &[&left_out(2, 900_001), CUT_OFF]);

        // A last line without an end counts.
        bad.truncate(bad.len() - 1);
        read.push(1234);
        check(bad, &read, &[&left_out(2, 900_001)]);
    }

    #[test]
    fn each_share_gets_its_rows_in_the_order_of_the_file() {
        let text: Vec<u8> =
            (0..1_000_000).flat_map(|number: u32| format!("{number}\n").into_bytes()).collect();
        let mut rows = Rows::new(Box::new(io::Cursor::new(text)), PathBuf::new());
        let mut shares = [const { Vec::new() }; 3];
        let which = |row: &Number| row.0 as usize % 3;
        rows.deal(&mut shares, which, |share, row: &Number| share.push(row.0));
        for (first, share) in (0..).zip(shares) {
            assert!(share.into_iter().eq((first..1_000_000).step_by(3)), "share {first}");
        }
    }

    #[test]
    fn rows_come_to_the_thread_that_asks_for_them() {
        let numbers: Vec<u32> = (0..1_000_000).collect();
        let text: Vec<u8> =
            numbers.iter().flat_map(|number| format!("{number}\n").into_bytes()).collect();
        let mut rows = Rows::new(Box::new(io::Cursor::new(text)), PathBuf::new());
        let (mut read, here) = (vec![], thread::current().id());
        rows.each_here(&mut |row: &Number| {
            assert_eq!(thread::current().id(), here);
            read.push(row.0);
        });
        assert!(read == numbers);
    }

    #[test]
    fn a_line_longer_than_a_block_is_read_whole() {
        let mut text = b"7\n".to_vec();
        text.extend(vec![b' '; 3 * blocks::BLOCK]);
        text.extend(b"8\n9\n");
        check(text, &[7, 8, 9], &[]);
    }

    #[test]
    fn a_panic_of_who_takes_rows_ends_the_threads() {
        let text = b"1\n".repeat(40 * blocks::BLOCK);
        let mut rows = Rows::new(Box::new(io::Cursor::new(text)), PathBuf::new());
        let mut taken = 0;
        let take = AssertUnwindSafe(|| {
            rows.each(&mut |row: &Number| {
                taken += row.0;
                assert!(taken < 2_000_000, "enough");
            });
        });
        // It would wait for ever for a thread that does not end.
        assert!(catch_unwind(take).is_err());
        assert_eq!(taken, 2_000_000);
    }

    #[derive(Clone, serde::Deserialize)]
    struct Mine;

    impl Row for Mine {
        fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
            assert_ne!(line, b"7\n", "seven");
            Ok(Self)
        }
    }

    #[test]
    fn a_panic_of_a_thread_is_a_panic_of_who_takes_rows() {
        let mut text = b"1\n".repeat(4 * blocks::BLOCK);
        text.extend(b"7\n");
        text.extend(b"1\n".repeat(4 * blocks::BLOCK));
        let mut rows = Rows::new(Box::new(io::Cursor::new(text)), PathBuf::new());
        let panic = catch_unwind(AssertUnwindSafe(|| rows.collect::<Mine>().len())).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("seven"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let text = b"1\n".repeat(2 * blocks::BLOCK);
        let file = io::Cursor::new(text).chain(Broken);
        let mut rows = Rows::new(Box::new(file), PathBuf::from("rows.jsonl"));
        assert!(!rows.collect::<Number>().is_empty());
        assert_eq!(rows.missing().unwrap_err().to_string(), "rows.jsonl: the disk is gone");
    }
}
