//! Rows in the general form: what they become, and how wrong ones are refused.

use trie_core::workload::{BlockScope, Blocks, On, Row, Segment, SegmentKind, Trace, Wait};

use crate::workload::{open, traces};
use crate::workload_errors::check;

/// A row with steps that are written short: `id lane | keys | tokens of new | answer`.
fn row(steps: &[&str]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| written(step)).collect();
    format!("{{\"steps\": [{}]}}", steps.join(", "))
}

fn written(step: &str) -> String {
    let parts: Vec<&str> = step.split('|').map(str::trim).collect();
    let [name, keys, new, output] = parts[..] else { panic!("{step}") };
    let (id, lane) = name.split_once(' ').unwrap();
    let keys = if keys.is_empty() { String::new() } else { format!("{keys}, ") };
    format!(
        "{{\"id\": \"{id}\", \"lane\": \"{lane}\", {keys}\"new\": [{{\"role\": \"user\", \
         \"tokens\": {new}}}], \"output\": {{\"tokens\": {output}}}}}"
    )
}

/// One line a step: lane, what it waits for, what it takes over, adds, prompts and answers.
fn shape(trace: &Trace) -> Vec<String> {
    let steps = trace.steps.iter().map(|step| {
        let after = step.after.iter().map(|after| {
            let on = match after.on {
                On::Start => "start",
                On::FirstToken => "token",
                On::End => "end",
            };
            let wait = if after.wait == Wait::User { " user" } else { "" };
            format!("{on} {}+{}{wait}", after.step, after.delay.as_secs_f64())
        });
        let new = step.new.iter().map(|Segment { tokens, kind }| match kind {
            SegmentKind::Shared(id) => format!("{id}:{tokens}"),
            SegmentKind::Blocks(_)
            | SegmentKind::Prompt
            | SegmentKind::System
            | SegmentKind::Assistant
            | SegmentKind::Tool
            | SegmentKind::User => format!("{kind:?}:{tokens}").to_lowercase(),
        });
        let context = &step.context;
        let from = context.from.map_or("nothing".to_owned(), |from| from.to_string());
        let keep = context.keep.map_or(String::new(), |keep| format!(" keep {keep}"));
        let drop: Vec<_> = context.drop.iter().map(|drop| format!(" drop {drop:?}")).collect();
        format!(
            "lane {} after [{}] from {from}{keep}{} new [{}] = {} -> {} carry {}",
            step.lane,
            after.collect::<Vec<_>>().join(", "),
            drop.concat(),
            new.collect::<Vec<_>>().join(" "),
            step.prompt_tokens,
            step.output.tokens,
            step.output.carried(),
        )
    });
    steps.collect()
}

fn check_shape(row: &str, expected: &[&str]) {
    let mut workload = open(row).unwrap();
    assert_eq!(shape(&traces(&mut workload)[0]), expected, "{row}");
}

#[test]
fn a_step_goes_on_with_its_lane_unless_told_otherwise() {
    check_shape(
        &row(&["a main | | 10 | 5", "b main | | 7 | 3"]),
        &[
            "lane 0 after [] from nothing new [user:10] = 10 -> 5 carry 5",
            "lane 0 after [end 0+0 user] from 0 new [user:7] = 22 -> 3 carry 3",
        ],
    );
    check_shape(
        &row(&[
            "a main | | 10 | 5",
            r#"b main | "after": [], "context": {"from": null, "prefix": [{"id": "p", "tokens": 4}]} | 0 | 3"#,
        ]),
        &[
            "lane 0 after [] from nothing new [user:10] = 10 -> 5 carry 5",
            "lane 0 after [] from nothing new [p:4] = 4 -> 3 carry 3",
        ],
    );
}

