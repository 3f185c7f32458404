//! Golden records: every number that follows from them, worked out by `testdata/records/expected.py`.

use std::fs;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;
use trie_core::metrics::{RunRecords, Summary, summarize};
use trie_core::record::{ClientRow, Manifest, RequestRow, TraceRow};
use trie_core::units::Nanos;

type Records = RunRecords<Vec<RequestRow>, Vec<TraceRow>, Vec<ClientRow>>;

/// The records of a golden case.
pub(crate) fn records(case: &str) -> Records {
    RunRecords {
        manifest: serde_json::from_str::<Manifest>(&file(case, "manifest.json")).unwrap(),
        requests: rows(case, "requests.jsonl"),
        traces: rows(case, "traces.jsonl"),
        client: rows(case, "client.jsonl"),
    }
}

/// The summary of a golden case.
pub(crate) fn summary(case: &str) -> Summary {
    summarize(vec![records(case)]).unwrap()
}

fn rows<Row: DeserializeOwned>(case: &str, name: &str) -> Vec<Row> {
    file(case, name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file(case: &str, name: &str) -> String {
    fs::read_to_string(folder().join(case).join(name)).unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/records/v1")
}

/// Checks as an object by id, so that their order is left open.
fn by_id(summary: &Summary) -> Value {
    let mut value = serde_json::to_value(summary).unwrap();
    let checks = value["verdict"]["checks"].take();
    let checks = checks.as_array().unwrap().iter();
    value["verdict"]["checks"] =
        checks.map(|check| (check["id"].as_str().unwrap().to_owned(), check.clone())).collect();
    value
}

/// Every difference of `found` from `expected`; members that `expected` does not name are allowed
/// where `open`.
fn differences(path: &str, found: &Value, expected: &Value, open: bool, out: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(found_map), Value::Object(expected_map)) => {
            for (key, expected) in expected_map {
                let found = found_map.get(key).unwrap_or(&Value::Null);
                let open = open || matches!(key.as_str(), "checks" | "run");
                differences(&format!("{path}/{key}"), found, expected, open, out);
            }
            let extra = found_map.keys().filter(|key| !expected_map.contains_key(*key));
            let allowed = |key: &String| open || key == "why" || key == "schema";
            out.extend(extra.filter(|key| !allowed(key)).map(|key| format!("{path}/{key}: extra")));
        }
        (Value::Number(found_number), Value::Number(expected_number)) => {
            let (f, e) = (found_number.as_f64().unwrap(), expected_number.as_f64().unwrap());
            if (f - e).abs() > 1e-9 * e.abs() {
                out.push(format!("{path}: found {f}, expected {e}"));
            }
        }
        (found, expected) if found == expected => {}
        (found, expected) => out.push(format!("{path}: found {found}, expected {expected}")),
    }
}

#[test]
fn golden_records_give_the_numbers_of_the_independent_script() {
    let mut cases: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    cases.sort();
    assert!(cases.len() >= 13, "{cases:?}");
    let mut wrong = Vec::new();
    for case in &cases {
        let expected: Value = serde_json::from_str(&file(case, "expected.json")).unwrap();
        differences(case, &by_id(&summary(case)), &expected, false, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_summary_reads_back_as_it_was_written() {
    let mut wrong = Vec::new();
    for case in ["plain", "cut_off", "failed_turn", "non_streamed"] {
        let written = serde_json::to_value(summary(case)).unwrap();
        let read: Summary = serde_json::from_str(&written.to_string()).unwrap();
        differences(case, &serde_json::to_value(read).unwrap(), &written, false, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shards_of_a_plan_merge_into_what_one_run_would_say() {
    let whole = summary("plain");
    let shard = |odd: u64| {
        let mut records = records("plain");
        records.requests.retain(|row| row.trace % 2 == odd);
        records.traces.retain(|row| row.trace % 2 == odd);
        records.client.retain(|_| odd == 0);
        records.manifest.concurrency = 1;
        // A shard on another machine has another clock.
        shift(&mut records, odd * 77_000_000_000);
        records
    };
    let merged = summarize(vec![shard(0), shard(1)]).unwrap();
    let mut wrong = Vec::new();
    let (merged, whole) = (by_id(&merged), by_id(&whole));
    for part in ["populations", "per_trace", "per_request", "workload", "seed", "accounting"] {
        differences(part, &merged[part], &whole[part], false, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(merged["run"]["runs"], 2);
    assert_eq!(merged["run"]["concurrency"], 2);
}

fn shift(records: &mut Records, by: u64) {
    let later = |at: &mut Nanos| at.0 += by;
    later(&mut records.manifest.start_ns);
    records.manifest.ending.iter_mut().for_each(|ending| later(&mut ending.end_ns));
    records.traces.iter_mut().for_each(|row| later(&mut row.at_ns));
    for row in &mut records.requests {
        later(&mut row.intent_ns);
        let stamps = [
            &mut row.waited_until_ns,
            &mut row.start_ns,
            &mut row.connected_ns,
            &mut row.sent_ns,
            &mut row.headers_ns,
            &mut row.first_event_ns,
            &mut row.first_token_ns,
            &mut row.first_visible_ns,
            &mut row.last_token_ns,
            &mut row.end_ns,
        ];
        stamps.into_iter().flatten().for_each(later);
    }
}

#[test]
fn runs_of_different_plans_are_refused_naming_both() {
    let mut other = records("plain");
    other.manifest.plan_sha256 = "cc".into();
    let error = summarize(vec![records("plain"), other]).unwrap_err().to_string();
    assert!(error.contains("plan aa") && error.contains("plan cc"), "{error}");
    let nothing: Vec<Records> = vec![];
    assert!(summarize(nothing).unwrap_err().to_string().contains("no run to report on"));
}

#[test]
fn a_run_without_any_row_has_a_summary_of_reasons() {
    let mut records = records("plain");
    records.requests.clear();
    records.traces.clear();
    let value = serde_json::to_value(summarize(vec![records]).unwrap()).unwrap();
    assert_eq!(value["verdict"]["trust"], "no");
    assert_eq!(value["per_trace"]["latency_s"]["p50"]["why"], "no trace was admitted");
    assert_eq!(value["workload"]["completion_tok_per_s"]["overall"], 0.0);
    assert_eq!(value["workload"]["think_time_pct"]["overall"]["value"], Value::Null);
}
