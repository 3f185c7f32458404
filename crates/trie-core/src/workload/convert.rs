//! Writing a workload anew: in version 2, or in the six fields that the original reads.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use super::error::WorkloadError;
use super::header::Header;
use super::json::{Fields, Value, compact};
use super::read::{ReadOptions, Workload};
use super::row::{RowLine, read_row};
use super::seed::{LeftOut, seed_row};
use super::single::Row;
use super::source::{Encoding, Source, read_hint, unpacked};

/// Keys of a row in the order they are written; others follow by name.
const KEYS: [&str; 23] = [
    "trace_id",
    "session_id",
    "arrival",
    "weight",
    "model",
    "sampling",
    "headers",
    "num_turns",
    "input_prompt_length",
    "assistant_response_length",
    "tool_call_output_length",
    "tool_call_latency",
    "final_assistant_response_length",
    "prefix",
    "input_kind",
    "tool_calls",
    "reasoning_length",
    "carry_length",
    "context",
    "blocks",
    "steps",
    "expect",
    "literal",
];

/// What to write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// The original's six fields.
    Seed,
    /// Version 2: a header, then every row with all its keys.
    V2,
}

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The workload cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The output cannot be written.
    #[error("the converted workload cannot be written: {0}")]
    Write(#[from] io::Error),
    /// No row can be said in the target.
    #[error(
        "{file}: none of its {rows} traces can be written in the original's six fields\n\
         hint: to=v2 keeps everything"
    )]
    NothingLeft {
        /// The workload file, as given.
        file: String,
        /// Its traces.
        rows: u64,
    },
}

/// What was written, and what was not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Converted {
    /// Rows written.
    pub written: u64,
    /// Rows left out, by the reason why the target cannot say them.
    left_out: BTreeMap<LeftOut, Count>,
    /// Keys that rows which were written have lost.
    lost: BTreeMap<String, Count>,
    /// Answers of 0 tokens that were written as 1.
    zero_answers: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Count {
    count: u64,
    line: u64,
}

impl Converted {
    /// What the target could not say, in words; empty when it said everything.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let left_out = self.left_out.iter().map(|(reason, Count { count, line })| {
            format!("{count} traces are left out: {reason} (first on line {line})")
        });
        let lost = self.lost.iter().map(|(key, Count { count, line })| {
            format!("{key} is lost in {count} traces (first on line {line})")
        });
        let zero = Some(self.zero_answers).filter(|count| *count > 0);
        let zero = zero.map(|count| format!("{count} answers of 0 tokens are written as 1"));
        left_out.chain(lost).chain(zero).collect()
    }
}

/// Reads and checks a workload, then writes every row of it that the target can say.
///
/// How it is packed is what the end of its name says. Nothing is written before the whole workload
/// has been checked. A stream is held in memory for that, up to `max_workload_mb`.
pub fn convert(
    source: Source,
    name: &str,
    options: &ReadOptions,
    target: Target,
    out: &mut dyn Write,
) -> Result<Converted, ConvertError> {
    let source = held(source, name, options.max_workload_mb)?;
    let mut workload = Workload::open(source, name, Encoding::Plain, options)?;
    let mut done = Converted::default();
    if target == Target::V2 {
        writeln!(out, "{}", header(workload.header()))?;
    }
    for row in 0..workload.rows() {
        let (text, line) = workload.row_text(row)?;
        let fields = Fields::of_line(&text).map_err(|fault| fault.at(name, line))?;
        match target {
            Target::V2 => {
                writeln!(out, "{}", rewritten(fields))?;
                done.written += 1;
            }
            Target::Seed => {
                let read = read_row(&text, fields, row).map_err(|fault| fault.at(name, line))?;
                done.seed(&read, line, out)?;
            }
        }
    }
    out.flush()?;
    if done.written == 0 {
        let (file, rows) = (name.to_owned(), workload.rows());
        return Err(ConvertError::NothingLeft { file, rows });
    }
    Ok(done)
}

impl Converted {
    /// Writes a row in the original's six fields, where they can say it; counts it where not.
    pub fn write_seed(&mut self, row: &Row<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.seed(&row.line, row.number() + 1, out)
    }

    fn seed(&mut self, row: &RowLine<'_>, line: u64, out: &mut dyn Write) -> io::Result<()> {
        let first = Count { count: 0, line };
        match seed_row(row) {
            Err(reason) => self.left_out.entry(reason).or_insert(first).count += 1,
            Ok((text, lost)) => {
                writeln!(out, "{text}")?;
                self.written += 1;
                self.zero_answers += row.remarks.zero_answers;
                for key in lost {
                    self.lost.entry(key).or_insert(first).count += 1;
                }
            }
        }
        Ok(())
    }
}

/// A source that can be read again from any place.
fn held(source: Source, name: &str, limit_mb: u64) -> Result<Source, WorkloadError> {
    let encoding = Encoding::of_name(name);
    let packed: Box<dyn Read + Send> = match (source, encoding) {
        (Source::Seekable(file), Encoding::Plain) => return Ok(Source::Seekable(file)),
        (Source::Seekable(file), Encoding::Gzip | Encoding::Zstd) => Box::new(file),
        (Source::Stream(stream), _) => stream,
    };
    let limit = limit_mb.saturating_mul(1_000_000);
    let mut bytes = Vec::new();
    let read = unpacked(packed, encoding).take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let hint = read_hint(encoding);
    read.map_err(|source| WorkloadError::Read { file: name.to_owned(), source, hint })?;
    if bytes.len() as u64 > limit {
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        return Err(WorkloadError::TooLarge { file: name.to_owned(), limit_mb, line: lines });
    }
    Ok(Source::Seekable(Box::new(Cursor::new(bytes))))
}

fn header(header: Option<&Header>) -> String {
    match header {
        Some(header) => compact(&header.text),
        None => {
            format!(r#"{{"trie_workload":2,"created_by":"trie {}"}}"#, env!("CARGO_PKG_VERSION"))
        }
    }
}

/// A row with its keys in order and without spaces, all values as they were written.
fn rewritten(mut fields: Fields<'_>) -> String {
    let known = KEYS.iter().filter_map(|key| fields.take(key).map(|value| member(key, value)));
    let mut members: Vec<String> = known.collect();
    members.extend(fields.into_members().map(|(key, value)| member(&key, value)));
    format!("{{{}}}", members.join(","))
}

fn member(key: &str, value: Value<'_>) -> String {
    let key = serde_json::to_string(key).expect("a string is JSON");
    format!("{key}:{}", compact(value.text))
}
