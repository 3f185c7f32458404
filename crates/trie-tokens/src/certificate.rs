//! What was checked before text made of a subset is believed.

use std::time::{Duration, Instant};

use crate::{
    encoder::Encoder,
    stable::{MAX_TEXT, Member, StableSubset},
};

/// Words that nearly every vocabulary has whole, tried first as the neighbour of a tested token.
const ANCHORS: [&str; 4] = [" the", " and", " of", " in"];

/// Most tokens of the random sample that is re-encoded.
const SAMPLE_TOKENS: u64 = 1 << 18;

/// Times that the sample of a small subset shows each ordered pair of members, on average: one pair in
/// 3,000 is then never seen.
const SAMPLE_PAIRS: u64 = 8;

/// Tokens re-encoded at a time: a tokenizer that does not split words sees this much as one word.
const SAMPLE_STRIDE: u64 = 1 << 12;

/// Names the stream of random tokens that the sample is made of.
const SAMPLE_KEY: u128 = 0x7472_6965_2063_6572_7469_6669_6361_7465;

/// Members tried after each text of [`JOINTS`].
const JOINT_MEMBERS: u64 = 64;

/// First words, each before a member, that are re-encoded.
const OPENER_SAMPLE: u64 = 1 << 10;

/// Ends of text that a server's answer may have, each followed by members in the check of joints.
const JOINTS: [&str; 16] = [
    "word",
    "Word",
    "7",
    "3.14",
    ".",
    "?!",
    "\n",
    "\n\n",
    "\t",
    "  ",
    "\"",
    ");",
    "</b>",
    "_x",
    "中文。",
    "🙂",
];

/// What was found when a vocabulary was certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Tokens that are a space and lower-case letters: those the test was put to.
    pub candidates: usize,
    /// Candidates that passed: a neighbour on each side leaves them whole. The subset keeps fewer: those
    /// of at most 16 bytes, and of them a power of two.
    pub stable: usize,
    /// Bare lower-case words that stay whole after a newline and before a member.
    pub openers: usize,
    /// Random tokens that were re-encoded to exactly themselves.
    pub sample_tokens: u64,
    /// Joints tried between the end of foreign text and members.
    pub joints_checked: u64,
    /// Joints where members did not survive, or changed the text before them. Not refused: only text
    /// histories have such joints, and they are recounted.
    pub joints_broken: u64,
    /// Tokens with a letter right before a space, harmless where the tokenizer splits at spaces.
    pub across_words: usize,
    /// Whether the tokenizer splits text at spaces before it merges.
    pub splits_words: bool,
    /// Time that the checks took when they were made; zero for the program's own vocabulary.
    pub took: Duration,
    /// Whether the outcome was read from disk, or is there now.
    pub kept: Kept,
}

/// Where the outcome of the checks lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was read from the cache: the checks were made by an earlier run.
    Read,
    /// It is of the program's own vocabulary: the checks were made when the program was tested.
    Own,
    /// It was made now and written to the cache.
    Written,
    /// It was made now, and there is no cache.
    Nowhere,
    /// It was made now and could not be written to the cache, for this reason.
    Failed(String),
}

/// A certified vocabulary's subsets, as many members as are used, and how its first space behaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Certified {
    pub(crate) stable: Vec<Member>,
    pub(crate) openers: Vec<Member>,
    pub(crate) drops_leading_space: bool,
    pub(crate) certificate: Certificate,
}

/// Why no text of an exact token count can be made with a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unstable {
    /// No token is a space and a lower-case word that stays whole beside itself.
    #[error("no token of the {candidates} that are a space and a word stays whole beside itself")]
    NoAnchor {
        /// Tokens tried.
        candidates: usize,
    },
    /// No bare word stays whole at the start of a line.
    #[error("no bare word stays whole at the start of a line")]
    NoOpener,
    /// The tokenizer does not split at spaces and has tokens that could swallow one.
    #[error(
        "text is not split at spaces and {tokens} tokens hold a letter followed by a space, so words \
         may merge"
    )]
    MergesWords {
        /// Number of such tokens.
        tokens: usize,
    },
    /// Random text made of the subset came back as other tokens.
    #[error(
        "{wrong} of {checked} random tokens of the subset did not re-encode to themselves, the first \
         at {first}"
    )]
    Sample {
        /// Tokens that differ.
        wrong: u64,
        /// Tokens checked.
        checked: u64,
        /// Position of the first that differs.
        first: u64,
    },
}

