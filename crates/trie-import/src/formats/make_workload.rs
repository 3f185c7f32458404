//! The input of the original's `make_workload`: a captured request a line, its messages as a string.

use serde_json::Value;

use crate::content::{Measure, body};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::threads::{Exchange, Threads};
use crate::value::text;

/// Captured requests.
pub(crate) const FORMAT: Format = Format {
    name: "make-workload",
    title: "The input of the original's make_workload: captured requests",
    known_by: "`input`, a string that holds a list of messages, and `output`, a string",
    expresses: "the conversations that the requests belong to, found by their messages; what they share",
    lost: "make-workload: no time is recorded, so waits are 0 s; no length is recorded, so all are counted",
    time_unit: "none",
    page: "importing.md",
    recognise: |head| {
        head.any(|record| {
            let input = text(record, &["input"]).map(str::trim_start);
            input.is_some_and(|input| input.starts_with('[')) && text(record, &["output"]).is_some()
        })
    },
    reader: || Box::new(Captured::default()),
};

#[derive(Default)]
struct Captured(Threads);

impl Reader for Captured {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let records = record.as_array().map_or(std::slice::from_ref(record), Vec::as_slice);
        for record in records {
            let measure = Measure { salt: context.salt, count: context.count };
            let messages = record.get("input").and_then(body);
            let Some(messages) = messages.as_ref().and_then(Value::as_array) else {
                context.fidelity.count(Event::NoLength, 1);
                continue;
            };
            let messages = messages.iter().flat_map(|message| measure.messages(message)).collect();
            let answer = text(record, &["output"]).unwrap_or_default();
            let answer = serde_json::json!({"role": "assistant", "content": answer});
            let answer = measure.messages(&answer);
            self.0.add(Exchange { messages, answer, ..Exchange::default() }, context);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.0.finish(context);
    }
}
