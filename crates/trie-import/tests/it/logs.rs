//! What logs of gateways and peers' workloads do that their formats do not promise.

use serde_json::{Value, json};
use trie_import::{Event, ImportOptions};

use crate::import::{Imported, import, import_bytes, lines, options, sample, steps};
use crate::quirks::message;

fn with(text: &str, options: &ImportOptions<'_>) -> Imported {
    import_bytes(&[text.as_bytes()], None, options).unwrap()
}

fn litellm(id: &str, trace: &str, start: f64, lengths: [u64; 2], messages: &Value) -> Value {
    json!({"id": id, "trace_id": trace, "call_type": "acompletion", "status": "success",
        "startTime": start, "endTime": start + 1.0, "completionStartTime": start + 1.0,
        "prompt_tokens": lengths[0], "completion_tokens": lengths[1], "cache_hit": null,
        "messages": messages, "response": {"choices": [{"message": message("assistant", "d")}]}})
}

/// Retries and fallbacks share a trace; what failed, what the gateway's cache answered, and what is no
/// chat is counted and left out. Without a session, messages say what belongs together.
#[test]
fn attempts_share_a_trace_and_messages_find_the_conversation() {
    let first = json!([message("user", "a b c")]);
    let second = json!([message("user", "a b c"), message("assistant", "d"), message("user", "e")]);
    let mut failed = litellm("r1", "t1", 10.0, [0, 0], &first);
    failed["status"] = json!("failure");
    failed["response"] = Value::Null;
    let mut cached = litellm("r3", "t3", 30.0, [3, 1], &first);
    cached["cache_hit"] = json!(true);
    let mut embedding = litellm("r4", "t4", 31.0, [3, 0], &first);
    embedding["call_type"] = json!("aembedding");
    let found = import(&lines(&[
        litellm("r2", "t2", 20.5, [6, 2], &second),
        failed,
        litellm("r1", "t1", 10.5, [3, 1], &first),
        cached,
        json!({"standard_logging_object": embedding}),
    ]));
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![3, 6]));
    assert_eq!(found.row(0)["tool_call_latency"], json!([9.0]));
    assert_eq!(found.row(0)["input_kind"], "u");
    assert!(found.row(0).get("trace_id").is_none(), "{}", found.rows[0]);
    let counted = [Event::Errors, Event::Answered, Event::Other];
    assert_eq!(counted.map(|event| found.fidelity.times(event)), [1, 1, 1]);
    // Without a stream the first token comes with the end, which says nothing.
    assert_eq!(found.row(0)["expect"].get("ttft"), None);
}

/// Messages that were taken out of the log are no messages: lengths, sessions and times are left.
#[test]
fn messages_that_were_taken_out_are_none() {
    let hidden = json!([message("user", "redacted-by-litellm")]);
    let at = |id: &str, start: f64, lengths: [u64; 2], session: &str| {
        let mut record = litellm(id, id, start, lengths, &hidden);
        record["session_id"] = json!(session);
        record["response"] = json!({"text": "redacted-by-litellm"});
        record
    };
    let found = import(&lines(&[
        at("1", 1.0, [100, 10], "A"),
        at("2", 5.0, [150, 10], "A"),
        at("3", 6.0, [70, 10], "B"),
    ]));
    assert_eq!(found.rows.len(), 2);
    assert_eq!((found.prompts(0), found.prompts(1)), (vec![100, 150], vec![70]));
    let row = found.row(0);
    assert_eq!(row["tool_call_latency"], json!([3.0]));
    assert!(row.get("prefix").is_none() && found.row(1).get("prefix").is_none());
    assert_eq!(found.fidelity.times(Event::Breaks), 0);
}