/// Finds the subsets of a vocabulary and checks them by re-encoding.
pub(crate) fn certify(encoder: &Encoder) -> Result<Certified, Unstable> {
    let started = now();
    let entries = encoder.entries();
    let candidates: Vec<_> = entries.iter().filter(|entry| is_spaced_word(&entry.text)).collect();
    let probe = Probe::find(encoder, &candidates)?;
    let across_words = entries.iter().filter(|entry| reaches_next_word(&entry.text)).count();
    let splits_words = encoder.splits_words(probe.inside(&probe.anchor.text.repeat(2)));
    if !splits_words && across_words > 0 {
        return Err(Unstable::MergesWords { tokens: across_words });
    }
    let stable: Vec<_> =
        candidates.iter().copied().filter(|entry| probe.is_stable(entry)).collect();
    let openers: Vec<_> = entries.iter().filter(|entry| probe.is_opener(entry)).collect();
    let (mut kept, mut kept_openers) = (short(&stable), short(&openers));
    let subset = StableSubset::new(&kept).expect("the anchor is stable and short");
    let first_words = StableSubset::new(&kept_openers).ok_or(Unstable::NoOpener)?;
    probe.check_sample(&subset)?;
    probe.check_openers(&first_words, &subset)?;
    let certificate = Certificate {
        candidates: candidates.len(),
        stable: stable.len(),
        openers: openers.len(),
        sample_tokens: sample_tokens(&subset),
        joints_checked: JOINTS.len() as u64 * JOINT_MEMBERS,
        joints_broken: probe.broken_joints(&subset),
        across_words,
        splits_words,
        took: started.elapsed(),
        kept: Kept::Nowhere,
    };
    kept.truncate(subset.len());
    kept_openers.truncate(first_words.len());
    let drops_leading_space = probe.drops_leading_space;
    Ok(Certified { stable: kept, openers: kept_openers, drops_leading_space, certificate })
}

/// A tokenizer, a token that stays whole beside itself, and what happens to a prompt's first space.
struct Probe<'a> {
    encoder: &'a Encoder,
    anchor: &'a Member,
    drops_leading_space: bool,
}

