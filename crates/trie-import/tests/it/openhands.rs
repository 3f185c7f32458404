//! What conversations of `OpenHands` do: totals instead of lengths, answers in several events, histories
//! that are cut in the middle.

use serde_json::{Value, json};
use trie_import::Event;

use crate::import::{at, import, import_bytes, lines, options, words};

fn event(id: &str, second: u32, kind: &str, rest: &Value) -> Value {
    let mut event = json!({"id": id, "timestamp": at(second), "kind": kind, "source": "agent"});
    for (key, value) in rest.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

fn opening() -> [Value; 2] {
    [
        event("sys", 0, "SystemPromptEvent", &json!({"system_prompt": {"text": words(10)}})),
        event(
            "u",
            0,
            "MessageEvent",
            &json!({"source": "user",
            "llm_message": {"role": "user", "content": [{"type": "text", "text": words(10)}]}}),
        ),
    ]
}

fn action(id: &str, second: u32, response: &str, text: &str) -> Value {
    event(
        id,
        second,
        "ActionEvent",
        &json!({"thought": [{"type": "text", "text": text}],
        "tool_call_id": format!("call {id}"), "tool_call": {"name": "run", "arguments": "{}"},
        "llm_response_id": response}),
    )
}

fn observation(id: &str, second: u32, of: &str, text: &str) -> Value {
    event(
        id,
        second,
        "ObservationEvent",
        &json!({"source": "environment",
        "tool_call_id": format!("call {of}"), "observation": {"content": [{"type": "text", "text": text}]}}),
    )
}

/// What all requests of the agent took so far, and those of a condenser where it has an account.
fn totals(second: u32, lengths: [u64; 3], condenser: Option<u64>) -> Value {
    let account = |[input, output, read]: [u64; 3]| {
        let usage =
            json!({"prompt_tokens": input, "completion_tokens": output, "cache_read_tokens": read});
        json!({"accumulated_token_usage": usage})
    };
    let mut accounts = json!({"agent": account(lengths)});
    if let Some(input) = condenser {
        accounts["condenser"] = account([input, 0, 0]);
    }
    let value = json!({"key": "stats", "value": {"usage_to_metrics": accounts}});
    event("", second, "ConversationStateUpdateEvent", &value)
}

/// Totals are reported before the events of a request or behind them: what they grew by is its own.
#[test]
fn totals_that_grow_are_lengths_of_requests() {
    let first = [action("a1", 2, "r1", "a a"), action("a2", 2, "r1", "")];
    let results = [observation("o1", 3, "a1", "x x"), observation("o2", 5, "a2", "y")];
    let second = action("a3", 7, "r2", "b");
    let (one, two) = (totals(2, [100, 20, 0], None), totals(7, [250, 30, 90], None));
    let one = std::slice::from_ref(&one);
    let before = [&opening()[..], one, &first, &results, &[two.clone(), second.clone()]];
    let behind = [&opening()[..], &first, one, &results, &[second, two]];
    for events in [before.concat(), behind.concat()] {
        let found = import(&lines(&events));
        assert_eq!(found.prompts(0), [100, 150]);
        let row = found.row(0);
        assert_eq!(row["assistant_response_length"], json!([20]));
        assert_eq!(row["tool_calls"], json!([[[20, 1.0], [10, 3.0]]]));
        assert_eq!(row["expect"]["cached"], json!([0, 90]));
        assert_eq!(found.fidelity.times(Event::Counted), 0);
    }
}

/// A condensation takes events out of the middle: what stands before and behind them stays.
#[test]
fn a_condensation_cuts_the_middle_out() {
    let condensed = event(
        "c",
        20,
        "Condensation",
        &json!({"source": "environment",
        "forgotten_event_ids": ["a1", "o1"], "summary": words(5), "summary_offset": 2,
        "llm_response_id": "s1"}),
    );
    let events = [
        &opening()[..],
        &[
            action("a1", 2, "r1", &words(10)),
            observation("o1", 3, "a1", &words(30)),
            action("a2", 5, "r2", &words(10)),
            observation("o2", 6, "a2", &words(10)),
            action("a3", 8, "r3", &words(4)),
            condensed,
            observation("o3", 21, "a3", &words(3)),
            action("a4", 25, "r4", &words(2)),
        ],
    ]
    .concat();
    let found = import(&lines(&events));
    // 20 of the opening, 40 that are forgotten, 20 that stay; then 5 of the summary, 4 and 3.
    assert_eq!(found.prompts(0), [20, 60, 80, 52]);
    let row = found.row(0);
    assert_eq!(row["context"], json!([{"before": 3, "keep": 80, "drop": [[20, 60]]}]));
    assert_eq!(
        (&row["input_kind"], &row["tool_call_output_length"]),
        (&json!("tts"), &json!([30, 10, 12]))
    );
    let counts = [Event::Summaries, Event::Breaks].map(|event| found.fidelity.times(event));
    assert_eq!(counts, [1, 1]);
}

/// The request that writes a summary is in the agent's totals, or in an account of its own.
#[test]
fn what_a_summary_took_is_no_length_of_the_agents() {
    let condensed =
        json!({"forgotten_event_ids": ["a1", "o1"], "summary": "k", "llm_response_id": "s"});
    for [first, summary, last] in [
        [
            totals(2, [100, 20, 0], None),
            totals(9, [600, 70, 0], None),
            totals(12, [650, 80, 0], None),
        ],
        [
            totals(2, [100, 20, 0], Some(0)),
            totals(9, [100, 20, 0], Some(500)),
            totals(12, [150, 30, 0], Some(500)),
        ],
    ] {
        let events = [
            &opening()[..],
            &[
                action("a1", 2, "r1", "a"),
                first,
                observation("o1", 3, "a1", "x"),
                event("c", 9, "Condensation", &condensed),
                summary,
                action("a2", 12, "r2", "b"),
                last,
            ],
        ];
        let found = import(&lines(&events.concat()));
        assert_eq!((found.prompts(0), found.fidelity.times(Event::Counted)), (vec![100, 50], 0));
    }
}

/// A conversation is stored as a file an event, beside a state that knows each response's tokens.
#[test]
fn files_of_one_event_are_one_conversation() {
    let state = |name: &str, input: u64| {
        json!({"id": name, "stats": {"usage_to_metrics": {"agent": {
        "token_usages": [{"prompt_tokens": input, "completion_tokens": 7, "response_id": format!("r {name}")}],
        "response_latencies": [{"latency": 1.5, "response_id": format!("r {name}")}]}}}})
    };
    let mut files = Vec::new();
    for (name, input) in [("A", 30), ("B", 40)] {
        files.push(state(name, input).to_string());
        files.extend(opening().map(|event| event.to_string()));
        files.push(action("a", 2, &format!("r {name}"), "a").to_string());
    }
    let files: Vec<&[u8]> = files.iter().map(String::as_bytes).collect();
    let found = import_bytes(&files, None, &options()).unwrap();
    assert_eq!((found.rows.len(), found.prompts(0), found.prompts(1)), (2, vec![30], vec![40]));
    assert_eq!((&found.row(0)["trace_id"], &found.row(1)["trace_id"]), (&json!("A"), &json!("B")));
    assert_eq!(found.row(0)["expect"]["duration"], json!([1.5]));
}

#[test]
fn what_failed_in_openhands_is_counted() {
    let failed = event("e", 3, "ConversationErrorEvent", &json!({"code": "LLMTimeoutError"}));
    let refused =
        event("o1", 4, "AgentErrorEvent", &json!({"tool_call_id": "call a1", "error": "x x"}));
    let events = [
        &opening()[..],
        &[failed, action("a1", 3, "r1", "a"), refused, action("a2", 6, "r2", "b")],
    ];
    let found = import(&lines(&events.concat()));
    assert_eq!((found.prompts(0), found.fidelity.times(Event::Errors)), (vec![20, 23], 1));
}

fn v0(id: u64, second: u32, what: [&str; 2], rest: &Value) -> Value {
    let mut event = json!({"id": id, "timestamp": at(second), "source": "agent", what[0]: what[1]});
    for (key, value) in rest.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

/// Older histories are pairs; ranges of events are taken out by their numbers; totals stand beside
/// actions.
#[test]
fn histories_of_pairs_and_ranges_are_read() {
    let total = |input: u64, output: u64| {
        json!({"accumulated_token_usage": {
        "prompt_tokens": input, "completion_tokens": output}})
    };
    let run = |id: u64, second: u32, lengths: [u64; 2]| {
        let rest =
            json!({"args": {"thought": words(4)}, "llm_metrics": total(lengths[0], lengths[1])});
        v0(id, second, ["action", "run"], &rest)
    };
    let wrote = |id: u64, second: u32| {
        v0(id, second, ["observation", "run"], &json!({"cause": id - 1, "content": words(6)}))
    };
    let asked = json!({"source": "user", "args": {"content": words(10)}});
    let condensed = json!({"args": {"forgotten_events_start_id": 1, "forgotten_events_end_id": 2}});
    let document = json!({"instance_id": "S", "history": [
        [v0(0, 0, ["action", "message"], &asked), v0(9, 0, ["observation", "null"], &json!({}))],
        [run(1, 2, [100, 10]), wrote(2, 3)],
        [run(3, 5, [300, 30]), wrote(4, 6)],
        v0(5, 7, ["action", "condensation"], &condensed),
        [run(6, 9, [480, 50]), wrote(7, 10)],
    ]});
    let found = import(&document.to_string());
    assert_eq!(found.prompts(0), [100, 200, 180]);
    let row = found.row(0);
    // Of the 20 words of the prompt before, 10 are recorded as 100 tokens and taken out.
    assert_eq!(row["context"], json!([{"before": 2, "keep": 100}]));
    assert_eq!(row["tool_call_latency"], json!([1.0, 1.0]));
    assert_eq!(found.fidelity.times(Event::Summaries), 0);
}
