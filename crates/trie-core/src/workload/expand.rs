//! What a flat row means: its expansion into the step graph.

use super::graph::{
    Carry, Context, Dependency, On, Output, Segment, SegmentKind, Step, StepId, Trace, Wait,
};
use super::row::{InputKind, Row, Turn};
use crate::units::Tokens;

/// The trace of a row: one lane, each request after the answer to the one before.
pub(super) fn expand(row: Row, number: u64) -> Trace {
    let Row { id, prompt, prefix, turns, final_answer } = row;
    let first = Step {
        lane: 0,
        after: Vec::new(),
        context: Context::default(),
        new: first_segments(prompt, prefix),
        output: output_of(&turns, 0, final_answer),
        prompt_tokens: prompt,
    };
    let mut steps = Vec::with_capacity(turns.len() + 1);
    steps.push(first);
    for (index, turn) in turns.iter().enumerate() {
        let output = output_of(&turns, index + 1, final_answer);
        steps.push(next_step(&steps[index], index, turn, output));
    }
    Trace { id: id.unwrap_or_else(|| number.to_string()), steps }
}

fn first_segments(prompt: Tokens, prefix: Vec<(String, Tokens)>) -> Vec<Segment> {
    let shared: Tokens = prefix.iter().map(|(_, tokens)| tokens).sum();
    let own = Segment { tokens: prompt - shared, kind: SegmentKind::Prompt };
    let shared = prefix.into_iter().map(|(id, tokens)| {
        let kind = SegmentKind::Shared(id);
        Segment { tokens, kind }
    });
    shared.chain([own]).filter(|segment| segment.tokens > 0).collect()
}

fn output_of(turns: &[Turn], request: usize, final_answer: Tokens) -> Output {
    let Some(turn) = turns.get(request) else {
        return Output { tokens: final_answer.max(1), carry: Carry::All };
    };
    let tokens = turn.answer.max(1);
    let carry = match (turn.keep, turn.carry) {
        (Some(_), _) => Carry::Last(0),
        (None, Some(carry)) if carry < tokens => Carry::Last(carry),
        (None, Some(_) | None) => Carry::All,
    };
    Output { tokens, carry }
}

fn next_step(before: &Step, index: usize, turn: &Turn, output: Output) -> Step {
    let from = StepId::try_from(index).expect("a line is too short for 2^32 turns");
    // The source waits for a summary as it waits for a tool: a machine writes it.
    let (wait, kind) = match turn.kind {
        InputKind::Tool | InputKind::Summary => (Wait::Tool, SegmentKind::Tool),
        InputKind::User => (Wait::User, SegmentKind::User),
        InputKind::Unknown => (Wait::Unknown, SegmentKind::Tool),
    };
    let kept = turn.keep.unwrap_or(before.prompt_tokens + before.output.carried());
    let segment = Segment { tokens: turn.input, kind };
    Step {
        lane: 0,
        after: vec![Dependency { step: from, on: On::End, delay: turn.latency, wait }],
        context: Context { from: Some(from), keep: turn.keep },
        new: Some(segment).filter(|segment| segment.tokens > 0).into_iter().collect(),
        output,
        prompt_tokens: kept + turn.input,
    }
}
