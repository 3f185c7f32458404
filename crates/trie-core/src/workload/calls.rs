//! Parallel tool calls of a flat row.

use super::error::Fault;
use super::flat::{InputKind, Turn, list_of};
use super::json::{Fields, Value};
use crate::units::{Nanos, Tokens};

const NAME: &str = "tool_calls";

/// Splits each turn's input into one per call. The calls must add up to the turn: their tokens to
/// its input, the longest to its latency.
pub(super) fn read_calls<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    turns: &mut [Turn],
) -> Result<(), Fault> {
    let Some(value) = fields.take(NAME) else { return Ok(()) };
    let lists = list_of(NAME, line, value, turns.len() as u64)?;
    for (index, (list, turn)) in lists.into_iter().zip(turns).enumerate() {
        let calls = list.each(line, |call| read_call(line, call));
        let inputs = calls.and_then(|calls| inputs(&calls, list, turn, index));
        turn.inputs = inputs.map_err(|fault| fault.under(&format!("{NAME}[{index}]")))?;
    }
    Ok(())
}

fn read_call<'l>(line: &'l str, call: Value<'l>) -> Result<(Tokens, Nanos), Fault> {
    match call.list(line)?[..] {
        [tokens, latency] => Ok((tokens.tokens()?, latency.seconds()?)),
        _ => Err(call.wrong("[tokens, latency]")),
    }
}

fn inputs(
    calls: &[(Tokens, Nanos)],
    list: Value<'_>,
    turn: &Turn,
    index: usize,
) -> Result<Vec<Tokens>, Fault> {
    let from_people = matches!(turn.kind, InputKind::User | InputKind::Summary);
    if calls.is_empty() && (from_people || turn.input() == 0) {
        return Ok(turn.inputs.clone());
    }
    let tokens: Tokens = calls.iter().map(|(tokens, _)| tokens).sum();
    if tokens != turn.input() {
        let found = format!("{tokens} tokens in {} calls", calls.len());
        let wanted = format!("{}, as tool_call_output_length[{index}] says", turn.input());
        return Err(Fault::new(list.column, found, wanted));
    }
    let longest = calls.iter().map(|(_, latency)| *latency).max().unwrap_or_default();
    if longest != turn.latency {
        let found = format!("a longest call of {longest}");
        let wanted = format!("{}, as tool_call_latency[{index}] says", turn.latency);
        return Err(Fault::new(list.column, found, wanted));
    }
    Ok(calls.iter().map(|(tokens, _)| *tokens).collect())
}
