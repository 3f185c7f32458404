//! Prompts as ids of blocks.

use std::collections::BTreeMap;

use trie_core::plan::{CacheScope, ContentRule, Instance, Piece, PlannedTrace};
use trie_core::units::Tokens;
use trie_core::workload::{BlockScope, Blocks, SegmentKind, Step, StepId, Trace};

use crate::model::{Run, after, count};
use crate::names::Salt;

/// Where ids of blocks are made beside ids that the source had, they are counted from here on.
const MADE_FROM: u64 = 1 << 40;

/// Names blocks of all traces: equal ids are equal text and equal text before it.
#[derive(Debug)]
pub(super) struct Prompts {
    size: Tokens,
    known: BTreeMap<u64, u64>,
    next: u64,
    recorded: bool,
}

impl Prompts {
    /// Of blocks of `size` tokens.
    pub(super) fn of(size: Tokens) -> Self {
        Self { size, known: BTreeMap::new(), next: 0, recorded: false }
    }

    /// Tokens of a block.
    pub(super) fn size(&self) -> Tokens {
        self.size
    }

    /// The ids of every prompt of a trace, the last block of each perhaps cut short.
    ///
    /// Those that its row has for all rows stay as they are.
    pub(super) fn ids(&mut self, trace: &Trace, row: u64) -> Vec<Vec<u64>> {
        let named = |scope: &BlockScope| matches!(scope, BlockScope::Named(_));
        if let Some(ids) = recorded(trace, self.size, &named) {
            self.recorded = true;
            return ids;
        }
        if self.recorded {
            self.next = self.next.max(MADE_FROM);
        }
        let hashes = hashes(trace, row, self.size);
        let mut prompts = Vec::with_capacity(hashes.len());
        for prompt in hashes {
            prompts.push(prompt.into_iter().map(|hash| self.name(hash)).collect());
        }
        prompts
    }

    fn name(&mut self, hash: u64) -> u64 {
        *self.known.entry(hash).or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// The ids of all prompts as the row has them, where it has them in blocks of this size.
pub(super) fn recorded(
    trace: &Trace,
    size: Tokens,
    is: &dyn Fn(&BlockScope) -> bool,
) -> Option<Vec<Vec<u64>>> {
    let mut prompts: Vec<Vec<Run>> = Vec::with_capacity(trace.steps.len());
    for step in &trace.steps {
        let ids = ids_of(step, size, is, &prompts)?;
        prompts.push(ids);
    }
    if prompts.iter().all(Vec::is_empty) {
        return None;
    }
    let listed = |runs: Vec<Run>| -> Vec<u64> {
        runs.iter().flat_map(|run| run.first..run.first.saturating_add(run.count)).collect()
    };
    Some(prompts.into_iter().map(listed).collect())
}

fn ids_of(
    step: &Step,
    size: Tokens,
    is: &dyn Fn(&BlockScope) -> bool,
    earlier: &[Vec<Run>],
) -> Option<Vec<Run>> {
    let mut ids = match (step.context.from, step.context.keep) {
        (None, _) => Vec::new(),
        (Some(from), Some(keep)) if keep.is_multiple_of(size) => {
            opening(&earlier[from as usize], keep / size)?
        }
        (Some(_), _) => return None,
    };
    if !step.context.drop.is_empty() {
        return None;
    }
    let mut whole = true;
    for segment in &step.new {
        match &segment.kind {
            SegmentKind::Blocks(Blocks { scope, first, size: of })
                if *of == size && is(scope) && whole =>
            {
                whole = segment.tokens.is_multiple_of(size);
                ids.push(Run { first: *first, count: segment.tokens.div_ceil(size) });
            }
            SegmentKind::Blocks(_) | SegmentKind::Shared(_) => return None,
            // What stands behind the last block is less than one.
            SegmentKind::Prompt
            | SegmentKind::System
            | SegmentKind::Assistant
            | SegmentKind::Tool
            | SegmentKind::User => {
                if !whole || segment.tokens >= size {
                    return None;
                }
                whole = false;
            }
        }
    }
    Some(ids)
}

/// The first ids of a prompt.
fn opening(runs: &[Run], keep: u64) -> Option<Vec<Run>> {
    let rest = count(&after(runs, keep));
    let mut left = count(runs).checked_sub(rest).filter(|kept| *kept == keep)?;
    let opening = runs.iter().map(|run| {
        let count = run.count.min(left);
        left -= count;
        Run { count, ..*run }
    });
    Some(opening.filter(|run| run.count > 0).collect())
}

/// A hash for each block of each prompt, of what is in it and in all blocks before it.
fn hashes(trace: &Trace, row: u64, size: Tokens) -> Vec<Vec<u64>> {
    let rule = ContentRule::new(0, 0, CacheScope::Run);
    let planned = PlannedTrace::new(Instance { number: row, row, cycle: 0 }, trace.clone(), &rule);
    let steps = 0..StepId::try_from(trace.steps.len()).expect("steps are numbered in 32 bits");
    steps.map(|step| blocks(&planned.prompt(step), row, size)).collect()
}

fn blocks(pieces: &[Piece], row: u64, size: Tokens) -> Vec<u64> {
    let mut found = Vec::new();
    let (mut before, mut held, mut room) = (0_u64, Vec::new(), size);
    for piece in merged(pieces, row) {
        let (source, mut start, end) = piece;
        while start < end {
            let until = end.min(start + room);
            held.push((source, start, until));
            room -= until - start;
            start = until;
            if room == 0 {
                before = hash(before, &held);
                found.push(before);
                held.clear();
                room = size;
            }
        }
    }
    if !held.is_empty() {
        found.push(hash(before, &held));
    }
    found
}

/// Pieces that go on where the one before ended are one.
fn merged(pieces: &[Piece], row: u64) -> Vec<(u128, Tokens, Tokens)> {
    let mut merged: Vec<(u128, Tokens, Tokens)> = Vec::new();
    for piece in pieces {
        let source = match piece {
            Piece::Segment { key, .. } => key.0,
            Piece::Carried { step, tokens: _ } => {
                let name = Salt(1).hash(&[b"answer", &row.to_le_bytes(), &step.to_le_bytes()]);
                u128::from(name) << 1
            }
        };
        let tokens = piece.tokens();
        match merged.last_mut() {
            Some((last, _, end)) if *last == source && *end == tokens.start => *end = tokens.end,
            Some(_) | None => merged.push((source, tokens.start, tokens.end)),
        }
    }
    merged
}

fn hash(before: u64, held: &[(u128, Tokens, Tokens)]) -> u64 {
    let mut bytes = before.to_le_bytes().to_vec();
    for (source, start, end) in held {
        bytes.extend(source.to_le_bytes());
        bytes.extend(start.to_le_bytes());
        bytes.extend(end.to_le_bytes());
    }
    Salt(0).hash(&[&bytes])
}
