//! The way through a trace: its critical path and its lanes.

use std::collections::BTreeMap;

use super::fold::Times;
use crate::record::RequestRow;

/// An attempt at a step, as a stretch of its trace's time: nanoseconds since the start of the run.
#[derive(Clone, Copy, Debug)]
struct Leg {
    step: u32,
    attempt: u32,
    lane: u32,
    intent: u64,
    end: Option<u64>,
    waited_for: Option<u32>,
    waited_until: Option<u64>,
}

/// All attempts of one trace.
#[derive(Debug, Default)]
pub(super) struct Legs(Vec<Leg>);

impl Legs {
    pub(super) fn add(&mut self, row: &RequestRow, times: &Times) {
        self.0.push(Leg {
            step: row.step,
            attempt: row.attempt,
            lane: row.lane,
            intent: times.intent,
            end: times.end,
            waited_for: row.waited_for,
            waited_until: times.waited_until,
        });
    }

    /// How many different attempts there are, and how many are there once more.
    pub(super) fn count(&self) -> (usize, usize) {
        let mut attempts: Vec<_> = self.0.iter().map(|leg| (leg.step, leg.attempt)).collect();
        attempts.sort_unstable();
        attempts.dedup();
        (attempts.len(), self.0.len() - attempts.len())
    }

    /// Nanoseconds for which a completed trace waited for the server: from the end of its last
    /// request back through those that each let the next one go. `None` where a row is missing or
    /// does not say what its step waited for.
    pub(super) fn critical_path(&self) -> Option<u64> {
        let mut first = BTreeMap::new();
        for leg in &self.0 {
            let known: &mut &Leg = first.entry(leg.step).or_insert(leg);
            if leg.attempt < known.attempt {
                *known = leg;
            }
        }
        let (mut until, mut step) =
            self.0.iter().filter_map(|leg| Some((leg.end?, leg.step))).max()?;
        let mut path = 0;
        loop {
            let leg = first.get(&step)?;
            let waited_until = leg.waited_until?;
            path += until.checked_sub(leg.intent)?;
            match leg.waited_for {
                None => return Some(path),
                // Whatever a step waits for has a lower number.
                Some(before) if before < step => (until, step) = (waited_until, before),
                Some(_) => return None,
            }
        }
    }

    /// Of a trace with several lanes, how long each took: its latest end minus its first intent.
    pub(super) fn lanes(&self) -> Vec<u64> {
        let mut lanes: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        for leg in &self.0 {
            let (first, last) = lanes.entry(leg.lane).or_insert((leg.intent, 0));
            *first = leg.intent.min(*first);
            *last = leg.end.unwrap_or(0).max(*last);
        }
        if lanes.len() < 2 {
            return Vec::new();
        }
        lanes.into_values().map(|(first, last)| last.saturating_sub(first)).collect()
    }
}