/// A session of five steps: a spawn, a fork, a join and a compaction.
pub(crate) const SESSION: &str = r#"{"trace_id": "S2", "prefix": [{"id": "system", "tokens": 200}], "steps": [
{"id": "m0", "lane": "main", "new": [{"role": "user", "tokens": 800}], "output": {"tokens": 50, "reasoning": 20, "carry": 30, "finish": "tool"}},
{"id": "k0", "lane": "sub1", "context": {"from": null, "prefix": [{"id": "sub", "tokens": 300}]}, "after": [{"id": "m0", "on": "end", "delay": 0.05}], "new": [{"role": "user", "tokens": 90}], "output": {"tokens": 200}},
{"id": "k1", "lane": "sub2", "context": {"from": "m0"}, "after": [{"id": "m0", "delay": 0.05}], "new": [{"role": "user", "tokens": 70}], "output": {"tokens": 150}},
{"id": "m1", "lane": "main", "context": {"from": "m0"}, "after": [{"id": "k0", "on": "end", "delay": 0.1}, {"id": "k1", "delay": 0.1}], "new": [{"role": "tool", "tokens": 200, "of": "k0", "latency": 3}, {"role": "tool", "tokens": 150, "of": "k1"}], "output": {"tokens": 40}},
{"id": "m2", "lane": "main", "context": {"from": "m1", "keep": 200, "drop": [[10, 30], [190, 200]]}, "after": [{"id": "m1", "on": "first_token", "delay": 1.5}], "new": [{"role": "user", "tokens": 350, "kind": "summary"}], "output": {"tokens": 0}}]}"#;

#[test]
fn lanes_spawn_fork_join_and_are_compacted() {
    check_shape(
        &SESSION.replace('\n', ""),
        &[
            "lane 0 after [] from nothing new [system:200 user:800] = 1000 -> 50 carry 30",
            "lane 1 after [end 0+0.05] from nothing new [sub:300 user:90] = 390 -> 200 carry 200",
            "lane 2 after [end 0+0.05] from 0 new [user:70] = 1100 -> 150 carry 150",
            "lane 0 after [end 1+0.1, end 2+0.1] from 0 new [tool:200 tool:150] = 1380 -> 40 carry 40",
            "lane 0 after [token 3+1.5] from 3 keep 200 drop 10..30 drop 190..200 new [user:350] = 520 -> 1 carry 1",
        ],
    );
}

#[test]
fn steps_may_be_listed_in_any_order() {
    check_shape(
        &row(&[
            r#"join main | "after": [{"id": "b"}, {"id": "a", "on": "start"}], "context": {"from": "b"} | 1 | 1"#,
            r#"b two | "after": [{"id": "a"}], "context": {"from": "a", "keep": 3} | 1 | 1"#,
            "a one | | 9 | 1",
            "c two | | 5 | 1",
        ]),
        &[
            "lane 0 after [] from nothing new [user:9] = 9 -> 1 carry 1",
            "lane 1 after [end 0+0] from 0 keep 3 new [user:1] = 4 -> 1 carry 1",
            "lane 2 after [end 1+0, start 0+0] from 1 new [user:1] = 6 -> 1 carry 1",
            "lane 1 after [end 1+0 user] from 1 new [user:5] = 10 -> 1 carry 1",
        ],
    );
}

/// Steps `a`, `b` (with `keys`) and `c` of one lane.
fn check_b(keys: &str, expected: &str) {
    let b = format!("b main | {keys} | 7 | 3");
    check(row(&["a main | | 10 | 5", &b, "c main | | 1 | 1"]), expected);
}

#[test]
fn wrong_names_are_refused() {
    check_b(
        "\"after\": [{\"id\": ^\"z\"}]",
        "steps[1].after[0].id: found \"z\" (a string), wanted the id of a step of this row",
    );
    check_b(
        "\"context\": {\"from\": ^\"z\"}",
        "steps[1].context.from: found \"z\" (a string), wanted the id of a step of this row",
    );
    check(
        row(&["a main | | 1 | 1"]).replace("\"tokens\": 1}]", "\"tokens\": 1, \"of\": ^\"z\"}]"),
        "steps[0].new.of: found \"z\" (a string), wanted the id of a step of this row",
    );
    check(
        row(&["a main | | 1 | 1", "a main | | 1 | 1"]).replacen(", {\"id\": ", ", {\"id\": ^", 1),
        "steps[1].id: found \"a\" (a string), wanted an id that stands once in the row\n\
         hint: steps[0] has this id already",
    );
    check(
        row(&["a main | | 1 | 1"])
            .replace("\"lane\": \"main\", ", "")
            .replace("[{\"id\"", "[^{\"id\""),
        "steps[0]: found an element without lane, wanted one with it",
    );
    check(
        row(&["a main | | 1 | 1"]).replace("\"main\"", "^\"\""),
        "steps[0].lane: found \"\" (a string), wanted a name that is not empty",
    );
    check(
        row(&["a main | | 1 | 1"])
            .replace("\"id\": \"a\", ", "")
            .replace("[{\"lane\"", "[^{\"lane\""),
        "steps[0]: found an element without id, wanted one with it",
    );
}

