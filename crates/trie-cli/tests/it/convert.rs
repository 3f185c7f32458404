//! `trie convert`.

use std::fs;
use std::process::Stdio;

use crate::program::{ROW, command, folder, trie};

const PREFIX: &str = r#","trace_id":"a","prefix":[{"id":"tools","tokens":20}]}"#;

#[test]
fn a_workload_is_written_to_stdout_or_a_file() {
    let folder = folder();
    let row = ROW.replace('}', PREFIX);
    fs::write(folder.path().join("w.jsonl"), format!("# two\n{ROW}\n\n{row}\n")).unwrap();
    let said = trie(folder.path(), "convert w.jsonl to=v2");
    assert_eq!((said.code, said.err.as_str()), (0, "2 traces written\n"));
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(lines[0].starts_with("{\"trie_workload\":2,"), "{}", lines[0]);
    assert_eq!(lines[1], ROW);
    let said = trie(folder.path(), "convert w.jsonl --to seed --output s.jsonl");
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert_eq!(
        said.err,
        "warning: prefix is lost in 1 traces (first on line 4)\n\
         warning: trace_id is lost in 1 traces (first on line 4)\n\
         2 traces written\n"
    );
    let seed = fs::read_to_string(folder.path().join("s.jsonl")).unwrap();
    assert_eq!(seed.replace(' ', ""), format!("{ROW}\n{ROW}\n"));
}

#[test]
fn standard_input_is_converted_too() {
    let folder = folder();
    let mut command = command(folder.path(), "convert - to=seed");
    let rows = fs::File::open(folder.path().join("rows.jsonl")).unwrap();
    let output = command.stdin(Stdio::from(rows)).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().replace(' ', ""), format!("{ROW}\n"));
}

#[test]
fn a_conversion_that_cannot_be_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("bad.jsonl"), "{}").unwrap();
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}: {}", said.err);
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check("convert to=v2", "needs something to read");
    check("convert rows.jsonl", "to");
    check("convert rows.jsonl to=v3", "one of v2, seed, mooncake, weka, dynamo");
    check("convert none.jsonl to=v2", "cannot open the workload none.jsonl");
    check("convert *.csv to=v2", "no file is called so");
    check("convert rows.jsonl to=v2 from=csv", "one of trie, bailian");
    check("convert rows.jsonl to=v2 output=./rows.jsonl", "is the workload itself");
    check("convert bad.jsonl to=v2 output=new.jsonl", "bad.jsonl: its content is of no format");
    check("convert bad.jsonl from=trie to=v2 output=new.jsonl", "bad.jsonl:1:1: num_turns");
    assert!(!folder.path().join("new.jsonl").exists());
    let said = trie(folder.path(), "convert rows.jsonl to=v2 output=none/new.jsonl");
    assert_eq!(said.code, 1, "{}", said.err);
}

const REQUEST: &str =
    r#"{"timestamp": 250, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]}"#;

/// A folder of two foreign files, one that is no source, and one of our own.
#[test]
fn a_folder_of_foreign_files_is_one_workload() {
    let folder = folder();
    let traces = folder.path().join("traces");
    fs::create_dir(&traces).unwrap();
    fs::write(traces.join("a.jsonl"), format!("{REQUEST}\n")).unwrap();
    fs::write(traces.join("b.jsonl"), format!("{ROW}\n")).unwrap();
    fs::write(traces.join("c.json"), "{\"other\": 1}").unwrap();
    fs::write(traces.join("d.txt"), "text").unwrap();
    let said = trie(folder.path(), "convert traces to=v2 output=w.jsonl");
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(said.err.contains("1 files are of no format that is known"), "{}", said.err);
    let line = "fidelity: 3 of 3 requests, 748 of 748 prompt tokens, 12 of 12 answer tokens; 2 sessions in 2 rows";
    assert!(said.err.contains(line), "{}", said.err);
    let said = trie(folder.path(), "convert w.jsonl to=mooncake");
    assert_eq!(said.out.lines().next(), Some(REQUEST), "{}", said.err);
    let forecast =
        "forecast workload_path=w.jsonl engine=instant model=m concurrency=2 duration=1 ui=none";
    assert_eq!(trie(folder.path(), forecast).code, 0);
}

/// What stands before a cut is written, and the exit code tells.
#[test]
fn a_file_that_is_cut_short_is_said() {
    let folder = folder();
    fs::write(folder.path().join("t.jsonl"), format!("{REQUEST}\n{}", &REQUEST[..30])).unwrap();
    let said = trie(folder.path(), "convert t.jsonl to=v2");
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("t.jsonl: cut short at byte 80"), "{}", said.err);
    assert_eq!(said.out.lines().count(), 2);
}

/// Names are hashed, unless they are asked for; `anonymize` takes them out of our own rows.
#[test]
fn names_are_left_out() {
    let folder = folder();
    let messages = r#"{"id":"canary","messages":[{"role":"user","content":"a canary b"},{"role":"assistant","content":"c"}]}"#;
    fs::write(folder.path().join("m.jsonl"), format!("{messages}\n")).unwrap();
    fs::write(
        folder.path().join("n.jsonl"),
        ROW.replace('}', r#","trace_id":"canary","model":"canary"}"#),
    )
    .unwrap();
    let out = |line: &str| {
        let said = trie(folder.path(), line);
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        said.out
    };
    assert!(!out("convert m.jsonl to=v2").contains("canary"));
    assert!(out("convert m.jsonl to=v2 keep_names=True").contains("\"trace_id\":\"canary\""));
    assert!(!out("anonymize m.jsonl n.jsonl").contains("canary"));
    let salted = "anonymize n.jsonl salt=00000000000000ff";
    assert_eq!(out(salted), out(salted));
    assert_ne!(out("anonymize n.jsonl"), out("anonymize n.jsonl"));
    assert!(out("convert m.jsonl to=v2 count=words").contains("\"input_prompt_length\":3"));
}