/// Newer exports have names in snake case and content as strings of JSON; a trace holds its
/// observations and names their session.
#[test]
fn observations_may_be_exported_in_other_notations() {
    let text = sample("langfuse.json");
    let page: Value = serde_json::from_str(&text).unwrap();
    let observations = page["data"].as_array().unwrap();
    let mut trace = json!({"id": "T1", "sessionId": "S1", "observations": observations});
    for observation in trace["observations"].as_array_mut().unwrap() {
        observation.as_object_mut().unwrap().remove("sessionId");
    }
    let snake = observations.iter().map(|observation| {
        let mut made = serde_json::Map::new();
        for (key, value) in observation.as_object().unwrap() {
            let mut name = String::new();
            for letter in key.chars() {
                if letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            let text = ["input", "output"].contains(&key.as_str()) && value.is_array();
            made.insert(name, if text { json!(value.to_string()) } else { value.clone() });
        }
        Value::Object(made)
    });
    let snake: Vec<Value> = snake.collect();
    let expected = import(&text).rows;
    assert_eq!(import(&trace.to_string()).rows, expected);
    assert_eq!(import(&lines(&snake)).rows, expected);
    // A generation that failed is left out.
    let failed =
        text.replacen("\"level\": \"DEFAULT\", \"model\"", "\"level\": \"ERROR\", \"model\"", 1);
    assert_eq!(import(&failed).fidelity.times(Event::Errors), 1);
}

/// `OpenInference`'s names in OTLP are read too, and so are lists instead of indices.
#[test]
fn names_of_openinference_are_read_in_otlp() {
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let text = |value: &str| json!({"stringValue": value});
    let span = |id: &str, start: u64, kind: &str, lengths: [u64; 2]| {
        json!({"traceId": "01", "spanId": id, "name": "x",
        "startTimeUnixNano": (start * 1_000_000_000).to_string(),
        "endTimeUnixNano": ((start + 1) * 1_000_000_000).to_string(),
        "attributes": [
            attribute("openinference.span.kind", text(kind)),
            attribute("session.id", text("S")),
            attribute("llm.token_count.prompt", json!({"intValue": lengths[0].to_string()})),
            attribute("llm.token_count.completion", json!({"intValue": lengths[1].to_string()})),
        ]})
    };
    let spans = [
        span("a", 1, "LLM", [100, 10]),
        span("b", 2, "TOOL", [0, 0]),
        span("c", 4, "LLM", [130, 10]),
        span("d", 6, "CHAIN", [7, 7]),
    ];
    let found = import(&json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string());
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![100, 130]));
    assert_eq!(found.row(0)["tool_calls"], json!([[[20, 2.0]]]));
    assert_eq!(found.row(0)["trace_id"], "S");
}

/// Bursts of one moment are spread over the time in which they came, each time alike; a wider time
/// does not pass the next moment.
#[test]
fn bursts_of_mooncake_are_spread_on_request() {
    let row = |at: u64| json!({"timestamp": at, "input_length": 100, "output_length": 5});
    let rows = [&vec![row(0); 40][..], &vec![row(3000); 2], &[row(4000)]].concat();
    let text = lines(&rows);
    let arrivals = |found: &Imported| -> Vec<f64> {
        (0..found.rows.len()).map(|at| found.row(at)["arrival"].as_f64().unwrap()).collect()
    };
    let as_recorded = arrivals(&import(&text));
    assert_eq!(as_recorded[..40], [0.0; 40]);
    let spread = ImportOptions { mooncake_spread: Some(seconds(3)), ..options() };
    let found = with(&text, &spread);
    let moved = arrivals(&found);
    assert_eq!(moved, arrivals(&with(&text, &spread)));
    assert!(moved.is_sorted(), "{moved:?}");
    assert!(moved[39] < 3.0 && (3.0..4.0).contains(&moved[41]), "{moved:?}");
    assert!((4.0..7.0).contains(&moved[42]), "{moved:?}");
    // 40 draws from 3 s: their mean is within four standard errors of 1.5 s.
    let mean = moved[..40].iter().sum::<f64>() / 40.0;
    assert!((mean - 1.5).abs() < 4.0 * 3.0 / (12.0_f64 * 40.0).sqrt(), "{mean}");
    assert_eq!(found.fidelity.times(Event::Spread), 43);
}

