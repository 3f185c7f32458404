//! When each request of a trace starts and ends, as far as its row says.

use std::collections::BTreeMap;

use serde_json::Value;
use trie_core::workload::{Dependency, ExtraKey, On, Step, Trace};

use super::{Unsaid, count};
use crate::model::Time;
use crate::value::time;

/// Times of a request, from the start of its trace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) start: Time,
    /// How long it took, where that is recorded.
    pub(super) duration: Option<Time>,
}

/// The times of all steps: as recorded, or worked out from waits.
pub(super) fn times(trace: &Trace, unsaid: &mut BTreeMap<Unsaid, u64>) -> Vec<Times> {
    let row = expect(trace.about.extras.get(&ExtraKey::Expect));
    let mut times: Vec<Times> = Vec::with_capacity(trace.steps.len());
    for (at, step) in trace.steps.iter().enumerate() {
        let own = expect(step.extras.get(&ExtraKey::Expect));
        let recorded = |key: &str| {
            let listed = row.get(key).and_then(|list| list.get(at));
            let listed = listed.and_then(|value| time(value, &[], 1.0));
            listed.or_else(|| time(&own, &[key], 1.0))
        };
        let start = recorded("start");
        count(unsaid, Unsaid::Times, u64::from(start.is_none() && at > 0));
        let start = start.unwrap_or_else(|| worked_out(step, &times));
        times.push(Times { start, duration: recorded("duration") });
    }
    times
}

fn expect(text: Option<&String>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// After all that the step waits for.
fn worked_out(step: &Step, earlier: &[Times]) -> Time {
    let after = step.after.iter().map(|Dependency { step, on, delay, wait: _ }| {
        let Times { start, duration } = earlier[*step as usize];
        let since = match on {
            On::Start | On::FirstToken => start,
            On::End => start.saturating_add(duration.unwrap_or(0)),
        };
        since.saturating_add(Time::try_from(delay.0).unwrap_or(Time::MAX))
    });
    after.max().unwrap_or(0)
}

/// A time in units of a nanosecond's `parts`: a whole number where it is one.
pub(super) fn in_units(time: Time, nanos: Time) -> String {
    let (whole, part) = (time / nanos, time % nanos);
    if part == 0 {
        return whole.to_string();
    }
    let digits = nanos.ilog10() as usize;
    let part = format!("{part:0digits$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}
