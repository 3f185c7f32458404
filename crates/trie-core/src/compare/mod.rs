//! Two sides compared: records in, [`Comparison`] out. Pure and, with its fixed random stream,
//! deterministic to the bit.
//!
//! # Layout
//!
//! - `quantity`: what is compared, one row each.
//! - `watch`: what pairs need of a run's rows.
//! - `equal`: what both sides must have in common, and what may differ but is said.
//! - `resample`: a statistic of resampled trace instances.
//! - `comparison`: [`Comparison`], what is found.
//! - `pairs`: [`compare`], from records to the comparison.
//! - `gate`: [`Gate`], a condition on a change.

mod comparison;
mod equal;
mod gate;
mod pairs;
mod quantity;
mod resample;
mod watch;

pub use comparison::{
    BrokeOff, COMPARISON_SCHEMA, Change, Comparison, Difference, Estimate, Finding, Matched,
    SideFacts,
};
pub use equal::CompareError;
pub use gate::{Gate, GateError, GateResult, GateStatus};
pub use pairs::{NamedRun, compare};
pub use quantity::{Measure, QUANTITIES, Quantity, QuantityRow};
