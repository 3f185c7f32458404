//! Reading workloads that are right.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use trie_core::units::Nanos;
use trie_core::workload::{
    Blocks, Carry, Context, Encoding, On, ReadOptions, SegmentKind, Source, Trace, Wait, Workload,
    WorkloadError,
};

use crate::steps::SESSION;

pub(crate) const ROW: &str = r#"{"num_turns": 2, "input_prompt_length": 32, "assistant_response_length": [16, 20], "tool_call_output_length": [8, 12], "tool_call_latency": [0.0, 0.5], "final_assistant_response_length": 64}"#;

pub(crate) fn open(bytes: impl Into<Vec<u8>>) -> Result<Workload, WorkloadError> {
    open_with(bytes, &ReadOptions::default())
}

pub(crate) fn open_with(
    bytes: impl Into<Vec<u8>>,
    options: &ReadOptions,
) -> Result<Workload, WorkloadError> {
    let source = Source::Seekable(Box::new(Cursor::new(bytes.into())));
    Workload::open(source, "w.jsonl", Encoding::Plain, options)
}

fn stream(bytes: Vec<u8>, encoding: Encoding) -> Workload {
    let source = Source::Stream(Box::new(Cursor::new(bytes)));
    Workload::open(source, "w", encoding, &ReadOptions::default()).unwrap()
}

pub(crate) fn traces(workload: &mut Workload) -> Vec<Trace> {
    (0..workload.rows()).map(|row| workload.trace(row).unwrap()).collect()
}

/// `ROW` with more keys.
pub(crate) fn row_with(keys: &str) -> String {
    format!("{}, {keys}}}", ROW.trim_end_matches('}'))
}

/// One line a step: what it takes over, adds, prompts, answers, carries and waits for.
fn shape(trace: &Trace) -> Vec<String> {
    let step = |step: &trie_core::workload::Step| {
        let new: Vec<String> = step
            .new
            .iter()
            .map(|segment| match &segment.kind {
                SegmentKind::Shared(id) => format!("{id}:{}", segment.tokens),
                SegmentKind::Blocks(Blocks { first, size, .. }) => {
                    format!("block{first}x{size}:{}", segment.tokens)
                }
                SegmentKind::Prompt => format!("prompt:{}", segment.tokens),
                SegmentKind::System => format!("system:{}", segment.tokens),
                SegmentKind::Assistant => format!("assistant:{}", segment.tokens),
                SegmentKind::Tool => format!("tool:{}", segment.tokens),
                SegmentKind::User => format!("user:{}", segment.tokens),
            })
            .collect();
        let Context { from, keep, drop } = &step.context;
        let drop = if drop.is_empty() { String::new() } else { format!(" drop {drop:?}") };
        let waits = step.after.iter().map(|after| {
            assert_eq!((Some(after.step), after.on), (*from, On::End));
            format!(" after {} {:?}", after.delay, after.wait)
        });
        let carry = match step.output.carry {
            Carry::All => "all".to_owned(),
            Carry::Last(tokens) => format!("last {tokens}"),
        };
        format!(
            "from {from:?} keep {keep:?}{drop} new [{}] = {} -> {} carry {carry}{}",
            new.join(" "),
            step.prompt_tokens,
            step.output.tokens,
            waits.collect::<String>(),
        )
    };
    trace.steps.iter().map(step).collect()
}

fn check_shape(row: &str, expected: &[&str]) {
    let mut workload = open(row).unwrap();
    assert_eq!(shape(&workload.trace(0).unwrap()), expected, "{row}");
}

#[test]
fn a_row_becomes_a_chain_of_steps() {
    check_shape(
        ROW,
        &[
            "from None keep None new [prompt:32] = 32 -> 16 carry all",
            "from Some(0) keep None new [tool:8] = 56 -> 20 carry all after 0 s Tool",
            "from Some(1) keep None new [tool:12] = 88 -> 64 carry all after 0.5 s Tool",
        ],
    );
    let zeros = r#"{"num_turns": 1, "input_prompt_length": 1, "assistant_response_length": [0], "tool_call_output_length": [0], "tool_call_latency": [0], "final_assistant_response_length": 0}"#;
    check_shape(
        zeros,
        &[
            "from None keep None new [prompt:1] = 1 -> 1 carry all",
            "from Some(0) keep None new [] = 2 -> 1 carry all after 0 s Tool",
        ],
    );
    let single = r#"{"num_turns": 0, "input_prompt_length": 16.0, "assistant_response_length": [], "tool_call_output_length": [], "tool_call_latency": [], "final_assistant_response_length": 1.6e1}"#;
    check_shape(single, &["from None keep None new [prompt:16] = 16 -> 16 carry all"]);
}

