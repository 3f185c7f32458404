//! llama.cpp's caches: each slot keeps the last conversation it served, and shares nothing.

use super::sequence::{Sequence, common};

/// A slot is taken for the text it holds only if that is at least this share of the prompt, in tenths
/// (`--slot-prompt-similarity 0.1`).
const SIMILAR_TENTHS: usize = 1;

#[derive(Clone, Debug)]
pub(super) struct Slots {
    all: Vec<Slot>,
    /// Tokens that a slot has room for.
    size: usize,
    uses: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    held: Sequence,
    busy: bool,
    last_used: u64,
}

impl Slots {
    pub(super) fn new(slots: usize, cache_tokens: usize) -> Self {
        Self { all: vec![Slot::default(); slots], size: cache_tokens / slots.max(1), uses: 0 }
    }

    /// Tokens that a slot has room for.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The free slot for a prompt, and how many of its first `tokens` the slot holds: the one that holds
    /// most of them, else the one that was not used for longest.
    pub(super) fn choose(&self, content: &Sequence, tokens: usize) -> Option<(usize, usize)> {
        let held =
            |slot: &Slot| common(slot.held.slice(0, slot.held.len()), content.slice(0, tokens));
        let free = || self.all.iter().enumerate().filter(|(_, slot)| !slot.busy);
        let similar = free()
            .map(|(place, slot)| (place, held(slot)))
            .filter(|(_, held)| *held > 0 && *held * 10 >= tokens * SIMILAR_TENTHS)
            .max_by_key(|(place, held)| (*held, std::cmp::Reverse(*place)));
        let oldest = free().min_by_key(|(_, slot)| slot.last_used);
        similar.or_else(|| oldest.map(|(place, slot)| (place, held(slot))))
    }

    pub(super) fn occupy(&mut self, slot: usize) {
        self.all[slot].busy = true;
    }

    /// Frees a slot, which then holds the first `tokens` of `content`.
    pub(super) fn release(&mut self, slot: usize, content: &Sequence, tokens: usize) {
        self.uses += 1;
        let held = content.slice(0, tokens).collect();
        self.all[slot] = Slot { held, busy: false, last_used: self.uses };
    }

    pub(super) fn forget(&mut self) {
        for slot in self.all.iter_mut().filter(|slot| !slot.busy) {
            slot.held = Sequence::default();
        }
    }

    /// Tokens held by slots that are free.
    pub(super) fn held(&self) -> usize {
        self.all.iter().map(|slot| slot.held.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sequence::Span, *};

    fn text(key: u128, tokens: usize) -> Sequence {
        [Span { key, from: 0, tokens }].into_iter().collect()
    }

    #[test]
    fn a_prompt_goes_to_the_slot_that_holds_its_beginning() {
        let mut slots = Slots::new(2, 2_000);
        assert_eq!(slots.choose(&text(1, 100), 100), Some((0, 0)));
        slots.occupy(0);
        assert_eq!(slots.choose(&text(2, 50), 50), Some((1, 0)));
        slots.occupy(1);
        assert_eq!(slots.choose(&text(3, 50), 50), None);
        slots.release(0, &text(1, 100), 100);
        slots.release(1, &text(2, 50), 50);
        assert_eq!(slots.choose(&text(2, 80), 80), Some((1, 50)));
        // 50 of 501 tokens are no reason: the slot that was not used for longest is.
        assert_eq!(slots.choose(&text(2, 501), 501), Some((0, 0)));
        assert_eq!(slots.choose(&text(9, 10), 10), Some((0, 0)));
        slots.forget();
        assert_eq!((slots.held(), slots.size()), (0, 1_000));
    }
}
