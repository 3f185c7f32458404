//! `GenAI` spans of OpenTelemetry in flat JSON, as inference-perf and others collect them.

use std::borrow::Cow;

use serde_json::Value;

use crate::attributes::{KINDS, Outline, span};
use crate::format::{Context, Format, Reader, Wrong};
use crate::spans::Spans;
use crate::value::{at, each, list, moment, object, text};

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
        head.any(|record| is_span(record) || list(record, &["spans"]).iter().any(is_span))
    },
    reader: flat,
};

/// What reads spans with attributes in an object, whatever the attributes' names.
pub(crate) fn flat() -> Box<dyn Reader> {
    Box::new(Flat::default())
}

/// Whether a value is a span with attributes in an object.
fn is_span(value: &Value) -> bool {
    let id = value.get("span_id").or_else(|| value.get("spanId"));
    let id = id.or_else(|| at(value, &["context", "span_id"]));
    id.is_some() && value.get("attributes").is_some_and(Value::is_object)
}

#[derive(Default)]
struct Flat(Spans);

impl Reader for Flat {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            let mut listed = ["spans", "data"].iter();
            let spans = listed.find_map(|key| record.get(*key).and_then(Value::as_array));
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
        let mut attributes = object(value, &["attributes"]).map(Cow::Borrowed).unwrap_or_default();
        // Phoenix says beside the attributes what a span is.
        if let Some(kind) = text(value, &["span_kind"]).filter(|kind| KINDS.contains(kind))
            && !attributes.contains_key("openinference.span.kind")
        {
            attributes.to_mut().insert("openinference.span.kind".to_owned(), kind.into());
        }
        let word = |keys: &[&str]| {
            let inner = |key: &str| text(value, &["context", key]);
            let found = keys.iter().find_map(|key| text(value, &[key]).or_else(|| inner(key)));
            found.unwrap_or_default().to_owned()
        };
        let code = [&["status", "code"][..], &["status", "status_code"], &["status_code"]];
        let code = code.iter().find_map(|path| at(value, path));
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
        self.0.add(span(outline, &attributes, context.measure()), context);
    }
}
