//! Prompts, piece by piece.

use std::ops::Range;

use super::build::Instance;
use super::content::{ContentRule, SegmentKey, Stretch, content_key};
use crate::units::Tokens;
use crate::workload::{SegmentKind, StepId, Trace};

/// A stretch of a prompt; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Text made here.
    Segment {
        /// Names the text.
        key: SegmentKey,
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
            Self::Segment { key: _, tokens } | Self::Carried { step: _, tokens } => tokens,
        }
    }

    /// Length in tokens.
    pub fn length(&self) -> Tokens {
        self.tokens().end - self.tokens().start
    }

    fn shorten(&mut self, length: Tokens) {
        match self {
            Self::Segment { key: _, tokens } | Self::Carried { step: _, tokens } => {
                tokens.end = tokens.start + length;
            }
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
    /// The key of each segment of each step.
    keys: Vec<Vec<SegmentKey>>,
    rule: ContentRule,
}

impl PlannedTrace {
    /// Names the text of every segment.
    pub fn new(instance: Instance, trace: Trace, rule: &ContentRule) -> Self {
        let keys = (0_u32..).zip(&trace.steps).map(|(step, of)| {
            let segments = (0_u32..).zip(&of.new);
            let stretches = segments.map(|(segment, of)| match &of.kind {
                SegmentKind::Shared(id) => Stretch::Shared { id },
                SegmentKind::Prompt | SegmentKind::Tool | SegmentKind::User => {
                    Stretch::Own { step, segment }
                }
            });
            stretches.map(|stretch| content_key(rule, instance.number, stretch)).collect()
        });
        Self { instance, keys: keys.collect(), rule: *rule, trace }
    }

    /// Names the text that stands in for a step's answer where answers are not fed back.
    pub fn answer_key(&self, step: StepId) -> SegmentKey {
        content_key(&self.rule, self.instance.number, Stretch::Answer { step })
    }

    /// The prompt of a step, in order: what it takes over from its context, then what is new.
    ///
    /// The lengths add up to the step's `prompt_tokens`. Panics when the trace has no such step.
    pub fn prompt(&self, step: StepId) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut before = None;
        for step in self.chain(step) {
            self.take_over(before, step, &mut pieces);
            self.add_new(step, &mut pieces);
            before = Some(step);
        }
        let length: Tokens = pieces.iter().map(Piece::length).sum();
        assert_eq!(length, self.trace.steps[step as usize].prompt_tokens, "pieces are the prompt");
        pieces
    }

    /// The steps a prompt is built from, the earliest first.
    fn chain(&self, step: StepId) -> Vec<StepId> {
        let parent = |step: &StepId| self.trace.steps[*step as usize].context.from;
        let mut chain: Vec<StepId> = std::iter::successors(Some(step), parent).collect();
        chain.reverse();
        chain
    }

    /// Makes the prompt of `before` into what `step` takes over from it.
    fn take_over(&self, before: Option<StepId>, step: StepId, pieces: &mut Vec<Piece>) {
        let Some(before) = before else { return };
        if let Some(keep) = self.trace.steps[step as usize].context.keep {
            keep_first(keep, pieces);
            return;
        }
        let output = &self.trace.steps[before as usize].output;
        let tokens = output.tokens - output.carried()..output.tokens;
        if !tokens.is_empty() {
            pieces.push(Piece::Carried { step: before, tokens });
        }
    }

    fn add_new(&self, step: StepId, pieces: &mut Vec<Piece>) {
        let segments = &self.trace.steps[step as usize].new;
        let named = self.keys[step as usize].iter().zip(segments);
        let new =
            named.map(|(key, segment)| Piece::Segment { key: *key, tokens: 0..segment.tokens });
        pieces.extend(new.filter(|piece| piece.length() > 0));
    }
}

/// Cuts a prompt after its first `keep` tokens, in the middle of a piece where need be.
fn keep_first(keep: Tokens, pieces: &mut Vec<Piece>) {
    let mut left = keep;
    let mut whole = 0;
    for piece in pieces.iter_mut() {
        if left == 0 {
            break;
        }
        let length = piece.length().min(left);
        piece.shorten(length);
        left -= length;
        whole += 1;
    }
    pieces.truncate(whole);
}
