//! Metrics: records in, [`Summary`] out. Pure; what a run was is read from its records alone.
//!
//! # Layout
//!
//! - `catalogue`: one row per metric; tables, JSON keys and documentation read it.
//! - `cell`: [`Cell`], a number with its doubts, or the reason why there is none.
//! - `summary`: [`Summary`], the contents of `summary.json`.
//! - `estimate`: quantiles, Kaplan-Meier, effective sample size.
//! - `dense`: a histogram that takes many values fast.
//! - `counts`: plain counts of the requests.
//! - `groups`: parts of the requests whose TTFT is shown apart.
//! - `path`: a trace's critical path and its lanes.
//! - `traces`, `requests`: per-trace and whole-run tallies. `fold`: one pass over the rows into them.
//! - `interval`: 95 % intervals over replicates and inside one run.
//! - `instruments`: checks of what the run was measured with.
//! - `student`: Student's t, for intervals and tests.
//! - `steady`: whether slots change over a run. `state`: what of a run is tested, and the checks of it.
//! - `room`: how much of the server's KV cache the contexts fill.
//! - `objectives`: limits that requests and traces are to keep. `goodput`: how many do.
//! - `distributions`, `throughput`, `seed`, `accounting`, `verdict`: from tallies to the summary.
//! - `summarize`: [`summarize`], all of it in order.
//! - `pool`: [`pool`], the replicates of a run as one summary, with intervals.

mod accounting;
mod catalogue;
mod cell;
mod counts;
mod dense;
mod distributions;
mod estimate;
mod fold;
mod goodput;
mod groups;
mod instruments;
mod interval;
mod objectives;
mod path;
mod pool;
mod requests;
mod room;
mod seed;
mod state;
mod steady;
mod student;
mod summarize;
mod summary;
mod throughput;
mod traces;
mod verdict;

pub use catalogue::{METRICS, Metric, MetricId, Needs, Scope};
pub use cell::{Bound, Cell, Floor, Interval, Measured, Origin};
pub(crate) use estimate::{
    FLOORS, Observation, Spread, effective, float, interpolate, linear, percent, seconds,
};
pub use goodput::{Bounds, GoodShare, Goodput};
pub use interval::{over_replicates, within_run};
pub(crate) use objectives::side as objective_side;
pub use objectives::{KeptBy, OBJECTIVES, ObjectiveError, ObjectiveRow, Objectives, Side};
pub use pool::{PoolError, Replicated, pool};
pub use room::CacheRoom;
pub(crate) use student::{mean_and_error, quantile as t_quantile};
pub use summarize::{RunRecords, SummaryError, summarize};
pub use summary::{
    Accounting, Check, CheckId, Distribution, Populations, Replicate, Replicates, RunFacts,
    SUMMARY_SCHEMA, Stat, Status, SteadyState, Summary, Throughput, Trust, Verdict,
};
