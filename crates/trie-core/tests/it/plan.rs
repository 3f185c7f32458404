//! Plans: instances, scaling, and prompts in pieces.

use trie_core::plan::{
    CacheScope, ContentRule, History, Instance, Order, Piece, Plan, PlanError, PlanOptions, Scale,
    ScaleCounts, SegmentKey, SegmentPlace, Stretch, content_key, scale_trace,
};
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source, Step, Trace, Workload};

use crate::workload::{ROW, open, row_with, traces};

pub(crate) fn options(scale: Scale) -> PlanOptions {
    PlanOptions {
        concurrency: 4,
        duration: Nanos::from_secs(300),
        seed: 7,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale,
    }
}

fn planned(rows: &[&str], scale: Scale) -> Result<Plan, PlanError> {
    Plan::new(options(scale), 0, &mut open(rows.join("\n")).unwrap())
}

/// A row without turns.
fn single(prompt: u64) -> String {
    format!(
        "{{\"num_turns\": 0, \"input_prompt_length\": {prompt}, \"assistant_response_length\": [], \
         \"tool_call_output_length\": [], \"tool_call_latency\": [], \
         \"final_assistant_response_length\": 10}}"
    )
}

#[test]
fn a_shuffle_is_a_permutation_that_hangs_on_the_seed_and_keeps_sessions_in_order() {
    let row = |number: u64| match number % 3 {
        0 => row_with(&format!("\"session_id\": \"s{}\"", number % 2)),
        _ => single(number + 1),
    };
    let text = (0..60).map(row).collect::<Vec<_>>().join("\n");
    let rows = |seed, scale, numbers: std::ops::Range<u64>| -> Vec<u64> {
        let options = PlanOptions { seed, order: Order::Shuffle, ..options(scale) };
        let plan = Plan::new(options, 0, &mut open(text.clone()).unwrap()).unwrap();
        numbers.map(|number| plan.instance(number).row).collect()
    };
    let drawn = rows(7, Scale::default(), 0..60);
    assert_eq!(drawn, rows(7, Scale::default(), 60..120), "each cycle has the same order");
    assert_ne!(drawn, rows(8, Scale::default(), 0..60));
    let mut sorted = drawn.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..60).collect::<Vec<_>>());
    assert_ne!(drawn, sorted);
    for session in [0, 3] {
        let of: Vec<_> = drawn.iter().filter(|row| *row % 6 == session).collect();
        assert!(of.is_sorted(), "{of:?}");
    }
    // Rows that are left out have no place.
    let scale = Scale { max_context: Some(40), ..Scale::default() };
    let short = rows(7, scale, 0..20);
    assert!(short.iter().all(|row| row % 3 != 0 && *row < 30), "{short:?}");
    let kept: Vec<_> = drawn.into_iter().filter(|row| short.contains(row)).collect();
    assert_eq!(kept, short);
}

