//! Where a trace is entered in the middle of its life.

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// Where a slot's first trace is entered in a run that starts in equilibrium: its steps below `step` count
/// as done.
///
/// Every edge of a trace points backwards, so what is left is a graph of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// Row of the workload, from 0.
    pub row: u64,
    /// The first step that is sent.
    pub step: u32,
    /// How much of the wait before that step is over.
    pub waited_ns: Nanos,
}
