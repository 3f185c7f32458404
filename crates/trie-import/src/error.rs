//! What ends an import, and what is merely counted.

use std::io;

use trie_core::workload::WorkloadError;

/// Why an import gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes cannot be had.
    #[error("{file}: cannot be read: {source}\nhint: check that the file is whole and readable")]
    Read {
        /// The file, as given.
        file: String,
        /// What the reader said.
        source: io::Error,
    },
    /// No format knows the content.
    #[error(
        "{file}: its content is of no format that is known ({found})\nhint: from=NAME names one: \
         {names}"
    )]
    Unrecognised {
        /// The file, as given.
        file: String,
        /// How its first record looks: keys, never values.
        found: String,
        /// The names of all formats.
        names: String,
    },
    /// A record contradicts its format, so that the rest cannot be trusted.
    #[error("{file}:{line}: byte {offset}: {what}\nhint: {hint}")]
    Record {
        /// The file, as given.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Byte at which the record starts.
        offset: u64,
        /// What was found, and what would be right.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// What has to be held takes more memory than allowed.
    #[error(
        "{file}: takes more than max_workload_mb={limit_mb} MB of memory (reached at byte \
         {offset})\nhint: raise max_workload_mb, or split the input"
    )]
    TooLarge {
        /// The file, as given.
        file: String,
        /// The limit, in units of 10^6 bytes.
        limit_mb: u64,
        /// Where it was passed.
        offset: u64,
    },
    /// A row of our own format is wrong.
    #[error(transparent)]
    Workload(WorkloadError),
    /// A row that was made cannot be replayed: a mistake of the importer, never of the user.
    #[error("a row of {file} came out wrong: {source}\nhint: please report this")]
    Row {
        /// The file, as given.
        file: String,
        /// What is wrong with it.
        source: WorkloadError,
    },
    /// The output cannot be written.
    #[error("the workload cannot be written: {0}")]
    Write(#[from] io::Error),
}
