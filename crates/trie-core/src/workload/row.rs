//! One row of a workload file, checked.

use std::borrow::Cow;

use super::error::Fault;
use super::extras::{read_about, read_extras};
use super::flat::read_flat;
use super::graph::{About, Trace};
use super::json::{Fields, Value};
use super::steps::read_steps;
use super::warning::{IgnoredKey, KeyStanding};

/// A row and what its line gives reason to remark on.
pub(super) struct RowLine<'l> {
    pub(super) trace: Trace,
    /// Column of the value of `trace_id`; `None` where the row is named by its number.
    pub(super) id_column: Option<usize>,
    pub(super) remarks: Remarks<'l>,
}

/// What is worth saying about a row that is right.
#[derive(Default)]
pub(super) struct Remarks<'l> {
    /// Answers of 0 tokens.
    pub(super) zero_answers: u64,
    /// Keys that are not replayed, with their column.
    pub(super) ignored: Vec<IgnoredKey<'l>>,
}

impl<'l> Remarks<'l> {
    /// Counts an answer as the file has it; returns it as it is planned.
    pub(super) fn planned(&mut self, answer: u64) -> u64 {
        self.zero_answers += u64::from(answer == 0);
        answer.max(1)
    }

    /// Remarks on the keys of an object that nobody took.
    pub(super) fn unknown(&mut self, of: &str, fields: Fields<'l>) {
        for (key, column) in fields.rest() {
            let key = if of.is_empty() { key } else { Cow::Owned(format!("{of}.{key}")) };
            self.ignored.push(IgnoredKey { key, standing: KeyStanding::Unknown, column });
        }
    }

    /// Remarks on a key of the format that is not, or not wholly, replayed.
    pub(super) fn not_replayed(
        &mut self,
        of: &str,
        key: &'static str,
        standing: KeyStanding,
        column: usize,
    ) {
        let key =
            if of.is_empty() { Cow::Borrowed(key) } else { Cow::Owned(format!("{of}.{key}")) };
        self.ignored.push(IgnoredKey { key, standing, column });
    }
}

/// Reads row `number` (from 0) and checks everything that one row can show.
pub(super) fn read_row<'l>(
    line: &'l str,
    mut fields: Fields<'l>,
    number: u64,
) -> Result<RowLine<'l>, Fault> {
    refuse_header(&mut fields)?;
    let mut remarks = Remarks::default();
    let id = fields.take("trace_id");
    let name = id.map(Value::name).transpose().map_err(|fault| fault.field("trace_id"))?;
    let steps = if fields.holds("steps") {
        read_steps(line, &mut fields, &mut remarks)?
    } else {
        read_flat(line, &mut fields, &mut remarks)?
    };
    let about = read_about(&mut fields, &mut remarks)?;
    let extras = read_extras(line, &mut fields, &mut remarks, "", Some(steps.len()))?;
    remarks.unknown("", fields);
    let id_column = id.map(|id| id.column);
    let id = name.map_or_else(|| number.to_string(), Cow::into_owned);
    Ok(RowLine { trace: Trace { id, about: About { extras, ..about }, steps }, id_column, remarks })
}

fn refuse_header(fields: &mut Fields<'_>) -> Result<(), Fault> {
    match fields.take("trie_workload") {
        Some(found) => Err(Fault::new(found.column, "a header", "a row")
            .field("trie_workload")
            .hint("the header stands once, before the first row")),
        None => Ok(()),
    }
}
