//! Prompts of rows with block ids against lists of tokens made from the ids.

use proptest::prelude::*;
use serde_json::{Value, json};
use trie_core::plan::{Plan, Scale};

use crate::graphs::{Names, Source, Token};
use crate::plan::options;
use crate::workload::open;

/// One request: what it adds to the history, and its ids.
#[derive(Clone, Debug)]
struct Request {
    answer: u64,
    input: u64,
    /// Ids of the request before that it keeps, as far as there are so many.
    keep: usize,
    ids: Vec<u64>,
    /// Whether a last block that is cut short has an id.
    with_partial: bool,
}

fn request() -> impl Strategy<Value = Request> {
    let ids = prop::collection::vec(prop_oneof![0..6_u64, Just(u64::MAX - 3)], 60);
    (0..30_u64, 0..30_u64, 0..12_usize, ids, any::<bool>()).prop_map(
        |(answer, input, keep, ids, with_partial)| Request {
            answer,
            input,
            keep,
            ids,
            with_partial,
        },
    )
}

/// Prompt length and ids of each request; the ids go on from those kept.
fn prompts(requests: &[Request], size: u64) -> Vec<(u64, usize, Vec<u64>)> {
    let mut prompts: Vec<(u64, usize, Vec<u64>)> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let before = prompts.last();
        let prompt = match before {
            Some((prompt, ..)) => prompt + requests[index - 1].answer.max(1) + request.input,
            None => request.input + 1,
        };
        let count = if request.with_partial { prompt.div_ceil(size) } else { prompt / size };
        let count = usize::try_from(count).unwrap();
        let kept = before.map_or(&[][..], |(_, _, ids)| ids);
        let keep = request.keep.min(kept.len()).min(count);
        let ids = kept[..keep].iter().chain(request.ids.iter().cycle()).copied();
        prompts.push((prompt, keep, ids.take(count).collect()));
    }
    prompts
}

fn row(requests: &[Request], size: u64, scope: Option<&str>) -> String {
    let (last, turns) = requests.split_last().unwrap();
    let steps = prompts(requests, size)
        .into_iter()
        .map(|(_, keep, ids)| json!({"keep": keep, "new": runs(&ids[keep..])}));
    let mut blocks = json!({"size": size, "steps": steps.collect::<Vec<_>>()});
    blocks["scope"] = json!(scope.unwrap_or("local"));
    json!({
        "num_turns": turns.len(),
        "input_prompt_length": requests[0].input + 1,
        "assistant_response_length": turns.iter().map(|of| of.answer).collect::<Vec<_>>(),
        "tool_call_output_length": requests[1..].iter().map(|of| of.input).collect::<Vec<_>>(),
        "tool_call_latency": turns.iter().map(|_| 0).collect::<Vec<_>>(),
        "final_assistant_response_length": last.answer,
        "blocks": blocks,
    })
    .to_string()
}

fn runs(ids: &[u64]) -> Vec<Value> {
    let runs = ids.chunk_by(|a, b| a + 1 == *b);
    runs.map(|run| json!([run[0], run.len()])).collect()
}

/// A prompt token by token: its blocks, then text of its own.
fn tokens(step: usize, prompt: u64, ids: &[u64], size: u64, scope: Option<&str>) -> Vec<Token> {
    let (prompt, size) = (usize::try_from(prompt).unwrap(), usize::try_from(size).unwrap());
    let token = |place: usize| match ids.get(place / size) {
        Some(id) => {
            let scope = scope.map(str::to_owned);
            (Source::Block { scope, id: *id }, place % size)
        }
        None => (Source::New { step, segment: 0 }, place - ids.len() * size),
    };
    (0..prompt).map(token).collect()
}

proptest! {
    #[test]
    fn prompts_of_blocks_are_the_reference_token_by_token(
        rows in prop::collection::vec(prop::collection::vec(request(), 1..5), 1..4),
        size in 1..9_u64,
        scope in prop_oneof![Just(None), Just(Some("office"))],
    ) {
        let file: Vec<String> = rows.iter().map(|requests| row(requests, size, scope)).collect();
        let mut workload = open(file.join("\n")).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{file:?}"))
        })?;
        let plan = Plan::new(options(Scale::default()), 0, &mut workload).unwrap();
        let mut names = Names::default();
        for instance in 0..2 * rows.len() {
            let planned = plan.trace(instance.try_into().unwrap(), &mut workload).unwrap();
            let requests = &rows[instance % rows.len()];
            for (step, (prompt, _, ids)) in prompts(requests, size).into_iter().enumerate() {
                let expected = tokens(step, prompt, &ids, size, scope);
                let number = step.try_into().unwrap();
                prop_assert!(names.agree(&planned, number, &[], &expected), "{}", file.join("\n"));
            }
        }
    }
}
