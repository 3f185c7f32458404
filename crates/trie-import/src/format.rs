//! The table of formats, and what each of them is.

use serde_json::Value;
use trie_core::units::Tokens;

use crate::content::Measure;
use crate::count::Count;
use crate::fidelity::Fidelity;
use crate::formats;
use crate::import::{ImportOptions, MooncakeLengths, as_time};
use crate::model::{Session, Time};
use crate::names::Salt;
use crate::records::{columns, row_of};
use crate::repair::{beginning, finite};
use crate::value::described;

/// Records of a source that are looked at to see what it is.
const LOOKED_AT: usize = 32;

/// One format: how it is recognised, what it can say and what is lost.
pub struct Format {
    /// As `from=` spells it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// How its content is recognised, in words.
    pub known_by: &'static str,
    /// What it can express that is kept.
    pub expresses: &'static str,
    /// What it cannot say, or what is not kept.
    pub lost: &'static str,
    /// The unit of its times.
    pub time_unit: &'static str,
    /// The page of the guide about it, below docs/guide.
    pub page: &'static str,
    /// Whether the head of a source is of it.
    pub(crate) recognise: fn(&Head) -> bool,
    /// Makes what reads it.
    pub(crate) reader: fn() -> Box<dyn Reader>,
}

/// Reads records of one format into sessions.
pub(crate) trait Reader {
    /// A source begins.
    fn begin(&mut self) {}

    /// Takes a record. An error says what is wrong with it, and what to do.
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong>;

    /// A source ended.
    fn end(&mut self) {}

    /// Bytes held, about.
    fn held(&self) -> usize {
        0
    }

    /// All sources ended: hands out what is held.
    fn finish(self: Box<Self>, _context: &mut Context<'_>) {}
}

/// What is wrong with a record, and what to do.
pub(crate) type Wrong = (String, &'static str);

/// What a reader works with.
pub(crate) struct Context<'c> {
    pub(crate) salt: Salt,
    pub(crate) count: Count<'c>,
    pub(crate) mooncake_lengths: MooncakeLengths,
    pub(crate) mooncake_join: bool,
    pub(crate) mooncake_spread: Option<Time>,
    /// How long an answer is of which the source says nothing.
    pub(crate) answer_length: Option<Tokens>,
    /// Prompts that are named as blocks stay so.
    pub(crate) blocks: bool,
    pub(crate) fidelity: &'c mut Fidelity,
    /// Sessions that are complete.
    pub(crate) sessions: Vec<Session>,
    /// Rows of our own format, as they are.
    pub(crate) rows: Vec<String>,
}

/// What a reader has made.
pub(crate) struct Made {
    pub(crate) sessions: Vec<Session>,
    pub(crate) rows: Vec<String>,
}

impl<'c> Context<'c> {
    /// What turns messages into hashes and sizes.
    pub(crate) fn measure(&self) -> Measure<'c> {
        Measure { salt: self.salt, count: self.count }
    }

    /// What was made since the last time.
    pub(crate) fn made(self) -> Made {
        Made { sessions: self.sessions, rows: self.rows }
    }

    pub(crate) fn new(options: &ImportOptions<'c>, fidelity: &'c mut Fidelity) -> Self {
        let ImportOptions { salt, count, mooncake_lengths, mooncake_join, blocks, .. } = *options;
        Self {
            salt,
            count,
            mooncake_lengths,
            mooncake_join,
            mooncake_spread: options.mooncake_spread.map(as_time),
            answer_length: options.answer_length,
            blocks,
            fidelity,
            sessions: Vec::new(),
            rows: Vec::new(),
        }
    }
}

/// The first records of a source.
pub(crate) struct Head(Vec<Value>);

impl Head {
    /// Of the first bytes of a source, which may end anywhere.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        if let Some(columns) = columns(text.lines().next().unwrap_or_default()) {
            let rows = text.lines().skip(1).filter_map(|line| row_of(&columns, line));
            return Self(rows.take(LOOKED_AT).collect());
        }
        let lines = lines.filter_map(parsed);
        let records: Vec<Value> = lines.take(LOOKED_AT).collect();
        let first = text.lines().next().unwrap_or_default();
        // A document over many lines, of which a line alone may happen to be JSON.
        if parsed(first).is_none() && first.starts_with(['{', '[']) {
            let document = parsed(text).or_else(|| parsed(&beginning(text)?));
            if let Some(document) = document {
                return Self(vec![document]);
            }
        }
        Self(records)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How it looks: keys, never values.
    pub(crate) fn described(&self) -> String {
        self.0.first().map_or_else(|| "nothing".to_owned(), described)
    }

    /// Whether a record is so, or an element of a list that is a record.
    pub(crate) fn any(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.0.iter().any(|record| match record.as_array() {
            Some(items) => items.iter().take(LOOKED_AT).any(&is),
            None => is(record),
        })
    }

    /// Whether a record has all these keys.
    pub(crate) fn has(&self, keys: &[&str]) -> bool {
        self.any(|record| keys.iter().all(|key| record.get(key).is_some()))
    }
}

/// JSON, or JSON but for its numbers.
fn parsed(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok();
    value.or_else(|| serde_json::from_str(&finite(text)?).ok())
}

/// All formats, in the order in which a source is tried against them.
pub const FORMATS: &[Format] = &[
    formats::rows::FORMAT,
    formats::bailian::FORMAT,
    formats::dynamo::FORMAT,
    formats::dynamo_requests::FORMAT,
    formats::mooncake::FORMAT,
    formats::mooncake::SESSIONS,
    formats::weka::FORMAT,
    formats::claude_code::FORMAT,
    formats::codex::FORMAT,
    formats::atif::FORMAT,
    formats::swe_agent::FORMAT,
    formats::mini_swe_agent::FORMAT,
    formats::openhands::FORMAT,
    formats::openhands_v0::FORMAT,
    formats::tracelab::FORMAT,
    formats::lmcache::FORMAT,
    formats::otlp::FORMAT,
    formats::openinference::FORMAT,
    formats::otel_spans::FORMAT,
    formats::langfuse::FORMAT,
    formats::litellm::FORMAT,
    formats::openai_log::FORMAT,
    formats::aiperf_dag::FORMAT,
    formats::aiperf_turns::FORMAT,
    formats::aiperf_payloads::FORMAT,
    formats::messages::FORMAT,
    formats::make_workload::FORMAT,
    formats::azure::FORMAT,
    formats::burstgpt::FORMAT,
];

/// The names of all formats, for the table of options.
pub const NAMES: &[&str] = &NAMED;

const NAMED: [&str; FORMATS.len()] = {
    let mut names = [""; FORMATS.len()];
    let mut at = 0;
    while at < FORMATS.len() {
        names[at] = FORMATS[at].name;
        at += 1;
    }
    names
};

/// The format of this name.
#[must_use]
pub fn format_named(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_format_is_described() {
        for (at, format) in FORMATS.iter().enumerate() {
            assert!(FORMATS[..at].iter().all(|other| other.name != format.name), "{}", format.name);
            let words = [format.title, format.known_by, format.expresses, format.lost];
            assert!(words.iter().all(|words| !words.is_empty()), "{}", format.name);
        }
        assert_eq!(NAMES.len(), FORMATS.len());
        assert!(format_named("mooncake").is_some());
    }
}
