//! What a flat row means: its expansion into steps.

use super::flat::{Flat, InputKind, Turn};
use super::graph::{
    Carry, Context, Dependency, Extras, On, Output, Segment, SegmentKind, Step, StepId, Wait,
};
use crate::units::Tokens;

/// The steps of a row: one lane, each request after the answer to the one before.
pub(super) fn expand(row: Flat) -> Vec<Step> {
    let outputs: Vec<Output> = (0..=row.turns.len()).map(|request| output(&row, request)).collect();
    let mut steps = Vec::with_capacity(outputs.len());
    steps.push(Step {
        lane: 0,
        after: Vec::new(),
        context: Context::default(),
        new: first_segments(row.prompt, row.prefix),
        output: outputs[0],
        extras: Extras::new(),
        prompt_tokens: row.prompt,
    });
    for (index, (turn, output)) in row.turns.into_iter().zip(&outputs[1..]).enumerate() {
        let step = next_step(&steps[index], index, turn, *output);
        steps.push(step);
    }
    steps
}

fn first_segments(prompt: Tokens, prefix: Vec<(String, Tokens)>) -> Vec<Segment> {
    let shared: Tokens = prefix.iter().map(|(_, tokens)| tokens).sum();
    let own = Segment { tokens: prompt - shared, kind: SegmentKind::Prompt };
    shared_segments(prefix).chain([own]).filter(|segment| segment.tokens > 0).collect()
}

/// The segments of shared prefixes.
pub(super) fn shared_segments(prefix: Vec<(String, Tokens)>) -> impl Iterator<Item = Segment> {
    prefix.into_iter().map(|(id, tokens)| Segment { tokens, kind: SegmentKind::Shared(id) })
}

fn output(row: &Flat, request: usize) -> Output {
    let reasoning = row.reasoning.get(request).copied();
    let Some(turn) = row.turns.get(request) else {
        return Output { tokens: row.final_answer, carry: Carry::All, reasoning };
    };
    let carry = match (&turn.cut, turn.carry) {
        (Some(_), _) => Carry::Last(0),
        (None, Some(carry)) if carry < turn.answer => Carry::Last(carry),
        (None, Some(_) | None) => Carry::All,
    };
    Output { tokens: turn.answer, carry, reasoning }
}

fn next_step(before: &Step, index: usize, turn: Turn, output: Output) -> Step {
    let from = StepId::try_from(index).expect("a line is too short for 2^32 turns");
    // The source waits for a summary as it waits for a tool: a machine writes it.
    let (wait, kind) = match turn.kind {
        InputKind::Tool | InputKind::Summary => (Wait::Tool, SegmentKind::Tool),
        InputKind::User => (Wait::User, SegmentKind::User),
        InputKind::Unknown => (Wait::Unknown, SegmentKind::Tool),
    };
    let prompt_tokens = turn.history(before.prompt_tokens) + turn.input();
    let (keep, drop) = turn.cut.map_or((None, Vec::new()), |cut| (Some(cut.keep), cut.drop));
    let new = turn.inputs.into_iter().filter(|tokens| *tokens > 0);
    Step {
        lane: 0,
        after: vec![Dependency { step: from, on: On::End, delay: turn.latency, wait }],
        context: Context { from: Some(from), keep, drop },
        new: new.map(|tokens| Segment { tokens, kind: kind.clone() }).collect(),
        output,
        extras: Extras::new(),
        prompt_tokens,
    }
}
