//! Runs, from the first probe to the report.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::program::{Engine, command, folder, rows, trie};
use crate::servers::echo;

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text)
    })
}

#[test]
fn a_run_prints_its_tables_and_reports_the_same_again() {
    let folder = folder();
    let engine = Engine::start("");
    let said = trie(folder.path(), &format!("{} output_dir=run", engine.run()));
    assert!(said.err.contains("[info     ] starting benchmark             concurrency=2"));
    assert!(said.err.contains("run directory: run"), "{}", said.err);
    for expected in ["Per-trace metrics", "Workload metrics", "More metrics", "TRUST:"] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    let again = trie(folder.path(), "report run");
    assert_eq!(again.out, said.out);
    let json = trie(folder.path(), "report run format=json").out;
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["schema"], "trie.summary/1");
    assert_eq!(summary["populations"]["failed"], serde_json::json!({}));
    assert!(summary["populations"]["completed"].as_u64().unwrap() > 0);
}

#[test]
fn a_run_of_chats_names_its_rung_and_its_template() {
    let folder = folder();
    let engine = Engine::start("");
    let said = trie(folder.path(), &format!("{} api=chat output_dir=run", engine.run()));
    let manifest = fs::read_to_string(folder.path().join("run/manifest.json")).unwrap();
    assert!(manifest.contains(r#""history": "chat""#), "{manifest}");
    assert!(said.out.contains("chat template: builtin/chat_template.jinja"), "{}", said.out);
    assert!(said.out.contains("history=chat: the template's own tokens"), "{}", said.out);
    let check = trie(folder.path(), &format!("check {} api=chat", engine.run()));
    assert!(check.out.contains("chats with a call and its output of"), "{}", check.out);
    assert_eq!(check.code, 0, "{}", check.out);
}

#[test]
fn options_of_chats_that_do_not_fit_are_refused() {
    let folder = folder();
    let check = |more: &str, expected: &str| {
        let line = format!(
            "run workload_path=rows.jsonl endpoint=http://127.0.0.1:1/v1 model=m \
             tokenizer_model=builtin concurrency=1 {more}"
        );
        let said = trie(folder.path(), &line);
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    };
    check("api=chat history=ids", "`history=ids` is not for `api=chat`");
    check("chat_template=x.jinja", "`chat_template=` says nothing without `api=chat`");
    check("api=chat chat_template=x.jinja", "cannot read the chat template x.jinja");
}

#[test]
fn secrets_reach_no_file_and_no_line() {
    let folder = folder();
    let engine = Engine::start("api_key=canary-key");
    let secrets = "headers.X-Api-Key=canary-header headers.Cookie=canary-cookie";
    let run = format!("{} {secrets} output_dir=run", engine.run());
    let said = trie(folder.path(), &format!("{run} api_key=canary-key"));
    assert!(said.out.contains("TRUST:"), "{}", said.err);
    let wrong = trie(folder.path(), &format!("{run}-2 api_key=canary-wrong"));
    assert_eq!(wrong.code, 1);
    let dry = trie(folder.path(), &format!("{run}-3 api_key=canary-key dry_run=True"));
    assert!(dry.out.contains("***"));
    let url = run.replace("http://", "http://user:canary-password@");
    let url = trie(folder.path(), &format!("{url}-4"));
    for text in [said, wrong, dry, url] {
        assert!(!text.out.contains("canary") && !text.err.contains("canary"), "{}", text.err);
    }
    assert!(!holds(folder.path(), "canary"));
}

#[test]
fn a_run_that_was_killed_still_reports_what_it_saw() {
    let folder = folder();
    let engine = Engine::start("itl_ms=50");
    let line = format!("{} duration=600 output_dir=run", engine.run().replace("duration=1", ""));
    let mut child =
        command(folder.path(), &line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let rows = folder.path().join("run/requests.jsonl");
    while fs::read_to_string(&rows).map_or(0, |text| text.lines().count()) < 3 {
        assert_eq!(child.try_wait().unwrap(), None, "the run ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "killed, not ended");
    let said = trie(folder.path(), "report run");
    assert!(said.out.contains("the run has no end: it was killed"), "{}", said.out);
    // Whoever kills a run may kill it in the middle of a row.
    let text = fs::read_to_string(folder.path().join("run/traces.jsonl")).unwrap();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let traces: Vec<serde_json::Value> =
        whole.map(|line| serde_json::from_str(line).unwrap()).collect();
    let admitted = traces.iter().filter(|row| row["event"] == "admitted").count();
    let cut_off = admitted - (traces.len() - admitted);
    assert!(said.out.contains(&format!("cut_off={cut_off}")), "{}", said.out);
}

#[test]
fn a_server_that_dies_ends_the_run_with_a_report() {
    let folder = folder();
    let engine = Engine::start("crash_at_s=1");
    let line = format!("{} duration=600 max_failures=3", engine.run().replace("duration=1", ""));
    let said = trie(folder.path(), &line);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("stopped by max_failures"), "{}", said.err);
    assert!(said.out.contains("Workload metrics"), "{}", said.out);
}

#[test]
fn stamps_can_be_those_of_reads_and_the_report_says_so() {
    let folder = folder();
    let engine = Engine::start("");
    let core = trie_replay::Cores::allowed().map(|cores| cores.iter().next().unwrap());
    // Where threads cannot be kept on cores, there is nothing to ask for.
    let pin = core.map(|core| format!("pin={core}")).unwrap_or_default();
    let said = trie(folder.path(), &format!("{} stamps=read {pin} output_dir=run", engine.run()));
    assert!(
        said.out.contains("tokens are stamped when they were read"),
        "{}{}",
        said.out,
        said.err
    );
    let requests = rows(&folder.path().join("run/requests.jsonl"));
    assert!(requests.iter().all(|row| row["stamp_source"] == "user"));
}

#[test]
fn with_http_2_slots_share_a_connection_and_rows_say_so() {
    let folder = folder();
    let run = |engine: &Engine, name: &str, options: &str| {
        let line = format!("{} http2=True threads=1 {options} output_dir={name}", engine.run());
        let said = trie(folder.path(), &line);
        assert!(said.out.contains("TRUST:"), "{}{}", said.out, said.err);
        let requests = rows(&folder.path().join(name).join("requests.jsonl"));
        assert!(!requests.is_empty() && requests.iter().all(|row| row["outcome"] != "failed"));
        requests
    };
    let connections = |requests: &[serde_json::Value]| {
        let each = requests.iter().map(|row| row["connection"].as_u64().unwrap());
        each.collect::<BTreeSet<u64>>().len()
    };
    let engine = Engine::start("");
    let shared = run(&engine, "shared", "");
    assert_eq!(connections(&shared), 1);
    assert!(shared.iter().any(|row| row["shared_with"] == 1), "{shared:?}");
    let alone = run(&engine, "alone", "connection=conversation");
    assert_eq!(connections(&alone), 2);
    assert!(alone.iter().all(|row| row["shared_with"] == 0), "{alone:?}");
    let narrow = run(&Engine::start("http2_streams=1"), "narrow", "");
    assert!(connections(&narrow) > 1 && narrow.iter().all(|row| row["shared_with"] == 0));
    let check = trie(folder.path(), &format!("check {} http2=True", engine.run()));
    assert_eq!(check.code, 0, "{}", check.out);
}

#[test]
fn a_server_without_http_2_is_named() {
    let folder = folder();
    let line = format!(
        "workload_path=rows.jsonl endpoint=http://127.0.0.1:{}/v1 model=m tokenizer_model=builtin \
         concurrency=1 http2=True",
        echo()
    );
    let refused = trie(folder.path(), &line);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{}", refused.err);
    assert!(refused.err.contains("(no_http2)"), "{}", refused.err);
    // How that shows, as an answer of HTTP/1 or as a reset, is the server's haste.
    assert!(refused.err.contains("the server does not speak HTTP/2"), "{}", refused.err);
}

#[test]
fn what_the_client_can_take_is_tried_once_a_day() {
    let folder = folder();
    let engine = Engine::start("");
    let run = |name: &str, options: &str| {
        let line = format!("{} selfcheck=True {options} output_dir={name}", engine.run());
        let said = trie(folder.path(), &line);
        assert!(said.err.contains("self-check: the client can take "), "{}", said.err);
        let manifest = fs::read_to_string(folder.path().join(name).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        manifest["self_check"].clone()
    };
    let first = run("a", "");
    assert!(first["reads"].as_u64() > Some(0) && first["cpu_ns_per_read"].as_u64() > Some(0));
    assert_eq!((&first["streams"], &first["threads"]), (&2.into(), &1.into()));
    assert_eq!(run("b", ""), first, "it is kept");
    let other = run("c", "threads=2");
    assert_eq!(other["threads"], 2, "runs of another shape have another one");
    // A file where the folder should be: found again, and said so.
    let cache = folder.path().join(".cache/trie");
    fs::remove_dir_all(&cache).unwrap();
    fs::write(&cache, "").unwrap();
    let line = format!("{} selfcheck=True output_dir=d", engine.run());
    let err = trie(folder.path(), &line).err;
    let told = "the next run makes the self-check again: cannot write ";
    assert!(err.contains(", 1 thread)") && err.contains(told), "{err}");

    let summary = trie(folder.path(), "report c format=json").out;
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let checks = summary["verdict"]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["id"] == "client_capacity").unwrap();
    assert!(check["value"].as_f64() > Some(0.0), "{check}");
}

#[test]
fn slots_are_shared_out_to_threads_and_traces_stay_in_order() {
    let folder = folder();
    let engine = Engine::start("");
    let run = engine.run().replace("concurrency=2", "concurrency=7");
    let said = trie(folder.path(), &format!("{run} threads=3 output_dir=run"));
    assert!(said.out.contains("TRUST:"), "{}", said.err);
    let numbers = |rows: &[serde_json::Value], key: &str| {
        let all = rows.iter().map(|row| row[key].as_u64().unwrap());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    let client = rows(&folder.path().join("run/client.jsonl"));
    assert_eq!(numbers(&client, "thread"), [0, 1, 2].into());
    assert!(client.iter().all(|row| row["in_flight"].as_u64().unwrap() <= 3));
    let traces = rows(&folder.path().join("run/traces.jsonl"));
    let admitted: Vec<_> = traces.into_iter().filter(|row| row["event"] == "admitted").collect();
    assert_eq!(numbers(&admitted, "slot"), (0..7).collect());
    let instances = numbers(&admitted, "trace");
    assert_eq!(instances.len(), admitted.len(), "no trace is run twice");
    let most = u64::try_from(admitted.len()).unwrap();
    assert_eq!(instances, (0..most).collect(), "and none is left out");
    let failed = trie(folder.path(), "report run format=json").out;
    let failed: serde_json::Value = serde_json::from_str(&failed).unwrap();
    assert_eq!(failed["populations"]["failed"], serde_json::json!({}));
    assert_eq!(failed["accounting"]["connects_after_intent"], 0);
}

#[test]
fn a_run_that_may_not_open_enough_sockets_is_refused() {
    let folder = folder();
    let engine = Engine::start("");
    let line = engine.run().replace("concurrency=2", "concurrency=40");
    let limited = format!("ulimit -n 100; exec {} {line}", env!("CARGO_BIN_EXE_trie"));
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(limited).current_dir(folder.path()).env_clear();
    let said = shell.output().unwrap();
    let err = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.status.code(), Some(2), "{err}");
    let expected = "concurrency=40 needs 168 open files and sockets, and the system allows 100";
    assert!(err.contains(expected), "{err}");
}
