//! Values, where they come from, and what a dry run shows of them.

use std::fs;

use crate::program::{ROW, command, folder, trie};
use crate::servers::Watched;

/// The value and the origin that a dry run shows for an option.
fn shown<'t>(text: &'t str, name: &str) -> (&'t str, &'t str) {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    let rest = line.trim_start()[name.len()..].trim_start();
    let (value, origin) = rest.split_once("  ").unwrap();
    (value, origin.trim_start())
}

#[test]
fn the_command_line_beats_the_environment_beats_the_run_file() {
    let folder = folder();
    let file = "# ours\nmodel = 'm'\ntokenizer_model = 'builtin'\nconcurrency = 3\nduration = 5\n\
                timeout = 40\nmax_turns = 2\n[headers]\nX-Team = 'a'\n";
    fs::write(folder.path().join("run.toml"), file).unwrap();
    let server = Watched::start();
    let line = format!(
        "run config=run.toml workload_path=rows.jsonl endpoint=http://127.0.0.1:{}/v1 \
         --duration 9 timeout=None --dry-run",
        server.port()
    );
    let output = command(folder.path(), &line)
        .env("TRIE_DURATION", "7")
        .env("TRIE_CONCURRENCY", "4")
        .env("OPENAI_API_KEY", "canary-key")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shown(&text, "duration"), ("9", "command line"));
    assert_eq!(shown(&text, "concurrency"), ("4", "environment TRIE_CONCURRENCY"));
    assert_eq!(shown(&text, "model"), ("m", "run.toml:2"));
    assert_eq!(shown(&text, "max_turns"), ("2", "run.toml:7"));
    assert_eq!(shown(&text, "headers.X-Team"), ("a", "run.toml:8"));
    assert_eq!(shown(&text, "api_key"), ("***", "environment OPENAI_API_KEY"));
    assert_eq!(shown(&text, "timeout"), ("600", "default"));
    assert_eq!(shown(&text, "max_failures"), ("50", "default"));
    assert!(text.ends_with("nothing was sent\n"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert!(server.is_untouched());
    assert!(!folder.path().join("trie-runs").exists());
}

#[test]
fn a_dry_run_plans_the_same_for_the_same_seed_and_salt() {
    let folder = folder();
    let plan = |seed: u32| {
        let line = format!(
            "workload_path=rows.jsonl endpoint=http://127.0.0.1:1/v1 model=m concurrency=1 \
             dry_run=True salt=0123456789abcdef seed={seed}"
        );
        let text = trie(folder.path(), &line).out;
        text.lines().find(|line| line.starts_with("  sha256")).unwrap().to_owned()
    };
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1), plan(2));
}

#[test]
fn a_wrong_value_names_who_gave_it_and_nothing_is_sent() {
    let folder = folder();
    let server = Watched::start();
    fs::write(folder.path().join("typo.toml"), "\nconcurency = 3\n").unwrap();
    fs::write(folder.path().join("broken.toml"), "model = 'm'\nseed = = 3\n").unwrap();
    fs::write(folder.path().join("two.jsonl"), format!("{ROW}\n{{}}\n")).unwrap();
    let port = server.port();
    let base = format!(
        "run workload_path=rows.jsonl endpoint=http://127.0.0.1:{port}/v1 model=m \
         tokenizer_model=builtin"
    );
    let check = |more: &str, variable: (&str, &str), expected: &str| {
        let mut command = command(folder.path(), &format!("{base} {more}"));
        let output = command.env(variable.0, variable.1).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{more}: {text}");
        assert!(text.contains(expected), "{more}: {text}");
        assert!(output.stdout.is_empty());
    };
    let none = ("TRIE_UNUSED", "");
    check("", none, "`concurrency` is required");
    check("", ("TRIE_CONCURRENCY", "two"), "environment variable TRIE_CONCURRENCY");
    check("", ("TRIE_CONCURENCY", "8"), "did you mean `TRIE_CONCURRENCY`?");
    check("concurrency=1 ca_file=", none, "`ca_file=` is not valid");
    check("--concurency 8", none, "did you mean `--concurrency`?");
    check("concurrency=0", none, "a whole number, at least 1");
    check("concurrency=1 ui=fancy", none, "one of auto, bar, log, none");
    check("concurrency=1 stream=maybe", none, "True or False");
    check("concurrency=1 salt=xyz", none, "16 hexadecimal digits");
    check("concurrency=1 sampling={\"prompt\":1}", none, "which the plan sets");
    check("concurrency=1 timeout", none, "unexpected word `timeout`");
    check("concurrency=1 config=none.toml", none, "cannot read the run file none.toml");
    check("config=typo.toml", none, "typo.toml:2: unknown option `concurency=`");
    check("config=broken.toml", none, "broken.toml:2:");
    check("concurrency=1 api_key_file=absent", none, "api_key_file=absent");
    check("concurrency=1 output_metrics_path=none/m.jsonl", none, "output_metrics_path=none");
    check("concurrency=1 output_dir=rows.jsonl", none, "hint: output_dir= names a folder");
    check("concurrency=1 output_dir=rows.jsonl/x", none, "cannot make the run directory");
    check("concurrency=1 api_key=canary-1 api_key=canary-2", none, "`***` and `***`");
    assert!(server.is_untouched());
    let demo = trie(folder.path(), "demo output_dir=rows.jsonl");
    assert_eq!(demo.code, 2, "{}", demo.err);
    assert!(demo.err.contains("cannot make the run directory rows.jsonl"), "{}", demo.err);
    let line = base.replace("rows.jsonl", "two.jsonl") + " concurrency=1";
    let said = trie(folder.path(), &line);
    assert!(said.err.contains("two.jsonl:2:1: "), "{}", said.err);
    assert!(server.is_untouched());
}
