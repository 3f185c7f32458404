//! Spans with the names of `OpenInference`, as Phoenix and other collectors hand them out.
//!
//! The names are those of the specification in github.com/Arize-ai/openinference; the shape
//! around them is that of Phoenix's REST API (`context.span_id`, `parent_id`, `span_kind`).
//! OTLP in JSON with these names is read as `otlp`.

use serde_json::Value;

use crate::attributes::{KINDS, is_open_inference};
use crate::format::Format;
use crate::value::{at, list, object, text};

use super::otel_spans::flat;

/// Spans with attributes in an object.
pub(crate) const FORMAT: Format = Format {
    name: "openinference",
    title: "OpenInference's spans in flat JSON, as Phoenix exports them",
    known_by: "a span's id beside `attributes` with `openinference.` or `llm.` names, alone or in `spans` or `data`",
    expresses: "as otlp, with reasoning; messages as flattened indices, lists or objects",
    lost: "openinference: graph.node.* is not read: AGENT spans alone say who belongs to an agent; where \
           messages are hidden, prompts of one agent are taken to go on with the one before",
    time_unit: "ISO 8601",
    page: "gateways.md",
    recognise: |head| {
        let is_span = |span: &Value| {
            let id = at(span, &["context", "span_id"]).or_else(|| at(span, &["span_id"]));
            let kind = text(span, &["span_kind"]).is_some_and(|kind| KINDS.contains(&kind));
            let names = object(span, &["attributes"]).is_some_and(is_open_inference);
            id.is_some() && (kind || names)
        };
        let of = |record: &Value, key: &str| list(record, &[key]).iter().any(is_span);
        head.any(|record| is_span(record) || of(record, "spans") || of(record, "data"))
    },
    reader: flat,
};
