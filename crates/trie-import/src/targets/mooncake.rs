//! Mooncake: a request a row.

use std::collections::BTreeMap;

use trie_core::workload::{Trace, Wait};

use super::prompts::Prompts;
use super::times::{in_units, times};
use super::{Unsaid, count};
use crate::model::Time;

pub(super) use crate::formats::mooncake::BLOCK;

/// Nanoseconds of a millisecond.
const MILLI: Time = 1_000_000;

/// Counts waits for people, which the target takes for others.
pub(super) fn people(trace: &Trace, unsaid: &mut BTreeMap<Unsaid, u64>) {
    let waits = trace.steps.iter().flat_map(|step| &step.after);
    count(unsaid, Unsaid::Kinds, waits.filter(|of| of.wait == Wait::User).count() as u64);
}

/// The rows of a trace, as Python's `json` writes them.
pub(super) fn rows(
    trace: &Trace,
    row: u64,
    prompts: &mut Prompts,
    unsaid: &mut BTreeMap<Unsaid, u64>,
) -> Vec<String> {
    let ids = prompts.ids(trace, row);
    let times = times(trace, unsaid);
    let lanes = trace.steps.iter().any(|step| step.lane > 0);
    count(unsaid, Unsaid::Lanes, u64::from(lanes));
    count(unsaid, Unsaid::Waits, trace.steps.len() as u64 - 1);
    let reasoning =
        trace.steps.iter().filter(|step| step.output.reasoning.is_some_and(|of| of > 0));
    count(unsaid, Unsaid::Reasoning, reasoning.count() as u64);
    people(trace, unsaid);
    let arrival = trace.about.arrival.map(|arrival| Time::try_from(arrival.0).unwrap_or(Time::MAX));
    let rows = trace.steps.iter().zip(ids).zip(times);
    rows.map(|((step, ids), times)| {
        let at = arrival.unwrap_or(0).saturating_add(times.start);
        let timed = arrival.is_some() || trace.steps.len() > 1;
        let timestamp =
            if timed { format!("\"timestamp\": {}, ", in_units(at, MILLI)) } else { String::new() };
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        format!(
            "{{{timestamp}\"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]}}",
            step.prompt_tokens,
            step.output.tokens,
            ids.join(", ")
        )
    })
    .collect()
}
