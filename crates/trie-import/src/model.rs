//! What every importer makes of its source: sessions of requests, lengths and times only.
//!
//! Nothing here holds text. Names of sessions are the only strings of the source that are kept,
//! until a row is written, which hashes them unless the user wants them.

use std::ops::Range;

use trie_core::units::Tokens;

/// A moment of the source's clock, or a length of time, in nanoseconds. Only differences matter.
pub(crate) type Time = i64;

/// One conversation: what becomes one row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// What the source calls it.
    pub(crate) name: Option<String>,
    /// What several rows have in common that belong to one conversation, where that is another name.
    pub(crate) group: Option<String>,
    /// When it arrived, from the start of the source.
    pub(crate) arrival: Option<Time>,
    /// Its agents; the first is the root. Empty lanes are left out before rows are made.
    pub(crate) lanes: Vec<Lane>,
    /// Its requests say all that they wait for; each refers to earlier ones only.
    pub(crate) explicit: bool,
    /// How its prompts are named as blocks, where they are.
    pub(crate) blocks: Option<BlockShape>,
}

/// One agent: requests of which each goes on with the one before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    pub(crate) requests: Vec<Request>,
    /// Shared segments that open its first prompt.
    pub(crate) prefix: Vec<Shared>,
    /// What started it.
    pub(crate) opened: Opened,
    /// The request that is known to wait for its end.
    pub(crate) joined: Option<Place>,
}

/// A request of a session, by lane and number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) lane: usize,
    pub(crate) request: usize,
}

/// Something that a request waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct After {
    pub(crate) place: Place,
    /// For its start instead of its end.
    pub(crate) on_start: bool,
    pub(crate) delay: Time,
}

/// What started a lane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Opened {
    /// Nothing is known: times say whom it follows, among the root's requests.
    #[default]
    AfterRoot,
    /// Nothing is known: times say whom it follows, among all requests.
    AfterAny,
    /// This request, with a fresh context.
    By(Place),
    /// This request, whose prompt it goes on with. `keep`: only so many tokens of it.
    Fork(Place, Option<Tokens>),
}

/// A segment that other sessions open with as well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Shared {
    /// As it is written: a hash, never text.
    pub(crate) id: String,
    pub(crate) tokens: Tokens,
}

/// How a source names blocks of prompts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BlockShape {
    /// Tokens of a block.
    pub(crate) size: Tokens,
    /// Where ids are the same text; `local` for one session.
    pub(crate) scope: &'static str,
}

/// Block ids in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) count: u64,
}

/// One request, as it was recorded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) start: Option<Time>,
    pub(crate) end: Option<Time>,
    /// From the start to the first token.
    pub(crate) ttft: Option<Time>,
    /// Tokens of the whole prompt.
    pub(crate) input: Tokens,
    /// Tokens of the answer.
    pub(crate) output: Tokens,
    pub(crate) reasoning: Option<Tokens>,
    /// Prompt tokens that the source's server had in its cache.
    pub(crate) cached: Option<Tokens>,
    /// How long it waits after the end of the request before, where the source says that itself.
    pub(crate) wait: Option<Time>,
    /// Who wrote what is new in its prompt.
    pub(crate) kind: Kind,
    /// Tool calls whose results are new in its prompt.
    pub(crate) calls: Vec<Call>,
    /// The prompt does not go on with the whole prompt before it: only its first tokens are kept.
    pub(crate) keep: Option<Tokens>,
    /// Ranges that are cut out of what is kept: from a token, up to but not with another.
    pub(crate) drop: Vec<Range<Tokens>>,
    /// Tokens of the answer before that its prompt holds, where the source says so.
    pub(crate) carry: Option<Tokens>,
    /// All that it waits for, where the session says so itself.
    pub(crate) after: Vec<After>,
    /// Its prompt as blocks.
    pub(crate) ids: Vec<Run>,
}

/// The result of one tool call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Call {
    /// Its size by the importer's own count: parts of a recorded length are split in proportion.
    pub(crate) size: Tokens,
    pub(crate) latency: Option<Time>,
}

/// Who wrote what is new in a prompt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Kind {
    #[default]
    Tool,
    User,
    Summary,
    Unknown,
}

impl Kind {
    /// The letter of `input_kind`.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Tool => 't',
            Self::User => 'u',
            Self::Summary => 's',
            Self::Unknown => '?',
        }
    }
}

impl Session {
    /// When its first request started, or the first of which that is not known ended.
    pub(crate) fn start(&self) -> Option<Time> {
        let requests = self.lanes.iter().flat_map(|lane| &lane.requests);
        requests.filter_map(|request| request.start.or(request.end)).min()
    }
}

/// Ids as runs.
pub(crate) fn runs(ids: impl IntoIterator<Item = u64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some(run) if run.first.checked_add(run.count) == Some(id) => run.count += 1,
            Some(_) | None => runs.push(Run { first: id, count: 1 }),
        }
    }
    runs
}

/// How many ids there are in runs.
pub(crate) fn count(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.count).sum()
}

/// How many ids two lists open with alike.
pub(crate) fn common(left: &[Run], right: &[Run]) -> u64 {
    let (mut left, mut right) = (left.iter().copied(), right.iter().copied());
    let (mut one, mut other) = (left.next(), right.next());
    let mut alike = 0;
    while let (Some(a), Some(b)) = (one, other) {
        if a.first != b.first {
            break;
        }
        let count = a.count.min(b.count);
        alike += count;
        let rest = |run: Run| Run { first: run.first + count, count: run.count - count };
        one = if a.count > count { Some(rest(a)) } else { left.next() };
        other = if b.count > count { Some(rest(b)) } else { right.next() };
    }
    alike
}

/// The ids after the first `skip`.
pub(crate) fn after(runs: &[Run], skip: u64) -> Vec<Run> {
    let mut skip = skip;
    let rest = runs.iter().map(|run| {
        let skipped = run.count.min(skip);
        skip -= skipped;
        Run { first: run.first + skipped, count: run.count - skipped }
    });
    rest.filter(|run| run.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_compared_id_by_id() {
        let check = |one: &[u64], other: &[u64], expected: u64| {
            let alike = common(&runs(one.iter().copied()), &runs(other.iter().copied()));
            assert_eq!(alike, expected, "{one:?} {other:?}");
        };
        check(&[1, 2, 3], &[1, 2, 3, 4], 3);
        check(&[1, 2, 9], &[1, 2, 3], 2);
        check(&[1, 2, 7, 8], &[1, 2, 7, 8], 4);
        check(&[2], &[1], 0);
        check(&[], &[1], 0);
        check(&[1, 5, 6], &[1, 5, 7], 2);
        assert_eq!(after(&runs([1, 2, 3, 9]), 2), runs([3, 9]));
        assert_eq!(count(&runs([u64::MAX, 0])), 2);
    }
}
