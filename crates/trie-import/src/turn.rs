//! What of a prompt, and of its answer, the next prompt goes on with.

use std::ops::Range;

use trie_core::units::Tokens;

use crate::model::Request;

/// How a prompt comes from the one before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Turn {
    /// Tokens of the prompt before that stay, where not all do.
    pub(crate) keep: Option<Tokens>,
    /// What is cut out of them.
    pub(crate) drop: Vec<Range<Tokens>>,
    /// Tokens of the answer before that stay.
    pub(crate) carry: Tokens,
    /// Tokens that are added.
    pub(crate) new: Tokens,
}

impl Turn {
    /// Whether a part of the prompt before is lost. The last token of a prompt that is sent again is
    /// none.
    pub(crate) fn breaks(&self, before: &Request) -> bool {
        self.keep.is_some_and(|keep| keep + 1 < before.input) || !self.drop.is_empty()
    }
}

/// How a prompt goes on with another, by their lengths and by what is known of the break between.
///
/// The lengths always add up to the prompt's. Where it grows by less than the answer, less of the
/// answer was carried; where it does not grow at all, the prompt before was cut.
pub(crate) fn turn(before: &Request, next: &Request, shared: Tokens) -> Turn {
    let most = before.input.min(next.input.saturating_sub(1));
    let cut = |keep: Tokens| Turn {
        keep: Some(keep),
        drop: Vec::new(),
        carry: 0,
        new: next.input - keep,
    };
    if let (Some(keep), Some(first)) = (next.keep, next.drop.first()) {
        // Where the rest would be longer than the prompt, only what stands before the first cut is kept.
        return around(before, next, keep).unwrap_or_else(|| cut(first.start.min(most)));
    }
    if let Some(keep) = next.keep {
        return cut(keep.min(most));
    }
    let recorded = before.output.saturating_sub(before.reasoning.unwrap_or(0));
    let carry = next.carry.unwrap_or(recorded).min(before.output);
    match next.input.checked_sub(before.input) {
        Some(growth) if growth >= carry && growth > 0 => {
            Turn { keep: None, drop: Vec::new(), carry, new: growth - carry }
        }
        Some(growth) if growth > 0 => {
            Turn { keep: None, drop: Vec::new(), carry: growth - 1, new: 1 }
        }
        Some(_) | None => cut(next.cached.filter(|cached| *cached > 0).unwrap_or(shared).min(most)),
    }
}

/// A prompt of which ranges are cut out. `None` where what is left does not fit into the next.
fn around(before: &Request, next: &Request, keep: Tokens) -> Option<Turn> {
    let keep = keep.min(before.input);
    let ascend = next.drop.iter().try_fold(0, |end, range| {
        (end <= range.start && range.start < range.end && range.end <= keep).then_some(range.end)
    });
    ascend?;
    let dropped: Tokens = next.drop.iter().map(|range| range.end - range.start).sum();
    let new = next.input.checked_sub(keep - dropped).filter(|new| *new > 0)?;
    Some(Turn { keep: Some(keep), drop: next.drop.clone(), carry: 0, new })
}
