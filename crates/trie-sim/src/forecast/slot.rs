//! One trace in its slot.

use std::{borrow::Borrow, collections::BTreeMap, rc::Rc};

use trie_core::{
    plan::PlannedTrace,
    record::{TraceEvent, TraceRow},
    session::{Action, RetryOptions, Session},
    units::Nanos,
    workload::{StepId, Trace},
};

/// A trace that is not over.
#[derive(Debug)]
pub(super) struct LiveTrace {
    pub(super) planned: Rc<PlannedTrace>,
    pub(super) session: Session<Held>,
    /// When it began.
    pub(super) since: Nanos,
    /// How long its slot waited for an earlier row of its session.
    pub(super) held: Option<Nanos>,
    /// Requests in flight, by step.
    pub(super) flights: BTreeMap<StepId, usize>,
}

/// A session's share of its trace.
#[derive(Debug)]
pub(super) struct Held(Rc<PlannedTrace>);

impl Borrow<Trace> for Held {
    fn borrow(&self) -> &Trace {
        &self.0.trace
    }
}

impl LiveTrace {
    pub(super) fn start(
        planned: PlannedTrace,
        retries: RetryOptions,
        at: Nanos,
        actions: &mut Vec<Action>,
    ) -> Self {
        let planned = Rc::new(planned);
        let (trace, entry) = (Held(Rc::clone(&planned)), planned.entry.unwrap_or_default());
        let session = Session::enter(trace, entry, (retries, at), actions);
        Self { planned, session, since: at, held: None, flights: BTreeMap::new() }
    }

    pub(super) fn number(&self) -> u64 {
        self.planned.instance.number
    }

    pub(super) fn row(&self, slot: u32, at_ns: Nanos, event: TraceEvent) -> TraceRow {
        self.planned.trace_row(slot, self.held, at_ns, event)
    }
}
