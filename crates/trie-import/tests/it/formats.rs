//! One invented session in every notation, and what each notation says of it.
//!
//! `expected.json` has the session when all of its parts are known. Where a notation says less,
//! the row says less, and the test says what.

use serde_json::{Value, json};

use crate::import::{Imported, import, import_bytes, options, sample};
use trie_import::{Event, ImportOptions, MooncakeLengths};

fn expected(form: &str) -> Value {
    serde_json::from_str::<Value>(&sample("expected.json")).unwrap()[form].clone()
}

/// The members of a row that `wanted` has, changed where the notation says something else.
fn check(found: &Imported, form: &str, changes: &[(&str, Value)]) {
    let mut wanted = expected(form);
    for (key, value) in changes {
        if value.is_null() {
            wanted.as_object_mut().unwrap().remove(*key);
        } else {
            wanted[*key] = value.clone();
        }
    }
    let mut row = found.row(0);
    let members = row.as_object_mut().unwrap();
    // What the source recorded is kept beside the row; another test looks at it.
    members.remove("expect");
    members.remove("blocks");
    // The system prompt is named by its hash.
    if let Some(id) = row.pointer_mut("/prefix/0/id") {
        *id = json!("sys-A");
    }
    assert_eq!(row, wanted);
}

const SEED: &str = "seed_row_when_token_counts_are_recorded";
const V2: &str = "v2_row_when_parts_are_known";

#[test]
fn our_own_rows_come_back_equal() {
    check(&import(&sample("trie_seed.jsonl")), SEED, &[]);
    let found = import(&sample("trie_v2_flat.jsonl"));
    assert_eq!(found.row(0), expected(V2));
    let graph = sample("trie_v2_dag.jsonl");
    assert_eq!(import(&graph).row(0), serde_json::from_str::<Value>(&graph).unwrap());
}

/// Its `created` is whole seconds and no end: waits are from start to start, and the longest call
/// takes all of them.
#[test]
fn a_log_of_requests_says_all_but_times() {
    let found = import(&sample("openai_chat_log.jsonl"));
    let calls = json!([[[120, 3.0], [80, 3.0]], [[60, 2.0]]]);
    let changes = [
        ("trace_id", Value::Null),
        ("session_id", Value::Null),
        ("tool_call_latency", json!([3.0, 2.0])),
        ("tool_calls", calls),
    ];
    check(&found, V2, &changes);
    assert_eq!(found.fidelity.times(Event::NoEnd), 2);
    assert_eq!(found.row(0)["expect"]["cached"], json!([0, 1000, 1230]));
}

/// No times, no reasoning: what the texts alone say.
#[test]
fn messages_alone_are_counted_and_wait_for_nothing() {
    for (name, session) in
        [("messages_only.jsonl", Value::Null), ("upstream_make_workload_input.jsonl", Value::Null)]
    {
        let found = import(&sample(name));
        let changes = [
            ("trace_id", session.clone()),
            ("session_id", session),
            ("arrival", Value::Null),
            ("assistant_response_length", json!([30, 40])),
            ("tool_call_latency", json!([0.0, 0.0])),
            ("carry_length", Value::Null),
            ("reasoning_length", Value::Null),
            ("tool_calls", json!([[[120, 0.0], [80, 0.0]], [[60, 0.0]]])),
        ];
        check(&found, V2, &changes);
        assert_eq!(found.fidelity.times(Event::Counted), 3, "{name}");
        assert_eq!(found.fidelity.times(Event::NoTime), 2, "{name}");
        assert_eq!((found.fidelity.sessions, found.fidelity.rows), (1, 1), "{name}");
    }
}

/// Lengths and times are recorded; what was carried is not, so a part of each tool result stands
/// for it. The compaction at the end has no request.
#[test]
fn a_session_of_claude_code_says_lengths_and_calls() {
    let found = import(&sample("claude_code.jsonl"));
    let changes = [
        ("tool_call_output_length", json!([180, 60])),
        ("carry_length", Value::Null),
        ("reasoning_length", Value::Null),
        ("tool_calls", json!([[[108, 0.8], [72, 2.0]], [[60, 1.5]]])),
    ];
    check(&found, V2, &changes);
    assert_eq!(found.fidelity.times(Event::LastCompactions), 1);
    let expect = &found.row(0)["expect"];
    assert_eq!(expect["start"], json!([0.0, 3.2, 5.7]));
    assert_eq!(expect["duration"], json!([1.2, 1.0, 2.0]));
}

