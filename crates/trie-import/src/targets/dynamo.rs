//! Dynamo's agentic Mooncake, version 2: a graph of requests, a request a row.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trie_core::units::Nanos;
use trie_core::workload::{Dependency, On, Trace};

use super::mooncake::{BLOCK, people};
use super::prompts::Prompts;
use super::{Unsaid, count};

/// The first line.
pub(super) fn header() -> Value {
    json!({
        "schema": "dynamo.agentic_mooncake",
        "version": 2,
        "block_size": BLOCK,
        "hash_id_scope": "global",
        "source": format!("trie {}", env!("CARGO_PKG_VERSION")),
    })
}

/// The rows of a trace.
pub(super) fn rows(
    trace: &Trace,
    row: u64,
    prompts: &mut Prompts,
    unsaid: &mut BTreeMap<Unsaid, u64>,
) -> Vec<Value> {
    people(trace, unsaid);
    let ids = prompts.ids(trace, row);
    let name = |step: usize| format!("{}.{step}", trace.id);
    let arrival = trace.about.arrival.map_or(0.0, Nanos::as_millis_f64);
    let rows = trace.steps.iter().enumerate().zip(ids).map(|((at, step), ids)| {
        let several = step.after.len() > 1;
        let dependencies =
            step.after.iter().map(|Dependency { step: on, on: event, delay, wait: _ }| {
                let same = trace.steps[*on as usize].lane == step.lane;
                let relation = match (same, several) {
                    (true, _) => "sequence",
                    (false, true) => "join",
                    (false, false) => "spawn",
                };
                let trigger = match event {
                    On::Start => "dispatch",
                    On::FirstToken | On::End => "completion",
                };
                count(unsaid, Unsaid::FirstToken, u64::from(*event == On::FirstToken));
                json!({
                    "request_id": name(*on as usize),
                    "trigger": trigger,
                    "delay_ms": delay.as_millis_f64(),
                    "relation": relation,
                })
            });
        let dependencies: Vec<Value> = dependencies.collect();
        json!({
            "request_id": name(at),
            "play_id": trace.id,
            "session_id": format!("{}:{}", trace.id, step.lane),
            "model": "unknown",
            "input_length": step.prompt_tokens,
            "output_length": step.output.tokens,
            "hash_ids": ids,
            "not_before_ms": if at == 0 { arrival } else { 0.0 },
            "dependencies": dependencies,
        })
    });
    rows.collect()
}
