//! Several runs by one command.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::ends::{end_with, running_in};
use crate::program::{Engine, folder, trie};

const LINE: &str = "forecast workload_path=rows.jsonl engine=llama-3.1-70b-4xh100 concurrency=4 duration=20 seed=3";

fn json(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

#[test]
fn replicates_are_the_runs_of_the_next_seeds() {
    let folder = folder();
    let said = trie(folder.path(), &format!("{LINE} replicates=3 output_dir=all"));
    assert_eq!(said.code, 0, "{}", said.err);
    for number in 0..3 {
        let line = format!("folder={number} number={number} of=3 seed={}", 3 + number);
        assert!(said.err.contains(&line), "no {line} in {}", said.err);
    }
    assert!(said.out.contains("mean of 3 replicates ± half of its 95 % interval"), "{}", said.out);
    // The second one is the run that its seed alone gives.
    let alone = LINE.replace("seed=3", "seed=4");
    assert_eq!(trie(folder.path(), &format!("{alone} output_dir=alone")).code, 0);
    let rows = |dir: &str| fs::read_to_string(folder.path().join(dir).join("requests.jsonl"));
    assert_eq!(rows("all/1").unwrap(), rows("alone").unwrap());
    let salt = |dir: &str| json(folder.path(), &format!("{dir}/manifest.json"))["salt"].clone();
    assert_ne!(salt("all/0"), salt("all/1"));
    // The report is recomputed from the records of all of them.
    let again = trie(folder.path(), "report all");
    assert_eq!((again.code, again.out), (0, said.out));
    let of_run = json(folder.path(), "all/summary.json");
    let recomputed = trie(folder.path(), "report all format=json").out;
    assert_eq!(serde_json::from_str::<Value>(&recomputed).unwrap(), of_run);
    assert_eq!(of_run["replicates"]["used"], 3);
    let each = (0..3).map(|number| json(folder.path(), &format!("all/{number}/summary.json")));
    let rate =
        |summary: &Value| summary["workload"]["completion_tok_per_s"]["overall"].as_f64().unwrap();
    let mean = each.map(|summary| rate(&summary)).sum::<f64>() / 3.0;
    let pooled = &of_run["workload"]["completion_tok_per_s"]["overall"];
    assert!((pooled["value"].as_f64().unwrap() - mean).abs() < 1e-9, "{pooled} {mean}");
    assert!(pooled["low"].as_f64().unwrap() <= mean && mean <= pooled["high"].as_f64().unwrap());
    let paired = trie(folder.path(), "compare all all");
    assert_eq!(paired.code, 0, "{}", paired.err);
    assert!(paired.out.contains("pairs: runs 3"), "{}", paired.out);
}

#[test]
fn replicates_of_a_run_share_nothing_in_the_cache() {
    let folder = folder();
    let engine = Engine::start("");
    let line = format!("{} seed=5 replicates=2 output_dir=all", engine.run());
    let said = trie(folder.path(), &line);
    let summary = json(folder.path(), "all/summary.json");
    assert_eq!(summary["replicates"]["used"], 2, "{}", said.err);
    assert!(said.err.contains("folder=1 number=1 of=2 seed=6"), "{}", said.err);
    let checks = summary["verdict"]["checks"].as_array().unwrap();
    let of = |id: &str| checks.iter().find(|check| check["id"] == id).unwrap();
    assert_eq!(of("warm_cache")["status"], "pass", "{summary}");
    assert_eq!(of("idle_at_start")["status"], "pass", "{summary}");
}

#[test]
fn an_interrupted_series_reports_what_was_finished() {
    let folder = folder();
    let engine = Engine::start("");
    let line = format!("{} replicates=3 output_dir=all", engine.run());
    let child = running_in(folder.path(), "all/1", &line);
    let output = end_with(child, Signal::SIGINT);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("Workload metrics"), "{err}");
    let summary = json(folder.path(), "all/summary.json");
    assert_eq!(summary["replicates"]["planned"], 3);
    assert_eq!(summary["replicates"]["used"], 1);
    assert_eq!(summary["replicates"]["runs"][0]["used"], true);
    assert!(!folder.path().join("all/2").exists());
}

