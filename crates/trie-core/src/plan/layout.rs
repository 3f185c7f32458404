//! Where a place in a prompt lies after scaling.

use std::ops::Range;

use super::scale::{ScaleCounts, scaled};
use crate::units::Tokens;
use crate::workload::{Step, StepId};

/// A prompt as stretches that scale one by one.
pub(super) struct Layout {
    stretches: Vec<Stretch>,
    factor: f64,
}

/// Lengths of a stretch of text.
#[derive(Clone, Copy)]
struct Stretch {
    before: Tokens,
    after: Tokens,
}

impl Layout {
    /// What a context takes over from `from` before any cut: its prompt, and its carried answer
    /// where the context has no `keep`. `before` holds all steps before scaling, `after` those that
    /// are scaled already.
    pub(super) fn of_context(
        from: StepId,
        keep: Option<Tokens>,
        before: &[Step],
        after: &[Step],
        factor: f64,
    ) -> Self {
        let parent = |step: &StepId| before[*step as usize].context.from;
        let mut chain: Vec<StepId> = std::iter::successors(Some(from), parent).collect();
        chain.reverse();
        let mut layout = Self { stretches: Vec::new(), factor };
        for step in chain {
            let step = step as usize;
            let context = &before[step].context;
            match (context.from.map(|parent| parent as usize), context.keep) {
                (Some(_), Some(keep)) => layout.cut_out(keep..Tokens::MAX),
                (Some(parent), None) => layout.push_answer(&before[parent], &after[parent]),
                (None, _) => {}
            }
            for range in context.drop.iter().rev() {
                layout.cut_out(range.clone());
            }
            layout.push_new(&before[step], &after[step]);
        }
        if keep.is_none() {
            layout.push_answer(&before[from as usize], &after[from as usize]);
        }
        layout
    }

    /// Where a place lies after scaling. A place inside of a stretch moves with the factor, within
    /// the stretch; places between stretches stay there.
    pub(super) fn place(&self, place: Tokens) -> Tokens {
        let (mut start, mut moved) = (0, 0);
        for stretch in &self.stretches {
            if place < start + stretch.before {
                return moved + self.inside(*stretch, place - start);
            }
            start += stretch.before;
            moved += stretch.after;
        }
        moved
    }

    fn push_new(&mut self, before: &Step, after: &Step) {
        for (before, after) in before.new.iter().zip(&after.new) {
            let lengths = before.stretches().zip(after.stretches());
            self.stretches.extend(lengths.map(|(before, after)| Stretch { before, after }));
        }
    }

    fn push_answer(&mut self, before: &Step, after: &Step) {
        let (before, after) = (before.output.carried(), after.output.carried());
        self.stretches.push(Stretch { before, after });
    }

    fn inside(&self, stretch: Stretch, place: Tokens) -> Tokens {
        if place >= stretch.before {
            return stretch.after;
        }
        scaled(place, self.factor, &mut ScaleCounts::default()).min(stretch.after)
    }

    fn cut_out(&mut self, range: Range<Tokens>) {
        let mut end = 0;
        let mut left = Vec::with_capacity(self.stretches.len() + 1);
        for stretch in &self.stretches {
            let start = end;
            end += stretch.before;
            let at = |place: Tokens| place.clamp(start, end) - start;
            let (from, to) = (at(range.start), at(range.end));
            let (moved_from, moved_to) = (self.inside(*stretch, from), self.inside(*stretch, to));
            left.push(Stretch { before: from, after: moved_from });
            left.push(Stretch { before: stretch.before - to, after: stretch.after - moved_to });
        }
        left.retain(|stretch| stretch.before > 0);
        self.stretches = left;
    }
}
