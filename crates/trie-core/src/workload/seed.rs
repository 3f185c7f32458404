//! A trace in the original's six fields, where they can say it.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::graph::{Carry, Context, Dependency, On, SegmentKind, Step, Trace, Wait};
use super::row::RowLine;
use crate::units::Tokens;

/// Why the six fields cannot say a trace. Each sends other requests, or at other times.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum LeftOut {
    Lanes,
    Waits,
    Context,
    Carry,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lanes => "they have more than one lane",
            Self::Waits => "a request waits for something else than the answer before it",
            Self::Context => "a request does not go on with the whole history",
            Self::Carry => "a prompt grows by less than the answer before it",
        })
    }
}

/// The row, and the keys that are lost in it.
pub(super) fn seed_row(row: &RowLine<'_>) -> Result<(String, BTreeSet<String>), LeftOut> {
    let trace = &row.trace;
    // Blocks stand for the history that they replace.
    let blocks = trace.steps.iter().any(is_of_blocks);
    let (mut inputs, mut latencies) = (Vec::new(), Vec::new());
    for (before, step) in trace.steps.iter().zip(&trace.steps[1..]) {
        let number = latencies.len();
        latencies.push(latency(number, step)?);
        inputs.push(input(number, before, step, blocks)?);
    }
    if !trace.steps[0].after.is_empty() {
        return Err(LeftOut::Waits);
    }
    let answers: Vec<Tokens> = trace.steps.iter().map(|step| step.output.tokens).collect();
    let (last, answers) = answers.split_last().expect("a trace has a step");
    let mut text = format!(r#"{{"num_turns": {}"#, inputs.len());
    let mut add = |key: &str, value: String| {
        write!(text, r#", "{key}": {value}"#).expect("writing to a string does not fail");
    };
    add("input_prompt_length", trace.steps[0].prompt_tokens.to_string());
    add("assistant_response_length", format!("{answers:?}"));
    add("tool_call_output_length", format!("{inputs:?}"));
    add("tool_call_latency", format!("{latencies:?}"));
    add("final_assistant_response_length", last.to_string());
    text.push('}');
    Ok((text, lost(row)))
}

/// Seconds that a step waits for, after the end of step number `before`.
fn latency(before: usize, step: &Step) -> Result<f64, LeftOut> {
    match step.after[..] {
        _ if step.lane != 0 => Err(LeftOut::Lanes),
        [Dependency { step, on: On::End, delay, wait: _ }] if step as usize == before => {
            Ok(delay.as_secs_f64())
        }
        _ => Err(LeftOut::Waits),
    }
}

/// What a prompt adds to the prompt and the whole answer before it. So prompts keep their lengths
/// even where the source carried less of the answer, as long as they grow enough.
fn input(number: usize, before: &Step, step: &Step, blocks: bool) -> Result<Tokens, LeftOut> {
    let Context { from, keep, drop } = &step.context;
    let goes_on = from.is_some_and(|from| from as usize == number);
    let whole = keep.is_none() && drop.is_empty();
    if !goes_on || !(whole || blocks) {
        return Err(LeftOut::Context);
    }
    let history = before.prompt_tokens + before.output.tokens;
    step.prompt_tokens.checked_sub(history).ok_or(LeftOut::Carry)
}

fn is_of_blocks(step: &Step) -> bool {
    step.new.iter().any(|segment| matches!(segment.kind, SegmentKind::Blocks(_)))
}

/// Keys of version 2 that say something about this row, and keys of others.
fn lost(row: &RowLine<'_>) -> BTreeSet<String> {
    let Trace { id: _, about, steps } = &row.trace;
    let (last, turns) = steps.split_last().expect("a trace has a step");
    let segments = || steps.iter().flat_map(|step| &step.new);
    let waits = |wait: Wait| steps.iter().flat_map(|step| &step.after).any(|of| of.wait == wait);
    let blocks = steps.iter().any(is_of_blocks);
    let calls = turns.iter().skip(1).chain([last]).any(|step| step.new.len() > 1);
    let found = [
        ("trace_id", row.id_column.is_some()),
        ("session_id", about.session.is_some()),
        ("prefix", segments().any(|of| matches!(of.kind, SegmentKind::Shared(_)))),
        ("input_kind", waits(Wait::User) || waits(Wait::Unknown)),
        ("tool_calls", steps.len() > 1 && calls && !blocks),
        ("reasoning_length", steps.iter().any(|step| step.output.reasoning.is_some())),
        ("carry_length", !blocks && turns.iter().any(|step| step.output.carry != Carry::All)),
        ("blocks", blocks),
    ];
    let found = found.into_iter().filter(|(_, found)| *found).map(|(key, _)| key.to_owned());
    let extras = about.extras.keys().map(|key| key.name().to_owned());
    found.chain(extras).chain(row.remarks.ignored.iter().map(|key| key.key.to_string())).collect()
}
