//! Weka: a session a line, with its agents inside.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trie_core::units::Tokens;
use trie_core::workload::{BlockScope, LaneId, On, SegmentKind, Step, Trace, Wait};

use super::prompts::{Prompts, recorded};
use super::times::{Times, times};
use super::{Unsaid, count};
use crate::model::Time;

/// Tokens of a block.
pub(super) const BLOCK: Tokens = 64;

/// A trace as a session.
pub(super) fn session(trace: &Trace, row: u64, unsaid: &mut BTreeMap<Unsaid, u64>) -> Value {
    let local = |scope: &BlockScope| *scope == BlockScope::Trace;
    let ids = recorded(trace, BLOCK, &local).unwrap_or_else(|| {
        // Ids of a session are its own, and count from 1.
        let ids = Prompts::of(BLOCK).ids(trace, row);
        ids.into_iter().map(|prompt| prompt.into_iter().map(|id| id + 1).collect()).collect()
    });
    let times = times(trace, unsaid);
    let segments = || trace.steps.iter().flat_map(|step| &step.new);
    let shares = segments().any(|segment| match &segment.kind {
        SegmentKind::Shared(_) => true,
        SegmentKind::Blocks(blocks) => blocks.scope != BlockScope::Trace,
        SegmentKind::Prompt
        | SegmentKind::System
        | SegmentKind::Assistant
        | SegmentKind::Tool
        | SegmentKind::User => false,
    });
    count(unsaid, Unsaid::Sharing, u64::from(shares));
    let shared = shared(&trace.steps[0]);
    let mut requests: Vec<(Time, Value)> = Vec::new();
    let mut lanes: BTreeMap<LaneId, Vec<Value>> = BTreeMap::new();
    let mut begun: BTreeMap<LaneId, (Time, Time)> = BTreeMap::new();
    for (at, step) in trace.steps.iter().enumerate() {
        let (begin, end) = begun.entry(step.lane).or_insert((times[at].start, 0));
        *end = times[at].start.saturating_add(times[at].duration.unwrap_or(0));
        let origin = if step.lane == 0 { 0 } else { *begin };
        let value = request(trace, at, &ids[at], &times, origin);
        count(unsaid, Unsaid::Partial, u64::from(!step.prompt_tokens.is_multiple_of(BLOCK)));
        if step.lane == 0 {
            requests.push((times[at].start, value));
        } else {
            lanes.entry(step.lane).or_default().push(value);
        }
    }
    for (lane, of) in lanes {
        let (begin, end) = begun[&lane];
        requests.push((begin, agent(trace, lane, &of, begin, end)));
    }
    requests.sort_by_key(|(start, _)| *start);
    let requests: Vec<Value> = requests.into_iter().map(|(_, value)| value).collect();
    json!({
        "id": trace.id,
        "models": ["unknown"],
        "block_size": BLOCK,
        "hash_id_scope": "local",
        "tool_tokens": 0,
        "system_tokens": shared,
        "requests": requests,
    })
}

/// Tokens of the segments that a first prompt shares with other traces.
fn shared(step: &Step) -> Tokens {
    let shared = step.new.iter().filter(|of| matches!(of.kind, SegmentKind::Shared(_)));
    shared.map(|segment| segment.tokens).sum()
}

fn agent(trace: &Trace, lane: LaneId, requests: &[Value], begin: Time, end: Time) -> Value {
    let first = trace.steps.iter().find(|step| step.lane == lane);
    json!({
        "t": seconds(begin),
        "type": "subagent",
        "agent_id": format!("agent_{lane:03}"),
        "subagent_type": "unknown",
        "duration_ms": (end - begin) / 1_000_000,
        "tool_use_count": requests.len() - 1,
        "status": "completed",
        "models": ["unknown"],
        "tool_tokens": 0,
        "system_tokens": first.map_or(0, shared),
        "requests": requests,
    })
}

fn request(trace: &Trace, at: usize, ids: &[u64], times: &[Times], origin: Time) -> Value {
    let step = &trace.steps[at];
    // The last block has an id only where it is whole.
    let whole = usize::try_from(step.prompt_tokens / BLOCK).unwrap_or(usize::MAX);
    let own = step
        .after
        .iter()
        .find(|after| after.on == On::End && trace.steps[after.step as usize].lane == step.lane);
    let think = own.map_or(0.0, |own| own.delay.as_secs_f64());
    let person = step.after.iter().any(|after| after.wait == Wait::User);
    let from_tool = step.new.iter().any(|segment| segment.kind == SegmentKind::Tool);
    let input = if at > 0 && from_tool && !person { "tool_result" } else { "text" };
    let last = trace.steps.iter().rposition(|of| of.lane == step.lane) == Some(at);
    let mut value = json!({
        "t": seconds(times[at].start.saturating_sub(origin)),
        "type": "s",
        "model": "unknown",
        "in": step.prompt_tokens,
        "out": step.output.tokens,
        "hash_ids": &ids[..whole.min(ids.len())],
        "input_types": [input],
        "output_types": ["text"],
        "stop": if last { "end_turn" } else { "tool_use" },
        "think_time": think,
    });
    if let Some(duration) = times[at].duration {
        value["api_time"] = json!(seconds(duration));
    }
    value
}

#[expect(clippy::cast_precision_loss, reason = "53 bits hold 104 days to the nanosecond")]
fn seconds(time: Time) -> f64 {
    time as f64 / 1e9
}
