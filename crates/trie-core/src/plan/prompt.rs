//! Prompts, piece by piece.

use std::ops::Range;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::build::Instance;
use super::content::{ContentRule, SegmentKey, Stretch, content_key};
use super::entry::ready;
use crate::record::Entry;
use crate::units::Tokens;
use crate::workload::{Blocks, ExtraKey, Segment, SegmentKind, StepId, Trace};

/// Where a segment stands in its trace.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SegmentPlace {
    /// The step that adds it to its prompt.
    pub step: StepId,
    /// Its number among the segments of that step, from 0.
    pub segment: u32,
}

/// A stretch of a prompt; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Text made here.
    Segment {
        /// Names the text.
        key: SegmentKey,
        /// The segment it is of.
        of: SegmentPlace,
        /// Which of its tokens.
        tokens: Range<Tokens>,
    },
    /// Text that the server generated.
    Carried {
        /// The step it was the answer to.
        step: StepId,
        /// Which of the answer's tokens.
        tokens: Range<Tokens>,
    },
}

impl Piece {
    /// Which tokens of its source it takes.
    pub fn tokens(&self) -> &Range<Tokens> {
        match self {
            Self::Segment { key: _, of: _, tokens } | Self::Carried { step: _, tokens } => tokens,
        }
    }

    /// Length in tokens.
    pub fn length(&self) -> Tokens {
        self.tokens().end - self.tokens().start
    }

    /// The same source, of which it takes `tokens`.
    fn with(&self, tokens: Range<Tokens>) -> Self {
        match *self {
            Self::Segment { key, of, tokens: _ } => Self::Segment { key, of, tokens },
            Self::Carried { step, tokens: _ } => Self::Carried { step, tokens },
        }
    }
}

/// A trace instance as it is replayed.
#[derive(Clone, Debug)]
pub struct PlannedTrace {
    /// Which instance.
    pub instance: Instance,
    /// Its steps, scaled.
    pub trace: Trace,
    /// Where it is entered; `None`: at its first step.
    pub entry: Option<Entry>,
    /// What is worked out of each step when it is first asked for: most steps of the traces that the
    /// deadline cuts off never are.
    named: Vec<Named>,
    rule: ContentRule,
}

/// The texts of a step by their names.
#[derive(Clone, Debug, Default)]
struct Named {
    /// What it adds to its prompt.
    new: OnceLock<Vec<Piece>>,
    answer: OnceLock<SegmentKey>,
}

impl PlannedTrace {
    /// What row and step say under `key` about the step's request, the step's own last: JSON.
    pub fn extras(&self, step: StepId, key: ExtraKey) -> impl Iterator<Item = &str> {
        let of = [&self.trace.about.extras, &self.trace.steps[step as usize].extras];
        of.into_iter().filter_map(move |extras| extras.get(&key).map(String::as_str))
    }

    /// An instance of a trace, whose texts are named by `rule`.
    pub fn new(instance: Instance, trace: Trace, rule: &ContentRule) -> Self {
        let named = vec![Named::default(); trace.steps.len()];
        Self { instance, trace, entry: None, named, rule: *rule }
    }

    /// What routers may keep together: the trace instance, or all instances of its session that are
    /// of one cycle.
    pub fn routing_key(&self) -> u64 {
        match &self.trace.about.session {
            Some(session) => route_of_session(session, self.instance.cycle),
            None => self.instance.number,
        }
    }

    /// Names the text that stands in for a step's answer where answers are not fed back.
    pub fn answer_key(&self, step: StepId) -> SegmentKey {
        let named = || content_key(&self.rule, self.instance.number, Stretch::Answer { step });
        *self.named[step as usize].answer.get_or_init(named)
    }

    /// A segment of the trace. Panics when it has no such segment.
    pub fn segment(&self, at: SegmentPlace) -> &Segment {
        &self.trace.steps[at.step as usize].new[at.segment as usize]
    }

    /// The prompt of a step, in order: what it takes over from its context, then what is new.
    ///
    /// The lengths add up to the step's `prompt_tokens`. Panics when the trace has no such step.
    pub fn prompt(&self, step: StepId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut before = None;
        for step in self.chain(step) {
            self.take_over(before, step, &mut pieces);
            pieces.extend_from_slice(self.added(step));
            before = Some(step);
        }
        let length: Tokens = pieces.iter().map(Piece::length).sum();
        assert_eq!(length, self.trace.steps[step as usize].prompt_tokens, "pieces are the prompt");
        pieces
    }

