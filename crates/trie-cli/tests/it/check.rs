//! `trie check`, and the preflight at the start of a run.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::program::{Engine, command, folder, trie};

/// The words that check what `run` would do.
fn check(engine: &Engine) -> String {
    format!("check {}", engine.run())
}

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run/manifest.json")).unwrap()).unwrap()
}

#[test]
fn a_check_prints_a_line_per_finding() {
    let folder = folder();
    let engine = Engine::start("model=m");
    let said = trie(folder.path(), &check(&engine));
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    for expected in [
        "ok    engine         the simulated engine",
        "ok    length         16 of 16 tokens: ignore_eos is honoured",
        "ok    ids_back       return_token_ids names every generated id",
        "ok    cached_tokens  496 of 512 tokens",
        "ok    context        the longest request has 87 tokens of 131072",
        "ok    kv_cache       400000 tokens, as the server says",
        "a run can go ahead: 17 ok, 0 to note, 0 to warn of, 0 failed",
    ] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    assert!(!folder.path().join("trie-runs").exists(), "a check leaves nothing behind");
}

#[test]
fn a_check_needs_neither_workload_nor_concurrency() {
    let folder = folder();
    let engine = Engine::start("cached_tokens=absent");
    let line = format!(
        "check endpoint=http://127.0.0.1:{}/v1 model=m tokenizer_model=builtin",
        engine.port
    );
    let said = trie(folder.path(), &line);
    assert_eq!(said.code, 0, "{}", said.err);
    let advice = "                     -> no cache metric can be measured: start vLLM with";
    assert!(said.out.contains("warn  cached_tokens  usage does not hold"), "{}", said.out);
    assert!(said.out.contains(advice), "{}", said.out);
    assert!(said.out.contains("requests of up to 131072 tokens"), "{}", said.out);
}

#[test]
fn a_check_as_json_holds_findings_and_capabilities() {
    let folder = folder();
    let engine = Engine::start("api_key=sk-canary");
    let good = trie(folder.path(), &format!("{} format=json api_key=sk-canary", check(&engine)));
    let found: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!((good.code, &found["can_run"]), (0, &Value::Bool(true)), "{}", good.out);
    assert_eq!(found["schema"], "trie.check/1");
    assert_eq!(found["capabilities"]["ids_back"], "return_token_ids");
    assert_eq!(found["capabilities"]["block_size"], 16);
    assert_eq!(found["capabilities"]["cache_tokens"], 400_000);
    let bad = trie(folder.path(), &format!("{} format=json", check(&engine)));
    let found: Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!((bad.code, &found["can_run"]), (1, &Value::Bool(false)), "{}", bad.out);
    let findings = found["findings"].as_array().unwrap();
    let failed = findings.iter().find(|finding| finding["status"] == "fail").unwrap();
    assert_eq!(failed["check"], "request");
    assert!(failed["advice"].as_str().unwrap().contains("OPENAI_API_KEY"));
    let other = trie(folder.path(), &format!("{} format=csv", check(&engine)));
    assert_eq!(other.code, 2);
    assert!(other.err.contains("one of text, json"), "{}", other.err);
}

#[test]
fn a_server_at_work_is_noticed() {
    let folder = folder();
    let engine = Engine::start("");
    let mut other = TcpStream::connect(format!("127.0.0.1:{}", engine.port)).unwrap();
    let body = r#"{"prompt":"a","max_tokens":60000,"ignore_eos":true,"stream":true}"#;
    let head =
        format!("POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {}", body.len());
    write!(other, "{head}\r\n\r\n{body}").unwrap();
    // Its answer has begun: it is in work.
    other.read_exact(&mut [0; 16]).unwrap();
    let said = trie(folder.path(), &check(&engine));
    assert!(said.out.contains("warn  idle           1 other request in work"), "{}", said.out);
}

#[test]
fn a_run_says_in_one_line_what_was_found_and_keeps_it() {
    let folder = folder();
    let engine = Engine::start("cached_tokens=absent refuse_ignore_eos=true");
    let said = trie(folder.path(), &format!("{} output_dir=run", engine.run()));
    assert!(said.err.contains("[info     ] preflight passed "), "{}", said.err);
    assert!(said.err.contains(" warnings=1"), "{}", said.err);
    assert!(said.err.contains("warning: cached_tokens: usage does not hold"), "{}", said.err);
    let manifest = manifest(folder.path());
    assert_eq!(manifest["preflight"]["capabilities"]["length"], "min_tokens");
    assert_eq!(manifest["server"], format!("the simulated engine {}", env!("CARGO_PKG_VERSION")));
    let rows = fs::read_to_string(folder.path().join("run/requests.jsonl")).unwrap();
    assert!(rows.contains(r#""outcome":"ok""#), "{rows}");
    assert!(!rows.contains(r#""outcome":"failed""#), "ignore_eos was left out: {rows}");
}

#[test]
fn without_a_preflight_nothing_is_tried() {
    let folder = folder();
    let engine = Engine::start("refuse_ignore_eos=true");
    let line = format!("{} output_dir=run preflight=False max_failures=2", engine.run());
    let said = trie(folder.path(), &line);
    assert!(!said.err.contains("preflight passed"), "{}", said.err);
    assert_eq!(manifest(folder.path())["preflight"], Value::Null);
    // The second slot's failure may come after the run was stopped by the first one's.
    assert!(said.out.contains("failed traces by kind: status"), "{}", said.out);
}

/// Starts `trie` against an engine that never answers and returns once it says what it waits for.
fn waiting(folder: &Path, line: &str) -> (Child, String) {
    let mut command = command(folder, line);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    err.read_line(&mut said).unwrap();
    child.stderr = Some(err.into_inner());
    (child, said)
}

#[test]
fn an_interrupted_preflight_ends_with_130_and_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = folder();
        let engine = Engine::start("stall_before_headers=1");
        let (child, said) = waiting(folder.path(), &format!("{} output_dir=run", engine.run()));
        assert!(said.contains("preflight: still waiting for the run's own request from http://"));
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{err}");
        assert_eq!(err, "interrupted during the preflight: nothing was replayed\n");
        assert!(!folder.path().join("run").exists());
    }
}
