//! The stable subset: tokens whose concatenations re-encode to exactly themselves.

use std::ops::Range;

use crate::hash;

/// Most members a subset keeps: 16 bits of hash choose one.
const MAX_MEMBERS: usize = 1 << 16;

/// Longest text of a member in bytes: one copy of fixed width moves it.
pub(crate) const MAX_TEXT: usize = 16;

/// Bytes staged before they are appended to the output.
const STAGE: usize = 4096;

/// One token of a subset and the text it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) text: String,
}

/// A set of tokens, each a space and a word, of which text of an exact token count is made.
///
/// Token `i` of the segment named `key` is a pure function of both, so a prompt is cut, joined and
/// replayed without a tokenizer. Any text made of members, in any order and across any number of
/// segments, re-encodes to exactly the ids it was made of; the
/// [`Certificate`](crate::Certificate) says how that was checked.
#[derive(Clone, Debug)]
pub struct StableSubset {
    ids: Vec<u32>,
    texts: Pieces,
    json: Pieces,
}

impl StableSubset {
    /// Keeps the first members, as many as the largest power of two up to 65,536 allows.
    ///
    /// Vocabularies number tokens by the order of their merges, so the first are the commonest words.
    /// `None` when there is not a single member.
    pub(crate) fn new(members: &[Member]) -> Option<Self> {
        let len = 1 << members.len().min(MAX_MEMBERS).checked_ilog2()?;
        let members = &members[..len];
        Some(Self {
            ids: members.iter().map(|member| member.id).collect(),
            texts: Pieces::new(members.iter().map(|member| member.text.as_str())),
            json: Pieces::new(members.iter().map(|member| format!(",{}", member.id))),
        })
    }

    /// Number of members, a power of two and at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a subset has at least one member")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// The members' ids, ascending: what an answer is limited to (`allowed_token_ids`, `logit_bias`) so
    /// that its text re-encodes to the very tokens that were generated.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Token `index` of the segment that `key` names.
    pub fn token_at(&self, key: u128, index: u64) -> u32 {
        self.ids[self.slot(key, index)]
    }

    /// Appends the ids of the tokens in `range` of the segment.
    pub fn fill_ids(&self, key: u128, range: Range<u64>, out: &mut Vec<u32>) {
        out.extend(range.map(|index| self.token_at(key, index)));
    }

    /// Appends the text of the tokens in `range` of the segment: exactly as many tokens as the range is
    /// long, also after any other text made of members.
    ///
    /// For the text of a whole prompt see [`Vocabulary::prompt_text`](crate::Vocabulary::prompt_text).
    pub fn fill_text(&self, key: u128, range: Range<u64>, out: &mut String) {
        self.texts.stage(range.map(|index| self.slot(key, index)), |bytes| {
            out.push_str(str::from_utf8(bytes).expect("whole texts of members are staged"));
        });
    }

    /// Appends the ids of the tokens in `range` as the inside of a JSON array (`1,2,3`).
    ///
    /// `first` says that nothing comes before them in the array, so that no comma opens the text.
    pub fn fill_json_ids(&self, key: u128, range: Range<u64>, out: &mut Vec<u8>, first: bool) {
        let mut comma = usize::from(first);
        self.json.stage(range.map(|index| self.slot(key, index)), |bytes| {
            out.extend_from_slice(&bytes[comma..]);
            comma = 0;
        });
    }

    /// Which member stands at `index`: the low bits of the hash.
    #[expect(clippy::cast_possible_truncation, reason = "only the low 16 bits are used")]
    fn slot(&self, key: u128, index: u64) -> usize {
        hash::word(key, index) as usize & (self.ids.len() - 1)
    }
}

/// Short byte strings, padded to one width so that each is moved by one copy of a fixed size.
#[derive(Clone, Debug)]
struct Pieces {
    bytes: Vec<[u8; MAX_TEXT]>,
    lengths: Vec<u8>,
}

impl Pieces {
    fn new<T: AsRef<str>>(pieces: impl Iterator<Item = T>) -> Self {
        let mut all = Self { bytes: Vec::new(), lengths: Vec::new() };
        for piece in pieces {
            let piece = piece.as_ref().as_bytes();
            let mut padded = [0; MAX_TEXT];
            padded[..piece.len()].copy_from_slice(piece);
            all.bytes.push(padded);
            all.lengths.push(u8::try_from(piece.len()).expect("a piece has at most 16 bytes"));
        }
        all
    }

