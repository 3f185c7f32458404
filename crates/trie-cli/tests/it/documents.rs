//! What the program says about itself.

use crate::program::{folder, trie};

#[test]
fn help_version_completions_and_manual_go_to_stdout() {
    let folder = folder();
    let check = |line: &str, expected: &[&str]| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{line}");
        for text in expected {
            assert!(said.out.contains(text), "{line}: no {text} in {}", said.out);
        }
    };
    check("--version", &[&format!("trie {}\n", env!("CARGO_PKG_VERSION"))]);
    check("", &["Usage: trie COMMAND", "trie demo"]);
    check("--help", &["Usage: trie COMMAND", "completions"]);
    check("run --help", &["workload_path=", "headers.NAME=", "duration=", "[default: 300]"]);
    check("check --help", &["endpoint=", "sampling=", "`check` has text and json"]);
    check("serve --help", &["crash_at_s=", "cached_tokens="]);
    check("completions bash", &["complete -F _trie", "--output-dir"]);
    check("completions zsh", &["#compdef trie"]);
    check("completions fish", &["complete -c trie"]);
    check("man", &[".TH trie 1", "TRIE RUN", "max_failures="]);
}

#[test]
fn the_version_as_json_names_the_formats() {
    let said = trie(folder().path(), "--version --json");
    let facts: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(facts["trie"], env!("CARGO_PKG_VERSION"));
    assert_eq!(facts["schemas"]["manifest"], "trie.manifest/1");
    assert_eq!(facts["schemas"]["summary"], "trie.summary/1");
    assert!(facts["features"].is_array());
}

#[test]
fn a_wrong_document_is_refused() {
    let folder = folder();
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check("completions", "bash, elvish, fish, powershell or zsh");
    check("completions tcsh", "`tcsh` is not a shell");
    check("--version --yaml", "unknown option `--yaml`");
    check("report", "trie report trie-runs/NAME");
    check("serve ttft=5", "did you mean `ttft_ms=`?");
    check("serve port=high", "a port from 0 to 65535");
}
