//! Rows, one after another.

use std::io::{self, Write};

use super::dice::Dice;
use super::knobs::Knobs;
use super::like::pool;
use super::preset::Preset;
use crate::workload::{MAX_LINE, Row, Workload, WorkloadError};

/// Streams of a session: what it is made of, and what the knobs draw.
pub(super) const MADE: u64 = 0;
const CHANGED: u64 = 1;

/// Where sessions come from.
#[derive(Debug)]
pub enum Origin<'w> {
    /// From tables.
    Preset(Preset),
    /// From the rows of a workload, drawn with replacement.
    Like(&'w mut Workload),
}

/// What is made.
#[derive(Clone, Debug)]
pub struct GenerateOptions {
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Rows to write.
    pub traces: u64,
    /// What is changed of each session.
    pub knobs: Knobs,
    /// The command that makes it, for the header.
    pub command: String,
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Generated {
    /// Rows written.
    pub traces: u64,
    /// Rows of the workload that sessions are like, but that cannot be drawn again.
    pub left_out: u64,
}

/// Why nothing, or not all, was made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The workload cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The output cannot be written.
    #[error("the generated workload cannot be written: {0}")]
    Write(#[from] io::Error),
    /// A row is longer than a workload's line may be.
    #[error(
        "trace {number} takes a line of more than 16 MiB, which no workload may have\nhint: turn_scale= and \
         fan_out= make it long"
    )]
    TooLong {
        /// Its number, from 0.
        number: u64,
    },
    /// A row would be refused when it is read.
    #[error("{0}\nhint: the knobs make it so large")]
    Refused(WorkloadError),
    /// No row can be drawn again.
    #[error(
        "{file}: none of its {rows} traces can be drawn again: all are graphs of several lanes or have \
         blocks\nhint: like= takes traces of one lane with lengths"
    )]
    NothingLeft {
        /// The workload file, as given.
        file: String,
        /// Its traces.
        rows: u64,
    },
}

/// Writes a workload of version 2: a header with the command, then the rows.
///
/// # Errors
///
/// When the workload that sessions are like cannot be read or has none, a row comes out larger than rows may
/// be, or the output cannot be written.
pub fn generate(
    origin: Origin<'_>,
    options: &GenerateOptions,
    out: &mut dyn Write,
) -> Result<Generated, GenerateError> {
    let GenerateOptions { seed, traces, knobs, command } = options;
    let mut made = Generated { traces: *traces, left_out: 0 };
    let (name, drawn) = match origin {
        Origin::Preset(preset) => (preset.name().to_owned(), Drawn::Preset(preset)),
        Origin::Like(workload) => {
            let found = pool(workload)?;
            made.left_out = found.left_out;
            let file = workload.facts().path.clone();
            if found.sessions.is_empty() {
                return Err(GenerateError::NothingLeft { file, rows: workload.rows() });
            }
            (format!("like {file}"), Drawn::Pool(found.sessions))
        }
    };
    let text = |text: &str| serde_json::to_string(text).expect("a string is JSON");
    let by = format!("trie {}: {command}", env!("CARGO_PKG_VERSION"));
    writeln!(out, r#"{{"trie_workload":2,"name":{},"created_by":{}}}"#, text(&name), text(&by))?;
    let digits = traces.saturating_sub(1).to_string().len();
    for number in 0..*traces {
        let session = drawn.session(*seed, number);
        let session = knobs.turn(session, &mut Dice::new(*seed, number, CHANGED));
        let row = session.row(&format!("{number:0digits$}"));
        if row.len() > MAX_LINE {
            return Err(GenerateError::TooLong { number });
        }
        // Behind the header.
        Row::read(&row, "the generated workload", number + 1).map_err(GenerateError::Refused)?;
        writeln!(out, "{row}")?;
    }
    out.flush()?;
    Ok(made)
}

/// Where sessions come from, read.
enum Drawn {
    Preset(Preset),
    Pool(Vec<super::session::Session>),
}

impl Drawn {
    fn session(&self, seed: u64, number: u64) -> super::session::Session {
        let mut dice = Dice::new(seed, number, MADE);
        match self {
            Self::Preset(preset) => preset.session(&mut dice),
            Self::Pool(sessions) => {
                let place = usize::try_from(dice.below(sessions.len() as u64));
                sessions[place.expect("it is under a length")].clone()
            }
        }
    }
}
