//! `GenAI` spans of OpenTelemetry in flat JSON, as inference-perf and others collect them.

use serde_json::{Map, Value};

use crate::content::Measure;
use crate::format::{Context, Format, Reader, Wrong};
use crate::spans::{Outline, Spans, span};
use crate::value::{at, list, moment, object, text};

use super::otlp::nanos;

/// Spans with attributes in an object.
pub(crate) const FORMAT: Format = Format {
    name: "otel-spans",
    title: "OpenTelemetry's GenAI spans in flat JSON: a document with `spans`, or a span a line",
    known_by: "`span_id` beside `attributes`, alone or in `spans`",
    expresses: "as otlp",
    lost: "otel-spans: where messages are not recorded, prompts of one agent are taken to go on with \
           the one before, and a new agent to share nothing",
    time_unit: "ISO 8601, or ns",
    page: "importing.md",
    recognise: |head| {
        let is_span = |span: &Value| {
            let id = span.get("span_id").or_else(|| span.get("spanId"));
            id.is_some() && span.get("attributes").is_some_and(Value::is_object)
        };
        head.any(|record| is_span(record) || list(record, &["spans"]).iter().any(is_span))
    },
    reader: || Box::new(Flat::default()),
};

#[derive(Default)]
struct Flat(Spans);

impl Reader for Flat {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let records = record.as_array().map_or(std::slice::from_ref(record), Vec::as_slice);
        for record in records {
            let spans = record.get("spans").and_then(Value::as_array);
            for span in spans.map_or(std::slice::from_ref(record), Vec::as_slice) {
                self.take(span, context);
            }
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

impl Flat {
    fn take(&mut self, value: &Value, context: &mut Context<'_>) {
        let none = Map::new();
        let attributes = object(value, &["attributes"]).unwrap_or(&none);
        let word = |keys: &[&str]| {
            let found = keys.iter().find_map(|key| text(value, &[key]));
            found.unwrap_or_default().to_owned()
        };
        let code = at(value, &["status", "code"]).or_else(|| at(value, &["status", "status_code"]));
        let failed = code.is_some_and(|code| {
            code.as_u64() == Some(2) || matches!(code.as_str(), Some("ERROR" | "STATUS_CODE_ERROR"))
        });
        let start = at(value, &["start_time"]).and_then(moment);
        let end = at(value, &["end_time"]).and_then(moment);
        let outline = Outline {
            id: word(&["span_id", "spanId"]),
            parent: word(&["parent_span_id", "parentSpanId", "parent_id"]),
            trace: word(&["trace_id", "traceId"]),
            name: text(value, &["name"]).unwrap_or_default(),
            start: start.or_else(|| nanos(value, ["start_time_unix_nano", "startTimeUnixNano"])),
            end: end.or_else(|| nanos(value, ["end_time_unix_nano", "endTimeUnixNano"])),
            failed,
        };
        let measure = Measure { salt: context.salt, count: context.count };
        self.0.add(span(outline, attributes, measure), context);
    }
}
