//! Rows of one session, one after another.

use std::collections::{BTreeMap, VecDeque};

use crate::plan::PlannedTrace;

/// Whose turn it is in each session: two rows of one conversation are never alive at once.
///
/// A session is that of one cycle: when all rows have been gone through, its rows come again as a
/// conversation of their own.
#[derive(Debug, Default)]
pub struct Turns {
    /// Slots by (cycle, session), in the order of admission: the first is alive, the others wait.
    slots: BTreeMap<(u64, String), VecDeque<u32>>,
}

impl Turns {
    /// No trace is alive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A trace was admitted to a slot. Whether it may start; if not, a [`leave`](Self::leave) tells
    /// when. Traces are to be entered in the order of their admission.
    pub fn enter(&mut self, slot: u32, planned: &PlannedTrace) -> bool {
        let Some(session) = session(planned) else { return true };
        let slots = self.slots.entry(session).or_default();
        slots.push_back(slot);
        slots.len() == 1
    }

    /// A trace that was alive has ended: the slot whose trace may start now, if one waits for it.
    pub fn leave(&mut self, planned: &PlannedTrace) -> Option<u32> {
        let session = session(planned)?;
        let slots = self.slots.get_mut(&session)?;
        slots.pop_front();
        let next = slots.front().copied();
        if next.is_none() {
            self.slots.remove(&session);
        }
        next
    }
}

fn session(planned: &PlannedTrace) -> Option<(u64, String)> {
    let session = planned.trace.about.session.clone()?;
    Some((planned.instance.cycle, session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CacheScope, ContentRule, Instance};
    use crate::workload::{About, Trace};

    fn planned(session: Option<&str>, cycle: u64) -> PlannedTrace {
        let about = About { session: session.map(str::to_owned), ..About::default() };
        let trace = Trace { id: "t".into(), about, steps: vec![] };
        let instance = Instance { number: 0, row: 0, cycle };
        PlannedTrace::new(instance, trace, &ContentRule::new(1, 2, CacheScope::Run))
    }

    #[test]
    fn a_row_waits_for_those_before_it_in_its_session_and_for_no_other() {
        let mut turns = Turns::new();
        let (a, b, again) = (planned(Some("a"), 0), planned(Some("b"), 0), planned(Some("a"), 1));
        assert!(turns.enter(0, &a));
        assert!(!turns.enter(1, &a));
        assert!(turns.enter(2, &b));
        assert!(!turns.enter(3, &a));
        assert!(turns.enter(4, &again), "a new cycle is a new conversation");
        assert_eq!(turns.leave(&b), None);
        assert_eq!(turns.leave(&a), Some(1));
        assert!(!turns.enter(2, &a));
        assert_eq!([turns.leave(&a), turns.leave(&a), turns.leave(&a)], [Some(3), Some(2), None]);
        assert!(turns.enter(0, &a));
    }

    #[test]
    fn rows_without_a_session_never_wait() {
        let mut turns = Turns::new();
        let alone = planned(None, 0);
        assert!(turns.enter(0, &alone) && turns.enter(1, &alone));
        assert_eq!(turns.leave(&alone), None);
        assert!(turns.slots.is_empty());
    }
}
