//! Names, keys, paths and texts that are planted in every format, and looked for in what comes out.

use serde_json::{Value, json};
use trie_core::workload::Row;
use trie_import::{Anonymizer, FORMATS, ImportOptions, Salt, TARGETS, Writer};

use crate::import::{import_bytes, options, sample};

const CANARY: &str = "canary";

/// Keys whose values say what a record is.
const STRUCTURE: [&str; 31] = [
    "source",
    "event_type",
    "emitted_at",
    "result_at",
    "type",
    "role",
    "timestamp",
    "subtype",
    "start_time",
    "end_time",
    "scope",
    "hash_id_scope",
    "on",
    "kind",
    "input_kind",
    "key",
    "gen_ai.operation.name",
    "trie_workload",
    "isSidechain",
    "lane",
    "finish",
    "arguments",
    "stop",
    "startTimeUnixNano",
    "startTime",
    "endTime",
    "completionStartTime",
    "call_type",
    "span_kind",
    "openinference.span.kind",
    "schema",
];

/// A samples's values with a canary in every string that may hold a name or a text, and in a key of
/// every object.
fn planted(value: &Value, key: &str) -> Value {
    if let Some(items) = value.as_array() {
        return items.iter().map(|item| planted(item, key)).collect();
    }
    if let Some(members) = value.as_object() {
        let mut made: serde_json::Map<String, Value> =
            members.iter().map(|(key, value)| (key.clone(), planted(value, key))).collect();
        made.insert(format!("{CANARY}_key"), json!(format!("/home/{CANARY}/.ssh/key")));
        return Value::Object(made);
    }
    let Some(text) = value.as_str() else { return value.clone() };
    // In one format a word, in another one a command.
    let is_word = ["system", "message", "recall", "run", "finish"].contains(&text);
    if STRUCTURE.contains(&key)
        || (["action", "observation"].contains(&key) && is_word)
        || text.parse::<u64>().is_ok()
        || text == "chat"
        || text == "execute_tool"
        || text == "invoke_agent"
    {
        return value.clone();
    }
    match serde_json::from_str::<Value>(text) {
        Ok(inner) if inner.is_array() => json!(planted(&inner, key).to_string()),
        _ => json!(format!("{text} {CANARY}")),
    }
}

fn with_canaries(name: &str) -> String {
    let text = sample(name);
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        format!("{}\n", planted(&value, ""))
    });
    lines.collect()
}

/// What `trie convert` and `trie anonymize` write in every target.
fn everything(text: &str, format: &str) -> Vec<String> {
    let options = ImportOptions { keep_names: false, ..options() };
    let found = import_bytes(&[text.as_bytes()], Some(format), &options).unwrap();
    assert!(!found.rows.is_empty(), "{format}");
    let mut anonymizer = Anonymizer::new(Salt(3));
    let bare: Vec<String> = found.rows.iter().map(|row| anonymizer.row(row).unwrap()).collect();
    let mut all = Vec::new();
    for rows in [&found.rows, &bare] {
        for (_, target) in TARGETS {
            let mut out = Vec::new();
            let mut writer = Writer::new(*target, "", &mut out);
            for (number, row) in (0..).zip(rows) {
                writer.row(&Row::read(row, "it", number).unwrap()).unwrap();
            }
            writer.finish().unwrap();
            all.push(String::from_utf8(out).unwrap());
        }
    }
    // Our own rows are written as they are: only without names they are without names.
    if format == "trie" { all.split_off(TARGETS.len()) } else { all }
}

#[test]
fn nothing_of_a_source_but_lengths_and_hashes_comes_out() {
    let samples = [
        ("trie", "trie_v2_flat.jsonl"),
        ("trie", "trie_v2_dag.jsonl"),
        ("bailian", "bailian.jsonl"),
        ("dynamo", "dynamo.jsonl"),
        ("mooncake", "mooncake.jsonl"),
        ("mooncake-sessions", "mooncake_aiperf_session.jsonl"),
        ("weka", "weka.json"),
        ("claude-code", "claude_code.jsonl"),
        ("codex", "codex_rollout.jsonl"),
        ("openai-log", "openai_chat_log.jsonl"),
        ("messages", "messages_only.jsonl"),
        ("make-workload", "upstream_make_workload_input.jsonl"),
        ("otlp", "otlp.json"),
        ("otel-spans", "otel_flat_spans.json"),
        ("atif", "atif.json"),
        ("swe-agent", "swe_agent.traj"),
        ("mini-swe-agent", "mini_swe_agent.traj.json"),
        ("openhands", "openhands.jsonl"),
        ("openhands-v0", "openhands_v0.json"),
        ("tracelab", "tracelab.jsonl"),
        ("lmcache", "lmcache.jsonl"),
        ("litellm", "litellm.jsonl"),
        ("langfuse", "langfuse.json"),
        ("openinference", "openinference.jsonl"),
        ("aiperf-payloads", "aiperf_inputs.json"),
        ("aiperf-payloads", "aiperf_raw_payload.jsonl"),
        ("aiperf-turns", "aiperf_multi_turn.jsonl"),
        ("aiperf-dag", "aiperf_dag.jsonl"),
        ("dynamo-requests", "dynamo_requests.jsonl"),
    ];
    for format in FORMATS {
        // Lines of numbers have no place for a name; BurstGPT's sessions are tested below.
        let numbers = ["azure", "burstgpt"].contains(&format.name);
        let sample = samples.iter().any(|(name, _)| *name == format.name);
        assert!(sample || numbers, "no sample of {}", format.name);
    }
    for (format, name) in samples {
        let text = with_canaries(name);
        assert!(text.contains(CANARY), "{name}");
        for out in everything(&text, format) {
            assert!(!out.contains(CANARY), "{name}: {out}");
            assert!(!out.contains("S1 ") && !out.contains("\"S1\""), "{name}: {out}");
        }
    }
}

#[test]
fn names_of_sessions_in_csv_are_hashed() {
    let text = sample("burstgpt.csv").replace("S1", CANARY).replace("GPT-4", CANARY);
    for out in everything(&text, "burstgpt") {
        assert!(!out.contains(CANARY), "{out}");
    }
}

/// The same salt gives the same hashes, so that two conversions share what they share.
#[test]
fn hashes_are_of_the_salt() {
    let text = sample("openai_chat_log.jsonl");
    let ids = |salt: u64| {
        let options = ImportOptions { salt: Salt(salt), keep_names: false, ..options() };
        let found = import_bytes(&[text.as_bytes()], None, &options).unwrap();
        found.row(0)["prefix"][0]["id"].clone()
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
}
