//! Azure's LLM inference traces: a request a line of CSV, lengths and arrivals only.

use serde_json::Value;

use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Lane, Request, Session, Time};
use crate::session::admit;
use crate::value::{at, moment, tokens};

/// Lengths and arrivals.
pub(crate) const FORMAT: Format = Format {
    name: "azure",
    title: "Azure's LLM inference traces (CSV)",
    known_by: "columns `TIMESTAMP`, `ContextTokens`, `GeneratedTokens`",
    expresses: "lengths and arrivals of requests",
    lost: "azure: no conversations and nothing shared is recorded: each request is a row of its own",
    time_unit: "ISO 8601",
    page: "importing.md",
    recognise: |head| head.has(&["TIMESTAMP", "ContextTokens", "GeneratedTokens"]),
    reader: || Box::new(Rows::default()),
};

#[derive(Default)]
struct Rows {
    first: Option<Time>,
}

impl Reader for Rows {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let lengths = (tokens(record, &["ContextTokens"]), tokens(record, &["GeneratedTokens"]));
        let (Some(input), Some(output)) = lengths else {
            context.fidelity.count(Event::NoLength, 1);
            return Ok(());
        };
        let start = at(record, &["TIMESTAMP"]).and_then(moment);
        let request = Request { start, input, output, ..Request::default() };
        if !admit(&request, context.fidelity) {
            return Ok(());
        }
        self.first = self.first.or(start);
        let arrival =
            start.zip(self.first).map(|(start, first)| start.saturating_sub(first).max(0));
        let lanes = vec![Lane { requests: vec![request], ..Lane::default() }];
        context.sessions.push(Session { arrival, lanes, ..Session::default() });
        Ok(())
    }
}
