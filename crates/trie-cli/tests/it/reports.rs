//! `trie report`: every format, and run directories that are not whole.

use std::fs;
use std::path::Path;

use trie_core::metrics::Summary;

use crate::program::{Engine, folder, trie};

/// A folder that holds a finished run, `run`.
fn finished() -> tempfile::TempDir {
    let folder = folder();
    let engine = Engine::start("");
    let said = trie(folder.path(), &format!("{} output_dir=run", engine.run()));
    assert!(said.err.contains("run directory: run"), "{}", said.err);
    folder
}

fn append(folder: &Path, name: &str, text: &str) {
    let path = folder.join("run").join(name);
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(path, rows + text).unwrap();
}

#[test]
fn every_format_says_the_same() {
    let folder = finished();
    let report = |format: &str| trie(folder.path(), &format!("report run format={format}")).out;
    let summary: Summary = serde_json::from_str(&report("json")).unwrap();
    let on_disk = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&on_disk).unwrap(), summary);
    let csv = report("csv");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("table,metric,stat,value,bound,n,low,high,marks"));
    assert!(lines.all(|line| line.split(',').count() == 9), "{csv}");
    assert!(csv.contains("\nper_trace,latency_s,p50,"), "{csv}");
    let markdown = report("markdown");
    assert!(markdown.contains("| Metric | Latency (s) | TTFT (s) |"), "{markdown}");
    assert!(!markdown.contains('━'), "{markdown}");
    let strict = trie(folder.path(), "report run strict_percentiles=True").out;
    assert!(strict.contains("Per-trace metrics") && !strict.contains("? │"), "{strict}");
}

#[test]
fn runs_that_are_no_shards_are_not_merged() {
    let folder = finished();
    let engine = Engine::start("");
    let same = "seed=1 salt=0123456789abcdef";
    for dir in ["one", "two"] {
        trie(folder.path(), &format!("{} {same} output_dir={dir}", engine.run()));
    }
    for dirs in ["one two", "one one"] {
        let said = trie(folder.path(), &format!("report {dirs}"));
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
        assert!(said.err.contains("both replayed trace 0"), "{}", said.err);
    }
    let other = trie(folder.path(), "report one run");
    assert_eq!((other.code, other.out.as_str()), (1, ""), "{}", other.err);
    assert!(other.err.contains("different plans cannot be merged"), "{}", other.err);
}

#[test]
fn what_is_missing_is_said() {
    let folder = finished();
    append(folder.path(), "requests.jsonl", r#"{"trace": 1, "ro"#);
    fs::remove_file(folder.path().join("run/client.jsonl")).unwrap();
    let said = trie(folder.path(), "report run");
    assert!(said.out.contains("the last line of requests.jsonl was cut off"), "{}", said.out);
    assert!(said.out.contains("client.jsonl is missing"), "{}", said.out);
    append(folder.path(), "requests.jsonl", "\n{}\n");
    let said = trie(folder.path(), "report run");
    assert!(
        said.out.contains("lines of requests.jsonl that cannot be read and are left out: 1"),
        "{}",
        said.out
    );
}

#[test]
fn records_that_contradict_each_other_are_not_trusted() {
    let check = |change: &dyn Fn(&str) -> String| {
        let folder = finished();
        let path = folder.path().join("run/requests.jsonl");
        let before = fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(after, before);
        fs::write(&path, after).unwrap();
        let said = trie(folder.path(), "report run");
        assert_eq!(said.code, 3, "{}", said.err);
        assert!(said.out.contains("FAIL records"), "{}", said.out);
    };
    check(&|_| String::new());
    check(&|rows| rows.split_inclusive('\n').skip(1).collect());
    check(&|rows| rows.to_owned() + rows.split_inclusive('\n').next().unwrap());
    check(&|rows| rows.replacen("\"first_chunk_tokens\":1", "\"first_chunk_tokens\":99", 1));
}

#[test]
fn a_manifest_of_a_later_version_is_refused() {
    let folder = finished();
    let path = folder.path().join("run/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("trie.manifest/1", "trie.manifest/2")).unwrap();
    let said = trie(folder.path(), "report run");
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
    assert!(said.err.contains("trie.manifest/2"), "{}", said.err);
    for (dir, why) in [(".", "no manifest.json"), ("none", "not a run directory")] {
        let said = trie(folder.path(), &format!("report {dir}"));
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{}", said.err);
        assert!(said.err.contains(why), "{}", said.err);
    }
}

#[test]
fn a_narrow_screen_gets_narrow_tables() {
    let folder = finished();
    let widest = |columns: &str| {
        let mut command = crate::program::command(folder.path(), "report run");
        let output = command.env("COLUMNS", columns).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let tables = text.lines().filter(|line| line.contains(['┃', '│']));
        tables.map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest("80") <= 80);
    assert!(widest("200") > 80);
}
