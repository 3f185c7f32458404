//! A `tokenizer.json`, read by the `tokenizers` crate.

use std::sync::{Arc, OnceLock};

use serde::de::IgnoredAny;
use tokenizers::{NormalizerWrapper, Tokenizer};

use crate::{cuts::Added, stable::Member, tekken};

/// Text that a usable tokenizer encodes and decodes without an error.
const TRIAL: &str = " the\n\n Straße 中文 🙂 \u{0} x = 3.14; // end";

/// How a tokenizer's file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `tokenizer.json` of the `tokenizers` crate.
    TokenizerJson,
    /// Mistral's `tekken.json`.
    Tekken,
}

/// The tokenizer of a file, parsed when it is first needed.
///
/// Parsing takes 0.1 to 1 s for vocabularies of 100,000 and more, and a run with a cached certificate
/// that sends ids never needs it.
#[derive(Debug)]
pub(crate) struct JsonTokenizer {
    bytes: Arc<[u8]>,
    form: Form,
    /// Text is encoded as it stands, whatever composition the file asks for.
    uncomposed: bool,
    parsed: OnceLock<Box<Tokenizer>>,
}

/// Where a `tokenizer.json` stopped making sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonFault {
    /// Line and column, both from 1, of broken syntax; `None` when the meaning is wrong.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) message: String,
}

impl JsonTokenizer {
    /// A tokenizer whose file is parsed, and tried, now.
    pub(crate) fn parse(bytes: Vec<u8>, form: Form) -> Result<Self, JsonFault> {
        let tokenizer = parse(&bytes, form)?;
        let (bytes, parsed) = (bytes.into(), OnceLock::from(tokenizer));
        Ok(Self { bytes, form, uncomposed: false, parsed })
    }

    /// A tokenizer whose file was parsed before, so that it will parse again.
    pub(crate) fn deferred(bytes: Vec<u8>, form: Form) -> Self {
        Self { bytes: bytes.into(), form, uncomposed: false, parsed: OnceLock::new() }
    }

    /// The same for text that is encoded as it stands; `None` where the file does not ask for Unicode
    /// composition (NFC) or asks for more than that.
    pub(crate) fn uncomposed(&self) -> Option<Self> {
        let composes = matches!(self.tokenizer().get_normalizer(), Some(NormalizerWrapper::NFC(_)));
        let (bytes, form) = (Arc::clone(&self.bytes), self.form);
        composes.then(|| Self { bytes, form, uncomposed: true, parsed: OnceLock::new() })
    }

    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        self.encoding(text, false).get_ids().to_vec()
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.encoding(text, false).len()
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        self.tokenizer().decode(ids, false).expect("the decoder was tried when the file was read")
    }

    pub(crate) fn size(&self) -> usize {
        self.tokenizer().get_vocab_size(true)
    }

    /// The model's own tokens, by id, with the mark that stands for a space replaced by one.
    pub(crate) fn entries(&self) -> Vec<Member> {
        let tokenizer = self.tokenizer();
        let added = tokenizer.get_added_tokens_decoder();
        let mut entries: Vec<_> = tokenizer
            .get_vocab(false)
            .into_iter()
            .filter(|(_, id)| !added.contains_key(id))
            .map(|(text, id)| Member { id, text })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        let mark = space_mark(&entries);
        for entry in &mut entries {
            entry.text = entry.text.replace(mark, " ");
        }
        entries
    }

    /// Whether words are pieces of their own before the model sees them.
    pub(crate) fn splits_words(&self, text: &str) -> bool {
        let encoding = self.tokenizer().encode(text, false);
        let encoding = encoding.expect("the model was tried when the file was read");
        let words = encoding.get_word_ids();
        words.first() != words.last()
    }

    /// The tokens that the file's own post-processor puts before a text, and after it.
    pub(crate) fn frame(&self) -> (Vec<u32>, Vec<u32>) {
        let framed = self.encoding(TRIAL, true);
        let (ids, bare) = (framed.get_ids(), self.encode(TRIAL));
        let before = (0..=ids.len()).find(|&at| ids[at..].starts_with(&bare)).unwrap_or(ids.len());
        let after = ids.get(before + bare.len()..).unwrap_or_default();
        (ids[..before].to_vec(), after.to_vec())
    }

    /// The added tokens that are sought in a text as it stands.
    pub(crate) fn added(&self) -> Vec<Added> {
        let added = self.tokenizer().get_added_tokens_decoder();
        let mut added: Vec<_> = added
            .values()
            .filter(|token| !token.normalized)
            .map(|token| Added {
                text: token.content.clone(),
                leaves_before: !token.lstrip && !token.single_word,
            })
            .collect();
        added.sort();
        added
    }

    pub(crate) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.tokenizer().token_to_id(token)
    }

    fn encoding(&self, text: &str, framed: bool) -> tokenizers::Encoding {
        self.tokenizer()
            .encode_fast(text, framed)
            .expect("the model was tried when the file was read")
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.parsed.get_or_init(|| {
            let mut tokenizer = parse(&self.bytes, self.form)
                .expect("a certificate is kept only of a file that was parsed");
            if self.uncomposed {
                let without = tokenizer.with_normalizer(None::<NormalizerWrapper>);
                without.expect("added tokens are sought as they stand, whatever is normalized");
            }
            tokenizer
        })
    }
}

/// Reads the file, takes off limits on length, and tries it on a few texts.
fn parse(bytes: &[u8], form: Form) -> Result<Box<Tokenizer>, JsonFault> {
    let parsed = match form {
        Form::TokenizerJson => serde_json::from_slice(bytes),
        Form::Tekken => serde_json::from_value(tekken::to_tokenizer_json(bytes)?),
    };
    let mut tokenizer: Tokenizer = parsed.map_err(|error| located(bytes, error))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| unlocated(error.to_string()))?;
    for framed in [false, true] {
        let encoding = tokenizer.encode(TRIAL, framed).map_err(|e| unlocated(e.to_string()))?;
        tokenizer.decode(encoding.get_ids(), false).map_err(|e| unlocated(e.to_string()))?;
    }
    Ok(Box::new(tokenizer))
}

/// The place of a syntax error, which the tokenizer's own reader loses in nested parts.
fn located(bytes: &[u8], error: serde_json::Error) -> JsonFault {
    let error = serde_json::from_slice::<IgnoredAny>(bytes).err().unwrap_or(error);
    JsonFault::from(&error)
}

/// A fault of what the file says, not of how it is written.
fn unlocated(message: String) -> JsonFault {
    JsonFault { at: None, message }
}

impl From<&serde_json::Error> for JsonFault {
    fn from(error: &serde_json::Error) -> Self {
        let at = (error.line() > 0).then(|| (error.line(), error.column()));
        Self { at, message: error.to_string() }
    }
}

/// The character that stands for a space in a vocabulary: byte-level or `SentencePiece`.
fn space_mark(entries: &[Member]) -> char {
    let led_by = |mark| entries.iter().filter(|entry| entry.text.starts_with(mark)).count();
    if led_by('▁') > led_by('Ġ') { '▁' } else { 'Ġ' }
}
