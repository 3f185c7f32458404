//! A row by itself, outside of a file.

use super::error::WorkloadError;
use super::graph::Trace;
use super::json::Fields;
use super::row::{RowLine, read_row};

/// The text of a row and the trace it says, checked as a row of a file is.
pub struct Row<'l> {
    text: &'l str,
    number: u64,
    pub(super) line: RowLine<'l>,
}

impl<'l> Row<'l> {
    /// Reads row `number` (from 0) of `name`, which is what messages call its file.
    ///
    /// Fails as a file with this row would, but for names that two rows have.
    pub fn read(text: &'l str, name: &str, number: u64) -> Result<Self, WorkloadError> {
        let line = Fields::of_line(text).and_then(|fields| read_row(text, fields, number));
        let line = line.map_err(|fault| fault.at(name, number + 1))?;
        Ok(Self { text, number, line })
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &'l str {
        self.text
    }

    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Answers of 0 tokens, which are planned as 1.
    #[must_use]
    pub fn zero_answers(&self) -> u64 {
        self.line.remarks.zero_answers
    }

    /// What it says.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.line.trace
    }
}
