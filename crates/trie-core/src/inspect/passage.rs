//! Text by its names, at the place where it stands in a prompt.

use std::ops::Range;

use crate::plan::{Piece, PlannedTrace};
use crate::units::Tokens;

/// Names a token together with its place in the prompt: what it is of, and how far that is moved. Two
/// prompts hold the same token at a place where the names there are equal.
pub(super) type Name = (u128, u64);

/// A stretch of a prompt, as runs of equal names.
#[derive(Clone, Debug, Default)]
pub(super) struct Passage {
    /// Where each run starts, and its name; ascending, neighbours differ.
    runs: Vec<(Tokens, Name)>,
    start: Tokens,
    end: Tokens,
}

impl Passage {
    /// No text, at a place.
    pub(super) fn at(start: Tokens) -> Self {
        Self { runs: Vec::new(), start, end: start }
    }

    /// Where it starts.
    pub(super) fn start(&self) -> Tokens {
        self.start
    }

    /// Where it ends.
    pub(super) fn end(&self) -> Tokens {
        self.end
    }

    /// Adds pieces of a trace's prompts at the end. What later prompts hold of an answer has the name of
    /// the answer itself.
    pub(super) fn add(&mut self, planned: &PlannedTrace, pieces: &[Piece]) {
        for piece in pieces {
            let key = match piece {
                Piece::Segment { key, .. } => *key,
                Piece::Carried { step, .. } => planned.answer_key(*step),
            };
            self.push(key.0, piece.tokens());
        }
    }

    /// Adds a range of a text at the end.
    pub(super) fn push(&mut self, key: u128, tokens: &Range<Tokens>) {
        let length = tokens.end - tokens.start;
        if length == 0 {
            return;
        }
        let name = (key, tokens.start.wrapping_sub(self.end));
        if self.runs.last().is_none_or(|(_, last)| *last != name) {
            self.runs.push((self.end, name));
        }
        self.end += length;
    }

    /// Adds what another has from a place up to another; it must have all of it.
    pub(super) fn extend(&mut self, other: &Self, to: Tokens) {
        let mut at = self.end;
        while at < to {
            let (name, end) = other.run(at);
            if self.runs.last().is_none_or(|(_, last)| *last != name) {
                self.runs.push((at, name));
            }
            at = end.min(to);
        }
        self.end = to;
    }

    /// The name at a place inside, and where its run ends.
    pub(super) fn run(&self, at: Tokens) -> (Name, Tokens) {
        let next = self.runs.partition_point(|(start, _)| *start <= at);
        let end = self.runs.get(next).map_or(self.end, |(start, _)| *start);
        (self.runs[next - 1].1, end)
    }

    /// Takes off all from a place inside.
    pub(super) fn split_off(&mut self, at: Tokens) -> Self {
        let next = self.runs.partition_point(|(start, _)| *start <= at);
        let mut runs = vec![(at, self.runs[next - 1].1)];
        runs.extend(self.runs.drain(next..));
        if self.runs[next - 1].0 == at {
            self.runs.pop();
        }
        let end = std::mem::replace(&mut self.end, at);
        Self { runs, start: at, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(passage: &Passage) -> Vec<Name> {
        (passage.start()..passage.end()).map(|at| passage.run(at).0).collect()
    }

    #[test]
    fn a_passage_is_the_tokens_it_was_made_of() {
        let mut passage = Passage::at(5);
        passage.push(1, &(0..3));
        passage.push(1, &(3..5));
        passage.push(2, &(10..14));
        assert_eq!(passage.runs.len(), 2, "what goes on is one run");
        let all = names(&passage);
        assert_eq!(all.len(), 9);
        for at in 6..14 {
            let mut head = passage.clone();
            let tail = head.split_off(at);
            assert_eq!([names(&head), names(&tail)].concat(), all, "split at {at}");
            head.extend(&passage, passage.end());
            assert_eq!(names(&head), all, "joined at {at}");
        }
    }
}
