//! Rows of our own format: the original's six fields, or version 2.

use serde_json::Value;

use crate::format::{Context, Format, Head, Reader, Wrong};

/// Seed and version 2 rows.
pub(crate) const FORMAT: Format = Format {
    name: "trie",
    title: "trie's own rows: the original's six fields, or version 2",
    known_by: "`num_turns` and `input_prompt_length`, `steps` with `output`, or a header",
    expresses: "everything that is replayed",
    lost: "trie: nothing is lost",
    time_unit: "s",
    page: "workloads.md",
    recognise,
    reader: || Box::new(Rows),
};

fn recognise(head: &Head) -> bool {
    let is_step = |step: &Value| step.get("output").is_some() && step.get("lane").is_some();
    let steps = |record: &Value| {
        let steps = record.get("steps").and_then(Value::as_array);
        steps.is_some_and(|steps| steps.iter().any(is_step))
    };
    head.has(&["num_turns", "input_prompt_length"])
        || head.has(&["trie_workload"])
        || head.any(steps)
}

/// Passes rows on.
struct Rows;

impl Reader for Rows {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        if record.get("trie_workload").is_none() {
            context.rows.push(record.to_string());
        }
        Ok(())
    }
}
