//! What sources do that their formats do not promise.

use serde_json::{Value, json};
use trie_import::Event;

use crate::import::{import, import_bytes, lines, options, sample, steps};

fn request(id: &str, created: u64, messages: &Value, answer: &str, usage: [u64; 2]) -> Value {
    json!({
        "created": created,
        "request": {"model": "m", "messages": messages},
        "response": {
            "id": id,
            "choices": [{"message": {"role": "assistant", "content": answer}}],
            "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
        },
    })
}

pub(crate) fn message(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[test]
fn requests_that_are_out_of_order_are_sorted_and_repeated_ones_counted_once() {
    let first = json!([message("user", "a b c")]);
    let second = json!([message("user", "a b c"), message("assistant", "d"), message("user", "e")]);
    let later = request("r2", 20, &second, "f", [6, 2]);
    let earlier = request("r1", 10, &first, "d", [3, 1]);
    let found = import(&lines(&[later, earlier.clone(), earlier]));
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![3, 6]));
    assert_eq!(found.fidelity.times(Event::Unsorted), 1);
    assert_eq!(found.fidelity.times(Event::Repeated), 1);
    assert_eq!(found.row(0)["input_kind"], "u");
}

#[test]
fn failed_and_empty_requests_are_counted_and_left_out() {
    let asked = json!([message("user", "a b c")]);
    let failed = json!({"created": 1, "request": {"messages": asked}, "response": null,
        "error": {"code": 500}});
    let refused = json!({"created": 1, "request": {"messages": asked},
        "response": {"status_code": 429, "body": {}}});
    let empty = request("r0", 2, &asked, "", [3, 0]);
    let good = request("r1", 3, &asked, "d", [3, 1]);
    let found = import(&lines(&[failed, refused, empty, good]));
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![3]));
    assert_eq!(found.fidelity.times(Event::Errors), 2);
    assert_eq!(found.fidelity.times(Event::NoAnswer), 1);
    assert_eq!(found.fidelity.recorded.requests, 1);
}

/// The middle of a history is taken out: what stands before stays, and the row says how much.
#[test]
fn a_history_that_is_cut_in_the_middle_keeps_its_beginning() {
    let opening = [message("system", "s s s s"), message("user", "u u u u u u")];
    let with = |more: &[Value]| json!([&opening[..], more].concat());
    let tool = |text: &str| message("tool", text);
    let one = with(&[]);
    let two = with(&[message("assistant", "a"), tool("x x x x x x x x x")]);
    let three = with(&[message("assistant", "b"), tool("y y")]);
    let found = import(&lines(&[
        request("1", 1, &one, "a", [10, 1]),
        request("2", 5, &two, "c", [20, 1]),
        request("3", 9, &three, "d", [13, 1]),
    ]));
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![10, 20, 13]));
    assert_eq!(found.row(0)["context"], json!([{"before": 2, "keep": 10}]));
    assert_eq!(found.fidelity.times(Event::Breaks), 1);
}