/// Everything is recorded.
#[test]
fn a_rollout_of_codex_says_everything() {
    let found = import(&sample("codex_rollout.jsonl"));
    check(&found, V2, &[]);
    assert_eq!(found.row(0)["expect"]["duration"], json!([1.2, 1.0, 2.0]));
}

/// The spans name the tools' times, and no lengths of their results.
#[test]
fn spans_say_lengths_and_times() {
    let found = import(&sample("otlp.json"));
    let changes =
        [("prefix", Value::Null), ("tool_calls", json!([[[100, 0.8], [100, 2.0]], [[60, 1.5]]]))];
    check(&found, V2, &changes);
}

/// Messages and times, without reasoning and tools: the carried part of an answer is not known.
#[test]
fn flat_spans_say_messages_and_times() {
    let found = import(&sample("otel_flat_spans.json"));
    let changes = [
        ("tool_call_output_length", json!([180, 60])),
        ("carry_length", Value::Null),
        ("reasoning_length", Value::Null),
        ("tool_calls", json!([[[108, 2.0], [72, 2.0]], [[60, 1.5]]])),
    ];
    check(&found, V2, &changes);
}

/// Lengths, reasoning and times are recorded; when tools ran is not, so each takes all of a gap. The
/// attempt that failed is left out.
#[test]
fn a_log_of_litellm_says_all_but_when_tools_ran() {
    let found = import(&sample("litellm.jsonl"));
    check(&found, V2, &[("tool_calls", json!([[[120, 2.0], [80, 2.0]], [[60, 1.5]]]))]);
    assert_eq!(found.fidelity.times(Event::Errors), 1);
    let expect = &found.row(0)["expect"];
    assert_eq!(expect["ttft"], json!([0.3, 0.2, 0.2]));
    assert_eq!(expect["duration"], json!([1.2, 1.0, 2.0]));
    assert_eq!(expect["cached"], json!([0, 1000, 1230]));
}

/// Everything is recorded, the newest first.
#[test]
fn observations_of_langfuse_say_everything() {
    let found = import(&sample("langfuse.json"));
    check(&found, V2, &[]);
    let expect = &found.row(0)["expect"];
    assert_eq!(expect["ttft"], json!([0.3, 0.2, 0.2]));
    // A kind of usage that is not there says nothing.
    assert_eq!(expect["cached"], json!([null, 1000, 1230]));
}

/// Everything is recorded, as flattened names.
#[test]
fn spans_of_openinference_say_everything() {
    let found = import(&sample("openinference.jsonl"));
    check(&found, V2, &[]);
    assert_eq!(found.row(0)["expect"]["cached"], json!([0, 1000, 1230]));
}

/// Prompts are ids of blocks. As lengths, the system prompt is a prefix.
#[test]
fn a_session_of_weka_is_its_blocks() {
    let found = import(&sample("weka.json"));
    let seed = [("trace_id", json!("S1")), ("session_id", json!("S1"))];
    check(&found, SEED, &seed);
    let steps = json!([
        {"keep": 0, "new": [[1, 15]]},
        {"keep": 15, "new": [[16, 4]]},
        {"keep": 19, "new": [[20, 1]]},
    ]);
    assert_eq!(found.row(0)["blocks"], json!({"size": 64, "scope": "local", "steps": steps}));
    let lengths = ImportOptions { blocks: false, ..options() };
    let found = import_bytes(&[sample("weka.json").as_bytes()], None, &lengths).unwrap();
    let prefix = json!([{"id": "sys-A", "tokens": 200}]);
    check(&found, SEED, &[seed[0].clone(), seed[1].clone(), ("prefix", prefix)]);
}