#[test]
fn version_2_keys_shape_the_chain() {
    check_shape(
        &row_with(
            r#""prefix": [{"id": "tools", "tokens": 20}, {"id": "system", "tokens": 12}], "input_kind": "u?", "carry_length": [5, 20]"#,
        ),
        &[
            "from None keep None new [tools:20 system:12] = 32 -> 16 carry last 5",
            "from Some(0) keep None new [user:8] = 45 -> 20 carry all after 0 s User",
            "from Some(1) keep None new [tool:12] = 77 -> 64 carry all after 0.5 s Unknown",
        ],
    );
    check_shape(
        &row_with(
            r#""prefix": [{"id": "tools", "tokens": 20}, {"id": "none", "tokens": 0}], "input_kind": "st", "context": [{"before": 2, "keep": 30, "drop": []}]"#,
        ),
        &[
            "from None keep None new [tools:20 prompt:12] = 32 -> 16 carry all",
            "from Some(0) keep None new [tool:8] = 56 -> 20 carry last 0 after 0 s Tool",
            "from Some(1) keep Some(30) new [tool:12] = 42 -> 64 carry all after 0.5 s Tool",
        ],
    );
}

#[test]
fn calls_and_cuts_shape_the_chain() {
    check_shape(
        &row_with(
            r#""tool_calls": [[[5, 0], [3, 0.0]], [[12, 0.5], [0, 0.25]]], "reasoning_length": [3, 0, 64]"#,
        ),
        &[
            "from None keep None new [prompt:32] = 32 -> 16 carry all",
            "from Some(0) keep None new [tool:5 tool:3] = 56 -> 20 carry all after 0 s Tool",
            "from Some(1) keep None new [tool:12] = 88 -> 64 carry all after 0.5 s Tool",
        ],
    );
    check_shape(
        &row_with(
            r#""input_kind": "tu", "tool_calls": [[[8, 0]], []], "context": [{"before": 1, "keep": 30, "drop": [[0, 5], [9, 10]]}]"#,
        ),
        &[
            "from None keep None new [prompt:32] = 32 -> 16 carry last 0",
            "from Some(0) keep Some(30) drop [0..5, 9..10] new [tool:8] = 32 -> 20 carry all after 0 s \
             Tool",
            "from Some(1) keep None new [user:12] = 64 -> 64 carry all after 0.5 s User",
        ],
    );
}

#[test]
fn blocks_take_the_place_of_all_text() {
    // 32, 56 and 88 tokens: 3 blocks and a cut one, 5 and a cut one, 8 and a rest without an id.
    check_shape(
        &row_with(
            r#""blocks": {"size": 10, "scope": "s", "steps": [{"new": [[7, 4]]}, {"keep": 4, "new": [[1, 1], [3, 1]]}, {"keep": 2, "new": [[20, 6]]}]}"#,
        ),
        &[
            "from None keep None new [block7x10:32] = 32 -> 16 carry last 0",
            "from Some(0) keep Some(30) new [block10x10:10 block1x10:10 block3x10:6] = 56 -> 20 \
             carry last 0 after 0 s Tool",
            "from Some(1) keep Some(20) new [block20x10:60 tool:8] = 88 -> 64 carry last 0 after \
             0.5 s Tool",
        ],
    );
}

/// Every key that describes a trace.
pub(crate) const ABOUT: &str = r#""session_id": "s", "arrival": 1.5, "weight": 0.25, "model": "m", "sampling": {"temperature": 0.0}, "headers": {"X-Team": "a"}, "expect": {"ttft": [0.1, null, 2], "cached": [0, 20, null]}, "literal": {"mode": "delta", "messages": []}"#;

