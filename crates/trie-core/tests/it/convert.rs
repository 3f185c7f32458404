//! Workloads written anew.

use std::io::Cursor;

use serde_json::Value;
use trie_core::workload::{ConvertError, Converted, ReadOptions, Source, Target, convert};

use crate::steps::SESSION;
use crate::workload::{ABOUT, ROW, open, row_with, traces};

fn converted(file: &str, target: Target) -> Result<(String, Converted), ConvertError> {
    let source = Source::Seekable(Box::new(Cursor::new(file.to_owned())));
    let mut out = Vec::new();
    let options = ReadOptions::default();
    let done = convert(source, "w.jsonl", &options, target, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), done))
}

fn session() -> String {
    SESSION.replace('\n', "")
}

/// Rows with every key of version 2.
fn every_key() -> Vec<String> {
    let calls =
        r#""tool_calls": [[[5, 0], [3, 0.0]], [[12, 0.5]]], "reasoning_length": [3, 0, 64]"#;
    let cut = r#""context": [{"before": 2, "keep": 20, "drop": [[1, 2]]}], "carry_length": [7, 0]"#;
    let blocks = r#""blocks": {"size": 10, "scope": "s", "steps": [{"new": [[7, 4]]}, {"keep": 4, "new": [[1, 2]]}, {"keep": 2, "new": [[20, 6]]}]}"#;
    let prefix =
        r#""trace_id": "a", "prefix": [{"id": "x \" y", "tokens": 7}], "input_kind": "u?""#;
    let rows = [ROW.to_owned(), session()];
    rows.into_iter().chain([calls, cut, blocks, prefix, ABOUT].map(row_with)).collect()
}

