//! The rows on disk have the documented keys, no more and no less.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::program::{Engine, folder, rows, trie};

const REQUEST: &str = "attempt cached_tokens chunks completion_tokens connect_ns connected_ns \
    connection credit cycle eligible_tokens end_ns error expected_cached_tokens first_chunk_tokens \
    first_event_ns first_token_ns first_visible_ns headers_ns id intent_ns itl lane last_token_ns \
    late_chunks outcome parent planned_completion_tokens planned_new_tokens planned_prompt_tokens \
    prompt_tokens row sent_ns shown_cached_tokens stale_resend stall_ns stamp_source start_ns step \
    token_source trace uncounted_tokens excess_tokens waited_for waited_until_ns";
const TRACE: &str = "at_ns cycle event final_step planned_completion_tokens planned_prompt_tokens row \
    slot steps trace trace_id";
const CLIENT: &str = "clock_offset_ns clock_steps cpu_ns in_flight lag merged_reads queue_depth queue_full reads \
    second send_lateness thread timer_lag";

fn keys(row: &Value) -> BTreeSet<&str> {
    row.as_object().unwrap().keys().map(String::as_str).collect()
}

fn schema(text: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

#[test]
fn every_row_has_exactly_the_documented_keys() {
    let folder = folder();
    let engine = Engine::start("");
    let said = trie(folder.path(), &format!("{} output_dir=run", engine.run()));
    let chunky = trie(folder.path(), &format!("{} output_dir=chunky chunks=True", engine.run()));
    for said in [said, chunky] {
        assert!(said.out.contains("TRUST:"), "{}", said.err);
    }
    let check = |file: &str, expected: &str, schema: &jsonschema::Validator| {
        let rows = rows(&folder.path().join(file));
        assert!(!rows.is_empty(), "{file}");
        for row in &rows {
            let mut found = keys(row);
            // Only Linux knows it, and of whole seconds only.
            found.remove("core_wait_ns");
            assert_eq!(found, expected.split_whitespace().collect(), "{file}: {row}");
            schema.validate(row).unwrap();
        }
        rows
    };
    let request = schema(include_str!("../../../../docs/reference/schemas/request.schema.json"));
    let trace = schema(include_str!("../../../../docs/reference/schemas/trace.schema.json"));
    let client = schema(include_str!("../../../../docs/reference/schemas/client.schema.json"));
    check("run/requests.jsonl", REQUEST, &request);
    check("run/client.jsonl", CLIENT, &client);
    let traces = check("run/traces.jsonl", TRACE, &trace);
    let admitted = traces.iter().filter(|row| row["event"] == "admitted").count();
    assert_eq!(traces.len(), 2 * admitted, "one row at admission, one at the end");
    let with_chunks = format!("{REQUEST} chunk_ns chunk_tokens");
    for row in check("chunky/requests.jsonl", &with_chunks, &request) {
        let counts = row["chunk_tokens"].as_array().unwrap().len();
        assert_eq!(row["chunk_ns"].as_array().unwrap().len(), counts);
        assert_eq!(row["chunks"], counts);
    }
}

#[test]
fn documents_name_their_schema_and_are_complete() {
    let folder = folder();
    let engine = Engine::start("");
    let said = trie(folder.path(), &format!("{} output_dir=run seed=7", engine.run()));
    assert!(said.err.contains("run directory: run"), "{}", said.err);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join("run").join(name)).unwrap()).unwrap()
    };
    let manifest = read("manifest.json");
    schema(include_str!("../../../../docs/reference/schemas/manifest.schema.json"))
        .validate(&manifest)
        .unwrap();
    assert_eq!(manifest["schema"], "trie.manifest/1");
    assert_eq!(manifest["ending"]["reason"], "deadline");
    assert_eq!(manifest["seed"], 7);
    assert_eq!(manifest["options"]["seed"]["origin"], "command line");
    assert_eq!(manifest["options"]["duration"]["value"], "1");
    let summary = read("summary.json");
    schema(include_str!("../../../../docs/reference/schemas/summary.schema.json"))
        .validate(&summary)
        .unwrap();
    assert_eq!(summary["schema"], "trie.summary/1");
    let expected =
        "accounting cache_room per_request per_trace populations run schema seed verdict workload";
    assert_eq!(keys(&summary), expected.split_whitespace().collect());
    let names: Vec<_> = fs::read_dir(folder.path().join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}
