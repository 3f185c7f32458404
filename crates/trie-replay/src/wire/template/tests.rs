use proptest::prelude::*;

use super::*;

/// What serde and a parser that has read `before` make of `data`; equal, or the test fails.
/// Returns whether a template took it.
fn check(before: &[&[u8]], data: &[u8]) -> bool {
    let mut parser = Parser::default();
    for data in before {
        // Serde's opinion of these is compared where they are `data`.
        drop(parser.parse(data));
    }
    let misses = parser.misses();
    let ours = parser.parse(data).map_err(|error| error.to_string());
    let theirs = parse_event(data).map_err(|error| error.to_string());
    assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(data));
    parser.misses() == misses
}

const VLLM: &str = r#"{"id":"c","created":7,"choices":[{"index":0,"text":"TEXT","token_ids":IDS}],"usage":{"prompt_tokens":6,"total_tokens":TOTAL,"completion_tokens":DONE}}"#;

fn vllm(text: &str, ids: &str, total: &str, done: &str) -> String {
    VLLM.replace("TEXT", text).replace("IDS", ids).replace("TOTAL", total).replace("DONE", done)
}

#[test]
fn chunks_with_other_values_are_read_from_a_template() {
    let first = vllm(" a", "[1]", "7", "1");
    let check = |data: String| assert!(check(&[first.as_bytes()], data.as_bytes()), "{data}");
    check(vllm(" größte", "[4294967295,0]", "18", "12"));
    check(vllm("", "[]", "-17.50e+3", "1099511627776"));
    check(vllm("\u{7f}/<>", "[10]", "0", "0"));
}

#[test]
fn what_a_hole_does_not_take_is_left_to_serde() {
    let first = vllm(" a", "[1]", "7", "1");
    let check = |data: String| assert!(!check(&[first.as_bytes()], data.as_bytes()), "{data}");
    for text in [r"a\n", r#"a\""#, r"\u00e9", r"\ud800", "a\n", "a\"", "\u{1f}", "a\0b"] {
        check(vllm(text, "[1]", "7", "1"));
    }
    for ids in
        ["null", "[1, 2]", "[01]", "[-0]", "[1.0]", "[1e0]", "[4294967296]", "[1,]", "[", "7"]
    {
        check(vllm("a", ids, "7", "1"));
    }
    let long = "1".repeat(40);
    for count in
        ["-0", "01", "1e3", "1.0", "", "null", "1099511627777", "18446744073709551616", &long]
    {
        check(vllm("a", "[1]", "7", count));
    }
    for number in ["01", "1.", ".5", "1e", "-", "", "null", "\"7\""] {
        check(vllm("a", "[1]", number, "1"));
    }
    check(vllm("a", "[1]", "7", "1").replace("\"id\"", "\"di\""));
    check(vllm("a", "[1]", "7", "1") + " ");
    check(vllm("a", "[1]", "7", "1") + "}");
    check(vllm("a", "[1]", "7", "1").replace("\"created\":7,", "\"created\":7,\"created\":8,"));
    check(vllm("a", "[1]", "7", "1").replace("[{", "[{\"text\":\"b\","));
}

#[test]
fn bytes_that_are_no_utf8_are_left_to_serde() {
    let first = vllm("a", "[1]", "7", "1");
    let mut broken = first.clone().into_bytes();
    let at = first.find("\"a\"").unwrap() + 1;
    for byte in [0x80, 0xc3, 0xff] {
        broken[at] = byte;
        assert!(!check(&[first.as_bytes()], &broken));
    }
}

#[test]
fn real_streams_are_taken_from_their_second_chunk_on() {
    let check = |chunks: &[&str], misses: u64| {
        let mut parser = Parser::default();
        for chunk in chunks {
            let theirs = parse_event(chunk.as_bytes()).unwrap();
            assert_eq!(parser.parse(chunk.as_bytes()).unwrap(), theirs, "{chunk}");
        }
        assert_eq!(parser.misses(), misses, "{chunks:?}");
    };
    // llama.cpp, with timings.
    check(
        &[
            r#"{"choices":[{"text":"a"}],"timings":{"cache_n":3,"predicted_n":1,"predicted_ms":0.001}}"#,
            r#"{"choices":[{"text":"b"}],"timings":{"cache_n":3,"predicted_n":2,"predicted_ms":4.53}}"#,
        ],
        1,
    );
    // Its own `/completion`, to the last chunk.
    check(
        &[
            r#"{"content":" a","tokens":[7],"stop":false,"tokens_predicted":1,"tokens_evaluated":9}"#,
            r#"{"content":" b","tokens":[8,9],"stop":false,"tokens_predicted":3,"tokens_evaluated":9}"#,
            r#"{"content":"","tokens":[],"stop":true,"stop_type":"limit","tokens_predicted":3}"#,
        ],
        2,
    );
    // SGLang's chat: the clock runs, reasoning comes first, and the role in each chunk.
    check(
        &[
            r#"{"created":17,"choices":[{"delta":{"role":"x","content":null,"reasoning_content":"a"}}]}"#,
            r#"{"created":18,"choices":[{"delta":{"role":"x","content":null,"reasoning_content":"b"}}]}"#,
            r#"{"created":18,"choices":[{"delta":{"role":"x","content":null,"reasoning_content":""}}]}"#,
            r#"{"created":18,"choices":[{"delta":{"role":"x","content":"c","reasoning_content":null}}]}"#,
            r#"{"created":19,"choices":[{"delta":{"role":"x","content":"","reasoning_content":null}}]}"#,
        ],
        2,
    );
}