#[test]
fn version_2_keeps_everything() {
    let rows = every_key();
    let odd = row_with(r#""mood": { "a" : [1 , "b  \" c"] }, "num_turn\u0073_": 1.50"#);
    let file = format!("# made by hand\n{}\n\n{odd}\n", rows.join("\n"));
    let (text, done) = converted(&file, Target::V2).unwrap();
    assert_eq!((done.written, done.notes()), (8, vec![]));
    let expected = traces(&mut open(file).unwrap());
    assert_eq!(traces(&mut open(text.clone()).unwrap()), expected);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(r#"{"trie_workload":2,"created_by":"trie "#), "{}", lines[0]);
    for (line, row) in lines[1..].iter().zip(rows.iter().chain([&odd])) {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(json(line), json(row));
    }
    assert_eq!(converted(&text, Target::V2).unwrap().0, text);
}

#[test]
fn keys_are_written_in_order_and_without_spaces() {
    let check = |file: &str, expected: &str| {
        assert_eq!(converted(file, Target::V2).unwrap().0, expected);
    };
    check(
        &format!(
            "{{\"trie_workload\": 2, \"name\": \"a b\", \"mood\": 1}}\n{}",
            row_with("\"zeal\": 1, \"input_kind\": \"tt\", \"arrival\": 0.50")
        ),
        "{\"trie_workload\":2,\"name\":\"a b\",\"mood\":1}\n\
         {\"arrival\":0.50,\"num_turns\":2,\"input_prompt_length\":32,\
         \"assistant_response_length\":[16,20],\"tool_call_output_length\":[8,12],\
         \"tool_call_latency\":[0.0,0.5],\"final_assistant_response_length\":64,\
         \"input_kind\":\"tt\",\"zeal\":1}\n",
    );
}

/// `expected` is what is written of `rows` in six fields, or nothing of a row; then the notes.
fn check_seed(rows: &[&str], expected: &[&str], notes: &[&str]) {
    let (text, done) = converted(&rows.join("\n"), Target::Seed).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    assert_eq!(done.notes(), notes);
    assert_eq!(done.written, expected.len() as u64);
}

#[test]
fn six_fields_stay_as_they_are() {
    let single = r#"{"num_turns": 0, "input_prompt_length": 16, "assistant_response_length": [], "tool_call_output_length": [], "tool_call_latency": [], "final_assistant_response_length": 16}"#;
    check_seed(&[ROW, single], &[ROW, single], &[]);
    let zero = ROW.replace("[16, 20]", "[0, 20.0]");
    check_seed(
        &[&zero],
        &[&ROW.replace("[16, 20]", "[1, 20]")],
        &["1 answers of 0 tokens are written as 1"],
    );
}

#[test]
fn what_six_fields_cannot_say_is_counted() {
    let about = row_with(ABOUT);
    let prefix = r#""trace_id": "a", "prefix": [{"id": "x", "tokens": 7}], "input_kind": "u?""#;
    let calls =
        r#""tool_calls": [[[5, 0], [3, 0.0]], [[12, 0.5]]], "reasoning_length": [3, 0, 64]"#;
    check_seed(
        &[ROW, &row_with(prefix), &row_with(calls), &about],
        &[ROW; 4],
        &[
            "arrival is lost in 1 traces (first on line 4)",
            "expect is lost in 1 traces (first on line 4)",
            "headers is lost in 1 traces (first on line 4)",
            "input_kind is lost in 1 traces (first on line 2)",
            "literal is lost in 1 traces (first on line 4)",
            "model is lost in 1 traces (first on line 4)",
            "prefix is lost in 1 traces (first on line 2)",
            "reasoning_length is lost in 1 traces (first on line 3)",
            "sampling is lost in 1 traces (first on line 4)",
            "session_id is lost in 1 traces (first on line 4)",
            "tool_calls is lost in 1 traces (first on line 3)",
            "trace_id is lost in 1 traces (first on line 2)",
            "weight is lost in 1 traces (first on line 4)",
        ],
    );
    // The prompts keep their lengths of 32, 45 and 65.
    let carried = row_with("\"carry_length\": [13, 16]");
    check_seed(
        &[&carried],
        &[&ROW.replace("[8, 12]", "[5, 8]")],
        &["carry_length is lost in 1 traces (first on line 1)"],
    );
    let blocks =
        r#""blocks": {"size": 100, "steps": [{"new": [[1, 1]]}, {"new": [[2, 1]]}, {"keep": 1}]}"#;
    check_seed(&[&row_with(blocks)], &[ROW], &["blocks is lost in 1 traces (first on line 1)"]);
}

#[test]
fn traces_beyond_six_fields_are_left_out() {
    let cut = row_with(r#""context": [{"before": 2, "keep": 20}]"#);
    let carry = row_with(r#""carry_length": [7, 20]"#);
    let early = r#"{"steps": [{"id": "a", "lane": "m", "new": [{"role": "user", "tokens": 3}], "output": {"tokens": 2}}, {"id": "b", "lane": "m", "after": [{"id": "a", "on": "start"}], "context": {"from": null}, "new": [{"role": "user", "tokens": 3}], "output": {"tokens": 2}}]}"#;
    check_seed(
        &[ROW, &session(), &cut, early, &carry, &carry],
        &[ROW],
        &[
            "1 traces are left out: they have more than one lane (first on line 2)",
            "1 traces are left out: a request waits for something else than the answer before it \
             (first on line 4)",
            "1 traces are left out: a request does not go on with the whole history (first on line 3)",
            "2 traces are left out: a prompt grows by less than the answer before it (first on line \
             5)",
        ],
    );
    assert_eq!(
        converted(&session(), Target::Seed).unwrap_err().to_string(),
        "w.jsonl: none of its 1 traces can be written in the original's six fields\n\
         hint: to=v2 keeps everything"
    );
}

#[test]
fn nothing_is_written_of_a_wrong_workload() {
    let mut out = Vec::new();
    let bytes = format!("{ROW}\n{ROW}\n{{}}\n");
    let options = ReadOptions { max_workload_mb: 1, ..ReadOptions::default() };
    let mut of = |bytes: String| {
        let source = Source::Stream(Box::new(Cursor::new(bytes)));
        let result = convert(source, "-", &options, Target::V2, &mut out);
        result.unwrap_err().to_string()
    };
    assert!(of(bytes).starts_with("-:3:1: num_turns: found a row without it"));
    let line = format!("{ROW}\n");
    let message = of(line.repeat(1_000_000 / line.len() + 1));
    assert!(message.starts_with("-: its rows take more than max_workload_mb=1 MB"), "{message}");
    assert_eq!(out, b"");
}