impl<'a> Probe<'a> {
    /// The first short candidate, the usual words before all others, that stays whole beside itself.
    fn find(encoder: &'a Encoder, candidates: &[&'a Member]) -> Result<Self, Unstable> {
        let named = |name: &&str| candidates.iter().find(|entry| entry.text == *name).copied();
        let usual = ANCHORS.iter().filter_map(named);
        let mut probes = usual.chain(candidates.iter().copied()).flat_map(|anchor| {
            [false, true].map(|drops_leading_space| Probe { encoder, anchor, drops_leading_space })
        });
        probes
            .find(|probe| probe.anchor.text.len() <= MAX_TEXT && probe.is_stable(probe.anchor))
            .ok_or(Unstable::NoAnchor { candidates: candidates.len() })
    }

    /// `text` as it must be sent for its first word to be what it is inside a sentence.
    fn inside<'t>(&self, text: &'t str) -> &'t str {
        if self.drops_leading_space { text.strip_prefix(' ').unwrap_or(text) } else { text }
    }

    /// Whether the token comes back whole, and leaves its neighbours whole.
    fn is_stable(&self, entry: &Member) -> bool {
        let text = [&self.anchor.text, &entry.text, &self.anchor.text].map(String::as_str).concat();
        self.encoder.encode(self.inside(&text)) == [self.anchor.id, entry.id, self.anchor.id]
    }

    /// Whether a bare word comes back whole between a newline and the anchor.
    fn is_opener(&self, entry: &Member) -> bool {
        is_word(&entry.text)
            && self.joins("\n", &[&entry.text, &self.anchor.text], &[entry.id, self.anchor.id])
    }

    /// Whether `before` followed by `texts` is the tokens of `before` followed by `ids`.
    fn joins(&self, before: &str, texts: &[&str], ids: &[u32]) -> bool {
        let mut expected = self.encoder.encode(before);
        expected.extend(ids);
        self.encoder.encode(&[before, &texts.concat()].concat()) == expected
    }

    /// Re-encodes random tokens and compares.
    fn check_sample(&self, subset: &StableSubset) -> Result<(), Unstable> {
        let checked = sample_tokens(subset);
        let (mut wrong, mut first) = (0, None);
        let (mut ids, mut text) = (Vec::new(), String::new());
        for from in (0..checked).step_by(usize::try_from(SAMPLE_STRIDE).expect("4,096 fits")) {
            ids.clear();
            text.clear();
            subset.fill_ids(SAMPLE_KEY, from..from + SAMPLE_STRIDE, &mut ids);
            subset.fill_text(SAMPLE_KEY, from..from + SAMPLE_STRIDE, &mut text);
            let found = self.encoder.encode(self.inside(&text));
            if let Some(at) = first_difference(&ids, &found) {
                wrong += SAMPLE_STRIDE - at;
                first = first.or(Some(from + at));
            }
        }
        match first {
            None => Ok(()),
            Some(first) => Err(Unstable::Sample { wrong, checked, first }),
        }
    }

    /// Re-encodes random first words, each before a member, and compares.
    fn check_openers(&self, openers: &StableSubset, subset: &StableSubset) -> Result<(), Unstable> {
        let broken = |&index: &u64| {
            let (mut ids, mut text) = (Vec::new(), String::new());
            for part in [openers, subset] {
                part.fill_ids(SAMPLE_KEY, index..index + 1, &mut ids);
                part.fill_text(SAMPLE_KEY, index..index + 1, &mut text);
            }
            !self.joins("\n", &[&text], &ids)
        };
        let mut wrong = (0..OPENER_SAMPLE).filter(broken);
        match wrong.next() {
            None => Ok(()),
            Some(first) => {
                let wrong = 1 + wrong.count() as u64;
                Err(Unstable::Sample { wrong, checked: OPENER_SAMPLE, first })
            }
        }
    }

    /// How many joints between foreign text and random members break.
    fn broken_joints(&self, subset: &StableSubset) -> u64 {
        let broken = |before: &str, index: u64| {
            let (mut ids, mut text) = (Vec::new(), String::new());
            subset.fill_ids(SAMPLE_KEY, index..index + 2, &mut ids);
            subset.fill_text(SAMPLE_KEY, index..index + 2, &mut text);
            !self.joins(before, &[&text], &ids)
        };
        let pairs = JOINTS.iter().flat_map(|before| (0..JOINT_MEMBERS).map(move |i| (before, i)));
        pairs.filter(|&(before, index)| broken(before, index)).count() as u64
    }
}

/// The members short enough for a subset.
fn short(members: &[&Member]) -> Vec<Member> {
    let short = members.iter().filter(|member| member.text.len() <= MAX_TEXT);
    short.map(|&member| member.clone()).collect()
}

/// Size of the sample: whole strides, and for a small subset no more than show its pairs.
fn sample_tokens(subset: &StableSubset) -> u64 {
    let members = subset.len() as u64;
    (SAMPLE_PAIRS * members * members).clamp(SAMPLE_STRIDE, SAMPLE_TOKENS)
}

/// Where two token lists part, or one of them ends.
fn first_difference(expected: &[u32], found: &[u32]) -> Option<u64> {
    let same = expected.iter().zip(found).take_while(|(left, right)| left == right).count();
    (same < expected.len().max(found.len())).then_some(same as u64)
}

/// One or more lower-case letters.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// One space, then a word.
fn is_spaced_word(text: &str) -> bool {
    text.strip_prefix(' ').is_some_and(is_word)
}

/// Whether a lower-case letter stands right before a space.
fn reaches_next_word(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1] == b' ')
}

#[expect(
    clippy::disallowed_methods,
    reason = "tells what the checks cost; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
