//! Where runs start, and where they end.

use std::fs;

use serde_json::Value;

use crate::program::{Engine, ROW, folder, rows, trie};

fn json(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_starts_in_equilibrium_with_its_histories_primed() {
    let folder = folder();
    // Long waits: nearly every slot is found in the one of the tool, behind the first answer.
    let slow = ROW.replace("[0.01]", "[30]").replace(":64,", ":640,");
    fs::write(folder.path().join("rows.jsonl"), slow).unwrap();
    let engine = Engine::start("");
    let line = engine.run().replace("concurrency=2", "concurrency=8 seed=4 start=equilibrium");
    let said = trie(folder.path(), &format!("{line} output_dir=run"));
    assert!(said.err.contains("primed: "), "{}", said.err);
    let manifest = json(&folder.path().join("run/manifest.json"));
    assert_eq!(manifest["entries"].as_array().unwrap().len(), 8);
    assert_eq!(manifest["priming"]["missed_requests"], 0);
    let speed = &manifest["preflight"]["capabilities"]["speed"];
    assert!(speed["decode_ns"].as_u64().unwrap() >= 1_900_000, "{speed}");
    let requests = manifest["priming"]["requests"].as_u64().unwrap();
    assert!(requests >= 6, "{manifest}");
    assert_eq!(manifest["priming"]["tokens"], requests * 644);
    let summary = json(&folder.path().join("run/summary.json"));
    assert_eq!(summary["populations"]["entered"], 8);
    let checks = summary["verdict"]["checks"].as_array().unwrap();
    let of = |id: &str| checks.iter().find(|check| check["id"] == id).unwrap();
    assert_eq!(of("priming")["status"], "pass");
    assert!(said.out.contains("entered=8"), "{}", said.out);
    // What goes on from a history finds it in the cache: whole blocks of 16.
    let sent = rows(&folder.path().join("run/requests.jsonl"));
    let later = sent.iter().filter(|row| row["step"] == 1 && row["outcome"] == "ok");
    assert!(later.clone().all(|row| row["cached_tokens"] == 640), "{sent:?}");
    let refused = trie(folder.path(), &format!("{line} preflight=False"));
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("needs the preflight"), "{}", refused.err);
}

#[test]
fn a_run_that_drains_completes_what_it_has_begun() {
    let folder = folder();
    let engine = Engine::start("itl_ms=100");
    let line = engine.run().replace("duration=1", "duration=0.5");
    let said = trie(folder.path(), &format!("{line} drain=20 output_dir=run"));
    let summary = json(&folder.path().join("run/summary.json"));
    assert_eq!(summary["populations"]["cut_off"], 0, "{}", said.out);
    assert_eq!(summary["run"]["window_s"], 0.5);
    assert!(said.out.contains("drained: of 2 traces alive at the deadline 2 came to their end"));
    let none = trie(folder.path(), &format!("{line} output_dir=cut"));
    assert!(none.out.contains("cut_off=2"), "{}", none.out);
}

#[test]
fn a_forecast_drains_too() {
    let folder = folder();
    let line = "forecast workload_path=rows.jsonl engine=fixed sim.itl_ms=100 concurrency=2 \
                duration=1 seed=1 output_dir=";
    let cut = trie(folder.path(), &format!("{line}cut"));
    assert!(cut.out.contains("cut_off=2"), "{}", cut.out);
    let drained = trie(folder.path(), &format!("{line}run drain=60"));
    assert!(drained.out.contains("drained: of 2 traces alive"), "{}", drained.out);
    let summary = json(&folder.path().join("run/summary.json"));
    assert_eq!(summary["populations"]["cut_off"], 0);
    let end = json(&folder.path().join("run/manifest.json"))["ending"]["end_ns"].as_u64();
    assert!(end.unwrap() > 1_000_000_000 && end.unwrap() < 10_000_000_000, "{end:?}");
}