#[test]
fn cycles_are_refused_and_named() {
    let hint = "wanted steps that wait only for steps that do not wait for them\n\
                hint: a step also waits for the previous one of its lane where `after` does not say \
                otherwise";
    let marked = |steps: &[&str], first: &str| {
        row(steps).replace(
            &format!("{{\"id\": \"{first}\", \"lane\""),
            &format!("^{{\"id\": \"{first}\", \"lane\""),
        )
    };
    check(
        marked(&["a main | \"after\": [{\"id\": \"a\"}] | 1 | 1"], "a"),
        &format!("steps[0]: found a cycle: a waits for a, {hint}"),
    );
    check(
        marked(
            &[
                "x main | | 1 | 1",
                "a one | \"after\": [{\"id\": \"c\", \"on\": \"start\"}] | 1 | 1",
                "b two | \"after\": [{\"id\": \"a\"}] | 1 | 1",
                "c three | \"after\": [], \"context\": {\"from\": \"b\", \"keep\": 1} | 1 | 1",
                "d four | \"after\": [{\"id\": \"c\"}] | 1 | 1",
            ],
            "a",
        ),
        &format!("steps[1]: found a cycle: a waits for c waits for b waits for a, {hint}"),
    );
    check(
        marked(&["a main | \"after\": [{\"id\": \"b\"}] | 1 | 1", "b main | | 1 | 1"], "a"),
        &format!("steps[0]: found a cycle: a waits for b waits for a, {hint}"),
    );
}

#[test]
fn contexts_must_fit_the_step_they_are_from() {
    check_b(
        "\"context\": {\"keep\": ^11}",
        "steps[1].context.keep: found 11, wanted at most the 10 tokens of the prompt it is from",
    );
    check_b(
        "\"context\": {\"keep\": ^-2}",
        "steps[1].context.keep: found -2, wanted a whole number of tokens, or -1 for all and the answer",
    );
    check_b(
        "\"context\": {\"drop\": ^[[3, 5], [14, 16]]}",
        "steps[1].context.drop: found [[3, 5], [14, 16]] (a list), wanted ranges within the 15 tokens \
         of prompt and carried answer",
    );
    check_b(
        "\"context\": {\"keep\": 4, \"drop\": [^[3, 5]]}",
        "steps[1].context.drop[0]: found [3, 5] (a list), wanted a range within the 4 tokens that are kept",
    );
    check_b(
        "\"context\": {\"drop\": [[3, 5], ^[4, 6]]}",
        "steps[1].context.drop[1]: found [4, 6] (a list), wanted a range [a, b] with 5 <= a < b: \
         ranges ascend",
    );
    check_b(
        "\"context\": {\"drop\": [^[3, 3]]}",
        "steps[1].context.drop[0]: found [3, 3] (a list), wanted a range [a, b] with 0 <= a < b: \
         ranges ascend",
    );
    check_b(
        "\"context\": {\"drop\": [^[3]]}",
        "steps[1].context.drop[0]: found [3] (a list), wanted two token positions",
    );
    check_b(
        "\"context\": {\"from\": null, \"keep\": ^1}",
        "steps[1].context.keep: found 1, wanted none where the context is from no step",
    );
    check_b(
        "\"context\": {\"from\": null, \"drop\": ^[[0, 1]]}",
        "steps[1].context.drop: found [[0, 1]] (a list), wanted none where the context is from no step",
    );
    check_b(
        "\"context\": {\"prefix\": ^[{\"id\": \"p\", \"tokens\": 1}]}",
        "steps[1].context.prefix: found [{\"id\": \"p\", \"tokens\": 1}] (a list), wanted none beside a \
         context\nhint: a prefix opens a prompt, and this one is opened by the context it takes over",
    );
}

