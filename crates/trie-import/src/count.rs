//! How long a text is, where the source does not say it in tokens.

use std::fmt;

use trie_core::units::Tokens;

/// Bytes of one token of English text or code, about: what stands in where no tokenizer is named.
const BYTES_A_TOKEN: usize = 4;

/// Counts the tokens of texts.
#[derive(Clone, Copy, Default)]
pub enum Count<'c> {
    /// One token for every four bytes that were begun: an estimate.
    #[default]
    Estimate,
    /// One token for each word between spaces: exact for texts that are made of such words.
    Words,
    /// A tokenizer's own count, and its name.
    Tokenizer(&'c dyn Fn(&str) -> usize, &'c str),
}

impl Count<'_> {
    /// Tokens of a text.
    pub(crate) fn of(self, text: &str) -> Tokens {
        let tokens = match self {
            Self::Estimate => text.len().div_ceil(BYTES_A_TOKEN),
            Self::Words => text.split_whitespace().count(),
            Self::Tokenizer(count, _) => count(text),
        };
        tokens as Tokens
    }

    /// What counts, in words.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Estimate => "estimated (4 bytes a token)",
            Self::Words => "words",
            Self::Tokenizer(_, name) => name,
        }
    }
}

impl fmt::Debug for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// Splits a whole number in proportion to weights; the parts add up to it.
///
/// Where all weights are 0 the parts are alike.
pub(crate) fn split(whole: Tokens, weights: &[Tokens]) -> Vec<Tokens> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let weight = |index: usize| if sum == 0 { 1 } else { u128::from(weights[index]) };
    let sum = if sum == 0 { weights.len() as u128 } else { sum };
    let (mut passed, mut given) = (0_u128, 0_u64);
    let part = |index: usize| {
        passed += weight(index);
        let share = u128::from(whole) * passed / sum;
        let until = Tokens::try_from(share).expect("a share is at most the whole");
        let part = until - given;
        given = until;
        part
    };
    (0..weights.len()).map(part).collect()
}

/// The part of a recorded length that a part of a counted one is.
pub(crate) fn scaled(whole: Tokens, part: Tokens, counted: Tokens) -> Tokens {
    let share = u128::from(whole) * u128::from(part.min(counted)) / u128::from(counted.max(1));
    Tokens::try_from(share).expect("a part is at most the whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        assert_eq!(split(200, &[120, 80]), [120, 80]);
        assert_eq!(split(180, &[120, 80]), [108, 72]);
        assert_eq!(split(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(split(7, &[0, 0]), [3, 4]);
        assert_eq!(split(u64::MAX, &[u64::MAX, 1]).iter().sum::<u64>(), u64::MAX);
        assert!(split(5, &[]).is_empty());
    }

    #[test]
    fn texts_are_counted() {
        assert_eq!(Count::Words.of("a bc  d"), 3);
        assert_eq!(Count::Estimate.of("abcde"), 2);
        assert_eq!(Count::Tokenizer(&str::len, "bytes").of("abcde"), 5);
    }
}