/// Each request is a row with its arrival; the second and the third are one session, since the first
/// block alone, the system prompt, links nobody.
#[test]
fn mooncake_is_a_row_a_request() {
    let found = import(&sample("mooncake.jsonl"));
    assert_eq!(found.rows.len(), 3);
    let arrivals: Vec<Value> = (0..3).map(|row| found.row(row)["arrival"].clone()).collect();
    assert_eq!(arrivals, [json!(0.0), json!(3.2), json!(5.7)]);
    let sessions: Vec<Value> = (0..3).map(|row| found.row(row)["session_id"].clone()).collect();
    assert_ne!(sessions[0], sessions[1]);
    assert_eq!(sessions[1], sessions[2]);
    assert_eq!(
        found.row(2)["blocks"]["steps"],
        json!([{"keep": 0, "new": [[0, 1], [2, 1], [4, 1]]}])
    );
    assert_eq!((found.prompts(1), found.prompts(2)), (vec![1230], vec![1330]));
}

/// `input_length` is what is added, and the whole answer stays.
#[test]
fn mooncake_with_sessions_is_increments() {
    let text = sample("mooncake_aiperf_session.jsonl");
    let changes = [
        ("tool_call_output_length", json!([200, 60])),
        ("trace_id", json!("S1")),
        ("session_id", json!("S1")),
        ("arrival", json!(0.0)),
    ];
    let found = import(&text);
    check(&found, SEED, &changes);
    assert_eq!(found.prompts(0), [1000, 1250, 1350]);
    let whole = ImportOptions { mooncake_lengths: MooncakeLengths::Cumulative, ..options() };
    let found = import_bytes(&[text.as_bytes()], None, &whole).unwrap();
    assert_eq!(found.prompts(0), [1000, 200, 60]);
    assert_eq!(found.fidelity.times(Event::Breaks), 2);
}

/// The same rows as sessions: the second and the third are one, and wait from start to start.
#[test]
fn mooncake_rows_are_joined_on_request() {
    let joined = ImportOptions { mooncake_join: true, ..options() };
    let found = import_bytes(&[sample("mooncake.jsonl").as_bytes()], None, &joined).unwrap();
    assert_eq!((found.rows.len(), found.fidelity.sessions), (2, 2));
    assert_eq!((found.prompts(0), found.prompts(1)), (vec![1000], vec![1230, 1330]));
    let row = found.row(1);
    assert_eq!((&row["arrival"], &row["tool_call_latency"]), (&json!(3.2), &json!([2.5])));
    assert_eq!(row["input_kind"], "?");
    let steps = json!([{"keep": 0, "new": [[0, 1], [2, 2]]}, {"keep": 2, "new": [[4, 1]]}]);
    assert_eq!(row["blocks"]["steps"], steps);
    assert_eq!(found.fidelity.times(Event::NoEnd), 1);
}

/// Bodies and turns of `AIPerf` without times: the texts' lengths, and how long answers may be.
#[test]
fn bodies_of_aiperf_are_conversations() {
    let names = [("trace_id", Value::Null), ("session_id", Value::Null)];
    let changes = [
        ("arrival", Value::Null),
        ("tool_call_latency", json!([0.0, 0.0])),
        ("reasoning_length", Value::Null),
        ("tool_calls", json!([[[120, 0.0], [80, 0.0]], [[60, 0.0]]])),
    ];
    let found = import(&sample("aiperf_inputs.json"));
    check(&found, V2, &changes);
    assert_eq!(found.fidelity.times(Event::NoTime), 2);
    let found = import(&sample("aiperf_raw_payload.jsonl"));
    check(&found, V2, &[&names[..], &changes].concat());
}

/// What a turn adds, and the whole answer between. Two texts of a tool's turn are two calls.
#[test]
fn turns_of_aiperf_grow_by_their_texts() {
    for name in ["aiperf_multi_turn.jsonl", "aiperf_dag.jsonl"] {
        let found = import(&sample(name));
        let changes = [
            ("carry_length", Value::Null),
            ("reasoning_length", Value::Null),
            ("arrival", Value::Null),
            ("tool_calls", json!([[[120, 2.0], [80, 2.0]], [[60, 1.5]]])),
        ];
        check(&found, V2, &changes);
        assert_eq!(found.prompts(0), [1000, 1250, 1350], "{name}");
        assert_eq!(found.fidelity.times(Event::Counted), 3, "{name}");
    }
}

