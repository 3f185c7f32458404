//! Every wrong input is refused with one message: where, what, and what to do.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};

use flate2::read::GzEncoder;
use trie_core::workload::{Encoding, MAX_TOKENS, ReadOptions, Source, Workload};

use crate::workload::{ROW, open, open_with, row_with};

fn message(bytes: impl Into<Vec<u8>>, options: &ReadOptions) -> String {
    match open_with(bytes, options) {
        Err(error) => error.to_string(),
        Ok(workload) => panic!("{} rows were read", workload.rows()),
    }
}

/// `^` in the input marks the place that must be named, and is not part of it; `expected` is the
/// message after the place.
pub(crate) fn check(marked: impl Into<Vec<u8>>, expected: &str) {
    check_as(marked, &ReadOptions::default(), expected);
}

fn check_as(marked: impl Into<Vec<u8>>, options: &ReadOptions, expected: &str) {
    let mut bytes = marked.into();
    let mark = bytes.iter().position(|byte| *byte == b'^').expect("the place is marked");
    bytes.remove(mark);
    let before = &bytes[..mark];
    let line = before.split(|byte| *byte == b'\n').count();
    let column = mark - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1) + 1;
    assert_eq!(message(bytes, options), format!("w.jsonl:{line}:{column}: {expected}"));
}

/// Like [`check`] for `ROW` with `from` replaced.
fn check_row(from: &str, to: &str, expected: &str) {
    assert!(ROW.contains(from), "{from}");
    check(ROW.replacen(from, to, 1), expected);
}

/// Like [`check`] for `ROW` with more keys.
fn check_with(keys: &str, expected: &str) {
    check(row_with(keys), expected);
}

const SIX: &str = "\nhint: the six are num_turns, input_prompt_length, assistant_response_length, \
                   tool_call_output_length, tool_call_latency and final_assistant_response_length";

#[test]
fn a_file_without_rows_is_refused() {
    let check = |bytes: &str, lines: u64| {
        assert_eq!(
            message(bytes, &ReadOptions::default()),
            format!(
                "w.jsonl: holds no trace ({lines} lines, all of them blank, comments or the header)\n\
                 hint: a workload is one JSON object a line, with num_turns and the other five fields"
            )
        );
    };
    check("", 0);
    check("\n \n# nothing\n", 3);
    check("{\"trie_workload\": 2}", 1);
}

#[test]
fn wrong_numbers_are_refused_where_they_stand() {
    let tokens = format!("a whole number from 0 to {MAX_TOKENS}");
    let check_tokens = |to: &str, found: &str| {
        let expected = format!("assistant_response_length[1]: found {found}, wanted {tokens}");
        check_row("[16, 20]", &format!("[16, ^{to}]"), &expected);
    };
    check_tokens("-1", "-1");
    check_tokens("1.5", "1.5");
    check_tokens("1000000000000000000", "1000000000000000000");
    check_tokens("1e400", "1e400");
    check_tokens("null", "null");
    check_tokens("true", "true");
    check_tokens("[1]", "[1] (a list)");
    check_tokens("{}", "{} (an object)");
    check_tokens("\"x\"", "\"x\" (a string)");
    check_row(
        "[16, 20]",
        "[16, ^\"20\"]",
        &format!(
            "assistant_response_length[1]: found \"20\" (a string), wanted {tokens}\n\
             hint: numbers are written without quotes"
        ),
    );
    check_row("32", "^-32", &format!("input_prompt_length: found -32, wanted {tokens}"));
    check_row("32", "^0", "input_prompt_length: found 0, wanted at least 1");
    check_row(
        "\"num_turns\": 2",
        "\"num_turns\": ^-2",
        &format!("num_turns: found -2, wanted {tokens}"),
    );
    let seconds = "wanted a number of seconds from 0 to 1000000000";
    let check_seconds = |to: &str, found: &str| {
        let expected = format!("tool_call_latency[1]: found {found}, {seconds}");
        check_row("0.5", &format!("^{to}"), &expected);
    };
    check_seconds("-0.5", "-0.5");
    check_seconds("1e10", "1e10");
    check_seconds("1e999", "1e999");
    check_seconds("null", "null");
}

