//! What trajectories of agents do: agents that start others, prompts that shrink, steps that are no
//! request, several agents under one name.

use serde_json::{Value, json};
use trie_import::Event;

use crate::import::{at, import, import_bytes, lines, options, steps, words};

fn atif(steps: &[Value], rest: &Value) -> Value {
    let numbered = steps.iter().enumerate().map(|(number, step)| {
        let mut step = step.clone();
        step["step_id"] = json!(number + 1);
        step
    });
    let mut document = json!({"schema_version": "ATIF-v1.7", "session_id": "S",
        "agent": {"name": "a", "version": "1"}, "steps": numbered.collect::<Vec<Value>>()});
    for (key, value) in rest.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn agent_step(lengths: [u64; 2], rest: &Value) -> Value {
    let metrics = json!({"prompt_tokens": lengths[0], "completion_tokens": lengths[1]});
    let mut step = json!({"source": "agent", "message": "a", "metrics": metrics});
    for (key, value) in rest.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

fn user_step(text: &str) -> Value {
    json!({"source": "user", "message": text})
}

/// An agent in the document is started by the step that refers to it and joined by the next one.
#[test]
fn agents_in_a_trajectory_are_lanes_with_a_join() {
    let child =
        atif(&[user_step("u"), agent_step([50, 4], &json!({}))], &json!({"trajectory_id": "C"}));
    let refers = json!({"observation": {"results": [
        {"content": "x x", "subagent_trajectory_ref": [{"trajectory_id": "C"}]}]}});
    let document = atif(
        &[user_step("u"), agent_step([100, 5], &refers), agent_step([120, 2], &json!({}))],
        &json!({"trajectory_id": "T", "subagent_trajectories": [child]}),
    );
    let found = import(&document.to_string());
    assert_eq!(
        steps(&found),
        ["lane 0 after  = 100", "lane 1 after 0+0 = 50", "lane 0 after 0+0, 1+0 = 120"]
    );
    assert_eq!((found.fidelity.sessions, found.rows.len()), (1, 1));
}

/// Steps without a model, of several requests, copied from another trajectory, or unanswered are no
/// requests.
#[test]
fn steps_that_are_no_request_are_counted_and_left_out() {
    let copied = json!({"is_copied_context": true, "metrics": null});
    let found = import(
        &atif(
            &[
                user_step("u u"),
                agent_step([90, 9], &copied),
                agent_step([100, 5], &json!({})),
                json!({"source": "agent", "message": "", "llm_call_count": 0}),
                agent_step([900, 70], &json!({"llm_call_count": 3})),
                agent_step([130, 0], &json!({})),
                agent_step([140, 6], &json!({})),
            ],
            &json!({}),
        )
        .to_string(),
    );
    assert_eq!(found.prompts(0), [100, 140]);
    assert_eq!(found.fidelity.times(Event::NoLength), 3);
    assert_eq!(found.fidelity.times(Event::NoAnswer), 1);
}

/// What replaces the history leaves the system prompt.
#[test]
fn a_history_that_is_replaced_keeps_its_system_prompt() {
    let system = json!({"source": "system", "message": words(20)});
    let replaced = json!({"source": "system", "message": "",
        "observation": {"results": [{"content": words(10)}]},
        "extra": {"context_management": {"type": "compaction", "boundary": "replace"}}});
    let document = atif(
        &[
            system,
            user_step(&words(80)),
            agent_step([200, 5], &json!({})),
            replaced,
            agent_step([60, 5], &json!({})),
        ],
        &json!({}),
    );
    let found = import(&document.to_string());
    assert_eq!(found.prompts(0), [200, 60]);
    let row = found.row(0);
    // The system prompt is a fifth of what is counted, and so of what is recorded.
    assert_eq!(row["context"], json!([{"before": 1, "keep": 40}]));
    assert_eq!((&row["input_kind"], found.fidelity.times(Event::Breaks)), (&json!("s"), 1));
}

#[test]
fn a_trajectory_without_lengths_is_counted_with_its_thoughts() {
    let thinks = json!({"source": "agent", "message": "a a", "reasoning_content": "t t t"});
    let found =
        import(&atif(&[user_step("u u u"), thinks.clone(), thinks], &json!({})).to_string());
    assert_eq!(found.prompts(0), [3, 5]);
    let row = found.row(0);
    assert_eq!(
        (&row["assistant_response_length"], &row["carry_length"]),
        (&json!([5]), &json!([2]))
    );
    assert_eq!(row["reasoning_length"], json!([3, 3]));
}

fn said(role: &str, text: &str, extra: &Value) -> Value {
    json!({"role": role, "content": text, "extra": extra})
}

/// Version 1: a list of messages without times, whose answers may have kept their responses.
#[test]
fn a_bare_list_of_messages_is_a_run() {
    let usage = |lengths: [u64; 2]| {
        json!({"response": {"usage": {
        "prompt_tokens": lengths[0], "completion_tokens": lengths[1]}}})
    };
    let list = json!([
        {"role": "system", "content": "s s"},
        {"role": "user", "content": "u u u"},
        said("assistant", "a", &usage([50, 6])),
        {"role": "user", "content": "x x x x"},
        said("assistant", "b", &usage([70, 7])),
    ]);
    let found = import(&list.to_string());
    assert_eq!((found.prompts(0), found.row(0)["input_kind"].clone()), (vec![50, 70], json!("t")));
    assert_eq!(found.fidelity.times(Event::NoTime), 1);
    // Without what marks it, it is any list of messages, unless it is named.
    let bare = r#"[{"role":"user","content":"u u"},{"role":"assistant","content":"a"},
        {"role":"user","content":"x"},{"role":"assistant","content":"b"}]"#;
    assert_eq!(import(bare).row(0)["input_kind"], "u");
    let named = import_bytes(&[bare.as_bytes()], Some("mini-swe-agent"), &options()).unwrap();
    assert_eq!((named.prompts(0), named.row(0)["input_kind"].clone()), (vec![2, 4], json!("t")));
}

/// Answers of OpenAI's newer API are messages as they stand; an answer that was refused is not kept.
#[test]
fn runs_may_hold_responses_refusals_and_people() {
    let response = |lengths: [u64; 2], second: f64| {
        json!({"object": "response", "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "bash", "arguments": "{}"}],
        "usage": {"input_tokens": lengths[0], "output_tokens": lengths[1]},
        "extra": {"timestamp": second}})
    };
    let document = json!({"trajectory_format": "mini-swe-agent-1.1", "messages": [
        {"role": "user", "content": "u u u"},
        response([50, 6], 1e9),
        {"type": "function_call_output", "call_id": "c", "output": "x x",
            "extra": {"timestamp": 1e9 + 2.5}},
        said("user", "no command", &json!({"interrupt_type": "FormatError"})),
        response([90, 7], 1e9 + 4.0),
        said("user", "stop", &json!({"interrupt_type": "UserInterruption", "timestamp": 1e9 + 9.0})),
        response([120, 8], 1e9 + 12.0),
    ]});
    let found = import(&document.to_string());
    assert_eq!(found.prompts(0), [50, 90, 120]);
    let row = found.row(0);
    assert_eq!((&row["input_kind"], &row["tool_call_latency"]), (&json!("tu"), &json!([2.5, 5.0])));
    assert_eq!(found.fidelity.times(Event::NoLength), 1);
}

fn item(role: &str, text: &str) -> Value {
    json!({"role": role, "content": text, "agent": "main", "message_type": "observation"})
}

/// What a history processor cut is not in the prompt: it shrinks, and keeps what stands before.
#[test]
fn prompts_that_shrink_keep_their_beginning() {
    let opening = [item("system", &words(4)), item("user", &words(6))];
    let with = |more: &[Value]| json!([&opening[..], more].concat());
    let step = |response: &str, query: &Value| {
        json!({"action": "", "response": response,
        "observation": "", "execution_time": 0.5, "query": query})
    };
    let document = json!({"trajectory": [
        step("a", &with(&[])),
        step("b", &with(&[item("assistant", "a"), item("user", &words(30))])),
        step("c", &with(&[item("assistant", "a"), item("user", "cut"), item("assistant", "b"), item("user", "x x")])),
    ]});
    let found = import(&document.to_string());
    assert_eq!(found.prompts(0), [10, 41, 15]);
    let row = found.row(0);
    assert_eq!(row["context"], json!([{"before": 2, "keep": 11}]));
    assert_eq!(row["tool_call_latency"], json!([0.5, 0.5]));
    assert_eq!(found.fidelity.times(Event::Breaks), 1);
}

/// Some files hold a history alone; what a demonstration says is no answer. Version 1.0 has the prompt
/// of the next step in each.
#[test]
fn a_history_alone_is_a_run_without_waits() {
    let mut demo = item("assistant", "d d d");
    demo["is_demo"] = json!(true);
    let history = json!([
        item("system", "s s"),
        demo,
        item("user", "u u"),
        item("assistant", "a"),
        item("tool", "x x x"),
        item("assistant", "b"),
    ]);
    let found = import(&json!({"history": history}).to_string());
    assert_eq!((found.prompts(0), found.row(0)["input_kind"].clone()), (vec![7, 11], json!("t")));
    assert_eq!(found.fidelity.times(Event::NoTime), 1);
    let step = |response: &str, messages: usize| {
        json!({"response": response, "action": "",
        "execution_time": 2.0, "messages": history.as_array().unwrap()[..messages]})
    };
    let document = json!({"history": history, "trajectory": [step("a", 5), step("b", 6)]});
    let found = import(&document.to_string());
    assert_eq!(found.prompts(0), [7, 11]);
    assert_eq!(found.row(0)["tool_call_latency"], json!([2.0]));
}

fn round(number: u64, lengths: [u64; 3], events: &Value) -> Value {
    let [input, cached, output] = lengths;
    json!({"session_id": "S", "round_index": number, "round_id": format!("r{number}"),
        "input_tokens_total": input, "prefix_tokens": cached, "newly_append_tokens": input - cached,
        "output_tokens": output, "timing_events": events, "tools": []})
}

/// Rounds may be collected twice and out of order; where a prompt shrinks, what was cached stays.
#[test]
fn rounds_are_sorted_and_counted_once() {
    let timed =
        |kind: &str, second: u32| json!({"event_type": kind, "timestamp": at(second) + "Z"});
    let first = round(0, [100, 0, 9], &json!([timed("user_message", 0), timed("text", 2)]));
    let second = round(1, [60, 40, 9], &json!([timed("user_message", 9), timed("text", 12)]));
    let empty = round(2, [70, 40, 0], &json!([timed("user_message", 20)]));
    let found = import(&lines(&[second.clone(), first, empty, second]));
    assert_eq!(found.prompts(0), [100, 60]);
    let row = found.row(0);
    assert_eq!(
        (&row["context"], &row["input_kind"]),
        (&json!([{"before": 1, "keep": 40}]), &json!("u"))
    );
    assert_eq!(row["tool_call_latency"], json!([7.0]));
    let counts = [Event::Repeated, Event::NoAnswer].map(|event| found.fidelity.times(event));
    assert_eq!(counts, [1, 1]);
}

fn seen(second: u64, input: &str, output: &str) -> Value {
    json!({"timestamp": 1_900_000_000_000_000_u64 + second * 1_000_000, "input": input, "output": output,
        "session_id": "S"})
}

/// Agents of one session are told apart by how their prompts begin; one that shares less than half of
/// a prompt begins beside it, with what they share.
#[test]
fn agents_of_one_session_are_told_apart_by_their_prompts() {
    let (one, two) = ("all of us\na a a a a a", "all of us\nb b b b b b b b");
    let found = import(&lines(&[
        seen(0, one, "p"),
        seen(2, two, "q"),
        seen(4, &format!("{one}\nx x"), "r"),
        seen(6, &format!("{two}\ny\nq\nz"), "s"),
        seen(8, "all of us\nb b b b b b b b\nnew", ""),
    ]));
    let expected = [
        "lane 0 after  = 9",
        "lane 0 after 0+4 = 12",
        "lane 1 after 0+2 = 11",
        "lane 1 after 2+4 = 14",
    ];
    assert_eq!(steps(&found), expected);
    let row = found.row(0);
    assert_eq!(row["steps"][2]["context"], json!({"from": "l0.0", "keep": 3}));
    // The second agent's prompts hold its answers; the first one's do not.
    let counts = [Event::PutBack, Event::NoAnswer].map(|event| found.fidelity.times(event));
    assert_eq!(counts, [1, 1]);
}

/// A prompt that is changed in the middle keeps what stands before; recorded lengths count.
#[test]
fn dashboards_may_say_lengths_and_edit_prompts() {
    let with = |second: u64, input: &str, lengths: [u64; 2]| {
        let mut record = seen(second, input, "o o");
        record["timestamp"] = json!(1_900_000_000_u64 + second);
        record["input_tokens"] = json!(lengths[0]);
        record["output_tokens"] = json!(lengths[1]);
        record
    };
    let found = import(&lines(&[
        with(0, "s s s s\nm m\nq q", [80, 5]),
        with(3, "s s s s\nm m m\nq q q", [100, 5]),
    ]));
    assert_eq!(found.prompts(0), [80, 100]);
    let row = found.row(0);
    assert_eq!(row["context"], json!([{"before": 1, "keep": 40}]));
    assert_eq!(row["tool_call_latency"], json!([3.0]));
}

/// Numbers that are none are missing, in every format.
#[test]
fn numbers_that_are_none_are_missing() {
    let text = r#"{"timestamp": NaN, "input": "a b", "output": "c", "session_id": "S"}"#;
    let found = import(text);
    assert_eq!((found.prompts(0), found.fidelity.times(Event::NotFinite)), (vec![2], 1));
    let text = r#"{"trajectory_format": "mini-swe-agent-1.1", "messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": "a", "extra": {"timestamp": NaN, "cost": NaN}}]}"#;
    assert_eq!(import(text).prompts(0), [1]);
}
