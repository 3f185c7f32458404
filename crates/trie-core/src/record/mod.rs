//! Records: the waist of the product. Metrics read these and nothing else.
//!
//! # Layout
//!
//! - `rows`: the rows of `requests.jsonl`, `traces.jsonl` and `client.jsonl`.
//! - `histogram`: [`Histogram`], mergeable, exact to four significant digits.
//! - `manifest`: `manifest.json`, the header that says what was run.

mod histogram;
mod manifest;
mod rows;

pub use histogram::Histogram;
pub use manifest::{
    Clock, Ending, Host, MANIFEST_SCHEMA, Manifest, ManifestError, OptionValue, Reason, Versions,
    WorkloadFacts, read_manifest,
};
pub use rows::{
    ClientRow, Credit, ErrorRow, Outcome, RequestRow, StampSource, TokenSource, TraceEvent,
    TraceOutcome, TraceRow,
};
