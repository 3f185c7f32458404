//! Secrets that a server gives back, or that stand where none are expected.

use std::fs;
use std::path::Path;

use crate::program::{Engine, command, folder, trie};
use crate::servers::echo;

/// Everything in the files below a folder.
fn contents(folder: &Path) -> String {
    let text = fs::read_dir(folder).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path)
        } else {
            String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
        }
    });
    text.collect()
}

#[test]
fn a_server_that_quotes_our_headers_gives_nothing_away() {
    let folder = folder();
    let port = echo();
    let line = |host: &str, more: &str| {
        format!(
            "workload_path=rows.jsonl endpoint=http://{host}:{port}/v1{more} model=m \
             tokenizer_model=builtin concurrency=1 duration=1 max_failures=1"
        )
    };
    let keyed = line("127.0.0.1", "?sig=canary-query")
        + " api_key=canary-key headers.X-Api-Key=canary-header headers.X-Secret=canary-too";
    let in_url = line("user:canary-password@127.0.0.1", "");
    let mut said = String::new();
    for line in [keyed, in_url] {
        let probed = trie(folder.path(), &line);
        assert_eq!(probed.code, 1, "{}", probed.err);
        assert!(probed.err.contains("not with these: POST /v1/completions"), "{}", probed.err);
        let ran = trie(folder.path(), &format!("{line} preflight=False"));
        assert_eq!(ran.code, 1, "{}", ran.err);
        assert!(ran.out.contains("TRUST: no"), "{}", ran.err);
        for text in [probed.out, probed.err, ran.out, ran.err] {
            said.push_str(&text);
        }
    }
    let files = contents(&folder.path().join("trie-runs"));
    assert!(files.contains("not with these"), "the records hold the server's words");
    assert!(!said.contains("canary"), "{said}");
    assert!(!files.contains("canary"), "{files}");
    // The password travels in base64 too.
    assert!(!said.contains("dXNlcjpjYW5hcn") && !files.contains("dXNlcjpjYW5hcn"));
}

#[test]
fn keys_from_files_environment_and_run_files_are_kept_out() {
    let folder = folder();
    let engine = Engine::start("api_key=canary-key");
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/key"), "canary-key\n").unwrap();
    fs::write(folder.path().join("mine/run.toml"), "api_key = 'canary-key'\n").unwrap();
    for (name, more) in [("file", "api_key_file=mine/key"), ("toml", "config=mine/run.toml")] {
        let said = trie(folder.path(), &format!("{} output_dir={name} {more}", engine.run()));
        assert!(said.out.contains("TRUST:"), "{more}: {}", said.err);
        assert!(!(said.out + &said.err).contains("canary"));
        assert!(!contents(&folder.path().join(name)).contains("canary"));
    }
    for variable in ["OPENAI_API_KEY", "TRIE_API_KEY"] {
        let line = format!("{} output_dir={variable}", engine.run());
        let output = command(folder.path(), &line).env(variable, "canary-key").output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("TRUST:"), "{variable}: {said}");
        assert!(!said.contains("canary"));
        assert!(!contents(&folder.path().join(variable)).contains("canary"));
    }
}