fn seconds(seconds: u64) -> trie_core::units::Nanos {
    trie_core::units::Nanos(seconds * 1_000_000_000)
}

/// Two requests that go on with one are a fork; both wait from its start.
#[test]
fn joined_rows_of_mooncake_may_fork() {
    let row = |at: u64, ids: &[u64]| json!({"timestamp": at, "input_length": ids.len() * 512, "output_length": 5, "hash_ids": ids});
    let joined = ImportOptions { mooncake_join: true, ..options() };
    let text =
        lines(&[row(0, &[0, 1]), row(1000, &[0, 1, 2]), row(3000, &[0, 1, 3]), row(9000, &[7])]);
    let found = with(&text, &joined);
    let expected = ["lane 0 after  = 1024", "lane 0 after 0+1 = 1536", "lane 1 after 0+3 = 1536"];
    assert_eq!(steps(&found), expected);
    assert_eq!((found.rows.len(), found.prompts(1)), (2, vec![512]));
}

/// Forks go on with their parent's context, spawns do not; `join_at` waits, a bare name is joined by the
/// next turn, a background branch by none.
#[test]
fn branches_of_aiperf_are_lanes() {
    let turn = |words: &str, more: Value| {
        let mut turn = json!({"messages": [message("user", words)], "max_tokens": 10});
        for (key, value) in more.as_object().unwrap() {
            turn[key] = value.clone();
        }
        turn
    };
    let text = lines(&[
        json!({"session_id": "root", "pre_session_spawns": ["early"], "turns": [
            turn("a b c", json!({"spawns": ["soon", {"children": ["late"], "join_at": 2}],
                "forks": [{"child": "fork", "background": true}]})),
            turn("d", json!({"delay": 500})),
            turn("e", json!({})),
        ]}),
        json!({"session_id": "soon", "turns": [turn("s s", json!({"delay": 250}))]}),
        json!({"session_id": "late", "turns": [turn("l l l l", json!({})), turn("m", json!({}))]}),
        json!({"session_id": "fork", "turns": [turn("f f", json!({}))]}),
        json!({"session_id": "early", "turns": [turn("x", json!({}))]}),
    ]);
    let found = import(&text);
    assert_eq!((found.rows.len(), found.fidelity.sessions), (1, 1));
    let mut shown = steps(&found);
    shown.sort();
    let expected = [
        "lane 0 after  = 3",
        // The answer of 10 tokens stays in the history; the fork has both.
        "lane 0 after 0+0.5, 3+0.5 = 14",
        "lane 0 after 4+0, 6+0 = 25",
        "lane 1 after  = 1",
        "lane 2 after 0+0 = 15",
        "lane 3 after 0+0.25 = 2",
        "lane 4 after 0+0 = 4",
        "lane 4 after 5+0 = 15",
    ];
    assert_eq!(shown, expected, "{:?}", steps(&found));
    assert_eq!(found.fidelity.times(Event::Branches), 0);
}

/// An orchestrator sends nothing: each of its rounds waits for all of the one before.
#[test]
fn rounds_of_an_orchestrator_follow_each_other() {
    let branch = |name: &str, words: &str| json!({"session_id": name, "turns": [{"messages": [message("user", words)], "max_tokens": 5}]});
    let text = lines(&[
        json!({"session_id": "start", "orchestrator": true, "rounds": 2, "think_time_ms": 100,
            "think_time_sigma": 0.6, "spawns": ["a", "b"]}),
        branch("a", "x"),
        branch("b", "y y"),
    ]);
    let expected = [
        "lane 0 after  = 1",
        "lane 1 after  = 2",
        "lane 2 after 0+0.1, 1+0.1 = 1",
        "lane 3 after 0+0.1, 1+0.1 = 2",
    ];
    assert_eq!(steps(&import(&text)), expected);
    // However many rounds are asked for, there is an end to it, and it is said.
    let found = import(&text.replace("\"rounds\":2", "\"rounds\":99999999"));
    assert!(found.fidelity.represented.requests < 5_000);
    assert!(found.fidelity.times(Event::Branches) > 0);
}

