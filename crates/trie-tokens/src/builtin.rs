//! The built-in vocabulary: generated, so that nothing must be downloaded.

use std::{collections::BTreeMap, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    certificate::{Certificate, Certified, Kept},
    stable::Member,
};

/// Ids below this are the 256 bytes; words follow.
const BYTES: u32 = 256;

/// Number of pseudo-words.
const WORDS: u32 = 4096;

const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
const VOWELS: &[u8; 4] = b"aeio";

/// Odd, so that multiplying by it permutes the numbers below any power of two: 2^32 over the golden ratio.
const SPREAD: u32 = 0x9e37_79b1;

/// The generated tokenizer: 256 bytes, then 4,096 words of a space and two to six letters.
///
/// Text is split before each space; a piece that is a word is one token, any other piece is its bytes.
#[derive(Debug)]
pub(crate) struct Builtin {
    texts: Vec<Vec<u8>>,
    words: BTreeMap<Vec<u8>, u32>,
}

impl Builtin {
    pub(crate) fn generate() -> Self {
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let texts: Vec<_> = bytes.chain((0..WORDS).map(pseudo_word)).collect();
        let words = (BYTES..).zip(&texts[BYTES as usize..]).map(|(id, text)| (text.clone(), id));
        Self { words: words.collect(), texts }
    }

    /// Number of tokens.
    pub(crate) fn size(&self) -> usize {
        self.texts.len()
    }

    /// SHA-256, in hexadecimal, of the words in the order of their ids, a newline after each.
    pub(crate) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for text in &self.texts[BYTES as usize..] {
            hash.update(text);
            hash.update(b"\n");
        }
        format!("{:x}", hash.finalize())
    }

    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        for piece in pieces(text.as_bytes()) {
            match self.words.get(piece) {
                Some(&id) => ids.push(id),
                None => ids.extend(piece.iter().map(|&byte| u32::from(byte))),
            }
        }
        ids
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        let tokens = |piece: &[u8]| if self.words.contains_key(piece) { 1 } else { piece.len() };
        pieces(text.as_bytes()).map(tokens).sum()
    }

    /// The text of `ids`; an id that does not exist stands for nothing.
    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let texts = ids.iter().filter_map(|&id| self.texts.get(id as usize));
        let bytes: Vec<u8> = texts.flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every token whose text is valid UTF-8, by id.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Member> {
        (0..).zip(&self.texts).filter_map(|(id, text)| {
            Some(Member { id, text: String::from_utf8(text.clone()).ok()? })
        })
    }
}

/// What the checks find out about the generated vocabulary, without making them: they take most of the time
/// from the start of a run to its first request, and a test of this crate makes them.
pub(crate) fn certified(builtin: &Builtin) -> Certified {
    let texts = &builtin.texts;
    let member = |id: u32| Member {
        id,
        text: String::from_utf8(texts[id as usize].clone()).expect("words and letters are ASCII"),
    };
    Certified {
        stable: (BYTES..BYTES + WORDS).map(member).collect(),
        // As many letters as a power of two allows.
        openers: (b'a'..=b'p').map(|letter| member(u32::from(letter))).collect(),
        drops_leading_space: false,
        certificate: Certificate {
            candidates: WORDS as usize,
            stable: WORDS as usize,
            openers: 26,
            sample_tokens: 1 << 18,
            joints_checked: 1_024,
            joints_broken: 0,
            across_words: 0,
            splits_words: true,
            took: Duration::ZERO,
            kept: Kept::Own,
        },
    }
}

/// Word `number`: one, two or three syllables that no other number has.
fn pseudo_word(number: u32) -> Vec<u8> {
    let syllables = match number {
        0..64 => 1,
        64..2048 => 2,
        _ => 3,
    };
    let spread = number.wrapping_mul(SPREAD);
    let mut word = vec![b' '];
    for place in 0..syllables {
        let syllable = (spread >> (6 * place)) as usize % 64;
        word.extend([CONSONANTS[syllable / 4], VOWELS[syllable % 4]]);
    }
    word
}

/// Splits before each space.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let after = rest.iter().skip(1).position(|&byte| byte == b' ');
        let (piece, tail) = rest.split_at(after.map_or(rest.len(), |at| at + 1));
        rest = tail;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Builtin, Kept, WORDS, certified, pseudo_word};
    use crate::{certificate, encoder::Encoder};

    #[track_caller]
    fn check(text: &str, expected: &[u32]) {
        let builtin = Builtin::generate();
        assert_eq!(builtin.encode(text), expected, "{text:?}");
        assert_eq!(builtin.count(text), expected.len(), "{text:?}");
        assert_eq!(builtin.decode(expected), text);
    }

    #[test]
    fn what_is_said_of_it_is_what_the_checks_find() {
        let said = certified(&Builtin::generate());
        let mut found = certificate::certify(&Encoder::Builtin(Builtin::generate())).unwrap();
        assert_eq!(found.certificate.kept, Kept::Nowhere);
        (found.certificate.took, found.certificate.kept) = (said.certificate.took, Kept::Own);
        assert_eq!(said, found);
    }

    #[test]
    fn words_are_distinct_and_of_two_to_six_letters() {
        let words: BTreeSet<_> = (0..WORDS).map(pseudo_word).collect();
        assert_eq!(words.len(), WORDS as usize);
        for word in words {
            let letters = &word[1..];
            assert_eq!(word[0], b' ');
            assert!((2..=6).contains(&letters.len()) && letters.iter().all(u8::is_ascii_lowercase));
        }
    }

    #[test]
    fn words_are_one_token_and_all_else_is_bytes() {
        check("", &[]);
        check(" ba", &[256]);
        check(" ba ba", &[256, 256]);
        check("ba ba", &[98, 97, 256]);
        check("  ba", &[32, 256]);
        check(" ba\n", &[32, 98, 97, 10]);
        check(" é", &[32, 0xc3, 0xa9]);
    }

    #[test]
    fn half_a_character_and_unknown_ids_decode_without_failing() {
        let builtin = Builtin::generate();
        assert_eq!(builtin.decode(&[0xc3, 256, 9_999]), "\u{fffd} ba");
    }
}