/// Blocks, lengths, and the tools with their times and the lengths of their results.
#[test]
fn requests_of_dynamo_have_blocks_and_tools() {
    let found = import(&sample("dynamo_requests.jsonl"));
    let changes = [
        ("trace_id", json!("S1")),
        ("session_id", json!("S1")),
        ("arrival", json!(0.0)),
        ("input_kind", json!("tt")),
        ("tool_calls", json!([[[108, 0.8], [72, 2.0]], [[60, 1.5]]])),
    ];
    check(&found, SEED, &changes);
    let steps = json!([
        {"keep": 0, "new": [[0, 2]]},
        {"keep": 1, "new": [[2, 2]]},
        {"keep": 2, "new": [[4, 1]]},
    ]);
    let blocks = json!({"size": 512, "scope": "dynamo", "steps": steps});
    assert_eq!(found.row(0)["blocks"], blocks);
    let expect = &found.row(0)["expect"];
    assert_eq!(expect["cached"], json!([0, 1000, 1230]));
    assert_eq!(expect["ttft"], json!([0.3, 0.2, 0.2]));
}

#[test]
fn what_is_recorded_is_represented() {
    for (name, answers) in [
        ("openai_chat_log.jsonl", 190),
        ("claude_code.jsonl", 190),
        ("codex_rollout.jsonl", 190),
        ("otlp.json", 190),
        ("otel_flat_spans.json", 190),
        ("litellm.jsonl", 190),
        ("langfuse.json", 190),
        ("openinference.jsonl", 190),
        ("aiperf_inputs.json", 190),
        ("aiperf_raw_payload.jsonl", 190),
        ("dynamo_requests.jsonl", 190),
        ("weka.json", 190),
        ("mooncake.jsonl", 190),
        ("bailian.jsonl", 190),
        ("dynamo.jsonl", 190),
        ("azure.csv", 190),
        ("burstgpt.csv", 190),
        ("atif.json", 190),
        ("mini_swe_agent.traj.json", 190),
        ("openhands.jsonl", 190),
        ("openhands_v0.json", 190),
        ("tracelab.jsonl", 190),
        ("swe_agent.traj", 170),
        ("lmcache.jsonl", 170),
        ("messages_only.jsonl", 170),
        ("upstream_make_workload_input.jsonl", 170),
    ] {
        let fidelity = import(&sample(name)).fidelity;
        assert_eq!(fidelity.recorded, fidelity.represented, "{name}");
        assert_eq!(fidelity.recorded.requests, 3, "{name}");
        assert_eq!(fidelity.recorded.prompt_tokens, 3560, "{name}");
        assert_eq!(fidelity.recorded.answer_tokens, answers, "{name}");
    }
}

/// Everything is recorded but when requests start: each wait holds the answer after it.
#[test]
fn a_trajectory_of_atif_says_lengths_and_one_time_a_step() {
    let found = import(&sample("atif.json"));
    let changes = [
        ("tool_call_latency", json!([3.0, 3.5])),
        ("tool_calls", json!([[[120, 3.0], [80, 3.0]], [[60, 3.5]]])),
    ];
    check(&found, V2, &changes);
    assert_eq!(found.fidelity.times(Event::NoStart), 2);
    assert_eq!(found.row(0)["expect"]["cached"], json!([0, 1000, 1230]));
}

/// Commands of one answer are known to end together.
#[test]
fn a_trajectory_of_mini_swe_agent_says_lengths_and_times() {
    let found = import(&sample("mini_swe_agent.traj.json"));
    check(&found, V2, &[("tool_calls", json!([[[120, 2.0], [80, 2.0]], [[60, 1.5]]]))]);
    assert_eq!(found.row(0)["expect"]["duration"], json!([null, 1.0, 2.0]));
}

/// No lengths and no times but those of commands: texts are counted.
#[test]
fn a_trajectory_of_swe_agent_is_its_texts() {
    let found = import(&sample("swe_agent.traj"));
    let changes = [
        ("trace_id", Value::Null),
        ("session_id", Value::Null),
        ("arrival", Value::Null),
        ("assistant_response_length", json!([30, 40])),
        ("carry_length", Value::Null),
        ("reasoning_length", Value::Null),
        ("tool_calls", json!([[[120, 2.0], [80, 2.0]], [[60, 1.5]]])),
    ];
    check(&found, V2, &changes);
    assert_eq!(found.fidelity.times(Event::Counted), 3);
}