#[test]
fn instances_go_through_the_rows_in_order_again_and_again() {
    let rows = [10, 99, 20, 99, 99, 30].map(single);
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let check = |max_context, expected: &[(u64, u64)]| {
        let plan = planned(&rows, Scale { max_context, ..Scale::default() }).unwrap();
        for (number, &(row, cycle)) in (0..).zip(expected) {
            assert_eq!(plan.instance(number), Instance { number, row, cycle });
        }
    };
    check(None, &[(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (0, 1), (1, 1)]);
    check(Some(50), &[(0, 0), (2, 0), (5, 0), (0, 1), (2, 1), (5, 1), (0, 2)]);
    check(Some(20), &[(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn a_plan_is_the_same_bytes_everywhere() {
    let file = format!("{ROW}\n{}\n", single(100));
    let scale = Scale {
        token_scale: 0.5,
        wait_cap: Some(Nanos::from_millis(100)),
        max_turns: Some(1),
        max_context: Some(40),
        ..Scale::default()
    };
    let plan = |name: &str, salt| {
        let source = Source::Seekable(Box::new(std::io::Cursor::new(file.clone())));
        let mut workload =
            Workload::open(source, name, Encoding::Plain, &ReadOptions::default()).unwrap();
        Plan::new(options(scale.clone()), salt, &mut workload).unwrap()
    };
    let one = plan("here", 1);
    insta::assert_snapshot!(String::from_utf8(one.to_bytes()).unwrap(), @r#"{"schema":"trie.plan/1","content_version":1,"options":{"concurrency":4,"duration_ns":300000000000,"seed":7,"stream":true,"history":"auto","cache_scope":"run","ramp_ns":0,"scale":{"token_scale":0.5,"tool_wait_scale":1.0,"user_wait_scale":1.0,"wait_cap_ns":100000000,"max_turns":1,"max_context":40}},"workload":{"sha256":"32286a6d94ea30c91df57857a3563a9cb666d4f2fe895846fc5ac15b476be05e","rows":2,"requests":2,"prompt_tokens":44,"completion_tokens":18,"max_context_tokens":38},"scaling":{"lengths_kept_at_one":0,"waits_capped":0,"traces_cut_by_max_turns":1,"requests_dropped_by_max_turns":1,"traces_cut_by_max_context":0,"requests_dropped_by_max_context":0,"traces_left_out":1},"left_out":[1]}"#);
    assert_eq!(plan("there", 2).sha256(), one.sha256());
    assert_eq!(one.left_out(), [1]);
}

#[test]
fn options_no_plan_can_be_made_from_are_refused() {
    let check = |change: &dyn Fn(&mut PlanOptions), expected: &str| {
        let mut options = options(Scale::default());
        change(&mut options);
        let error = Plan::new(options, 0, &mut open(ROW).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(&|options| options.concurrency = 0, "concurrency: found 0, wanted 1 or more");
    check(&|options| options.duration = Nanos::ZERO, "duration: found 0 s, wanted more than 0 s");
    let positive = "wanted more than 0, at most 1000";
    check(&|options| options.scale.token_scale = 0.0, &format!("token_scale: found 0, {positive}"));
    check(
        &|options| options.scale.token_scale = f64::NAN,
        &format!("token_scale: found NaN, {positive}"),
    );
    check(
        &|options| options.scale.tool_wait_scale = -1.0,
        "tool_wait_scale: found -1, wanted 0 to 1000",
    );
    check(
        &|options| options.scale.user_wait_scale = f64::INFINITY,
        "user_wait_scale: found inf, wanted 0 to 1000",
    );
    check(
        &|options| options.scale.max_context = Some(1),
        "max_context: found 1, wanted 2 or more: a prompt and an answer",
    );
    check(
        &|options| options.scale.max_context = Some(40),
        "w.jsonl: none of its 1 traces fits max_context=40\nhint: raise max_context, or lower token_scale",
    );
    let big = single(20_000_000);
    let scale = Scale { token_scale: 100.0, ..Scale::default() };
    assert_eq!(
        planned(&[&big], scale).unwrap_err().to_string(),
        "w.jsonl: token_scale makes a request of 2000001000 tokens, at most 1000000000 are possible\n\
         hint: lower token_scale, or set max_context"
    );
}

/// (prompt, answer, carried, delay in ms) of each step.
fn numbers(trace: &Trace) -> Vec<(u64, u64, u64, u64)> {
    let delay = |step: &Step| step.after.first().map_or(0, |after| after.delay.0 / 1_000_000);
    let steps = trace.steps.iter();
    steps.map(|s| (s.prompt_tokens, s.output.tokens, s.output.carried(), delay(s))).collect()
}

/// [`numbers`] of `ROW`.
const UNSCALED: [(u64, u64, u64, u64); 3] = [(32, 16, 16, 0), (56, 20, 20, 0), (88, 64, 64, 500)];

/// `expected` is [`numbers`] of `ROW` with more keys, scaled.
fn check_scaled(keys: &str, scale: &Scale, expected: &[(u64, u64, u64, u64)], notes: &[&str]) {
    let trace = open(row_with(keys)).unwrap().trace(0).unwrap();
    let mut counts = ScaleCounts::default();
    let scaled = scale_trace(trace, scale, &mut counts);
    assert_eq!(scaled.map(|trace| numbers(&trace)).unwrap_or_default(), expected, "{scale:?}");
    assert_eq!(counts.notes(), notes, "{scale:?}");
}

#[test]
fn tokens_scale_but_none_vanish() {
    let tokens = |token_scale| Scale { token_scale, ..Scale::default() };
    check_scaled("\"trace_id\": \"a\"", &Scale::default(), &UNSCALED, &[]);
    check_scaled(
        "\"trace_id\": \"a\"",
        &tokens(0.5),
        &[(16, 8, 8, 0), (28, 10, 10, 0), (44, 32, 32, 500)],
        &[],
    );
    check_scaled(
        "\"trace_id\": \"a\"",
        &tokens(0.01),
        &[(1, 1, 1, 0), (3, 1, 1, 0), (5, 1, 1, 500)],
        &["5 lengths that token_scale rounds to 0 are kept at 1 token"],
    );
    check_scaled(
        "\"carry_length\": [3, 0]",
        &tokens(0.5),
        &[(16, 8, 2, 0), (22, 10, 0, 0), (28, 32, 32, 500)],
        &[],
    );
    // 56 is the whole prompt before: 16 + 8 + 4 after scaling. 55 is cut, to 27.5.
    check_scaled(
        "\"context\": [{\"before\": 2, \"keep\": 56}]",
        &tokens(0.5),
        &[(16, 8, 8, 0), (28, 10, 0, 0), (34, 32, 32, 500)],
        &[],
    );
    check_scaled(
        "\"context\": [{\"before\": 2, \"keep\": 53}]",
        &tokens(0.5),
        &[(16, 8, 8, 0), (28, 10, 0, 0), (33, 32, 32, 500)],
        &[],
    );
}

#[test]
fn cuts_and_blocks_scale_with_what_they_cut() {
    let half = Scale { token_scale: 0.5, ..Scale::default() };
    // 21 of 32 tokens stay: the prefix of 20, which is 10 now, and one more; 3 of them go.
    check_scaled(
        "\"prefix\": [{\"id\": \"tools\", \"tokens\": 20}], \
         \"context\": [{\"before\": 1, \"keep\": 21, \"drop\": [[2, 8]]}]",
        &half,
        &[(16, 8, 0, 0), (11 - 3 + 4, 10, 10, 0), (12 + 10 + 6, 32, 32, 500)],
        &[],
    );
    // Blocks of 10 become blocks of 5; a block of 2 becomes one of 1.
    let steps = "[{\"new\": [[7, 4]]}, {\"keep\": 3, \"new\": [[1, 3]]}, {\"keep\": 2, \"new\": [[20, 6]]}]";
    check_scaled(
        &format!("\"blocks\": {{\"size\": 10, \"steps\": {steps}}}"),
        &half,
        &[(16, 8, 0, 0), (15 + 13, 10, 0, 0), (10 + 30 + 4, 32, 0, 500)],
        &[],
    );
}

#[test]
fn traces_of_a_session_share_a_route_in_each_cycle() {
    let session = row_with("\"session_id\": \"s\"");
    let mut workload = open([ROW, &session, &session].join("\n")).unwrap();
    let plan = Plan::new(options(Scale::default()), 0, &mut workload).unwrap();
    let mut route = |number| plan.trace(number, &mut workload).unwrap().routing_key();
    assert_eq!([route(0), route(3)], [0, 3]);
    assert_eq!(route(1), route(2));
    assert_eq!(route(4), route(5));
    assert_ne!(route(1), route(4));
}

#[test]
fn text_behind_a_cut_has_moved() {
    let unmoved = |keys: &str| {
        let trace = open(row_with(keys)).unwrap().trace(0).unwrap();
        trace.steps.iter().map(|step| trace.unmoved_context_tokens(step)).collect::<Vec<_>>()
    };
    assert_eq!(unmoved("\"context\": []"), [0, 48, 76]);
    assert_eq!(unmoved("\"context\": [{\"before\": 1, \"keep\": 20}]"), [0, 20, 48]);
    assert_eq!(
        unmoved("\"context\": [{\"before\": 1, \"keep\": 20, \"drop\": [[7, 9], [12, 13]]}]"),
        [0, 7, 45]
    );
}

#[test]
fn waits_for_tools_and_people_scale_apart() {
    let waits = |tool_wait_scale, user_wait_scale, cap_ms: Option<u64>| {
        let wait_cap = cap_ms.map(Nanos::from_millis);
        Scale { tool_wait_scale, user_wait_scale, wait_cap, ..Scale::default() }
    };
    let slow = [(32, 16, 16, 0), (56, 20, 20, 0), (88, 64, 64, 1500)];
    check_scaled("\"input_kind\": \"ut\"", &waits(3.0, 0.0, None), &slow, &[]);
    check_scaled("\"input_kind\": \"u?\"", &waits(3.0, 0.0, None), &slow, &[]);
    check_scaled("\"input_kind\": \"us\"", &waits(3.0, 0.0, None), &slow, &[]);
    check_scaled("\"input_kind\": \"tu\"", &waits(0.0, 3.0, None), &slow, &[]);
    check_scaled("\"input_kind\": \"tu\"", &waits(0.0, 3.0, Some(1500)), &slow, &[]);
    check_scaled(
        "\"input_kind\": \"tu\"",
        &waits(0.0, 4.0, Some(1500)),
        &slow,
        &["1 waits are shortened to wait_cap"],
    );
}

#[test]
fn long_traces_are_cut_and_counted() {
    check_scaled(
        "\"trace_id\": \"a\"",
        &Scale { max_turns: Some(1), ..Scale::default() },
        &UNSCALED[..2],
        &["1 traces are shortened to max_turns", "1 requests are dropped by that"],
    );
    check_scaled(
        "\"trace_id\": \"a\"",
        &Scale { max_turns: Some(2), ..Scale::default() },
        &UNSCALED,
        &[],
    );
    check_scaled(
        "\"trace_id\": \"a\"",
        &Scale { max_context: Some(75), ..Scale::default() },
        &UNSCALED[..1],
        &[
            "1 traces are ended before a request beyond max_context",
            "2 requests are dropped by that",
        ],
    );
    check_scaled(
        "\"trace_id\": \"a\"",
        &Scale { max_context: Some(152), ..Scale::default() },
        &UNSCALED,
        &[],
    );
    check_scaled(
        "\"trace_id\": \"a\"",
        &Scale { max_context: Some(47), ..Scale::default() },
        &[],
        &["1 traces are left out: their first request is beyond max_context"],
    );
}

#[test]
fn scaled_facts_count_what_is_replayed() {
    let scale = Scale { token_scale: 0.5, max_turns: Some(1), ..Scale::default() };
    let plan = planned(&[ROW, &single(100)], scale).unwrap();
    let facts = plan.facts();
    assert_eq!((facts.rows, facts.requests, facts.prompt_tokens), (2, 3, 16 + 28 + 50));
    assert_eq!((facts.completion_tokens, facts.max_context_tokens), (8 + 10 + 5, 55));
}

#[test]
fn a_prompt_comes_in_pieces() {
    let row = row_with(
        "\"prefix\": [{\"id\": \"tools\", \"tokens\": 20}], \"carry_length\": [5, 0], \
         \"context\": [{\"before\": 2, \"keep\": 35}]",
    );
    let mut workload = open(row).unwrap();
    let plan = Plan::new(options(Scale::default()), 9, &mut workload).unwrap();
    let trace = plan.trace(3, &mut workload).unwrap();
    let rule = ContentRule::new(7, 9, CacheScope::Run);
    let own = |step, segment| content_key(&rule, 3, Stretch::Own { step, segment });
    let segment = |(step, segment), key: SegmentKey, end: u64| Piece::Segment {
        key,
        of: SegmentPlace { step, segment },
        tokens: 0..end,
    };
    let own_segment = |step, number, end| segment((step, number), own(step, number), end);
    let tools = segment((0, 0), content_key(&rule, 0, Stretch::Shared { id: "tools" }), 20);
    let carried = |end| Piece::Carried { step: 0, tokens: 11..end };
    let first = vec![tools, own_segment(0, 1, 12)];
    assert_eq!(trace.prompt(0), first);
    assert_eq!(trace.prompt(1), [&first[..], &[carried(16), own_segment(1, 0, 8)]].concat());
    assert_eq!(trace.prompt(2), [&first[..], &[carried(14), own_segment(2, 0, 12)]].concat());
}

#[test]
fn only_shared_text_is_shared() {
    let row = row_with("\"prefix\": [{\"id\": \"tools\", \"tokens\": 20}]");
    let keys = |scope, salt, number| {
        let mut workload = open(row.clone()).unwrap();
        let options = PlanOptions { cache_scope: scope, ..options(Scale::default()) };
        let plan = Plan::new(options, salt, &mut workload).unwrap();
        let prompt = plan.trace(number, &mut workload).unwrap().prompt(0);
        let keys = prompt.into_iter().map(|piece| match piece {
            Piece::Segment { key, .. } => key,
            Piece::Carried { .. } => panic!("nothing is carried into a first prompt"),
        });
        keys.collect::<Vec<_>>()
    };
    let check = |scope, other_instance: [bool; 2], other_salt: [bool; 2]| {
        let same = |a: Vec<SegmentKey>, b: Vec<SegmentKey>| [a[0] == b[0], a[1] == b[1]];
        assert_eq!(same(keys(scope, 1, 0), keys(scope, 1, 1)), other_instance, "{scope:?}");
        assert_eq!(same(keys(scope, 1, 0), keys(scope, 2, 0)), other_salt, "{scope:?}");
    };
    check(CacheScope::Run, [true, false], [false, false]);
    check(CacheScope::Seed, [true, false], [true, true]);
    check(CacheScope::None, [false, false], [false, false]);
}

#[test]
fn a_scale_of_one_changes_nothing() {
    let row = row_with("\"context\": [{\"before\": 1, \"keep\": 7}], \"input_kind\": \"u?\"");
    let expected = traces(&mut open(row.clone()).unwrap());
    let mut workload = open(row).unwrap();
    let scale = Scale { max_turns: Some(9), ..Scale::default() };
    let plan = Plan::new(options(scale), 0, &mut workload).unwrap();
    assert_eq!(plan.trace(4, &mut workload).unwrap().trace, expected[0]);
    assert_eq!(plan.counts().notes(), [""; 0]);
}
