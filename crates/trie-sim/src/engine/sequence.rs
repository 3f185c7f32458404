//! What a prompt consists of: stretches of named text, so that a long prompt is cheap to hold and to look up.

use trie_core::draw::mix;

/// A stretch of tokens: those from `from` on, `tokens` of them, of the endless sequence that `key` names.
///
/// Two spans hold the same tokens where key and place are the same, and never else: whoever makes spans
/// names equal text equally. A forecast names segments by their content key; the server, which sees real
/// tokens, names each block by a hash of it ([`chain`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Names the text.
    pub key: u128,
    /// Where in the text it starts, in tokens.
    pub from: u64,
    /// How many tokens it takes.
    pub tokens: usize,
}

impl Span {
    fn starting_at(self, skip: usize) -> Self {
        Self { from: self.from + wide(skip), tokens: self.tokens - skip, ..self }
    }

    fn is_followed_by(self, next: Self) -> bool {
        self.key == next.key && self.from + wide(self.tokens) == next.from
    }
}

/// A run of tokens as spans, none of them empty and neighbours joined where they can be, so that equal
/// tokens are equal spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    spans: Vec<Span>,
    /// Where each span ends, in tokens from the start.
    ends: Vec<usize>,
}

impl Sequence {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Adds a span at the end.
    pub fn push(&mut self, span: Span) {
        if span.tokens == 0 {
            return;
        }
        let end = self.len() + span.tokens;
        match self.spans.last_mut() {
            Some(last) if last.is_followed_by(span) => {
                last.tokens += span.tokens;
                *self.ends.last_mut().expect("every span has an end") = end;
            }
            _ => {
                self.spans.push(span);
                self.ends.push(end);
            }
        }
    }

    /// The spans of the tokens `from..to`.
    pub fn slice(&self, from: usize, to: usize) -> impl Iterator<Item = Span> + '_ {
        let first = self.ends.partition_point(|end| *end <= from);
        let mut left = to.saturating_sub(from);
        let mut skip = first.checked_sub(1).map_or(from, |before| from - self.ends[before]);
        self.spans.iter().skip(first).map_while(move |span| {
            let whole = span.starting_at(std::mem::take(&mut skip));
            let part = Span { tokens: whole.tokens.min(left), ..whole };
            left -= part.tokens;
            (part.tokens > 0).then_some(part)
        })
    }

    /// Keeps the first `tokens` only.
    pub(super) fn truncate(&mut self, tokens: usize) {
        let whole = self.ends.partition_point(|end| *end <= tokens);
        let rest =
            self.slice(whole.checked_sub(1).map_or(0, |last| self.ends[last]), tokens).next();
        self.spans.truncate(whole);
        self.ends.truncate(whole);
        if let Some(rest) = rest {
            self.push(rest);
        }
    }

    /// Keeps the first `tokens`, gives the others.
    pub(super) fn split_off(&mut self, tokens: usize) -> Self {
        let rest = self.slice(tokens, self.len()).collect();
        self.truncate(tokens);
        rest
    }
}

impl FromIterator<Span> for Sequence {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut sequence = Self::default();
        sequence.extend(spans);
        sequence
    }
}

impl Extend<Span> for Sequence {
    fn extend<I: IntoIterator<Item = Span>>(&mut self, spans: I) {
        spans.into_iter().for_each(|span| self.push(span));
    }
}

/// Number of tokens in which two runs of spans agree from their start.
pub(super) fn common(
    a: impl IntoIterator<Item = Span>,
    b: impl IntoIterator<Item = Span>,
) -> usize {
    let (mut a, mut b) = (a.into_iter(), b.into_iter());
    let (mut left, mut right) = (a.next(), b.next());
    let mut agreed = 0;
    while let (Some(one), Some(other)) = (left, right)
        && one.key == other.key
        && one.from == other.from
    {
        let both = one.tokens.min(other.tokens);
        agreed += both;
        let rest = |span: Span| (span.tokens > both).then(|| span.starting_at(both));
        left = rest(one).or_else(|| a.next());
        right = rest(other).or_else(|| b.next());
    }
    agreed
}