/// Everything is recorded, in both notations.
#[test]
fn events_of_openhands_say_everything() {
    for name in ["openhands.jsonl", "openhands_v0.json"] {
        let found = import(&sample(name));
        check(&found, V2, &[]);
        assert_eq!(found.row(0)["expect"]["duration"], json!([1.2, 1.0, 2.0]), "{name}");
        assert_eq!(found.fidelity.times(Event::Counted), 0, "{name}");
    }
}

/// Everything but what is shared.
#[test]
fn rounds_of_tracelab_say_lengths_and_times() {
    let found = import(&sample("tracelab.jsonl"));
    check(&found, V2, &[("prefix", Value::Null)]);
    assert_eq!(found.row(0)["expect"]["duration"], json!([1.2, 1.0, 2.0]));
}

/// Prompts are texts, out of order and without what the agent wrote, which is put back.
#[test]
fn a_dashboard_of_lmcache_is_its_texts() {
    let found = import(&sample("lmcache.jsonl"));
    let changes = [
        ("trace_id", json!("S1")),
        ("session_id", json!("S1")),
        ("arrival", json!(0.0)),
        ("assistant_response_length", json!([30, 40])),
        ("tool_call_output_length", json!([200, 60])),
        ("tool_call_latency", json!([3.2, 2.5])),
        ("input_kind", json!("??")),
    ];
    check(&found, SEED, &changes);
    assert_eq!(found.prompts(0), [1000, 1230, 1330]);
    let counts = [Event::PutBack, Event::Unsorted, Event::NoEnd, Event::Counted];
    assert_eq!(counts.map(|event| found.fidelity.times(event)), [2, 1, 2, 3]);
}

/// Chats are linked by their parents; prompts are blocks of 16 tokens.
#[test]
fn chats_of_bailian_are_linked_by_their_parents() {
    let found = import(&sample("bailian.jsonl"));
    let changes = [
        ("trace_id", json!("10")),
        ("session_id", json!("10")),
        ("arrival", json!(0.0)),
        ("tool_call_latency", json!([3.2, 2.5])),
        ("input_kind", json!("uu")),
    ];
    check(&found, SEED, &changes);
    assert_eq!(found.fidelity.times(Event::NoEnd), 2);
    assert_eq!(found.row(0)["blocks"]["size"], 16);
    assert_eq!(found.row(0)["blocks"]["steps"][1], json!({"keep": 62, "new": [[63, 15]]}));
}

/// The graph of the session, with delays between its requests.
#[test]
fn a_play_of_dynamo_is_a_graph() {
    let found = import(&sample("dynamo.jsonl"));
    let trace = found.trace(0);
    let shown: Vec<(u64, u64, f64)> = trace
        .steps
        .iter()
        .map(|of| {
            let delay = of.after.first().map_or(0.0, |after| after.delay.as_secs_f64());
            (of.prompt_tokens, of.output.tokens, delay)
        })
        .collect();
    assert_eq!(shown, [(1000, 50, 0.0), (1230, 40, 2.0), (1330, 100, 1.5)]);
}

/// Lengths and arrivals: a row a request.
#[test]
fn lines_of_azure_are_rows() {
    let found = import(&sample("azure.csv"));
    let rows: Vec<Value> = (0..3).map(|row| found.row(row)).collect();
    let arrivals: Vec<&Value> = rows.iter().map(|row| &row["arrival"]).collect();
    assert_eq!(arrivals, [&json!(0.0), &json!(3.2), &json!(5.7)]);
    assert_eq!(rows[1]["input_prompt_length"], 1230);
    assert_eq!(rows[2]["final_assistant_response_length"], 100);
}

#[test]
fn a_session_of_burstgpt_has_lengths_and_times() {
    let text = sample("burstgpt.csv");
    let kinds = ("input_kind", json!("uu"));
    let named = [("trace_id", json!("S1")), ("session_id", json!("S1")), ("arrival", json!(0.0))];
    let changes = [&named[..], &[kinds]].concat();
    check(&import(&text), SEED, &changes);
    // A session that does not grow is one of messages.
    let short = text.replace(",1230,", ",200,").replace(",1330,", ",60,");
    assert_eq!(import(&short).prompts(0), [1000, 1250, 1350]);
    let failed = text.replace(",40,1270,", ",0,1230,");
    assert_eq!(import(&failed).fidelity.times(Event::NoAnswer), 1);
}
