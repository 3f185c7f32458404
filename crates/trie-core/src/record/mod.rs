//! Records: the waist of the product. Metrics read these and nothing else.
//!
//! # Layout
//!
//! - `rows`: the rows of `requests.jsonl`, `traces.jsonl` and `client.jsonl`.
//! - `read`: [`Row`], from a line to its row; `layout`: as it is written, field by field; `line`: what
//!   such a line is made of.
//! - `source`: [`Source`], where rows come from.
//! - `arrivals`: [`Arrivals`], the times of an answer's tokens as rows keep them.
//! - `histogram`: [`Histogram`], mergeable, exact to the four significant digits of `digits`.
//! - `manifest`: `manifest.json`, the header that says what was run.
//! - `entry`: [`Entry`], where a trace is entered in the middle of its life.
//! - `release`: [`Release`], what let a request go.
//! - `preflight`: [`Preflight`], what was found out about the server before the clock started.

mod arrivals;
mod digits;
mod entry;
mod histogram;
mod layout;
mod line;
mod manifest;
mod preflight;
mod read;
mod release;
mod rows;
mod source;

pub use arrivals::{Arrival, Arrivals};
pub(crate) use digits::{Digits, four_digits};
pub use entry::Entry;
pub use histogram::Histogram;
pub use manifest::{
    Clock, Ending, Host, KvCache, MANIFEST_SCHEMA, Manifest, ManifestError, OptionValue, Priming,
    Reason, ReplicateOf, SelfCheck, ToldBy, Versions, WorkloadFacts, read_manifest,
};
pub use preflight::{
    Capabilities, EngineKind, Finding, FindingStatus, IdsBack, LengthFields, Preflight,
    PreflightCheck, Speed,
};
pub use read::Row;
pub use release::Release;
pub use rows::{
    ClientRow, Credit, ErrorRow, Outcome, RequestRow, StampSource, TokenSource, TraceEvent,
    TraceOutcome, TraceRow,
};
pub use source::Source;
