//! OTLP in JSON: spans of OpenTelemetry as its collector and exporters write them.

use serde_json::{Map, Value};

use crate::attributes::{Outline, span};
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Time;
use crate::spans::Spans;
use crate::value::{at, each, list, text, whole};

/// Exports of spans.
pub(crate) const FORMAT: Format = Format {
    name: "otlp",
    title: "OpenTelemetry's GenAI spans in OTLP JSON",
    known_by: "`resourceSpans`",
    expresses: "lengths, times and cached tokens of requests; tool spans as parallel calls; agents \
                as lanes; prompts' shared openings where messages are recorded",
    lost: "otlp: where messages are not recorded, prompts of one agent are taken to go on with the \
           one before, tool results of one turn to be of one length, and a new agent to share nothing",
    time_unit: "ns",
    page: "importing.md",
    recognise: |head| head.has(&["resourceSpans"]) || head.has(&["resource_spans"]),
    reader: || Box::new(Otlp::default()),
};

#[derive(Default)]
struct Otlp(Spans);

impl Reader for Otlp {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            for resource in either(record, "resourceSpans", "resource_spans") {
                for scope in either(resource, "scopeSpans", "scope_spans") {
                    for span in list(scope, &["spans"]) {
                        self.take(span, context);
                    }
                }
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

impl Otlp {
    fn take(&mut self, value: &Value, context: &mut Context<'_>) {
        let attributes: Map<String, Value> = list(value, &["attributes"])
            .iter()
            .filter_map(|pair| Some((text(pair, &["key"])?.to_owned(), plain(pair.get("value")?))))
            .collect();
        let word = |keys: [&str; 2]| {
            let found = keys.iter().find_map(|key| text(value, &[key]));
            found.unwrap_or_default().to_owned()
        };
        let code = at(value, &["status", "code"]);
        let failed = code.is_some_and(|code| {
            code.as_u64() == Some(2) || code.as_str() == Some("STATUS_CODE_ERROR")
        });
        let outline = Outline {
            id: word(["spanId", "span_id"]),
            parent: word(["parentSpanId", "parent_span_id"]),
            trace: word(["traceId", "trace_id"]),
            name: text(value, &["name"]).unwrap_or_default(),
            start: nanos(value, ["startTimeUnixNano", "start_time_unix_nano"]),
            end: nanos(value, ["endTimeUnixNano", "end_time_unix_nano"]),
            failed,
        };
        self.0.add(span(outline, &attributes, context.measure()), context);
    }
}

fn either<'v>(value: &'v Value, one: &str, other: &str) -> &'v [Value] {
    let found = list(value, &[one]);
    if found.is_empty() { list(value, &[other]) } else { found }
}

/// Nanoseconds, mostly in quotes.
pub(crate) fn nanos(value: &Value, keys: [&str; 2]) -> Option<Time> {
    let found = keys.iter().find_map(|key| at(value, &[key]))?;
    Time::try_from(whole(found)?).ok()
}

/// A value without the wrapper that says its type.
fn plain(wrapped: &Value) -> Value {
    let either = |keys: [&str; 2]| keys.iter().find_map(|key| wrapped.get(*key));
    let pair = |pair: &Value| Some((text(pair, &["key"])?.to_owned(), plain(pair.get("value")?)));
    if let Some(value) = either(["intValue", "int_value"]) {
        return whole(value).map_or(Value::Null, Value::from);
    }
    if let Some(value) = either(["arrayValue", "array_value"]) {
        return list(value, &["values"]).iter().map(plain).collect();
    }
    if let Some(value) = either(["kvlistValue", "kvlist_value"]) {
        return Value::Object(list(value, &["values"]).iter().filter_map(pair).collect());
    }
    let simple =
        ["stringValue", "string_value", "doubleValue", "double_value", "boolValue", "bool_value"];
    simple.iter().find_map(|key| wrapped.get(*key)).cloned().unwrap_or_default()
}