/// Circles, names of nothing and keys that the format does not have are counted; a second conversation
/// of one name is refused.
#[test]
fn what_is_wrong_with_branches_is_said() {
    let turn = |child: &str| json!({"messages": [message("user", "a")], "max_tokens": 5, "forks": [child], "max_token": 7});
    let conversation =
        |name: &str, child: &str| json!({"session_id": name, "turns": [turn(child)]});
    let found = import(&lines(&[
        conversation("root", "nobody"),
        conversation("one", "other"),
        conversation("other", "one"),
    ]));
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![1]));
    assert_eq!(found.fidelity.times(Event::Branches), 3);
    assert_eq!(found.fidelity.times(Event::UnknownKeys), 3);
    let twice = lines(&[conversation("root", "a"), conversation("root", "b")]);
    let refused = import_bytes(&[twice.as_bytes()], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("source 0:2: ") && refused.contains("wanted one"), "{refused}");
}

/// Each turn is a prompt of its own: what two open with alike is kept.
#[test]
fn whole_prompts_of_aiperf_keep_what_they_open_with() {
    let turn = |messages: Value| json!({"messages": messages, "max_tokens": 5});
    let text = lines(&[
        json!({"session_id": "S", "context_mode": "message_array_with_responses", "turns": [
            turn(json!([message("system", "s s s"), message("user", "a")])),
            turn(json!([message("system", "s s s"), message("user", "b b")])),
        ]}),
    ]);
    let found = import(&text);
    assert_eq!(found.prompts(0), [4, 5]);
    assert_eq!(found.row(0)["context"], json!([{"before": 1, "keep": 3}]));
    assert_eq!(found.row(0)["prefix"][0]["tokens"], 3);
}

/// Lines of one session that hold no history follow each other with prompts of their own; answers of
/// unknown length are as long as the user says.
#[test]
fn single_turns_hold_no_history() {
    let text = lines(&[
        json!({"session_id": "S", "text": "a b c", "output_length": 7}),
        json!({"session_id": "S", "text": "d e", "delay": 500.0}),
        json!({"text": "x", "timestamp": 2500, "output_length": 3}),
    ]);
    let found = import(&text);
    assert_eq!((found.rows.len(), found.fidelity.times(Event::NoLength)), (2, 1));
    let told = ImportOptions { answer_length: Some(9), ..options() };
    let found = with(&text, &told);
    let all: Vec<Vec<u64>> = (0..2).map(|row| found.prompts(row)).collect();
    assert!(all.contains(&vec![3, 2]) && all.contains(&vec![1]), "{all:?}");
    let row = if found.prompts(0).len() == 2 { found.row(0) } else { found.row(1) };
    assert_eq!(row["context"], json!([{"before": 1, "keep": 0}]));
    assert_eq!(
        (&row["tool_call_latency"], &row["final_assistant_response_length"]),
        (&json!([0.5]), &json!(9))
    );
    let both = json!({"text": "x", "timestamp": 5, "delay": 5, "output_length": 3}).to_string();
    let refused = import_bytes(&[both.as_bytes()], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("timestamp and delay in one turn"), "{refused}");
}

/// A body without a limit is answered as its session's next one shows.
#[test]
fn answers_of_bodies_are_found_in_the_next() {
    let first = json!({"messages": [message("user", "a b")], "stream": true});
    let second = json!({"messages": [message("user", "a b"), message("assistant", "c d e"), message("user", "f")], "max_tokens": 4});
    let last = json!({"messages": [message("user", "z")]});
    let text =
        json!({"data": [{"session_id": "S", "payloads": [first, second, last]}]}).to_string();
    let found = import(&text);
    assert_eq!(found.prompts(0), [2, 6]);
    assert_eq!(found.row(0)["assistant_response_length"], json!([3]));
    assert_eq!(found.fidelity.times(Event::NoLength), 1);
}