#[test]
fn prompts_hold_only_answers_that_were_given() {
    let message = "found a prompt with an answer that may not have ended yet, wanted a step that \
                   waits for the end of that answer\nhint: `after` must lead, over other steps or not, \
                   to an end of the step answered";
    let check_answer = |after: &str, context: &str, fits: bool| {
        let b = format!("b two | \"after\": [{after}], \"context\": {{{context}}} | 7 | 3");
        let steps = ["a main | | 10 | 5", &b, "c main | | 1 | 1"];
        if fits {
            assert!(open(row(&steps)).is_ok(), "{after} {context}");
        } else {
            let marked =
                row(&steps).replace("{\"id\": \"b\", \"lane\"", "^{\"id\": \"b\", \"lane\"");
            check(marked, &format!("steps[1]: {message}"));
        }
    };
    check_answer("{\"id\": \"a\"}", "\"from\": \"a\"", true);
    check_answer("{\"id\": \"c\", \"on\": \"start\"}", "\"from\": \"a\"", true);
    check_answer("{\"id\": \"a\", \"on\": \"first_token\"}", "\"from\": \"a\"", false);
    check_answer("", "\"from\": \"a\"", false);
    check_answer("", "\"from\": \"a\", \"keep\": 10", true);
    check_answer("", "\"from\": \"c\", \"keep\": 10", false);
    check_answer("{\"id\": \"c\", \"on\": \"start\"}", "\"from\": \"c\", \"keep\": 10", true);
}

/// Like [`check`] for a row of one step with `from` replaced; `expected` is what follows its name.
fn check_in(from: &str, to: &str, expected: &str) {
    let row = row(&["a main | \"after\": [] | 10 | 5"]);
    assert!(row.contains(from), "{row}");
    check(row.replacen(from, to, 1), &format!("steps[0]{expected}"));
}

#[test]
fn wrong_values_of_prompt_and_answer_are_refused() {
    check_in(
        "\"user\"",
        "^\"human\"",
        ".new[0].role: found \"human\" (a string), wanted system, user, assistant or tool",
    );
    check_in(
        "10}",
        "10, \"kind\": ^\"x\"}",
        ".new[0].kind: found \"x\" (a string), wanted tool, user, summary or unknown",
    );
    check_in("10}", "^-1}", ".new[0].tokens: found -1, wanted a whole number from 0 to 1000000000");
    check_in(
        "10}",
        "10, \"latency\": ^-1}",
        ".new[0].latency: found -1, wanted a number of seconds from 0 to 1000000000",
    );
    check_in(
        "[{\"role\": \"user\", ",
        "[^{",
        ".new[0]: found an element without role, wanted one with it",
    );
    check_in(
        "5}",
        "5, \"carry\": ^6}",
        ".output.carry: found 6, wanted at most the answer's 5 tokens",
    );
    check_in(
        "5}",
        "5, \"reasoning\": ^6}",
        ".output.reasoning: found 6, wanted at most the answer's 5 tokens",
    );
    check_in("5}", "5, \"finish\": ^6}", ".output.finish: found 6, wanted a string in quotes");
    check_in(
        "{\"tokens\": 5}",
        "^{}",
        ".output: found an element without tokens, wanted one with it",
    );
}

#[test]
fn wrong_values_of_a_step_are_refused() {
    check_in(
        "\"output\"",
        "\"model\": ^7, \"output\"",
        ".model: found 7, wanted a string in quotes",
    );
    check_in(
        "\"output\"",
        "\"sampling\": ^7, \"output\"",
        ".sampling: found 7, wanted an object in braces",
    );
    check_in(
        "\"output\"",
        "\"expect\": {\"ttft\": ^\"1\"}, \"output\"",
        ".expect.ttft: found \"1\" (a string), wanted a number of seconds from 0 to 1000000000\nhint: numbers are written without quotes",
    );
    check_in(
        "\"after\": []",
        "\"after\": ^{}",
        ".after: found {} (an object), wanted a list in square brackets",
    );
    check_in(
        "\"after\": []",
        "\"after\": [{\"id\": \"a\", \"on\": ^\"begin\"}]",
        ".after[0].on: found \"begin\" (a string), wanted end, start or first_token",
    );
    check_in(
        "\"after\": []",
        "\"after\": [{\"id\": \"a\", \"delay\": ^-1}]",
        ".after[0].delay: found -1, wanted a number of seconds from 0 to 1000000000",
    );
    check_in(
        "\"after\": []",
        "\"after\": [^{}]",
        ".after[0]: found an element without id, wanted one with it",
    );
}

