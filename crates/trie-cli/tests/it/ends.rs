//! How runs end, and what they say on the way.

use std::fs;
use std::path::Path;
use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::program::{Engine, ROW, command, folder, trie};

/// Starts a run and returns when it has written a few request rows.
pub(crate) fn running(folder: &Path, line: &str) -> Child {
    running_in(folder, "run", line)
}

/// The same of a run directory of another name.
pub(crate) fn running_in(folder: &Path, dir: &str, line: &str) -> Child {
    let mut command = command(folder, line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let rows = folder.join(dir).join("requests.jsonl");
    while fs::read_to_string(&rows).map_or(0, |text| text.lines().count()) < 3 {
        assert_eq!(child.try_wait().unwrap(), None, "the run ended by itself");
        std::thread::yield_now();
    }
    child
}

pub(crate) fn end_with(child: Child, signal: Signal) -> Output {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run/summary.json")).unwrap()).unwrap()
}

#[test]
fn an_interrupted_run_reports_and_exits_with_130() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let folder = folder();
        let engine = Engine::start("itl_ms=30");
        let line = engine.run().replace("duration=1", "duration=600 output_dir=run");
        let output = end_with(running(folder.path(), &line), signal);
        let (out, err) = (output.stdout, String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(130), "{err}");
        assert!(err.contains("[warning  ] benchmark interrupted"), "{err}");
        assert!(err.contains("benchmark complete"), "{err}");
        assert!(String::from_utf8(out).unwrap().contains("Workload metrics"));
        let summary = summary(folder.path());
        assert_eq!(summary["run"]["endings"], serde_json::json!(["interrupted"]));
        let count = |name: &str| summary["populations"][name].as_u64().unwrap();
        assert_eq!(count("admitted"), count("completed") + count("cut_off"));
        assert!(count("cut_off") <= 2);
    }
}

#[test]
fn traces_longer_than_the_run_are_cut_off_and_counted() {
    let folder = folder();
    let slow = ROW.replace("[0.01]", "[600]");
    fs::write(folder.path().join("rows.jsonl"), format!("{slow}\n{slow}")).unwrap();
    let engine = Engine::start("");
    let line = engine.run().replace("concurrency=2", "concurrency=5 output_dir=run");
    let said = trie(folder.path(), &line);
    assert!(said.out.contains("completed=0/5  failed=0  cut_off=5"), "{}", said.out);
    let summary = summary(folder.path());
    assert_eq!(summary["populations"]["cut_off"], 5);
    assert_eq!(summary["run"]["endings"], serde_json::json!(["deadline"]));
    assert_eq!(summary["run"]["window_s"], 1.0);
    let rows = fs::read_to_string(folder.path().join("run/traces.jsonl")).unwrap();
    assert_eq!(rows.matches(r#""event":{"ended":"cut_off"}"#).count(), 5);
}

#[test]
fn requests_alive_at_the_deadline_have_a_row() {
    let folder = folder();
    let engine = Engine::start("ttft_ms=600000");
    let line = format!("{} output_dir=run preflight=False", engine.run());
    let said = trie(folder.path(), &line);
    assert!(said.out.contains("completed=0/2  failed=0  cut_off=2"), "{}", said.out);
    let rows = fs::read_to_string(folder.path().join("run/requests.jsonl")).unwrap();
    assert_eq!(rows.matches(r#""outcome":"cut_off""#).count(), 2, "{rows}");
    assert_eq!(rows.lines().count(), 2, "{rows}");
}

#[test]
fn a_server_that_only_fails_ends_the_run_by_max_failures() {
    let folder = folder();
    let engine = Engine::start("status=500");
    let line = format!("{} preflight=False max_failures=2 output_dir=run", engine.run());
    let said = trie(folder.path(), &line.replace("duration=1", "duration=600"));
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("stopped by max_failures"), "{}", said.err);
    assert!(said.out.contains("failed traces by kind: status 2"), "{}", said.out);
    assert!(said.out.contains("TRUST: no"), "{}", said.out);
    assert!(!said.out.contains("-0.00"), "{}", said.out);
    assert_eq!(summary(folder.path())["populations"]["failed"]["status"], 2);
}

#[test]
fn tables_go_to_stdout_and_talk_to_stderr() {
    let folder = folder();
    let engine = Engine::start("");
    let talkative = format!("{} output_dir=run duration_update_interval=0.3", engine.run());
    let said = trie(folder.path(), &talkative);
    assert!(said.err.contains("benchmark in progress"), "{}", said.err);
    assert!(said.err.contains("remaining_duration=0."), "{}", said.err);
    assert!(!said.out.contains("[info"), "{}", said.out);
    assert!(!said.err.contains('━'), "{}", said.err);
    let first = said.out.trim_start_matches('\n').trim_start();
    assert!(first.starts_with("Per-trace metrics"), "{first}");
    let quiet = trie(
        folder.path(),
        &format!("{talkative} output_dir=quiet ui=none").replace("output_dir=run ", ""),
    );
    assert!(!quiet.err.contains("benchmark in progress"), "{}", quiet.err);
    for text in [said.out, said.err, quiet.out, quiet.err] {
        assert!(!text.contains('\x1b'), "no terminal, no escapes: {text}");
    }
}

#[test]
fn the_originals_metrics_file_has_a_row_per_completed_trace() {
    let folder = folder();
    let engine = Engine::start("");
    let line = format!("{} output_dir=run output_metrics_path=metrics.jsonl", engine.run());
    let said = trie(folder.path(), &line);
    let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let completed = summary(folder.path())["populations"]["completed"].as_u64().unwrap();
    assert!(completed > 0, "{}", said.err);
    assert_eq!(text.lines().count(), usize::try_from(completed).unwrap());
    for line in text.lines() {
        let mut row: Value = serde_json::from_str(line).unwrap();
        assert!(row["request_id"].is_u64(), "{row}");
        row["request_id"] = Value::Null;
        let expected = serde_json::json!({
            "request_id": null, "output_tokens_per_turn": [4, 3], "output_tokens_per_trace": 7
        });
        assert_eq!(row, expected);
    }
}

#[test]
fn a_run_that_never_began_leaves_no_directory() {
    let folder = folder();
    let engine = Engine::start("api_key=sk-1");
    fs::create_dir(folder.path().join("mine")).unwrap();
    for more in ["output_dir=run", "output_dir=mine"] {
        let said = trie(folder.path(), &format!("{} {more}", engine.run()));
        assert_eq!(said.code, 1, "{}", said.err);
    }
    assert!(!folder.path().join("run").exists());
    assert!(folder.path().join("mine").exists(), "what the user made stays");
}