#[test]
fn bodies_may_be_strings_and_base64() {
    let asked = json!({"messages": [message("user", "a b c")]}).to_string();
    let answered = json!({"id": "1", "choices": [{"message": message("assistant", "d")}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
    let plain = json!({"request": asked, "response": answered.to_string()});
    assert_eq!(import(&lines(&[plain])).prompts(0), [3]);
    // {"messages":[{"role":"user","content":"a b c"}]}
    let packed = "eyJtZXNzYWdlcyI6W3sicm9sZSI6InVzZXIiLCJjb250ZW50IjoiYSBiIGMifV19";
    let packed = json!({"request": packed, "response": answered});
    assert_eq!(import(&lines(&[packed])).prompts(0), [3]);
}

#[test]
fn halves_of_a_batch_meet_by_their_name() {
    let asked = json!({"custom_id": "r", "method": "POST", "url": "/v1/chat/completions",
        "body": {"messages": [message("user", "a b c")]}});
    let body = json!({"id": "1", "choices": [{"message": message("assistant", "d")}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
    let answered = json!({"custom_id": "r", "error": null,
        "response": {"status_code": 200, "body": body}});
    let other = json!({"custom_id": "q", "body": {"messages": [message("user", "z")]}});
    let files = [lines(&[asked, other]), lines(&[answered])];
    let found =
        import_bytes(&[files[0].as_bytes(), files[1].as_bytes()], None, &options()).unwrap();
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![3]));
    assert_eq!(found.fidelity.times(Event::NoAnswer), 1);
}

/// Parallel requests with one history are a fork: both wait for the answer they hold.
#[test]
fn parallel_requests_are_lanes() {
    let at = |record: Value, length: u64| {
        let mut record = record;
        record["duration_ms"] = json!(length);
        record
    };
    let first = json!([message("user", "a b c")]);
    let then = |text: &str| {
        json!([message("user", "a b c"), message("assistant", "d"), message("tool", text)])
    };
    let found = import(&lines(&[
        at(request("1", 10, &first, "d", [3, 1]), 1000),
        at(request("2", 12, &then("x"), "e", [5, 1]), 3000),
        at(request("3", 13, &then("y y"), "f", [6, 1]), 1000),
    ]));
    assert_eq!(
        steps(&found),
        ["lane 0 after  = 3", "lane 0 after 0+1 = 5", "lane 1 after 0+2 = 6"]
    );
}

fn claude(kind: &str, uuid: &str, second: u32, rest: &Value) -> Value {
    let mut record = json!({"type": kind, "uuid": uuid, "sessionId": "S", "version": "2",
        "timestamp": format!("2031-01-01T00:00:{second:02}.000Z")});
    for (key, value) in rest.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn answer(uuid: &str, second: u32, id: &str, usage: [u64; 3], rest: &Value) -> Value {
    let [input, read, output] = usage;
    let content = rest["content"].clone();
    let usage =
        json!({"input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output});
    let message =
        json!({"id": id, "model": "m", "role": "assistant", "content": content, "usage": usage});
    let mut record = claude("assistant", uuid, second, &json!({"message": message}));
    for key in ["isSidechain", "agentId", "parentUuid"] {
        if let Some(value) = rest.get(key) {
            record[key] = value.clone();
        }
    }
    record
}

fn user(uuid: &str, second: u32, text: &str) -> Value {
    claude("user", uuid, second, &json!({"message": {"role": "user", "content": text}}))
}

fn result(uuid: &str, second: u32, call: &str, text: &str) -> Value {
    let content = json!([{"type": "tool_result", "tool_use_id": call, "content": text}]);
    claude("user", uuid, second, &json!({"message": {"role": "user", "content": content}}))
}

/// Usage repeats on each record of a message and a result may stand between them; a resumed session
/// repeats earlier records.
#[test]
fn records_of_one_message_are_one_request() {
    let call = |id: &str| json!({"content": [{"type": "tool_use", "id": id, "name": "Read", "input": {}}]});
    let records = [
        user("u0", 0, "a b c"),
        answer("a0", 1, "m0", [10, 0, 5], &call("c1")),
        result("t1", 2, "c1", "x x x"),
        answer("a1", 3, "m0", [10, 0, 7], &call("c2")),
        result("t2", 6, "c2", "y"),
        answer("b0", 8, "m1", [4, 20, 2], &json!({"content": []})),
    ];
    let again = [lines(&records), lines(&records[..3])].concat();
    let found = import(&again);
    assert_eq!((found.rows.len(), found.prompts(0)), (1, vec![10, 24]));
    let row = found.row(0);
    assert_eq!(row["assistant_response_length"], json!([7]));
    assert_eq!(row["tool_call_latency"], json!([3.0]));
    assert_eq!(row["tool_calls"][0].as_array().unwrap().len(), 2);
    assert_eq!(found.fidelity.times(Event::Repeated), 3);
}

/// After a compaction the cache says how much of the history stayed.
#[test]
fn a_compaction_is_a_break_with_what_the_cache_kept() {
    let found = import(&lines(&[
        user("u0", 0, "a"),
        answer("a0", 1, "m0", [1000, 0, 10], &json!({"content": []})),
        claude("system", "z", 2, &json!({"subtype": "compact_boundary"})),
        claude("user", "z1", 3, &json!({"isCompactSummary": true, "message": {"content": "k k"}})),
        answer("a1", 5, "m1", [100, 200, 10], &json!({"content": []})),
    ]));
    assert_eq!(found.prompts(0), [1000, 300]);
    let row = found.row(0);
    assert_eq!(row["context"], json!([{"before": 1, "keep": 200}]));
    assert_eq!(row["input_kind"], "s");
}

/// A subagent in a file of its own is started by the answer that called it, and joined where its
/// result came in.
#[test]
fn subagents_are_lanes_with_a_join() {
    let task = json!({"content": [{"type": "tool_use", "id": "c1", "name": "Task", "input": {}}]});
    let mut done = result("t1", 20, "c1", "x x x");
    done["toolUseResult"] = json!({"agentId": "A", "totalDurationMs": 17000});
    let main = lines(&[
        user("u0", 0, "a b c"),
        answer("a0", 2, "m0", [100, 0, 5], &task),
        done,
        answer("b0", 22, "m1", [120, 0, 2], &json!({"content": []})),
    ]);
    let side = |record: Value| {
        let mut record = record;
        record["isSidechain"] = json!(true);
        record["agentId"] = json!("A");
        record
    };
    let agent = lines(&[
        side(user("s0", 3, "look")),
        side(answer("s1", 6, "n0", [50, 0, 4], &json!({"content": []}))),
        side(result("s2", 9, "c9", "y")),
        side(answer("s3", 19, "n1", [60, 0, 4], &json!({"content": []}))),
    ]);
    let both = [
        "lane 0 after  = 100",
        "lane 0 after 0+0, 3+1 = 120",
        "lane 1 after 0+1 = 50",
        "lane 1 after 2+3 = 60",
    ];
    // The graph is in an order in which steps refer to earlier ones only.
    let both_sorted =
        [both[0], "lane 1 after 0+1 = 50", "lane 1 after 1+3 = 60", "lane 0 after 0+0, 2+1 = 120"];
    let found = import_bytes(&[main.as_bytes(), agent.as_bytes()], None, &options()).unwrap();
    assert_eq!(steps(&found), both_sorted);
    // Older versions write both into one file, and say nothing of the join: times do.
    let mut older = main.replace("\"agentId\":\"A\",", "");
    older.push_str(
        &agent
            .replace("\"agentId\":\"A\",", "")
            .replace("\"uuid\":\"s1\"", "\"parentUuid\":\"s0\",\"uuid\":\"s1\"")
            .replace("\"uuid\":\"s2\"", "\"parentUuid\":\"s1\",\"uuid\":\"s2\"")
            .replace("\"uuid\":\"s3\"", "\"parentUuid\":\"s2\",\"uuid\":\"s3\""),
    );
    assert_eq!(steps(&import(&older)), both_sorted);
}

#[test]
fn errors_of_the_api_are_counted_once() {
    let mut error = answer("e", 1, "m9", [0, 0, 0], &json!({"content": []}));
    error["isApiErrorMessage"] = json!(true);
    let good = answer("a", 3, "m0", [10, 0, 5], &json!({"content": []}));
    let found = import(&lines(&[user("u", 0, "a"), error, good]));
    assert_eq!((found.prompts(0), found.fidelity.times(Event::Errors)), (vec![10], 1));
}

/// Reports of tokens repeat, may have no info, and their totals grow.
#[test]
fn reports_of_codex_are_counted_once() {
    let event = |second: u32, kind: &str, payload: Value| json!({"timestamp": format!("2031-01-01T00:00:{second:02}Z"), "type": kind, "payload": payload});
    let report = |second: u32, last: Value, total: [u64; 2]| {
        let total = json!({"input_tokens": total[0], "output_tokens": total[1]});
        let info = json!({"last_token_usage": last, "total_token_usage": total});
        event(second, "event_msg", json!({"type": "token_count", "info": info}))
    };
    let text = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a b"}]});
    let found = import(&lines(&[
        event(0, "session_meta", json!({"id": "S"})),
        event(0, "response_item", text.clone()),
        event(1, "event_msg", json!({"type": "token_count", "info": null})),
        report(2, json!({"input_tokens": 10, "output_tokens": 4}), [10, 4]),
        report(3, json!({"input_tokens": 10, "output_tokens": 4}), [10, 4]),
        event(5, "response_item", text),
        report(7, Value::Null, [30, 6]),
    ]));
    assert_eq!(found.prompts(0), [10, 20]);
    assert_eq!(found.row(0)["tool_call_latency"], json!([3.0]));
    assert_eq!(found.fidelity.times(Event::Repeated), 1);
}

#[test]
fn numbers_that_are_none_are_missing() {
    let row = r#"{"timestamp": NaN, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}"#;
    let found = import(row);
    assert_eq!(found.prompts(0), [600]);
    assert!(found.row(0).get("arrival").is_none());
    assert_eq!(found.fidelity.times(Event::NotFinite), 1);
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let row = r#"{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [1, 2, 3]}"#;
    let refused = import_bytes(&[row.as_bytes()], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("3 ids for a prompt of 600 tokens: wanted 1 or 2"), "{refused}");
    let row = row.replace("1, 2, 3", "1, 18446744073709551615");
    let refused = import_bytes(&[row.as_bytes()], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("id 18446744073709551615 in hash_ids"), "{refused}");
}

/// A fan-in: two parallel requests, then one that waits for both.
#[test]
fn spans_that_overlap_are_joined_by_the_next() {
    let span = |id: &str, start: f64, end: f64, text: &str| {
        let at = |second: f64| format!("2031-01-01T00:00:{second:04.1}00");
        json!({"trace_id": "T", "span_id": id, "name": "chat m", "start_time": at(start), "end_time": at(end),
            "attributes": {"gen_ai.operation.name": "chat",
                "gen_ai.input.messages": json!([message("user", text)]).to_string(),
                "gen_ai.output.text": "one two three"}})
    };
    let spans = [
        span("1", 0.0, 2.0, "a"),
        span("2", 2.5, 4.5, "b b"),
        span("3", 3.0, 5.0, "c c c"),
        span("4", 5.5, 7.0, "d d d d"),
    ];
    let found = import(&json!({"spans": spans}).to_string());
    let joined = [
        "lane 0 after  = 1",
        "lane 1 after 0+0.5 = 2",
        "lane 2 after 0+1 = 3",
        "lane 3 after 2+0.5, 1+1 = 4",
    ];
    assert_eq!(steps(&found), joined);
    // The same where the last one's history is that of the first.
    let history =
        json!([message("user", "a"), message("assistant", "one two three"), message("user", "d")]);
    let mut again = spans.clone();
    again[3]["attributes"]["gen_ai.input.messages"] = json!(history.to_string());
    let found = import(&json!({"spans": again}).to_string());
    let joined = [joined[0], joined[1], joined[2], "lane 0 after 0+0, 1+1, 2+0.5 = 5"];
    assert_eq!(steps(&found), joined);
}

/// Weka: subagents overlap their parent or are joined; requests without an answer are left out.
#[test]
fn agents_of_weka_are_lanes_that_keep_their_blocks() {
    let request = |t: f64, ids: &[u64], out: u64| {
        json!({"t": t, "type": "s", "in": ids.len() * 64 + 3, "out": out, "hash_ids": ids,
            "input_types": ["tool_result"], "api_time": 1.0, "think_time": 2.0})
    };
    let agent = |t: f64, ids: &[u64]| json!({"t": t, "type": "subagent", "agent_id": "a", "requests": [request(0.0, ids, 9)]});
    let session = json!({"id": "S", "block_size": 64, "hash_id_scope": "local", "requests": [
        request(0.0, &[1, 2], 7),
        agent(2.0, &[1, 50]),
        request(5.0, &[1, 2, 3], 7),
        agent(5.5, &[60]),
        request(6.2, &[1, 9], 0),
        request(9.0, &[1, 9], 7),
    ]});
    let found = import(&session.to_string());
    let expected = [
        "lane 0 after  = 131",
        "lane 1 after 0+1 = 131",
        "lane 0 after 0+0, 1+2 = 195",
        "lane 2 after 0+4.5 = 67",
        "lane 0 after 2+0, 3+2.5 = 131",
    ];
    assert_eq!(steps(&found), expected);
    assert_eq!(found.fidelity.times(Event::NoAnswer), 1);
    assert_eq!(found.fidelity.times(Event::Breaks), 1);
}

/// A last block that is cut short may have the id of one that was whole before.
#[test]
fn a_block_may_be_cut_short_later_on() {
    let request = |id: &str, input: u64, after: Value| {
        json!({"request_id": id, "play_id": "P", "session_id": "s", "input_length": input,
            "output_length": 5, "hash_ids": [1, 2], "dependencies": after})
    };
    let after = json!([{"request_id": "a", "trigger": "completion", "delay_ms": 1}]);
    let found = import(&lines(&[request("a", 1024, json!([])), request("b", 700, after)]));
    assert_eq!(found.prompts(0), [1024, 700]);
    let chat = |id: u64, parent: i64, input: u64| {
        json!({"chat_id": id, "parent_chat_id": parent, "timestamp": id, "input_length": input,
            "output_length": 5, "hash_ids": [1, 2]})
    };
    let found = import(&lines(&[chat(1, -1, 32), chat(2, 1, 20)]));
    assert_eq!(found.prompts(0), [32, 20]);
}

#[test]
fn a_second_session_of_one_name_is_a_row_of_its_own() {
    let text = sample("weka.json");
    let found = import_bytes(&[text.as_bytes(), text.as_bytes()], None, &options()).unwrap();
    assert_eq!(found.row(1)["trace_id"], "S1#2");
    assert_eq!(found.row(1)["session_id"], "S1");
}
