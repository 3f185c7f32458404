//! Inspections worked by hand.

use trie_core::inspect::{CurveOptions, Inspection, inspect};
use trie_core::plan::{Dwell, Plan, PlanOptions, Scale};
use trie_core::units::Nanos;

use crate::plan::options;
use crate::workload::open;

/// What an inspection says of rows that are played by `concurrency` slots.
fn inspected(rows: &str, concurrency: u32, capacities: &[u64]) -> Inspection {
    let mut workload = open(rows).unwrap();
    let options =
        PlanOptions { concurrency, duration: Nanos::from_secs(1_000), ..options(Scale::default()) };
    let plan = Plan::new(options, 0, &mut workload).unwrap();
    let curve = CurveOptions {
        block: 10,
        engine: "test".into(),
        pace: Dwell { request: 1e9, prefill: 0.0, history: 0.0, decode: 0.0 },
        decode_alone: 0.0,
        attention: 0.0,
        in_steps: false,
        by_duration: false,
        capacities: capacities.to_vec(),
    };
    inspect(&plan, &mut workload, Some(&curve)).unwrap()
}

/// A row of one turn: prompts of 100 and of 100 + 11 + 29 = 140 tokens.
const TURN: &str = r#"{"num_turns":1,"input_prompt_length":100,"assistant_response_length":[11],"tool_call_output_length":[29],"tool_call_latency":[2.5],"final_assistant_response_length":1}"#;

#[test]
fn figures_are_those_of_the_rows() {
    let found = inspected(TURN, 1, &[]);
    let shape = &found.shape;
    assert_eq!((shape.traces, shape.requests, shape.prompt_tokens), (1, 2, 240));
    assert_eq!(shape.completion_tokens, 12);
    // Of the second prompt 111 tokens were there before.
    assert_eq!(shape.sharing.own_tokens, 111);
    let p50 = |id: &str| shape.spreads.iter().find(|row| row.id == id).map(|row| row.spread.p50);
    let figures = [
        ("requests_per_trace", 2.0),
        ("first_prompt", 100.0),
        ("last_prompt", 140.0),
        ("peak_context", 141.0),
        ("new_input", 29.0),
        ("tool_wait", 2.5),
        ("critical_path", 2.5),
    ];
    for (id, expected) in figures {
        let found = p50(id).unwrap();
        assert!((found - expected).abs() < 1e-9, "{id}: {found} for {expected}");
    }
    assert_eq!(p50("user_wait"), None, "there is none");
}

/// One slot: the second request of a trace finds 110 tokens, 11 blocks, that no other request used since:
/// they are the upper 11 of the stack.
#[test]
fn one_slot_needs_room_for_one_context() {
    let cache = inspected(TURN, 1, &[90, 100, 110, 10_000]).cache.unwrap();
    // Four traces, of which the last counts nothing any more when it starts.
    assert_eq!((cache.requests, cache.prompt_tokens), (8, 960));
    let hits: Vec<f64> = cache.asked.iter().map(|point| point.hit_pct * 9.6).collect();
    for (found, expected) in hits.iter().zip([360.0, 400.0, 440.0, 440.0]) {
        assert!((found - expected).abs() < 1e-9, "{hits:?}");
    }
    assert_eq!(cache.enough_tokens, 110);
    // The largest context in use is that of the second request: 140 tokens.
    assert_eq!(cache.running_tokens, 140);
}

/// Two slots in step: when the second requests are sent, both contexts of 110 tokens lie free, one above the
/// other. The slot whose request ended first lies deeper, and is asked for first.
#[test]
fn two_slots_need_room_for_two() {
    let cache = inspected(TURN, 2, &[100, 110, 160, 220]).cache.unwrap();
    assert!((cache.ceiling_pct - 440.0 / 9.6).abs() < 1e-9, "{}", cache.ceiling_pct);
    assert_eq!(cache.enough_tokens, 220);
    let hits: Vec<f64> = cache.asked.iter().map(|point| point.hit_pct).collect();
    // Nothing of either is among the upper 11 blocks: the first lies under the second, and the second
    // under the first once that is in use.
    assert!(hits[0].abs() < 1e-9 && hits[1].abs() < 1e-9, "{hits:?}");
    assert!((hits[2] * 2.2 - cache.ceiling_pct).abs() < 1e-9, "5 of 11 blocks each: {hits:?}");
    assert!((hits[3] - cache.ceiling_pct).abs() < 1e-9, "{hits:?}");
}

#[test]
fn rows_that_share_a_prefix_find_it() {
    let row = TURN.replace('}', r#","prefix":[{"id":"system","tokens":55}]}"#);
    let rows = [row.as_str(); 3].join("\n");
    let found = inspected(&rows, 1, &[10_000]);
    let shared = &found.shape.sharing.most_shared[0];
    assert_eq!((shared.id.as_str(), shared.traces, shared.tokens), ("system", 3, 55));
    let cache = found.cache.unwrap();
    // Of four traces the first finds nothing at its first request, the others 50 tokens.
    let expected = (4.0 * 110.0 + 3.0 * 50.0) / 9.6;
    assert!((cache.asked[0].hit_pct - expected).abs() < 1e-9, "{}", cache.asked[0].hit_pct);
}