#[test]
fn shapes_that_cannot_be_told_from_one_chunk_teach_nothing() {
    let check = |data: &str| assert!(!check(&[data.as_bytes()], data.as_bytes()), "{data}");
    // The answer's text is one of the two.
    check(r#"{"choices":[{"text":"a","delta":{"content":"b"}}]}"#);
    check(r#"{"choices":[{"text":"a"}],"content":"b"}"#);
    check(r#"{"choices":[{"delta":{}}],"content":""}"#);
    check(r#"{"choices":[{"delta":{"reasoning":"","reasoning_content":"b"}}]}"#);
    // A tool call is output whatever the text is.
    check(r#"{"choices":[{"delta":{"content":"a","tool_calls":[{"index":0}]}}]}"#);
    // It comes once.
    check(r#"{"choices":[{"text":"a","finish_reason":"stop"}]}"#);
    check(r#"{"choices":[],"usage":{"completion_tokens":7}}"#);
    check(r#"[null,null,[["a"]]]"#);
}

#[test]
fn what_a_stream_has_learned_the_next_one_knows() {
    let shapes = Shapes::default();
    let chunk = |id: &str, text: &str, prompt: u64, done: u64| {
        vllm(text, "[1]", "7", &done.to_string())
            .replace(r#""id":"c""#, &format!(r#""id":"{id}""#))
            .replace(r#""prompt_tokens":6"#, &format!(r#""prompt_tokens":{prompt}"#))
    };
    let check = |data: String, misses: u64| {
        let mut parser = shapes.parser();
        let theirs = parse_event(data.as_bytes()).unwrap();
        assert_eq!(parser.parse(data.as_bytes()).unwrap(), theirs, "{data}");
        assert_eq!(parser.misses(), misses, "{data}");
    };
    check(chunk("cmpl-1", " a", 6, 1), 1);
    check(chunk("cmpl-2", " b", 6_000, 1), 0);
    check(chunk("", "", 0, 0), 0);
    check(chunk("cmpl\\u00e9", " b", 6, 1), 1);
    // Streams that know their shapes already teach nobody.
    assert_eq!(shapes.lock().len(), 2);
    for n in 0..2 * SHARED {
        check(chunk("c", " a", 6, 1).replace("created", &format!("created{n}")), 1);
    }
    assert_eq!(shapes.lock().len(), SHARED);
}

#[test]
fn streams_without_a_shape_stop_teaching() {
    let mut parser = Parser::default();
    for n in 0..100 {
        let chunk = format!(r#"{{"model":"{n}","choices":[{{"text":"a"}}]}}"#);
        parser.parse(chunk.as_bytes()).unwrap();
    }
    assert_eq!((parser.templates.len(), parser.misses()), (TEMPLATES, 100));
    assert!(parser.lessons <= LESSONS);
}

/// A value as servers, or their bugs, may send it.
fn text_value() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] =
        &["null", "\"\"", "\"a\"", "\" \\n\"", "\"\\u00e9\"", "\"\\ud800\"", "\"é\"", "7"];
    prop_oneof![
        prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        "[a-z \\\\\"\u{0}-\u{1f}é漢]{0,6}".prop_map(|text| format!("\"{text}\"").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..5)
            .prop_map(|bytes| [b"\"", &bytes[..], b"\""].concat()),
    ]
}

fn number_value() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "0",
        "7",
        "-0",
        "-1",
        "01",
        "1e3",
        "1.5",
        "1E-2",
        "1.",
        "null",
        "1099511627776",
        "1099511627777",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999",
    ];
    prop_oneof![
        prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        "[0-9]{1,4}".prop_map(String::into_bytes),
        "[0-9eE.+-]{0,5}".prop_map(String::into_bytes),
    ]
}

fn ids_value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"null".to_vec()),
        prop::collection::vec(any::<u32>(), 0..4).prop_map(|ids| format!("{ids:?}").into_bytes()),
        prop::collection::vec(0_u32..9, 0..4)
            .prop_map(|ids| format!("{ids:?}").replace(' ', "").into_bytes()),
        "\\[[0-9, e.-]{0,6}\\]".prop_map(String::into_bytes),
    ]
}

/// A field of a chunk: its key, and a value.
fn field(
    key: &'static str,
    value: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Vec<u8>> {
    value.prop_map(move |value| [b"\"", key.as_bytes(), b"\":", &value[..]].concat())
}

/// Fields in any order, some twice.
fn object(fields: Vec<BoxedStrategy<Vec<u8>>>) -> impl Strategy<Value = Vec<u8>> {
    let most = fields.len() + 1;
    prop::collection::vec(prop::strategy::Union::new(fields), 0..most)
        .prop_map(|fields| [&b"{"[..], &fields.join(&b','), b"}"].concat())
}

fn list(entry: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(entry, 0..3)
        .prop_map(|entries| [&b"["[..], &entries.join(&b','), b"]"].concat())
}

fn any_chunk() -> impl Strategy<Value = Vec<u8>> {
    let word = |words: &'static [&'static str]| {
        prop::sample::select(words).prop_map(|word| word.as_bytes().to_vec())
    };
    let delta = object(vec![
        field("role", word(&["null", "\"assistant\""])).boxed(),
        field("content", text_value()).boxed(),
        field("reasoning", text_value()).boxed(),
        field("reasoning_content", text_value()).boxed(),
        field("tool_calls", word(&["null", "[]", "[{}]"])).boxed(),
    ]);
    let choice = object(vec![
        field("text", text_value()).boxed(),
        field("delta", delta).boxed(),
        field("finish_reason", word(&["null", "null", "\"stop\""])).boxed(),
        field("token_ids", ids_value()).boxed(),
        field("logprobs", word(&["null", "{\"tokens\":[\"a\"]}", "{\"content\":[{}]}"])).boxed(),
    ]);
    let usage = object(vec![
        field("prompt_tokens", number_value()).boxed(),
        field("completion_tokens", number_value()).boxed(),
        field("total_tokens", number_value()).boxed(),
    ]);
    let timings = object(vec![
        field("predicted_n", number_value()).boxed(),
        field("cache_n", number_value()).boxed(),
        field("predicted_ms", number_value()).boxed(),
    ]);
    object(vec![
        field("id", text_value()).boxed(),
        field("created", number_value()).boxed(),
        field("choices", list(choice)).boxed(),
        field("usage", usage).boxed(),
        field("timings", timings).boxed(),
        field("content", text_value()).boxed(),
        field("tokens", ids_value()).boxed(),
        field("stop", word(&["true", "false"])).boxed(),
        field("tokens_predicted", number_value()).boxed(),
    ])
}

/// A template's chunk with other values in its holes.
fn refilled() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let values = || (text_value(), ids_value(), number_value(), number_value(), number_value());
    let shape = prop::sample::select(
        &[
            "{'choices':[{'text':T,'token_ids':I}],'usage':{'completion_tokens':C,'total_tokens':N}}",
            "{'created':N,'choices':[{'delta':{'content':T},'token_ids':I}]}",
            "{'choices':[{'delta':{'reasoning':T,'content':null}}],'timings':{'predicted_n':P}}",
            "{'content':T,'tokens':I,'stop':false,'tokens_predicted':C,'timings':{'predicted_ms':N}}",
        ][..],
    );
    (shape, values(), values())
        .prop_map(|(shape, first, second)| (filled(shape, first), filled(shape, second)))
}

type Filling = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

fn filled(shape: &str, (text, ids, completion, predicted, any): Filling) -> Vec<u8> {
    let mut data = Vec::new();
    for byte in shape.bytes() {
        match byte {
            b'T' => data.extend_from_slice(&text),
            b'I' => data.extend_from_slice(&ids),
            b'C' => data.extend_from_slice(&completion),
            b'P' => data.extend_from_slice(&predicted),
            b'N' => data.extend_from_slice(&any),
            b'\'' => data.push(b'"'),
            other => data.push(other),
        }
    }
    data
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_two_chunks_are_read_as_serde_reads_them(first in any_chunk(), second in any_chunk()) {
        check(&[&first], &second);
        check(&[&first], &first);
    }

    #[test]
    fn any_values_in_a_known_shape_are_read_as_serde_reads_them((first, second) in refilled()) {
        check(&[&first], &second);
        check(&[&second, &first], &second);
    }

    #[test]
    fn a_damaged_chunk_is_read_as_serde_reads_it(
        (first, second) in refilled(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut damaged = second;
        let at = at.index(damaged.len());
        damaged[at] = byte;
        check(&[&first], &damaged);
    }
}
