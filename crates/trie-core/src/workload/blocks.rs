//! Prompts as ids of cache blocks.

use super::error::Fault;
use super::graph::{BlockScope, Blocks, Carry, Context, Segment, SegmentKind, Step, StepId};
use super::json::{Fields, Value};
use super::row::Remarks;
use crate::units::Tokens;

/// The value of `blocks`.
pub(super) struct BlockList<'l> {
    size: Tokens,
    scope: BlockScope,
    value: Value<'l>,
    steps: Vec<BlockStep<'l>>,
}

/// How one request's ids come from those of the request before.
struct BlockStep<'l> {
    /// Ids of the request before that open this prompt.
    keep: u64,
    /// Ids that follow.
    new: Vec<Run>,
    value: Value<'l>,
}

/// Ids in a row.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    count: u64,
}

/// Reads `blocks`, where the row has it.
pub(super) fn read_blocks<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Option<BlockList<'l>>, Fault> {
    fields.read("blocks", |value| {
        let mut fields = Fields::of_value(line, value)?;
        let size = fields.need("size", block_size)?;
        let scope = fields.read("scope", block_scope)?.unwrap_or(BlockScope::Trace);
        let steps = fields
            .need("steps", |steps| steps.each(line, |step| read_step(line, step, remarks)))?;
        remarks.unknown("blocks", fields);
        Ok(BlockList { size, scope, value, steps })
    })
}

/// Tokens of a whole block.
pub(super) fn block_size(size: Value<'_>) -> Result<Tokens, Fault> {
    match size.tokens()? {
        0 => Err(size.wrong("at least 1")),
        tokens => Ok(tokens),
    }
}

/// Where ids are the same text.
pub(super) fn block_scope(scope: Value<'_>) -> Result<BlockScope, Fault> {
    let name = scope.name()?;
    let local = name == "local";
    Ok(if local { BlockScope::Trace } else { BlockScope::Named(name.into_owned()) })
}

fn read_step<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<BlockStep<'l>, Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let keep = fields.read("keep", Value::tokens)?.unwrap_or(0);
    let new = fields.read("new", |runs| runs.each(line, |run| read_run(line, run)))?;
    remarks.unknown("blocks.steps[]", fields);
    Ok(BlockStep { keep, new: new.unwrap_or_default(), value })
}

fn read_run<'l>(line: &'l str, value: Value<'l>) -> Result<Run, Fault> {
    let [first, count] = value.list(line)?[..] else {
        return Err(value.wrong("[first id, count]"));
    };
    let run = Run { first: first.number()?, count: count.tokens()? };
    match run.first.checked_add(run.count) {
        Some(_) if run.count > 0 => Ok(run),
        Some(_) | None => Err(value.wrong("at least one id, and none beyond 64 bits")),
    }
}

/// Replaces the text of every prompt by its blocks; lengths stay as they are.
///
/// Answers are not fed back: the blocks of the next prompt say what stands in their place. What a
/// prompt has beyond its last block is text of the trace.
pub(super) fn apply_blocks(blocks: &BlockList<'_>, steps: &mut [Step]) -> Result<(), Fault> {
    if blocks.steps.len() != steps.len() {
        let found = format!("{} elements", blocks.steps.len());
        let wanted = format!("{}, one for each request", steps.len());
        return Err(Fault::new(blocks.value.column, found, wanted).field("blocks.steps"));
    }
    let mut ids = Ids { runs: Vec::new(), count: 0 };
    let mut prompt_before = 0;
    for (index, (step, of)) in steps.iter_mut().zip(&blocks.steps).enumerate() {
        let at_step = |fault: Fault| fault.under(&format!("blocks.steps[{index}]"));
        if of.keep > ids.count {
            let wanted = format!("at most the {} ids of the request before", ids.count);
            let found = format!("keep {}", of.keep);
            return Err(at_step(Fault::new(of.value.column, found, wanted)));
        }
        ids.keep(of.keep);
        // A block that was cut short is written anew: it may go on now.
        let whole = of.keep.min(prompt_before.min(step.prompt_tokens) / blocks.size);
        let again = ids.after(whole);
        ids.extend(&of.new);
        check_count(&ids, blocks.size, step.prompt_tokens, of).map_err(at_step)?;
        let runs = again.into_iter().chain(of.new.iter().copied());
        rewrite(step, index, whole * blocks.size, runs, blocks);
        prompt_before = step.prompt_tokens;
    }
    Ok(())
}

/// A prompt has an id for each whole block; for a last block that is cut short it may have one.
fn check_count(ids: &Ids, size: Tokens, prompt: Tokens, of: &BlockStep<'_>) -> Result<(), Fault> {
    let (least, most) = (prompt / size, prompt.div_ceil(size));
    if (least..=most).contains(&ids.count) {
        return Ok(());
    }
    let wanted = if least == most { least.to_string() } else { format!("{least} or {most}") };
    let found = format!("{} ids for a prompt of {prompt} tokens", ids.count);
    Err(Fault::new(of.value.column, found, format!("{wanted}, as blocks of {size} tokens")))
}

fn rewrite(
    step: &mut Step,
    index: usize,
    kept: Tokens,
    runs: impl Iterator<Item = Run>,
    blocks: &BlockList<'_>,
) {
    let own = step.new.last().map_or(SegmentKind::Tool, |segment| segment.kind.clone());
    let before = index
        .checked_sub(1)
        .map(|before| StepId::try_from(before).expect("a line is too short for 2^32 steps"));
    let keep = before.map(|_| kept);
    step.context = Context { from: before, keep, drop: Vec::new() };
    step.output.carry = Carry::Last(0);
    let mut left = step.prompt_tokens - kept;
    let mut new = Vec::new();
    for Run { first, count } in runs {
        let tokens = (count * blocks.size).min(left);
        let run = Blocks { scope: blocks.scope.clone(), first, size: blocks.size };
        new.push(Segment { tokens, kind: SegmentKind::Blocks(run) });
        left -= tokens;
    }
    if left > 0 {
        new.push(Segment { tokens: left, kind: own });
    }
    step.new = new;
}

/// The ids of a prompt.
struct Ids {
    runs: Vec<Run>,
    count: u64,
}

impl Ids {
    /// Leaves the first `count`.
    fn keep(&mut self, count: u64) {
        let mut left = count;
        self.runs.retain_mut(|run| {
            run.count = run.count.min(left);
            left -= run.count;
            run.count > 0
        });
        self.count = count;
    }

    /// Those after the first `count`.
    fn after(&self, count: u64) -> Vec<Run> {
        let mut skip = count;
        let rest = self.runs.iter().map(|run| {
            let skipped = run.count.min(skip);
            skip -= skipped;
            Run { first: run.first + skipped, count: run.count - skipped }
        });
        rest.filter(|run| run.count > 0).collect()
    }

    fn extend(&mut self, runs: &[Run]) {
        self.runs.extend(runs);
        // Each count is bounded, and so is the number of runs a line holds.
        self.count = runs.iter().fold(self.count, |sum, run| sum.saturating_add(run.count));
    }
}