#[test]
fn what_is_one_runs_only_is_refused() {
    let folder = folder();
    let check = |more: &str, expected: &str| {
        let said = trie(folder.path(), &format!("{LINE} replicates=2 {more}"));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{more}");
        assert!(said.err.contains(expected), "{}", said.err);
    };
    check("truth_log=x", "`truth_log=` is a file of one run");
    check("output_metrics_path=x", "`output_metrics_path=` is a file of one run");
    let none = trie(folder.path(), &format!("{LINE} replicates=0"));
    assert!(none.err.contains("a whole number, at least 1"), "{}", none.err);
}

#[test]
fn objectives_are_counted_and_can_be_set_anew() {
    let folder = folder();
    let line = format!("{LINE} replicates=2 slo.ttft_s=60 slo.latency_s=0.05 output_dir=all");
    let said = trie(folder.path(), &line);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("Goodput: latency_s <= 0.05, ttft_s <= 60"), "{}", said.out);
    let good = |line: &str| {
        let said = trie(folder.path(), &format!("report all format=json {line}"));
        let summary: Value = serde_json::from_str(&said.out).unwrap();
        summary["goodput"].clone()
    };
    let strict = good("");
    assert_eq!(strict["objectives"]["latency_s"], 0.05);
    let lax = good("slo.latency_s=60");
    assert_eq!(lax["objectives"]["latency_s"], 60.0);
    assert!(lax["per_trace"]["good"].as_u64() > strict["per_trace"]["good"].as_u64(), "{lax}");
    assert_eq!(lax["per_trace"]["bad"], 0);
    assert!(good("slo.latency_s=None slo.ttft_s=None").is_null());
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check(&format!("{LINE} slo.speed=5"), "`slo.speed` is no objective; there are slo.latency_s");
    check("report all slo.ttft_s=fast", "slo.ttft_s: found `fast`, wanted a number above 0");
    check(&format!("{LINE} slo.ttft_s=1 stream=False"), "answers were not streamed");
}

#[test]
fn two_servers_are_measured_in_turn_and_compared() {
    let folder = folder();
    let (a, b) = (Engine::start(""), Engine::start("itl_ms=20"));
    let line = format!(
        "{} seed=5 against=http://127.0.0.1:{}/v1 replicates=2 output_dir=all",
        a.run(),
        b.port
    );
    let said = trie(folder.path(), &format!("{line} fail_if=tpot_ms>+50%"));
    // On a busy machine the client may be too late for its numbers to be trusted, which comes first.
    assert!(matches!(said.code, 3 | 4), "{}{}", said.out, said.err);
    assert!(said.out.contains("gate tpot_ms.mean > +50%: FIRED"), "{}", said.out);
    let places = ["folder=a/0", "folder=b/0", "folder=b/1", "folder=a/1"];
    let at = places.map(|place| said.err.find(place).unwrap_or_else(|| panic!("{}", said.err)));
    assert!(at.is_sorted(), "{}", said.err);
    let start = |dir: &str| json(folder.path(), &format!("all/{dir}/manifest.json"));
    let (first, second) = (start("a/0"), start("b/0"));
    assert!(first["ending"]["end_ns"].as_u64() < second["start_ns"].as_u64());
    assert_eq!(first["seed"], second["seed"]);
    assert_ne!(first["salt"], second["salt"]);
    assert_ne!(first["options"]["endpoint"], second["options"]["endpoint"]);
    let found = json(folder.path(), "all/comparison.json");
    assert_eq!(found["pairs"], 2);
    let again = trie(folder.path(), "compare all/a all/b --json").out;
    let mut again: Value = serde_json::from_str(&again).unwrap();
    for side in ["a", "b"] {
        assert_eq!(again[side]["seeds"], found[side]["seeds"]);
    }
    assert_eq!(again["changes"].take(), found["changes"]);
    assert_eq!(json(folder.path(), "all/b/summary.json")["replicates"]["used"], 2);
    let whole = trie(folder.path(), "report all");
    assert!(whole.err.contains("it holds two sides, a and b"), "{}", whole.err);
    let alone = trie(folder.path(), &format!("{} fail_if=tpot_ms>+50%", a.run()));
    assert_eq!(alone.code, 2);
    assert!(alone.err.contains("compared with nothing"), "{}", alone.err);
}