#[test]
fn what_a_row_says_of_its_trace_is_kept() {
    let mut workload = open(row_with(ABOUT)).unwrap();
    let about = traces(&mut workload)[0].about.clone();
    assert_eq!(about.session.as_deref(), Some("s"));
    assert_eq!((about.arrival, about.weight), (Some(Nanos::from_millis(1500)), Some(0.25)));
    let extras = about.extras.iter().map(|(key, json)| format!("{}={json}", key.name()));
    assert_eq!(
        extras.collect::<Vec<_>>(),
        [
            r#"model="m""#,
            r#"sampling={"temperature":0.0}"#,
            r#"headers={"X-Team":"a"}"#,
            r#"expect={"ttft":[0.1,null,2],"cached":[0,20,null]}"#,
            r#"literal={"mode":"delta","messages":[]}"#,
        ]
    );
    let warnings: Vec<String> = workload.warnings().iter().map(ToString::to_string).collect();
    let ignored = |key: &str| {
        format!(
            "key {key} of workload version 2 is not replayed yet and is ignored (1 times, first on \
             line 1)"
        )
    };
    let expected: Vec<String> = ["arrival", "literal", "weight"].map(ignored).into();
    assert_eq!(warnings, expected);
}

#[test]
fn blank_lines_comments_and_a_header_are_no_rows() {
    let file = format!(
        "\u{feff}# made by hand\n\n  \r\n{{\"trie_workload\": 2, \"name\": \"n\", \"tokenizer\": \"t\", \
         \"block_size\": 64, \"license\": null, \"shared\": {{}}, \"mood\": 1}}\n{ROW}\r\n#\n {ROW}"
    );
    let mut workload = open(file.clone()).unwrap();
    let ids: Vec<String> = traces(&mut workload).into_iter().map(|trace| trace.id).collect();
    assert_eq!(ids, ["0", "1"]);
    let header = workload.header().unwrap();
    assert_eq!((header.name.as_deref(), header.tokenizer.as_deref()), (Some("n"), Some("t")));
    assert_eq!((header.block_size, header.license.as_deref()), (Some(64), None));
    let warnings: Vec<String> = workload.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["unknown key (header).mood is ignored (1 times, first on line 4)"]);
    let mut hashed = stream(file.into_bytes(), Encoding::Plain);
    assert_eq!(hashed.facts().sha256, workload.facts().sha256);
    assert_eq!(traces(&mut hashed), traces(&mut workload));
}

#[test]
fn facts_count_one_pass() {
    // The hash is sha256sum's of the same bytes.
    let workload = open(format!("{ROW}\n")).unwrap();
    let facts = workload.facts();
    assert_eq!((facts.rows, facts.requests), (1, 3));
    assert_eq!((facts.prompt_tokens, facts.completion_tokens), (32 + 56 + 88, 100));
    assert_eq!(facts.max_context_tokens, 152);
    assert_eq!(facts.sha256, "a5c14c3bad762d38de66613b59c6345ce296988c3bdd97e27008826babf85d20");
}

#[test]
fn what_is_not_replayed_is_warned_of_once_a_key() {
    let odd =
        row_with(r#""weight": 1, "wieght": 1, "context": [{"before": 1, "keep": 9, "why": 0}]"#);
    let zero = ROW.replace("[16, 20]", "[0, 0]");
    let workload = open([ROW, &odd, &zero, &odd].join("\n")).unwrap();
    let warnings: Vec<String> = workload.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "2 answers of 0 tokens are planned as 1, the least a server accepts (first on line 3)",
            "unknown key context[].why is ignored (2 times, first on line 2)",
            "key weight of workload version 2 is not replayed yet and is ignored (2 times, first on \
             line 2)",
            "unknown key wieght is ignored (2 times, first on line 2)",
        ]
    );
}

#[test]
fn thousands_of_unknown_keys_share_a_warning() {
    let keys: Vec<String> = (0..300).map(|key| format!("\"key{key:03}\": 0")).collect();
    let workload = open(row_with(&keys.join(", "))).unwrap();
    assert_eq!(workload.warnings().len(), 101);
    assert_eq!(
        workload.warnings()[100].to_string(),
        "more unknown keys are ignored (200 times, first on line 1); the first 100 are listed"
    );
}

#[test]
fn keys_may_be_escaped() {
    let mut escaped = open(ROW.replace("num_turns", "num\\u005fturns")).unwrap();
    assert_eq!(traces(&mut escaped), traces(&mut open(ROW).unwrap()));
}

