//! Why a request went out when it did.

use crate::units::Nanos;

/// What let a step go: of all it waited for, what came last.
///
/// From the last request of a trace back along these leads its critical path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Release {
    /// The step whose event, with the delay after it, came last; `None` for a step that starts with
    /// its trace.
    pub waited_for: Option<u32>,
    /// When that event happened: the delay of a tool lies between this and the intent. The start of
    /// the trace where there was nothing to wait for.
    pub waited_until: Nanos,
    /// Of a step that joins several branches: from when the first of them was ready to when the last
    /// one was. What lies before another of them is no branch of its own.
    pub join_wait: Option<Nanos>,
}