#[test]
fn rows_of_steps_are_refused_as_a_whole() {
    check("{\"steps\": ^[]}", "steps: found [] (a list), wanted at least one step");
    check("{\"steps\": ^{}}", "steps: found {} (an object), wanted a list in square brackets");
    check("{\"steps\": [^7]}", "steps[0]: found 7, wanted an object in braces");
    check(
        "{\"steps\": [], \"num_turns\": ^2}",
        "num_turns: found 2, wanted no key of the flat form beside steps\n\
         hint: a row has either steps or the six fields",
    );
    check(
        row(&["a main | | 0 | 5"]).replace("[{\"id\"", "[^{\"id\""),
        "steps[0]: found an empty prompt, wanted at least 1 token\n\
         hint: it takes over nothing and adds nothing",
    );
    check(
        row(&["a main | | 1000000000 | 5"]).replace("[{\"id\"", "[^{\"id\""),
        "steps[0]: found 1000000005 tokens of prompt and answer, wanted at most 1000000000",
    );
    check(
        row(&[r#"a main | "context": {"prefix": [{"id": "p", "tokens": 4}]} | 1 | 5"#]).replacen(
            '{',
            "{\"prefix\": ^[{\"id\": \"q\", \"tokens\": 4}], ",
            1,
        ),
        "prefix: found [{\"id\": \"q\", \"tokens\": 4}] (a list), wanted one prefix\n\
         hint: steps[0], the first, has a context.prefix of its own",
    );
}

/// Blocks of a scope are the same text in all rows that name it.
#[test]
fn a_segment_may_be_blocks_of_the_source() {
    let text = r#"{"steps": [{"id": "a", "lane": "l", "new": [{"role": "user", "tokens": 200, "blocks": {"size": 64, "scope": "all", "first": 5}}, {"role": "user", "tokens": 3}], "output": {"tokens": 2}}, {"id": "b", "lane": "l", "context": {"from": "a", "keep": 128}, "new": [{"role": "tool", "tokens": 64, "blocks": {"size": 64, "first": 9}}], "output": {"tokens": 2}}]}"#;
    let row = Row::read(text, "w.jsonl", 0).unwrap();
    let blocks = |step: usize| match &row.trace().steps[step].new[0] {
        Segment { tokens, kind: SegmentKind::Blocks(blocks) } => (*tokens, blocks.clone()),
        other => panic!("{other:?}"),
    };
    let named = BlockScope::Named("all".to_owned());
    assert_eq!(blocks(0), (200, Blocks { scope: named, first: 5, size: 64 }));
    assert_eq!(blocks(1), (64, Blocks { scope: BlockScope::Trace, first: 9, size: 64 }));
    assert_eq!(row.trace().steps[1].prompt_tokens, 192);
    assert_eq!((row.text(), row.number(), row.zero_answers()), (text, 0, 0));
    check(
        text.replace("\"size\": 64, \"first\"", "\"size\": ^0, \"first\""),
        "steps[1].new[0].blocks.size: found 0, wanted at least 1",
    );
    check(
        text.replace("\"first\": 9", "\"first\": ^18446744073709551615"),
        "steps[1].new[0].blocks.first: found 18446744073709551615, wanted a first id after which \
         there is room for the others",
    );
}

#[test]
fn unknown_keys_of_steps_are_warned_of_once_each() {
    let odd = SESSION.replace('\n', "").replace("\"finish\"", "\"odd\": 1, \"finish\"");
    let odd = odd.replace("\"new\"", "\"model\": \"m\", \"mood\": 1, \"new\"");
    let workload = open(odd).unwrap();
    let warnings: Vec<String> = workload.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "1 answers of 0 tokens are planned as 1, the least a server accepts (first on line 1)",
            "unknown key steps[].mood is ignored (5 times, first on line 1)",
            "unknown key steps[].output.odd is ignored (1 times, first on line 1)",
        ]
    );
}
