//! `trie compare`.

use std::path::Path;

use serde_json::Value;

use crate::program::{folder, trie};

/// Forecasts into a directory.
fn forecast(folder: &Path, options: &str, dir: &str) {
    let line = format!(
        "forecast workload_path=rows.jsonl concurrency=4 engine=llama-3.1-70b-4xh100 {options} \
         output_dir={dir}"
    );
    let said = trie(folder, &line);
    assert_eq!(said.code, 0, "{}", said.err);
}

/// Two runs of the same requests, the second with steps that take 1.5 times as long.
fn two() -> tempfile::TempDir {
    let folder = folder();
    forecast(folder.path(), "duration=60 seed=3", "a");
    forecast(folder.path(), "duration=60 seed=3 sim.step_a_ms=22.8", "b");
    folder
}

#[test]
fn every_format_says_how_b_differs_from_a() {
    let folder = two();
    let said = trie(folder.path(), "compare a b");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for text in
        ["B against A", "TPOT (ms/tok), p50", "higher", "differs: sim.step_a_ms (not given against"]
    {
        assert!(said.out.contains(text), "no {text} in {}", said.out);
    }
    let json = trie(folder.path(), "compare a b --json").out;
    assert_eq!(json, trie(folder.path(), "compare a b format=json").out);
    let found: Value = serde_json::from_str(&json).unwrap();
    let changes = found["changes"].as_array().unwrap();
    let tpot = changes.iter().find(|change| change["metric"] == "tpot_ms").unwrap();
    assert!(tpot["change_pct"]["low"].as_f64().unwrap() > 20.0, "{tpot}");
    let markdown = trie(folder.path(), "compare a b format=markdown").out;
    assert!(markdown.contains("### B against A") && markdown.contains("| --- |"), "{markdown}");
    let csv = trie(folder.path(), "compare a b format=csv").out;
    assert!(csv.contains("\nlatency_s,mean,s,"), "{csv}");
}

#[test]
fn gates_set_the_exit_code() {
    let folder = two();
    let check = |gates: &str, code: i32, expected: &str| {
        let said = trie(folder.path(), &format!("compare a b {gates}"));
        assert_eq!(said.code, code, "{gates}: {}{}", said.out, said.err);
        assert!(format!("{}{}", said.out, said.err).contains(expected), "{gates}: {}", said.out);
    };
    check("--fail-if tpot_ms>+5%", 4, "gate tpot_ms.mean > +5%: FIRED");
    check("--fail-if tpot_ms>+500% --fail-if tpot_ms.p50>+5%", 4, "tpot_ms.p50 > +5%: FIRED");
    check("fail_if=tpot_ms>+500%", 0, "gate tpot_ms.mean > +500%: passed");
    let unsure = "fail_if=completion_tok_per_s<-5%";
    check(unsure, 0, "inconclusive; one pair of runs has no spread");
    check(&format!("{unsure} --fail-if-unsure"), 5, "inconclusive");
    check("fail_if=tpot>5%", 2, "there is no `tpot` to compare");
}

#[test]
fn sides_that_cannot_be_paired_are_refused() {
    let folder = folder();
    forecast(folder.path(), "duration=10 seed=3", "a");
    forecast(folder.path(), "duration=10 seed=4", "b");
    forecast(folder.path(), "duration=10 seed=3 token_scale=2", "long");
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}: {}", said.err);
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check("compare a", "`trie compare` needs two sides");
    check("compare a nowhere", "nowhere is not a run directory");
    check("compare a b", "a and b did not replay the same requests");
    check("compare a b", "seed (3 against 4)");
    check("compare a long", "token_scale (1 against 2)");
    check("compare a,b a", "A has [3, 4], B has [3]");
}

#[test]
fn replicates_are_paired_by_seed_wherever_they_lie() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("both")).unwrap();
    for seed in [0, 1, 2] {
        forecast(folder.path(), &format!("duration=40 seed={seed}"), &format!("both/{seed}"));
    }
    let json = trie(folder.path(), "compare both both/2,both/0,both/1 --json").out;
    let found: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&found["pairs"], &found["a"]["seeds"]), (&3.into(), &found["b"]["seeds"]));
    let changes = found["changes"].as_array().unwrap();
    let rate = changes.iter().find(|change| change["metric"] == "completion_tok_per_s").unwrap();
    assert_eq!((&rate["n"], &rate["change_pct"]["high"]), (&3.into(), &Value::from(0.0)));
}
