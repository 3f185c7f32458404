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
    check("convert to=v2", "needs one workload");
    check("convert rows.jsonl rows.jsonl to=v2", "needs one workload");
    check("convert rows.jsonl", "to");
    check("convert rows.jsonl to=v3", "one of seed, v2");
    check("convert none.jsonl to=v2", "cannot open the workload none.jsonl");
    check("convert . to=v2", "is a folder");
    check("convert rows.jsonl to=v2 output=./rows.jsonl", "is the workload itself");
    check("convert bad.jsonl to=v2 output=new.jsonl", "bad.jsonl:1:1: num_turns");
    assert!(!folder.path().join("new.jsonl").exists());
    let said = trie(folder.path(), "convert rows.jsonl to=v2 output=none/new.jsonl");
    assert_eq!(said.code, 1, "{}", said.err);
}
