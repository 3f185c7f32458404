//! Remarks on a workload that is usable.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::json::cut;

/// How many different unknown keys are listed one by one; the rest share one warning.
const LISTED_KEYS: usize = 100;

/// Something the user should know about a workload that is usable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WorkloadWarning {
    /// Answers of 0 tokens are planned as 1: servers refuse `max_tokens` 0.
    ZeroAnswers {
        /// Requests it holds for.
        count: u64,
        /// The first line with one, from 1.
        line: u64,
    },
    /// A key that is not replayed.
    IgnoredKey {
        /// The key, as a path: `name`, or `context[].name`.
        key: String,
        /// Whether the format knows it.
        standing: KeyStanding,
        /// How often it stands in the file.
        count: u64,
        /// The first line with it, from 1.
        line: u64,
    },
    /// More unknown keys than are listed one by one.
    MoreKeys {
        /// How often such keys stand in the file.
        count: u64,
        /// The first line with one, from 1.
        line: u64,
    },
}

/// Whether the format knows a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyStanding {
    /// A key of version 2 that this program does not replay yet.
    NotReplayedYet,
    /// Not a key of the format.
    Unknown,
}

impl fmt::Display for WorkloadWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroAnswers { count, line } => write!(
                f,
                "{count} answers of 0 tokens are planned as 1, the least a server accepts (first \
                 on line {line})"
            ),
            Self::IgnoredKey { key, standing: KeyStanding::Unknown, count, line } => {
                write!(f, "unknown key {key} is ignored ({count} times, first on line {line})")
            }
            Self::IgnoredKey { key, standing: KeyStanding::NotReplayedYet, count, line } => write!(
                f,
                "key {key} of workload version 2 is not replayed yet and is ignored ({count} \
                 times, first on line {line})"
            ),
            Self::MoreKeys { count, line } => write!(
                f,
                "more unknown keys are ignored ({count} times, first on line {line}); the first \
                 {LISTED_KEYS} are listed"
            ),
        }
    }
}

/// A key that is not replayed, where it stands.
#[derive(Debug)]
pub(super) struct IgnoredKey<'l> {
    pub(super) key: Cow<'l, str>,
    pub(super) standing: KeyStanding,
    pub(super) column: usize,
}

/// Counts what rows give reason to warn of.
#[derive(Debug, Default)]
pub(super) struct Tally {
    zero_answers: Option<Count>,
    keys: BTreeMap<String, (KeyStanding, Count)>,
    more_keys: Option<Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    count: u64,
    line: u64,
}

impl Tally {
    pub(super) fn zero_answers(&mut self, count: u64, line: u64) {
        if count > 0 {
            self.zero_answers.get_or_insert(Count { count: 0, line }).count += count;
        }
    }

    pub(super) fn ignored_key(&mut self, key: &str, standing: KeyStanding, line: u64) {
        let key = cut(key);
        let count = if self.keys.contains_key(&key) || self.keys.len() < LISTED_KEYS {
            &mut self.keys.entry(key).or_insert((standing, Count { count: 0, line })).1
        } else {
            self.more_keys.get_or_insert(Count { count: 0, line })
        };
        count.count += 1;
    }

    pub(super) fn into_warnings(self) -> Vec<WorkloadWarning> {
        let zero = self.zero_answers.map(|Count { count, line }| (count, line));
        let more = self.more_keys.map(|Count { count, line }| (count, line));
        let keys = self.keys.into_iter().map(|(key, (standing, Count { count, line }))| {
            WorkloadWarning::IgnoredKey { key, standing, count, line }
        });
        zero.map(|(count, line)| WorkloadWarning::ZeroAnswers { count, line })
            .into_iter()
            .chain(keys)
            .chain(more.map(|(count, line)| WorkloadWarning::MoreKeys { count, line }))
            .collect()
    }
}