#[test]
fn numbers_that_json_does_not_have_are_named() {
    let hint = "wanted a finite number\nhint: JSON has no such number";
    let check_word = |word: &str| {
        check_row(
            "0.5",
            &format!("^{word}"),
            &format!("tool_call_latency[1]: found {word}, {hint}"),
        );
    };
    check_word("NaN");
    check_word("nan");
    check_word("Infinity");
    check_word("-Infinity");
    check_row("32", "^NaN", &format!("input_prompt_length: found NaN, {hint}"));
    check(
        format!("\n{}", ROW.replace("16", "^inf")),
        &format!("assistant_response_length[0]: found inf, {hint}"),
    );
}

#[test]
fn wrong_lists_are_refused_where_they_begin() {
    let wanted = "wanted 2, one for each of num_turns";
    check_row(
        "[16, 20]",
        "^[16]",
        &format!("assistant_response_length: found 1 elements, {wanted}"),
    );
    check_row(
        "[8, 12]",
        "^[8, 12, 1]",
        &format!("tool_call_output_length: found 3 elements, {wanted}"),
    );
    check_row("[0.0, 0.5]", "^[]", &format!("tool_call_latency: found 0 elements, {wanted}"));
    check_row(
        "[8, 12]",
        "^8",
        "tool_call_output_length: found 8, wanted a list in square brackets",
    );
    check(
        ROW.replace("\"num_turns\": 2", "\"num_turns\": 1000000000").replace("[16", "^[16"),
        "assistant_response_length: found 2 elements, wanted 1000000000, one for each of num_turns",
    );
}

#[test]
fn rows_are_whole_objects_with_six_fields() {
    let missing = |field: &str| {
        format!("{field}: found a row without it, wanted all six fields of a row{SIX}")
    };
    check("^{}", &missing("num_turns"));
    check(
        format!("^{}", ROW.replace(", \"tool_call_latency\": [0.0, 0.5]", "")),
        &missing("tool_call_latency"),
    );
    check("^[1, 2]", "found [1, 2] (a list), wanted an object in braces");
    check("^hello", "found hello, wanted an object in braces");
    check(
        format!("{ROW}\n{ROW} ^{{}}"),
        "final_assistant_response_length: found {}, wanted valid JSON",
    );
    check_row(
        "\"num_turns\": 2, ",
        "\"num_turns\": 2 ^",
        "num_turns: found \"input_prompt_length\": 32, \"assistant_re..., wanted valid JSON",
    );
    check_with(
        "^\"num_turns\": 2",
        "num_turns: found the key a second time, wanted it once\nhint: it already stands at column 2",
    );
    check_with(
        "\"a\": 1, ^\"\\u0061\": 2",
        "a: found the key a second time, wanted it once\nhint: it already stands at column 192",
    );
}

#[test]
fn broken_json_is_refused_at_the_byte() {
    let check_value = |value: &str, found: &str| {
        check_with(&format!("\"x\": {value}"), &format!("x: found {found}, wanted valid JSON"));
    };
    check_value("\"a^\tb\"", "\tb\"}");
    check_value("\"a\\^qb\"", "qb\"}");
    check_value("0^1", "1}");
    check_value("1.^", "}");
    check_value("tru^u", "u}");
    check_row(
        "16, 20]",
        "16, 20, ^]",
        "assistant_response_length[2]: found ], \"tool_call_output_length\": [8, 12], \"..., wanted valid JSON",
    );
    check_row(
        "16, 20]",
        "16 ^20]",
        "assistant_response_length[0]: found 20], \"tool_call_output_length\": [8, 12],..., wanted valid JSON",
    );
    check_with("^", "found }, wanted valid JSON");
    check_with("^x: 1", "found x: 1}, wanted valid JSON");
}