/// A name for the tokens of a few spans. The names are 64 bits: among 10^6 of them a false match has a
/// chance of about 3 in 10^8.
pub(super) fn name(spans: impl Iterator<Item = Span>) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
    let halves = |key: u128| [key as u64, (key >> 64) as u64];
    spans.fold(0, |state, span| {
        let [low, high] = halves(span.key);
        [low, high, span.from, wide(span.tokens)]
            .iter()
            .fold(state, |state, part| mix(state ^ part))
    })
}

/// `tokens` as one span for each full block of `block` tokens, named by a hash of everything up to its
/// end, and one for the rest. The names are 64 bits.
///
/// # Panics
///
/// When `block` is 0.
pub fn chain(tokens: impl IntoIterator<Item = u32>, block: usize) -> Sequence {
    assert!(block > 0, "a block holds at least one token");
    let mut sequence = Sequence::default();
    let (mut state, mut filled) = (0, 0);
    for token in tokens {
        state = mix(state ^ u64::from(token));
        filled += 1;
        if filled == block {
            sequence.push(Span { key: state.into(), from: 0, tokens: block });
            filled = 0;
        }
    }
    sequence.push(Span { key: state.into(), from: 0, tokens: filled });
    sequence
}

fn wide(tokens: usize) -> u64 {
    u64::try_from(tokens).expect("a length in memory fits in 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(spans: &[(u128, u64, usize)]) -> Sequence {
        spans.iter().map(|&(key, from, tokens)| Span { key, from, tokens }).collect()
    }

    #[test]
    fn neighbours_are_joined_and_nothing_is_empty() {
        let made = sequence(&[(1, 0, 5), (1, 5, 3), (2, 0, 0), (1, 9, 1), (2, 4, 2)]);
        assert_eq!(made, sequence(&[(1, 0, 8), (1, 9, 1), (2, 4, 2)]));
        assert_eq!(made.len(), 11);
    }

    #[test]
    fn a_slice_cuts_spans() {
        let made = sequence(&[(1, 0, 8), (1, 9, 1), (2, 4, 2)]);
        let check = |from, to, expected: &[(u128, u64, usize)]| {
            let slice: Sequence = made.slice(from, to).collect();
            assert_eq!(slice, sequence(expected), "{from}..{to}");
        };
        check(0, 11, &[(1, 0, 8), (1, 9, 1), (2, 4, 2)]);
        check(3, 5, &[(1, 3, 2)]);
        check(8, 10, &[(1, 9, 1), (2, 4, 1)]);
        check(4, 4, &[]);
        check(10, 99, &[(2, 5, 1)]);
        for at in 0..=11 {
            let mut front = made.clone();
            let back = front.split_off(at);
            assert_eq!((front.len(), back.len()), (at, 11 - at));
            front.extend(back.slice(0, back.len()));
            assert_eq!(front, made, "split at {at}");
        }
    }

    #[test]
    fn sequences_agree_as_far_as_their_tokens_do() {
        let a = sequence(&[(1, 0, 8), (2, 0, 8)]);
        let check = |b: &[(u128, u64, usize)], expected| {
            let b = sequence(b);
            let both = common(a.slice(0, 16), b.slice(0, b.len()));
            assert_eq!(both, expected);
        };
        check(&[(1, 0, 8), (2, 0, 8)], 16);
        check(&[(1, 0, 8), (2, 0, 20)], 16);
        check(&[(1, 0, 5)], 5);
        check(&[(1, 0, 7), (2, 0, 8)], 7);
        check(&[(1, 1, 7)], 0);
        check(&[], 0);
    }

    #[test]
    fn chains_agree_as_far_as_their_tokens_do() {
        let shared = |other: Vec<u32>| {
            let (a, b) = (chain(0..16, 4), chain(other, 4));
            common(a.slice(0, a.len()), b.slice(0, b.len())) / 4
        };
        assert_eq!(shared((0..16).collect()), 4);
        assert_eq!(shared((0..8).chain(100..108).collect()), 2);
        assert_eq!(shared((0..7).chain(99..108).collect()), 1);
        // The same block after another beginning is another block.
        assert_eq!(shared([9, 1, 2, 3].into_iter().chain(4..16).collect()), 0);
        assert_eq!([0, 3, 4, 11].map(|tokens| chain(0..tokens, 4).len()), [0, 3, 4, 11]);
    }
}
