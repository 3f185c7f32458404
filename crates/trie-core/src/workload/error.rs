//! What can be wrong with a workload file.

use std::{fmt, io};

/// A workload file that cannot be used: what, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// A line is wrong.
    #[error(transparent)]
    Line(Box<LineError>),
    /// The bytes cannot be had.
    #[error("{file}: cannot be read: {source}\nhint: {hint}")]
    Read {
        /// The file, as given.
        file: String,
        /// What the reader said.
        source: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// There is no trace in it.
    #[error(
        "{file}: holds no trace ({lines} lines, all of them blank, comments or the header)\n\
         hint: a workload is one JSON object a line, with num_turns and the other five fields"
    )]
    Empty {
        /// The file, as given.
        file: String,
        /// Lines read.
        lines: u64,
    },
    /// A stream takes more memory than allowed.
    #[error(
        "{file}: its rows take more than max_workload_mb={limit_mb} MB of memory (reached at line \
         {line})\nhint: compressed files and stdin are held in memory: unpack it into a plain file, \
         which is read row by row, or raise max_workload_mb"
    )]
    TooLarge {
        /// The file, as given.
        file: String,
        /// The limit, in units of 10^6 bytes.
        limit_mb: u64,
        /// The line at which it was passed, from 1.
        line: u64,
    },
    /// More rows than the row table can number.
    #[error("{file}: holds more than {limit} traces\nhint: split the file")]
    TooManyRows {
        /// The file, as given.
        file: String,
        /// The most rows a file may have.
        limit: u64,
    },
    /// A row is no longer what it was when the file was checked.
    #[error(
        "{file}:{line}: the row changed after the file had been checked\n\
         hint: leave the workload file alone while it is in use"
    )]
    Changed {
        /// The file, as given.
        file: String,
        /// Line, from 1.
        line: u64,
    },
    /// A row that does not exist was asked for.
    #[error("{file}: has no row {row}: its rows are numbered from 0 to {last}")]
    NoSuchRow {
        /// The file, as given.
        file: String,
        /// The row asked for, from 0.
        row: u64,
        /// The last row's number.
        last: u64,
    },
}

/// A wrong line: where it is wrong, what was found there and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineError {
    /// The file, as given.
    pub file: String,
    /// Line, from 1; blank lines and comments count.
    pub line: u64,
    /// Column in bytes, from 1; a byte order mark does not count.
    pub column: usize,
    /// The key, with the index into its list where there is one (`tool_call_latency[3]`).
    pub field: Option<String>,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub wanted: String,
    /// What to do.
    pub hint: Option<String>,
}

impl std::error::Error for LineError {}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        write!(f, "found {}, wanted {}", self.found, self.wanted)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A [`LineError`] before the file and the line are known.
#[derive(Debug)]
pub(super) struct Fault(Box<LineError>);

impl Fault {
    pub(super) fn new(column: usize, found: impl Into<String>, wanted: impl Into<String>) -> Self {
        let (found, wanted) = (found.into(), wanted.into());
        let file = String::new();
        Self(Box::new(LineError { file, line: 0, column, field: None, found, wanted, hint: None }))
    }

    pub(super) fn field(mut self, name: impl Into<String>) -> Self {
        self.0.field = Some(name.into());
        self
    }

    pub(super) fn item(self, name: &str, index: usize) -> Self {
        self.field(format!("{name}[{index}]"))
    }

    /// Puts the fault inside of a part of the row: `steps[3]` and `tokens` are `steps[3].tokens`.
    pub(super) fn under(mut self, path: &str) -> Self {
        self.0.field = Some(match self.0.field.take() {
            Some(inner) if inner.starts_with('[') => format!("{path}{inner}"),
            Some(inner) => format!("{path}.{inner}"),
            None => path.to_owned(),
        });
        self
    }

    /// Puts the fault inside of an element of a list.
    pub(super) fn at_index(self, index: usize) -> Self {
        self.under(&format!("[{index}]"))
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(super) fn at(mut self, file: &str, line: u64) -> WorkloadError {
        file.clone_into(&mut self.0.file);
        self.0.line = line;
        WorkloadError::Line(self.0)
    }
}
