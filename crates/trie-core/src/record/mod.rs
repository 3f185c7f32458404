//! Records: the waist of the product. Metrics read these and nothing else.
//!
//! # Layout
//!
//! - `rows`: the rows of `requests.jsonl`, `traces.jsonl` and `client.jsonl`.
//! - `arrivals`: [`Arrivals`], the times of an answer's tokens as rows keep them.
//! - `histogram`: [`Histogram`], mergeable, exact to four significant digits.
//! - `manifest`: `manifest.json`, the header that says what was run.
//! - `entry`: [`Entry`], where a trace is entered in the middle of its life.
//! - `release`: [`Release`], what let a request go.
//! - `preflight`: [`Preflight`], what was found out about the server before the clock started.

mod arrivals;
mod entry;
mod histogram;
mod manifest;
mod preflight;
mod release;
mod rows;

pub use arrivals::{Arrival, Arrivals};
pub use entry::Entry;
pub use histogram::Histogram;
pub use manifest::{
    Clock, Ending, Host, MANIFEST_SCHEMA, Manifest, ManifestError, OptionValue, Reason, SelfCheck,
    Versions, WorkloadFacts, read_manifest,
};
pub use preflight::{
    Capabilities, EngineKind, Finding, FindingStatus, IdsBack, LengthFields, Preflight,
    PreflightCheck,
};
pub use release::Release;
pub use rows::{
    ClientRow, Credit, ErrorRow, Outcome, RequestRow, StampSource, TokenSource, TraceEvent,
    TraceOutcome, TraceRow,
};