    /// What a step's prompt takes over from an earlier one, in order: its history.
    ///
    /// Panics when the trace has no such step.
    pub fn history(&self, step: StepId) -> Vec<Piece> {
        let mut left = self.trace.context_tokens(&self.trace.steps[step as usize]);
        let mut pieces = self.prompt(step);
        pieces.retain(|piece| {
            let inside = left >= piece.length();
            left = if inside { left - piece.length() } else { 0 };
            inside
        });
        pieces
    }

    /// The steps that start with it.
    pub fn opening(&self) -> Vec<StepId> {
        ready(self.entry.unwrap_or_default(), &self.trace)
    }

    /// What a step's prompt has behind the prompt of the step that it goes on from, where nothing of
    /// that is cut out: what it carries of the answer, then what is new.
    ///
    /// Panics when the trace has no such step.
    pub fn continuation(&self, step: StepId) -> Vec<Piece> {
        let from = self.trace.steps[step as usize].context.from;
        let carried = from.and_then(|from| self.carried(from));
        carried.into_iter().chain(self.added(step).iter().cloned()).collect()
    }

    /// The steps a prompt is built from, the earliest first. Panics when the trace has no such step.
    pub fn chain(&self, step: StepId) -> Vec<StepId> {
        let parent = |step: &StepId| self.trace.steps[*step as usize].context.from;
        let mut chain: Vec<StepId> = std::iter::successors(Some(step), parent).collect();
        chain.reverse();
        chain
    }

    /// What a step adds to its prompt.
    fn added(&self, step: StepId) -> &[Piece] {
        self.named[step as usize].new.get_or_init(|| {
            let segments = (0..).zip(&self.trace.steps[step as usize].new);
            let pieces = segments.flat_map(|(segment, of)| {
                pieces(&self.rule, self.instance, SegmentPlace { step, segment }, of)
            });
            pieces.collect()
        })
    }

    /// Makes the prompt of `before` into what `step` takes over from it.
    fn take_over(&self, before: Option<StepId>, step: StepId, pieces: &mut Vec<Piece>) {
        let Some(before) = before else { return };
        let context = &self.trace.steps[step as usize].context;
        match context.keep {
            Some(keep) => cut_out(keep..Tokens::MAX, pieces),
            None => pieces.extend(self.carried(before)),
        }
        // The last first, so that the others keep their place.
        for range in context.drop.iter().rev() {
            cut_out(range.clone(), pieces);
        }
    }

    fn carried(&self, step: StepId) -> Option<Piece> {
        let output = &self.trace.steps[step as usize].output;
        let tokens = output.tokens - output.carried()..output.tokens;
        Some(Piece::Carried { step, tokens }).filter(|piece| piece.length() > 0)
    }
}

/// The text of a segment: one piece, but one a block for blocks.
fn pieces(
    rule: &ContentRule,
    instance: Instance,
    of: SegmentPlace,
    segment: &Segment,
) -> Vec<Piece> {
    let own = Stretch::Own { step: of.step, segment: of.segment };
    let stretch = |index: u64| match &segment.kind {
        SegmentKind::Shared(id) => Stretch::Shared { id },
        SegmentKind::Blocks(Blocks { scope, first, size: _ }) => {
            Stretch::Block { scope, cycle: instance.cycle, id: first + index }
        }
        SegmentKind::Prompt
        | SegmentKind::System
        | SegmentKind::Assistant
        | SegmentKind::Tool
        | SegmentKind::User => own,
    };
    let stretches = (0..).zip(segment.stretches()).map(|(index, tokens)| {
        let key = content_key(rule, instance.number, stretch(index));
        Piece::Segment { key, of, tokens: 0..tokens }
    });
    stretches.collect()
}

/// Leaves a range out of a prompt, in the middle of pieces where need be.
fn cut_out(range: Range<Tokens>, pieces: &mut Vec<Piece>) {
    let mut end = 0;
    let parts = std::mem::take(pieces).into_iter().flat_map(|piece| {
        let start = end;
        end += piece.length();
        let source = piece.tokens();
        let at = |place: Tokens| source.start + place.clamp(start, end) - start;
        let before = piece.with(source.start..at(range.start));
        let behind = piece.with(at(range.end)..source.end);
        [before, behind]
    });
    pieces.extend(parts.filter(|piece| piece.length() > 0));
}

fn route_of_session(session: &str, cycle: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"trie.route/1\0");
    hash.update(cycle.to_be_bytes());
    hash.update(session);
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes"))
}
