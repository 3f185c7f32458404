//! `trie forecast`.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::ends::{end_with, running, summary};
use crate::program::{folder, trie};

const LINE: &str = "forecast workload_path=rows.jsonl concurrency=4 duration=20 seed=3";

#[test]
fn a_forecast_is_a_run_directory_that_says_it_was_simulated() {
    let folder = folder();
    let line = format!("{LINE} engine=llama-3.1-70b-4xh100 replicas=2 router=session output_dir=a");
    let said = trie(folder.path(), &line);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("simulated engine `llama-3.1-70b-4xh100`"), "{}", said.out);
    assert!(said.out.contains("believe the shape, not the level"), "{}", said.out);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let manifest: Value = serde_json::from_str(&read("a/manifest.json")).unwrap();
    assert_eq!(manifest["simulated"], "llama-3.1-70b-4xh100");
    assert_eq!((&manifest["start_ns"], &manifest["num_gpus"]), (&0.into(), &8.into()));
    assert_eq!(manifest["ending"]["end_ns"], 20_000_000_000_u64);
    let again = trie(folder.path(), "report a");
    assert_eq!((again.code, again.out), (0, said.out));
    // The same seed gives the same records, wherever they lie.
    assert_eq!(trie(folder.path(), &line.replace("output_dir=a", "output_dir=b")).code, 0);
    for name in ["requests.jsonl", "traces.jsonl", "client.jsonl"] {
        assert_eq!(read(&format!("a/{name}")), read(&format!("b/{name}")), "{name}");
    }
}

#[test]
fn an_engine_can_be_a_file_and_a_setting_can_be_typed() {
    let folder = folder();
    let file = "itl_ms = 10.0\nengine = 'fixed'\nttft_ms = 100\nprefill_us_per_token = 1000\n";
    fs::write(folder.path().join("mine.toml"), file).unwrap();
    let line = format!("{LINE} engine=mine.toml sim.itl_ms=5 output_dir=a");
    let said = trie(folder.path(), &line);
    assert_eq!(said.code, 0, "{}", said.err);
    let requests = fs::read_to_string(folder.path().join("a/requests.jsonl")).unwrap();
    let first: Value = serde_json::from_str(requests.lines().next().unwrap()).unwrap();
    let prompt = first["prompt_tokens"].as_u64().unwrap();
    assert_eq!(first["first_token_ns"], 100_000_000 + prompt * 1_000_000);
    assert_eq!(first["itl"][0][0], 5_000_000);
}

#[test]
fn an_interrupted_forecast_reports_and_exits_with_130() {
    let folder = folder();
    let line = "forecast workload_path=rows.jsonl engine=llama-3.1-70b-4xh100 concurrency=64 \
                duration=10000000 seed=3 output_dir=run";
    let output = end_with(running(folder.path(), line), Signal::SIGINT);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("forecast interrupted"), "{err}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("Workload metrics"));
    let summary = summary(folder.path());
    assert_eq!(summary["run"]["endings"], serde_json::json!(["interrupted"]));
}

#[test]
fn a_forecast_logs_the_truth() {
    let folder = folder();
    let line = format!("{LINE} engine=fixed truth_log=truth.jsonl output_dir=run");
    assert_eq!(trie(folder.path(), &line).code, 0);
    let lines = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (rows, truths) = (lines("run/requests.jsonl"), lines("truth.jsonl"));
    assert_eq!(rows.len(), truths.len());
    for row in &rows {
        let name = format!("{}/{}/{}", row["trace"], row["step"], row["attempt"]);
        let truth = truths.iter().find(|truth| truth["request"] == *name).unwrap();
        assert_eq!(truth["arrived_ns"], row["sent_ns"], "{name}");
        assert_eq!(
            truth["token_ns"].get(0),
            Some(&row["first_token_ns"]).filter(|at| !at.is_null())
        );
    }
    let said = trie(folder.path(), &format!("{LINE} engine=fixed truth_log=none/truth.jsonl"));
    assert_eq!(said.code, 2);
    assert!(said.err.contains("cannot write truth_log=none/truth.jsonl"), "{}", said.err);
}

#[test]
fn what_an_engine_cannot_be_told_is_refused() {
    let folder = folder();
    let check = |more: &str, expected: &str| {
        let said = trie(folder.path(), &format!("{LINE} {more}"));
        assert_eq!(said.code, 2);
        assert!(said.err.contains(expected), "{}", said.err);
    };
    check("", "engine");
    check("engine=qwen4", "`qwen3-32b-1xh200`");
    check("engine=none.toml", "cannot read the engine's settings none.toml");
    check("engine=fixed sim.port=1", "no setting `port`");
    check(
        "engine=fixed endpoint=http://localhost:1/v1",
        "`endpoint` is not an option of `trie forecast`",
    );
}
