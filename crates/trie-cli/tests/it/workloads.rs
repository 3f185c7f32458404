//! `trie inspect` and `trie generate`, and the workloads that are shipped.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{ROW, command as started, folder, trie};

/// Where the shipped workloads lie.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workloads");

/// The command in a workload's header.
fn command(text: &str) -> String {
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let by = header["created_by"].as_str().unwrap();
    by.split_once(": trie ").unwrap().1.to_owned()
}

#[test]
fn shipped_workloads_are_what_the_command_in_their_header_makes() {
    let folder = folder();
    let mut files: Vec<_> =
        fs::read_dir(SHIPPED).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.iter().any(|file| file.ends_with("demo.jsonl")), "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let command = command(&text);
        let said = trie(folder.path(), &command);
        let name = file.display();
        assert_eq!(said.code, 0, "{name}: {}", said.err);
        assert!(said.out == text, "{name} is stale: `trie {command} output={name}` makes it anew");
    }
}

#[test]
fn a_generated_workload_is_inspected() {
    let folder = folder();
    let said = trie(folder.path(), "generate preset=office-work traces=20 output=w.jsonl");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", "20 traces generated\n"));
    let said = trie(folder.path(), "inspect w.jsonl concurrency=4 cache_tokens=50000;400000");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("w.jsonl\n20 traces, "), "{}", said.out);
    for expected in
        ["KV cache hit rate by capacity, 4 traces at a time", "a cache of        400,000 "]
    {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
    let wide = said.out.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{}", said.out);
    let json = trie(folder.path(), "inspect w.jsonl format=json curve=False");
    let found: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(found["schema"], "trie.inspection/1");
    assert_eq!(found["shape"]["traces"], 20);
    assert!(found.get("cache").is_none(), "it was not asked for");
}

#[test]
fn the_documented_schema_is_that_of_an_inspection() {
    let folder = folder();
    let said = trie(folder.path(), "inspect rows.jsonl format=json");
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/reference/schemas/inspection.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(&found).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn a_workload_in_the_six_fields_is_generated_where_they_can_say_it() {
    let folder = folder();
    let said = trie(folder.path(), "generate preset=office-work traces=3 to=seed");
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(said.out.lines().count(), 3);
    assert!(said.out.lines().all(|line| line.starts_with("{\"num_turns\": ")), "{}", said.out);
    let said = trie(folder.path(), "generate like=rows.jsonl traces=2 to=seed");
    assert_eq!(said.out.replace(' ', ""), format!("{ROW}\n{ROW}\n"));
}

#[test]
fn what_cannot_be_made_or_looked_at_is_refused() {
    let folder = folder();
    let check = |line: &str, expected: &str| {
        let said = trie(folder.path(), line);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}: {}", said.err);
        assert!(said.err.contains(expected), "{line}: {}", said.err);
    };
    check("generate", "either `preset=` or `like=`");
    check("generate preset=office", "one of office-work, agentic-coding");
    check("generate preset=office-work like=rows.jsonl", "either `preset=` or `like=`");
    check("generate preset=office-work traces=0", "at least 1");
    check("generate preset=office-work to=mooncake", "v2 or seed");
    check("generate preset=office-work turn_scale=1e30", "a number from 0 to 1000");
    check("generate preset=office-work growth_scale=-1", "a number of at least 0");
    check("generate preset=office-work output_scale=nan", "a number of at least 0");
    check("generate preset=office-work fan_out=4000000000", "a whole number from 1 to 1000");
    check(
        "generate preset=office-work shared_prefix=9000000000",
        "a whole number from 0 to 1000000000",
    );
    check("generate like=none.jsonl", "cannot open the workload none.jsonl");
    check("generate like=rows.jsonl check=True", "compares a preset");
    check("inspect", "needs one workload");
    check("inspect none.jsonl", "cannot open the workload none.jsonl");
    check("inspect rows.jsonl cache_tokens=10k", "whole numbers of tokens");
    check("inspect rows.jsonl engine=h100", "engine");
    check("inspect rows.jsonl block=0", "at least 1");
}

/// Where a session in many notations lies.
const FORMATS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/formats");

#[test]
fn foreign_traces_are_looked_at_and_drawn_from_as_they_are() {
    let folder = folder();
    fs::create_dir(folder.path().join("claude")).unwrap();
    let from = format!("{FORMATS}/claude_code.jsonl");
    fs::copy(&from, folder.path().join("claude/a.jsonl")).unwrap();
    let said = trie(folder.path(), "inspect claude concurrency=2 salt=00000000000000a1");
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with("claude\n1 traces, "), "{}", said.out);
    assert!(said.err.contains("fidelity: "), "{}", said.err);
    let stdin = fs::File::open(&from).unwrap();
    let output = started(folder.path(), "inspect - curve=False salt=00000000000000a1")
        .stdin(stdin)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.split_once('\n').unwrap().1,
        said.out.split_once("\n\nKV").unwrap().0.split_once('\n').unwrap().1.to_owned() + "\n"
    );
    let line = "generate like=claude traces=3 output=";
    for name in ["one", "two"] {
        let said = trie(folder.path(), &format!("{line}{name}.jsonl"));
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(said.err.contains("fidelity: "), "{}", said.err);
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("one.jsonl"), read("two.jsonl"), "salts of an import are not seen");
    assert_eq!(read("one.jsonl").lines().count(), 4);
}

#[test]
fn rows_that_are_piped_in_are_looked_at_as_they_stand() {
    let folder = folder();
    let rows = fs::File::open(folder.path().join("rows.jsonl")).unwrap();
    let output = started(folder.path(), "inspect - curve=False").stdin(rows).output().unwrap();
    let from_file = trie(folder.path(), "inspect rows.jsonl curve=False");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.replacen("-\n", "rows.jsonl\n", 1), from_file.out);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn a_preset_is_compared_with_its_tables() {
    let said = trie(folder().path(), "generate preset=agentic-coding check=True traces=50");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    for expected in ["50 sessions against the tables", "requests a trace", "last prompt, p50"] {
        assert!(said.out.contains(expected), "{expected}: {}", said.out);
    }
}