#[test]
fn a_line_that_was_cut_short_is_said_to_be() {
    let end = "found the end of the line, wanted the rest of the JSON object\n\
               hint: the file may have been cut short, or the object spread over several lines";
    check(format!("{ROW}\n{}^", &ROW[..77]), &format!("assistant_response_length[0]: {end}"));
    check(format!("{ROW}\n{}^", &ROW[..20]), end);
    check("{^", end);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let nul =
        "found a NUL byte, wanted text\nhint: the file may be binary, or UTF-16: write it as UTF-8";
    check_row("16", "^\0", &format!("assistant_response_length[0]: {nul}"));
    check(
        "^\0\0\0",
        "found a NUL byte, wanted text\nhint: the file may be binary, or UTF-16: write it as UTF-8",
    );
    check_row("num_turns", "num^\0turns", nul);
    let hint = "wanted UTF-8\nhint: write the file as UTF-8";
    let latin = [ROW.as_bytes(), b"\n# caf^\xe9\n"].concat();
    check(latin, &format!("found byte 0xe9 (byte 196 of the file), {hint}"));
    check(b"^\xff\xfe{\0".to_vec(), &format!("found byte 0xff (byte 0 of the file), {hint}"));
    let mut packed = Vec::new();
    GzEncoder::new(ROW.as_bytes(), flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed.insert(1, b'^');
    check(
        packed,
        "found byte 0x8b (byte 1 of the file), wanted UTF-8\nhint: the file is gzip: name it .gz",
    );
}

/// Gives spaces without end and counts them.
struct Spaces(Arc<Mutex<usize>>);

impl Read for Spaces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(b' ');
        *self.0.lock().unwrap() += buffer.len();
        Ok(buffer.len())
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_is_read() {
    let read = Arc::new(Mutex::new(0));
    let source = Source::Stream(Box::new(Spaces(Arc::clone(&read))));
    let result = Workload::open(source, "w", Encoding::Plain, &ReadOptions::default());
    assert_eq!(
        result.err().unwrap().to_string(),
        "w:1:1: found a line of more than 16 MiB, wanted a shorter one\n\
         hint: a workload has one JSON object a line"
    );
    assert!(*read.lock().unwrap() < 17 << 20);
}

#[test]
fn version_2_keys_must_fit_the_row() {
    check_with("\"trace_id\": ^7", "trace_id: found 7, wanted a string in quotes");
    check_with(
        "\"trace_id\": ^\"\"",
        "trace_id: found \"\" (a string), wanted a name that is not empty",
    );
    check_with(
        "\"input_kind\": \"t^x\"",
        "input_kind: found 'x', wanted t (tool), u (user), s (summary) or ? (unknown) for each turn",
    );
    check_with(
        "\"input_kind\": ^\"t\"",
        "input_kind: found 1 letters, wanted 2, one for each of num_turns",
    );
    check_with(
        "\"carry_length\": ^[1]",
        "carry_length: found 1 elements, wanted 2, one for each of num_turns",
    );
    check_with(
        "\"carry_length\": [16, ^21]",
        "carry_length[1]: found 21, wanted at most the answer's 20 tokens",
    );
    check_with(
        "\"carry_length\": [1, ^1], \"context\": [{\"before\": 2, \"keep\": 1}]",
        "carry_length[1]: found 1, wanted 0\n\
         hint: context cuts the history before request 2, so the answer before it is not carried",
    );
    check_with(
        "\"context\": [{\"before\": ^0, \"keep\": 1}]",
        "context[0].before: found 0, wanted a request with one before it, from 1 to 2",
    );
    check_with(
        "\"context\": [{\"before\": ^3, \"keep\": 1}]",
        "context[0].before: found 3, wanted a request with one before it, from 1 to 2",
    );
    check_with(
        "\"context\": [^{\"before\": 1}]",
        "context[0]: found an element without keep, wanted one with it",
    );
    check_with(
        "\"context\": [{\"before\": 1, \"keep\": ^33}]",
        "context[0].keep: found 33, wanted at most the 32 tokens of the prompt before it",
    );
    check_with(
        "\"context\": [{\"before\": 1, \"keep\": 3}, {\"before\": ^1, \"keep\": 4}]",
        "context[1].before: found 1, wanted each request once",
    );
    check(
        row_with("\"context\": [{\"before\": 1, \"keep\": 0}]").replace("[8, 12]", "[^0, 12]"),
        "tool_call_output_length[0]: found an empty prompt, wanted at least 1 token\n\
         hint: request 1 keeps nothing and adds nothing",
    );
    check_with(
        "\"prefix\": ^[{\"id\": \"a\", \"tokens\": 33}]",
        "prefix: found 33 tokens, wanted at most the 32 of input_prompt_length",
    );
    check_with(
        "\"prefix\": [{\"id\": \"a\", \"tokens\": 1}, {\"id\": ^\"a\", \"tokens\": 1}]",
        "prefix[1].id: found \"a\" (a string), wanted an id that is not empty and stands once in the row",
    );
    check_with("\"prefix\": [^7]", "prefix[0]: found 7, wanted an object in braces");
}

#[test]
fn calls_and_reasoning_must_add_up() {
    check_with(
        "\"tool_calls\": ^[[]]",
        "tool_calls: found 1 elements, wanted 2, one for each of num_turns",
    );
    check_with(
        "\"tool_calls\": [^[[5, 0], [2, 0]], [[12, 0.5]]]",
        "tool_calls[0]: found 7 tokens in 2 calls, wanted 8, as tool_call_output_length[0] says",
    );
    check_with(
        "\"tool_calls\": [^[], [[12, 0.5]]]",
        "tool_calls[0]: found 0 tokens in 0 calls, wanted 8, as tool_call_output_length[0] says",
    );
    check_with(
        "\"tool_calls\": [[[8, 0]], ^[[6, 0.25], [6, 0.375]]]",
        "tool_calls[1]: found a longest call of 0.375 s, wanted 0.5 s, as tool_call_latency[1] says",
    );
    check_with(
        "\"tool_calls\": [[^[8]], [[12, 0.5]]]",
        "tool_calls[0][0]: found [8] (a list), wanted [tokens, latency]",
    );
    check_with(
        "\"tool_calls\": [[[8, ^-1]], [[12, 0.5]]]",
        "tool_calls[0][0]: found -1, wanted a number of seconds from 0 to 1000000000",
    );
    check_with(
        "\"reasoning_length\": ^[1, 2]",
        "reasoning_length: found 2 elements, wanted 3, one for each request",
    );
    check_with(
        "\"reasoning_length\": [1, 2, ^65]",
        "reasoning_length[2]: found 65, wanted at most the answer's 64 tokens",
    );
}

#[test]
fn dropped_ranges_must_lie_in_what_is_kept() {
    let check_drop = |drop: &str, expected: &str| {
        let keys = format!("\"context\": [{{\"before\": 1, \"keep\": 30, \"drop\": {drop}}}]");
        check_with(&keys, &format!("context[0].drop{expected}"));
    };
    check_drop("^7", ": found 7, wanted a list in square brackets");
    check_drop("[^7]", "[0]: found 7, wanted a list in square brackets");
    check_drop("[^[7]]", "[0]: found [7] (a list), wanted two token positions");
    check_drop("[[7, ^-9]]", "[0][1]: found -9, wanted a whole number from 0 to 1000000000");
    check_drop(
        "[^[7, 31]]",
        "[0]: found [7, 31] (a list), wanted a range within the 30 tokens that are kept",
    );
    check_drop(
        "[[7, 9], ^[8, 10]]",
        "[1]: found [8, 10] (a list), wanted a range [a, b] with 9 <= a < b: ranges ascend",
    );
    check_with(
        "\"context\": [{\"before\": 1, \"keep\": 30, \"drop\": [[1, 2]]}], \"carry_length\": [^1, 0]",
        "carry_length[0]: found 1, wanted 0\n\
         hint: context cuts the history before request 1, so the answer before it is not carried",
    );
}

#[test]
fn blocks_must_fit_the_prompts() {
    let check_steps = |steps: &str, expected: &str| {
        let keys = format!("\"blocks\": {{\"size\": 10, \"steps\": {steps}}}");
        check_with(&keys, &format!("blocks{expected}"));
    };
    let right = "{\"new\": [[0, 3]]}, {\"new\": [[0, 5]]}";
    check_with("\"blocks\": ^7", "blocks: found 7, wanted an object in braces");
    check_with(
        "\"blocks\": ^{\"steps\": []}",
        "blocks: found an element without size, wanted one with it",
    );
    check_with(
        "\"blocks\": {\"size\": ^0, \"steps\": []}",
        "blocks.size: found 0, wanted at least 1",
    );
    check_with(
        "\"blocks\": {\"size\": 10, \"scope\": ^7, \"steps\": []}",
        "blocks.scope: found 7, wanted a string in quotes",
    );
    check_with(
        "\"blocks\": ^{\"size\": 10, \"steps\": []}",
        "blocks.steps: found 0 elements, wanted 3, one for each request",
    );
    check_steps(
        &format!("[{right}, ^{{\"new\": [[0, 10]]}}]"),
        ".steps[2]: found 10 ids for a prompt of 88 tokens, wanted 8 or 9, as blocks of 10 tokens",
    );
    check_steps(
        &format!("[{right}, ^{{\"keep\": 6}}]"),
        ".steps[2]: found keep 6, wanted at most the 5 ids of the request before",
    );
    check_steps(
        "[{\"new\": [^[0]]}]",
        ".steps[0].new[0]: found [0] (a list), wanted [first id, count]",
    );
    check_steps(
        "[{\"new\": [^[0, 0]]}]",
        ".steps[0].new[0]: found [0, 0] (a list), wanted at least one id, and none beyond 64 bits",
    );
    check_steps(
        "[{\"new\": [^[18446744073709551615, 1]]}]",
        ".steps[0].new[0]: found [18446744073709551615, 1] (a list), wanted at least one id, and none \
         beyond 64 bits",
    );
    check_steps(
        "[{\"new\": [[^-1, 1]]}]",
        ".steps[0].new[0]: found -1, wanted a whole number from 0 to 18446744073709551615",
    );
    check_with(
        "\"blocks\": {\"size\": 10, \"steps\": []}, \"prefix\": ^[]",
        "prefix: found [] (a list), wanted no prefix beside blocks\n\
         hint: blocks already say which text is shared",
    );
}

#[test]
fn what_a_row_says_of_its_trace_must_be_of_its_shape() {
    check_with("\"session_id\": ^7", "session_id: found 7, wanted a string in quotes");
    check_with(
        "\"session_id\": ^\"\"",
        "session_id: found \"\" (a string), wanted a name that is not empty",
    );
    check_with(
        "\"arrival\": ^-1",
        "arrival: found -1, wanted a number of seconds from 0 to 1000000000",
    );
    check_with("\"weight\": ^0", "weight: found 0, wanted a finite number above 0");
    check_with("\"weight\": ^1e999", "weight: found 1e999, wanted a finite number above 0");
    check_with("\"model\": ^\"\"", "model: found \"\" (a string), wanted a name that is not empty");
    check_with("\"sampling\": ^[]", "sampling: found [] (a list), wanted an object in braces");
    check_with("\"headers\": {\"X\": ^1}", "headers.X: found 1, wanted a string in quotes");
    check_with(
        "\"expect\": {\"ttft\": ^1}",
        "expect.ttft: found 1, wanted a list in square brackets",
    );
    check_with(
        "\"expect\": {\"cached\": ^[1]}",
        "expect.cached: found 1 elements, wanted 3, one for each request",
    );
    check_with(
        "\"expect\": {\"start\": [0, ^-1, 2]}",
        "expect.start[1]: found -1, wanted a number of seconds from 0 to 1000000000",
    );
    check_with(
        "\"sampling\": {\"max_tokens\": ^5}",
        "sampling.max_tokens: found 5, wanted no field that the run sets for \
         all of its requests",
    );
    check_with(
        "\"sampling\": {\"chat_template_kwargs\": ^{}}",
        "sampling.chat_template_kwargs: found {} (an object), wanted no field that the run sets for \
         all of its requests",
    );
    check_with(
        "\"sampling\": {\"return_token_ids\": ^false}",
        "sampling.return_token_ids: found false, wanted no field that the run sets for all of its \
         requests",
    );
    check_with(
        "\"headers\": {\"X Team\": ^\"a\"}",
        "headers.X Team: found \"a\" (a string), wanted the name of a header before it",
    );
    check_with(
        "\"headers\": {\"Authorization\": ^\"a\"}",
        "headers.Authorization: found \"a\" (a string), wanted no header that the run sets; see \
         the options headers.NAME and api_key",
    );
    check_with(
        "\"headers\": {\"X-Team\": ^\"\u{e9}\"}",
        "headers.X-Team: found \"\u{e9}\" (a string), wanted printable ASCII",
    );
    check_with(
        "\"literal\": {\"mode\": ^\"all\"}",
        "literal.mode: found \"all\" (a string), wanted delta or full",
    );
    check_with(
        "\"literal\": ^{\"mode\": \"full\"}",
        "literal: found an element without messages, wanted one with it",
    );
}

#[test]
fn a_context_beyond_the_bound_is_refused_where_it_grows() {
    let big = ROW.replace("[8, 12]", "[8, 999999999]").replace("64", "^64");
    check(
        big,
        "final_assistant_response_length: found 1000000139 tokens of prompt and answer in \
         request 2, wanted at most 1000000000",
    );
}

#[test]
fn headers_must_be_of_this_version_and_stand_once() {
    let header = "{\"trie_workload\": 2}";
    let marked = "{\"trie_workload\": ^2}";
    check(
        format!("{{\"trie_workload\": ^3}}\n{ROW}"),
        "trie_workload: found 3, wanted version 2\n\
         hint: the file is of a version of the format that this program does not read",
    );
    let second = "found a header, wanted a row\nhint: the header stands once, before the first row";
    check(format!("{header}\n{marked}\n{ROW}"), &format!("trie_workload: {second}"));
    check(format!("{ROW}\n{marked}"), &format!("trie_workload: {second}"));
    check(
        format!("{{\"trie_workload\": 2, \"name\": ^5}}\n{ROW}"),
        "name: found 5, wanted a string in quotes",
    );
}

#[test]
fn strict_refuses_what_is_not_replayed() {
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    let check = |keys: &str, expected: &str| {
        check_as(row_with(keys), &strict, expected);
    };
    check(
        "^\"wieght\": 2",
        "wieght: found a key the format does not have, wanted only keys that are \
         replayed, because of strict",
    );
    check(
        "^\"weight\": 2",
        "weight: found a key of workload version 2 that is not replayed yet, wanted \
         only keys that are replayed, because of strict",
    );
    assert!(open_with(row_with("\"trace_id\": \"a\""), &strict).is_ok());
}

#[test]
fn two_rows_cannot_have_one_name() {
    let quoted = |id: &str| match id.strip_prefix('^') {
        Some(id) => format!("^\"{id}\""),
        None => format!("\"{id}\""),
    };
    let named = |id: &str| row_with(&format!("\"trace_id\": {}", quoted(id)));
    check(
        [named("a"), named("b"), String::new(), named("^a"), named("b")].join("\n"),
        "trace_id: found \"a\", the name of the trace on line 1, wanted a name of its own\n\
         hint: without one, a row is named by its number",
    );
    check(
        format!("{}\n^{ROW}", named("1")),
        "trace_id: found \"1\", the name of the trace on line 1, wanted a name of its own\n\
         hint: without one, a row is named by its number",
    );
    assert!(open(format!("{}\n{ROW}", named("0"))).is_ok());
}

#[test]
fn streams_that_take_too_much_memory_are_refused() {
    let file = format!("{ROW}\n").repeat(100_000);
    let source = Source::Stream(Box::new(Cursor::new(file)));
    let options = ReadOptions { max_workload_mb: 1, ..ReadOptions::default() };
    let error = Workload::open(source, "-", Encoding::Plain, &options).err().unwrap();
    assert_eq!(
        error.to_string(),
        "-: its rows take more than max_workload_mb=1 MB of memory (reached at line 22223)\n\
         hint: compressed files and stdin are held in memory: unpack it into a plain file, which is \
         read row by row, or raise max_workload_mb"
    );
}

#[test]
fn damaged_packing_is_refused() {
    let check = |bytes: &[u8], encoding: Encoding, expected: &str| {
        let source = Source::Stream(Box::new(Cursor::new(bytes.to_vec())));
        let error = Workload::open(source, "w", encoding, &ReadOptions::default()).err().unwrap();
        let message = error.to_string();
        assert!(message.starts_with("w: cannot be read: "), "{message}");
        assert!(message.ends_with(expected), "{message}");
    };
    let mut packed = Vec::new();
    GzEncoder::new(ROW.as_bytes(), flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    let gzip = "\nhint: its name says gzip: check it with gzip -t";
    check(&packed[..packed.len() - 9], Encoding::Gzip, gzip);
    check(ROW.as_bytes(), Encoding::Gzip, gzip);
    let zstd = "\nhint: its name says zstd: check it with zstd -t";
    let packed = ruzstd::encoding::compress_to_vec(
        ROW.as_bytes(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    check(&packed[..packed.len() - 9], Encoding::Zstd, zstd);
    check(ROW.as_bytes(), Encoding::Zstd, zstd);
}

/// A file that somebody else can write to.
struct Shared(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap().read(buffer)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap().seek(to)
    }
}

#[test]
fn a_row_that_changed_is_noticed() {
    let changed = "w.jsonl:2: the row changed after the file had been checked\n\
                   hint: leave the workload file alone while it is in use";
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        let file = Arc::new(Mutex::new(Cursor::new(format!("{ROW}\n{ROW}\n").into_bytes())));
        let source = Source::Seekable(Box::new(Shared(Arc::clone(&file))));
        let mut workload =
            Workload::open(source, "w.jsonl", Encoding::Plain, &ReadOptions::default()).unwrap();
        change(file.lock().unwrap().get_mut());
        assert_eq!(workload.trace(1).unwrap_err().to_string(), changed);
    };
    check(&|bytes| bytes.truncate(300));
    check(&|bytes| bytes.rotate_left(1));
}

#[test]
fn a_row_beyond_the_last_is_refused() {
    let error = open(ROW).unwrap().trace(1).unwrap_err();
    assert_eq!(error.to_string(), "w.jsonl: has no row 1: its rows are numbered from 0 to 0");
}