#[test]
fn packed_files_hold_the_same_traces() {
    let one =
        row_with(r#""trace_id": "a", "prefix": [{"id": "x", "tokens": 7}], "input_kind": "u?""#);
    let two = row_with(r#""carry_length": [3, 0], "context": [{"before": 2, "keep": 1}]"#);
    let three = row_with(
        r#""tool_calls": [[[5, 0], [3, 0.0]], [[12, 0.5]]], "reasoning_length": [3, 0, 64], "context": [{"before": 2, "keep": 20, "drop": [[1, 2]]}]"#,
    );
    let blocks = r#""blocks": {"size": 10, "scope": "s", "steps": [{"new": [[7, 4]]}, {"keep": 4, "new": [[1, 1], [3, 1]]}, {"keep": 2, "new": [[20, 6]]}]}"#;
    let blocks = [row_with(blocks), row_with(&blocks.replace("\"s\"", "\"local\""))].join("\n");
    let about = row_with(ABOUT);
    let steps = SESSION.replace('\n', "").replace("\"new\"", "\"model\": \"m\", \"new\"");
    let plain = [&one, &two, &three, &blocks, &about, &steps, ""].join("\n");
    let expected = traces(&mut open(plain.clone()).unwrap());
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |text: &str| compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
    let (first, second) = plain.split_at(100);
    let check = |bytes: Vec<u8>, encoding: Encoding| {
        assert_eq!(traces(&mut stream(bytes, encoding)), expected, "{encoding:?}");
    };
    check(plain.clone().into_bytes(), Encoding::Plain);
    check(gzip(&plain), Encoding::Gzip);
    check([gzip(first), gzip(second)].concat(), Encoding::Gzip);
    check(zstd(&plain), Encoding::Zstd);
    check([zstd(first), skippable, zstd(second)].concat(), Encoding::Zstd);
}

#[test]
fn the_end_of_a_name_says_how_a_file_is_packed() {
    let check = |name, expected| assert_eq!(Encoding::of_name(name), expected, "{name}");
    check("a.jsonl", Encoding::Plain);
    check("a.jsonl.gz", Encoding::Gzip);
    check("A.GZ", Encoding::Gzip);
    check("a.zst", Encoding::Zstd);
    check("gz", Encoding::Plain);
}

fn turn() -> impl Strategy<Value = (u64, u64, u32)> {
    (prop_oneof![0..3_u64, 0..100_000_u64], prop_oneof![0..3_u64, 0..100_000_u64], 0..100_000_u32)
}

proptest! {
    /// Any right row gives the prompts of the plain sum, and the same trace read again or held.
    #[test]
    fn prompts_grow_by_answer_and_input(
        first in 1..100_000_u64,
        turns in prop::collection::vec(turn(), 0..20),
        last in 0..10_000_u64,
    ) {
        let list = |of: &dyn Fn(&(u64, u64, u32)) -> String| {
            turns.iter().map(of).collect::<Vec<_>>().join(",")
        };
        let row = format!(
            "{{\"num_turns\":{},\"input_prompt_length\":{first},\"assistant_response_length\":[{}],\
             \"tool_call_output_length\":[{}],\"tool_call_latency\":[{}],\
             \"final_assistant_response_length\":{last}}}\n",
            turns.len(),
            list(&|turn| turn.0.to_string()),
            list(&|turn| turn.1.to_string()),
            list(&|turn| format!("{}e-3", turn.2)),
        );
        let file = row.repeat(3);
        let mut workload = open(file.clone()).unwrap();
        let trace = workload.trace(2).unwrap();
        prop_assert_eq!(&workload.trace(2).unwrap(), &trace);
        prop_assert_eq!(&stream(file.into_bytes(), Encoding::Plain).trace(2).unwrap(), &trace);
        let mut prompt = first;
        prop_assert_eq!(trace.steps[0].prompt_tokens, prompt);
        for (step, (answer, input, latency)) in trace.steps[1..].iter().zip(&turns) {
            prompt += (*answer).max(1) + input;
            prop_assert_eq!(step.prompt_tokens, prompt);
            prop_assert_eq!(step.after[0].delay, Nanos::from_millis(u64::from(*latency)));
            prop_assert_eq!(step.after[0].wait, Wait::Tool);
        }
        prop_assert_eq!(trace.steps.len(), turns.len() + 1);
    }
}
