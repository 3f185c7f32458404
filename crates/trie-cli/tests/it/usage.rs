//! Wrong use: one clear message, the right exit code, nothing sent.

use std::fs;

use crate::program::{Engine, ROW, folder, trie};

/// Nothing listens here: whatever fails before is found before anything is sent.
const NOWHERE: &str =
    "endpoint=http://127.0.0.1:1/v1 model=m tokenizer_model=builtin concurrency=1";

#[test]
fn a_wrong_workload_is_refused_with_its_place() {
    let check = |bytes: &[u8], expected: &str| {
        let folder = folder();
        fs::write(folder.path().join("w.jsonl"), bytes).unwrap();
        let said = trie(folder.path(), &format!("workload_path=w.jsonl {NOWHERE}"));
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
        assert_eq!(said.out, "");
        assert!(!folder.path().join("trie-runs").exists());
    };
    let with = |from: &str, to: &str| ROW.replace(from, to).into_bytes();
    check(b"", "w.jsonl: holds no trace");
    check(&with("[4]", "[4,5]"), "w.jsonl:1:69: assistant_response_length: found 2 elements");
    check(&with(":3}", ":-3}"), "final_assistant_response_length: found -3");
    check(&with(":3}", ":NaN}"), "found NaN");
    check(&with(":3}", ":\"3\"}"), "found \"3\" (a string)");
    check(&with(":3}", ":1000000000000000000}"), "found 1000000000000000000");
    check(b"{\"num_turns\":\xff}", "found byte 0xff");
    check(b"{\"num_turns\":\0 1}", "found a NUL byte");
    check(&vec![b' '; 17 << 20], "a line of more than 16 MiB");
}

#[test]
fn a_wrong_word_is_refused_with_what_would_be_right() {
    let folder = folder();
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}: {}", said.err);
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check("run concurency=8", "did you mean `concurrency=`?");
    check("reprot x", "did you mean `report`?");
    check("run model=m", "is required");
    check(&format!("workload_path=none.jsonl {NOWHERE}"), "cannot open the workload none.jsonl");
    check(&format!("workload_path=rows.jsonl {NOWHERE} output_dir=rows.jsonl"), "run directory");
    check(&format!("workload_path=rows.jsonl {NOWHERE} output_dir=."), "is not empty");
    check(&format!("workload_path=rows.jsonl {NOWHERE} arrival_rate=2"), "open loop");
    check(&format!("workload_path=rows.jsonl {NOWHERE} duration=-1"), "greater than 0");
    let line = format!("workload_path=rows.jsonl {NOWHERE} pin=1-0");
    check(&line, "`pin=1-0` is not valid: cores, as in 0,2-5; ");
    let line = format!("workload_path=rows.jsonl {NOWHERE} priority=20");
    check(&line, "`priority=20` is not valid: a whole number from -20 to 19");
    check("report rows.jsonl", "not a run directory");
}

#[test]
fn an_endpoint_that_cannot_serve_is_found_before_any_load() {
    let folder = folder();
    let check = |engine: &str, change: (&str, &str), expected: &str| {
        let engine = Engine::start(engine);
        let line = engine.run().replace(change.0, change.1);
        let said = trie(folder.path(), &line);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{line}: {}", said.err);
        assert!(said.err.contains(expected), "{expected}: {}", said.err);
        assert!(said.err.contains("nothing was replayed"), "{}", said.err);
    };
    let same = ("", "");
    check("api_key=sk-1", same, "OPENAI_API_KEY");
    check("model=other", same, "status 404");
    check("max_model_len=60", same, "the longest request has 87 tokens, 60 are allowed");
    check("html_page=1", same, "(not_sse)");
    check("", ("/v1 ", "/v2 "), "ends in /v1");
    check("", ("http://", "https://"), "(tls_not_tls)");
    let said = trie(folder.path(), &format!("workload_path=rows.jsonl {NOWHERE}"));
    assert_eq!(said.code, 1);
    assert!(said.err.contains("(refused)"), "{}", said.err);
}