fn dynamo(session: &str, parent: Option<&str>, id: &str, times: [u64; 2], hashes: &[u64]) -> Value {
    let mut context = json!({"session_id": session});
    if let Some(parent) = parent {
        context["parent_session_id"] = json!(parent);
    }
    json!({"schema": "dynamo.request.trace.v1", "event_type": "request_end",
        "event_time_unix_ms": times[1], "agent_context": context,
        "request": {"request_id": id, "output_tokens": 9, "request_received_ms": times[0],
            "replay": {"trace_block_size": 64, "input_length": hashes.len() * 64,
                "input_sequence_hashes": hashes}}})
}

/// A child session is launched by the parent's request before it and joined by the first after it,
/// unless a tool says otherwise; hashes may be of any 64 bits.
#[test]
fn child_sessions_of_dynamo_are_lanes() {
    let big = u64::MAX;
    let requests = [
        dynamo("main", None, "r0", [1_000, 2_000], &[big]),
        dynamo("child", Some("main"), "c0", [2_500, 3_500], &[5, 6]),
        dynamo("main", None, "r1", [2_200, 2_400], &[big, 7]),
        dynamo("main", None, "r2", [4_000, 5_000], &[big, 7, 8]),
    ];
    let expected = [
        "lane 0 after  = 64",
        "lane 0 after 0+0.2 = 128",
        "lane 1 after 1+0.1 = 128",
        "lane 0 after 1+0, 2+0.5 = 192",
    ];
    assert_eq!(steps(&import(&lines(&requests))), expected);
    let said = json!({"schema": "dynamo.request.trace.v1", "event_type": "tool_end",
        "event_time_unix_ms": 3_600, "agent_context": {"session_id": "main"},
        "tool": {"tool_call_id": "t", "tool_class": "Task", "claude": {"source_request_id": "r0",
            "child_session_id": "child", "execution_mode": "background"}}});
    let wrapped: Vec<Value> = requests
        .iter()
        .chain([&said])
        .map(|record| json!({"timestamp": 1, "event": record}))
        .collect();
    let mut shown = steps(&import(&lines(&wrapped)));
    shown.sort();
    let expected = [
        "lane 0 after  = 64",
        "lane 0 after 0+0.2 = 128",
        "lane 0 after 1+1.6 = 192",
        "lane 1 after 0+0.5 = 128",
    ];
    assert_eq!(shown, expected);
}

/// Requests without a session are rows with their arrival, in the order of their starts, also where
/// they ended in another.
#[test]
fn requests_of_dynamo_without_a_session_are_rows() {
    let bare = |id: &str, times: [u64; 2], hashes: &[u64]| {
        let mut record = dynamo("", None, id, times, hashes);
        record.as_object_mut().unwrap().remove("agent_context");
        record
    };
    let text = lines(&[bare("b", [2_000, 2_100], &[1, 2, 3]), bare("a", [1_000, 2_500], &[1, 2])]);
    let found = import(&text);
    let shown: Vec<(u64, String)> = (0..2)
        .map(|row| (found.prompts(row)[0], found.row(row)["session_id"].to_string()))
        .collect();
    assert_eq!(shown, [(128, "\"1\"".to_owned()), (192, "\"1\"".to_owned())]);
    assert_eq!(found.fidelity.times(Event::Unsorted), 1);
    let joined = ImportOptions { mooncake_join: true, ..options() };
    assert_eq!(with(&text, &joined).prompts(0), [128, 192]);
    let other = bare("c", [3_000, 3_100], &[1]).to_string().replace(":64", ":32");
    let refused = import_bytes(&[text.as_bytes(), other.as_bytes()], None, &options());
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("blocks of 32 tokens: wanted 64"), "{refused}");
    let newer = text.replace("trace.v1", "trace.v2");
    let refused = import_bytes(&[newer.as_bytes()], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("wanted version 1"), "{refused}");
}