    /// Hands the bytes of `slots` on in order, in batches of whole pieces and never an empty one.
    fn stage(&self, slots: impl Iterator<Item = usize>, mut emit: impl FnMut(&[u8])) {
        let mut stage = [0; STAGE];
        let mut at = 0;
        for slot in slots {
            if at > STAGE - MAX_TEXT {
                emit(&stage[..at]);
                at = 0;
            }
            stage[at..at + MAX_TEXT].copy_from_slice(&self.bytes[slot]);
            at += usize::from(self.lengths[slot]);
        }
        if at > 0 {
            emit(&stage[..at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::{Member, StableSubset};
    use crate::Vocabulary;

    fn members(count: u32) -> Vec<Member> {
        (0..count).map(|id| Member { id, text: format!(" {id}") }).collect()
    }

    fn ids(subset: &StableSubset, key: u128, range: Range<u64>) -> Vec<u32> {
        let mut ids = Vec::new();
        subset.fill_ids(key, range, &mut ids);
        ids
    }

    #[test]
    fn the_largest_power_of_two_is_kept() {
        let kept = |count| StableSubset::new(&members(count)).map(|subset| subset.len());
        assert_eq!(kept(0), None);
        assert_eq!(kept(1), Some(1));
        assert_eq!(kept(1_023), Some(512));
        assert_eq!(kept(1_024), Some(1_024));
        assert_eq!(kept(70_000), Some(65_536));
    }

    /// Pins the content of segments: a change here is a new `CONTENT_VERSION`.
    #[test]
    fn golden_tokens_of_the_builtin_vocabulary() {
        let vocabulary = Vocabulary::builtin();
        assert_eq!(ids(vocabulary.stable(), 0, 0..6), [1471, 3366, 492, 3189, 967, 675]);
        assert_eq!(
            ids(vocabulary.stable(), u128::MAX, 99_994..100_000),
            [3753, 1566, 3484, 1852, 3023, 3469]
        );
        let mut text = String::new();
        vocabulary.stable().fill_text(0, 0..6, &mut text);
        assert_eq!(text, " goza disede raza nemoho jopi sosi");
    }

    proptest! {
        #[test]
        fn text_of_any_segments_counts_what_was_asked(
            segments in prop::collection::vec((any::<u128>(), 0_u64..1 << 40, 0_u64..700), 0..8)
        ) {
            let vocabulary = Vocabulary::builtin();
            let (mut text, mut expected) = (String::new(), Vec::new());
            for (key, from, count) in segments {
                vocabulary.stable().fill_text(key, from..from + count, &mut text);
                vocabulary.stable().fill_ids(key, from..from + count, &mut expected);
            }
            prop_assert_eq!(vocabulary.count(vocabulary.prompt_text(&text)), expected.len());
            prop_assert_eq!(vocabulary.encode(&text), expected);
        }

        #[test]
        fn random_access_equals_sequential(key: u128, from in 0_u64..1 << 40, cut in 0_u64..500) {
            let vocabulary = Vocabulary::builtin();
            let whole = ids(vocabulary.stable(), key, from..from + 500);
            let mut joined = ids(vocabulary.stable(), key, from..from + cut);
            joined.extend(ids(vocabulary.stable(), key, from + cut..from + 500));
            prop_assert_eq!(&joined, &whole);
            let at = vocabulary.stable().token_at(key, from + cut);
            prop_assert_eq!(whole.get(usize::try_from(cut).unwrap()).copied().unwrap_or(at), at);
        }

        #[test]
        fn json_ids_parse_to_the_ids(key: u128, from in 0_u64..1 << 40, counts in prop::array::uniform3(0_u64..900)) {
            let vocabulary = Vocabulary::builtin();
            let (mut json, mut expected, mut at) = (b"[".to_vec(), Vec::new(), from);
            for count in counts {
                vocabulary.stable().fill_json_ids(key, at..at + count, &mut json, at == from);
                vocabulary.stable().fill_ids(key, at..at + count, &mut expected);
                at += count;
            }
            json.push(b']');
            let parsed: Vec<u32> = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(parsed, expected);
        }
    }
}
