//! What an import kept of its source, in numbers.

use std::collections::BTreeMap;

use trie_core::units::Tokens;
use trie_core::workload::Trace;

/// Requests and their tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// Requests.
    pub requests: u64,
    /// Tokens of their prompts.
    pub prompt_tokens: Tokens,
    /// Tokens of their answers.
    pub answer_tokens: Tokens,
}

impl Sum {
    /// Counts a request.
    pub(crate) fn add(&mut self, prompt: Tokens, answer: Tokens) {
        self.requests += 1;
        self.prompt_tokens = self.prompt_tokens.saturating_add(prompt);
        self.answer_tokens = self.answer_tokens.saturating_add(answer);
    }
}

/// Something that happened to requests or records, and is counted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Event {
    /// A request failed at its server: it is left out.
    Errors,
    /// A request was sent again with the same prompt.
    Retries,
    /// A request with no answer is left out.
    NoAnswer,
    /// A request with no answer is kept, where rows are requests.
    EmptyKept,
    /// A request of which the source does not say how long it is: it is left out.
    NoLength,
    /// A record says the same as an earlier one.
    Repeated,
    /// A record of a kind that is no request and changes none.
    Other,
    /// A prompt does not go on with the whole prompt before it.
    Breaks,
    /// Less of an answer stays in the history than was generated.
    ShortCarries,
    /// A conversation was compacted and ended before its next request.
    LastCompactions,
    /// A wait was cut to `wait_cap`.
    WaitsCapped,
    /// A request started before the one it goes on with had ended: it waits 0 s.
    Overlaps,
    /// A wait is from start to start, since no end was recorded.
    NoEnd,
    /// A wait is from end to end, since no start was recorded: it holds the time of the answer.
    NoStart,
    /// A wait is 0 since no time was recorded.
    NoTime,
    /// A request stood before an earlier one: they are sorted by time.
    Unsorted,
    /// A length was counted, not recorded.
    Counted,
    /// A record has numbers that JSON does not have: they are read as missing.
    NotFinite,
    /// An agent's requests whose parent is not in the source: they are a row of their own.
    Orphans,
    /// A request waits for more others than a row says: for the last 64 of them only.
    ManyWaits,
    /// A request wrote a summary of a conversation: its prompt is not recorded, and it is left out.
    Summaries,
    /// An answer is not in the prompts after it as they are recorded, and was put back into them.
    PutBack,
    /// A row of a burst was given a moment of its own.
    Spread,
    /// A branch leads to no session of the source, back to itself, or is one too many.
    Branches,
    /// A key that the format does not have is not read.
    UnknownKeys,
    /// A gateway answered a request from its own cache: no server saw it.
    Answered,
}

impl Event {
    /// In words, after their count.
    fn words(self) -> &'static str {
        match self {
            Self::Errors => "requests that failed are left out",
            Self::Retries => "requests were sent again with the same prompt, and are kept",
            Self::NoAnswer => "requests without an answer are left out",
            Self::EmptyKept => "requests without an answer are kept: they are replayed as 1 token",
            Self::NoLength => "requests of unknown length are left out",
            Self::Repeated => "records that repeat earlier ones are counted once",
            Self::Other => "records that are no requests are left out",
            Self::Breaks => "prompts do not go on with the whole prompt before them",
            Self::ShortCarries => "answers stay in the history in part only",
            Self::LastCompactions => "compactions have no request after them",
            Self::WaitsCapped => "waits are cut to wait_cap",
            Self::Overlaps => "requests overlap the one before them and wait 0 s",
            Self::NoEnd => "waits are from start to start: no end is recorded",
            Self::NoStart => "waits hold the time of the answer after them: no start is recorded",
            Self::NoTime => "waits are 0 s: no time is recorded",
            Self::Unsorted => "requests were out of order and are sorted by time",
            Self::Counted => "lengths are counted, not recorded",
            Self::NotFinite => "records hold NaN or Infinity, which are read as missing",
            Self::Orphans => "agents have no parent in the source and are rows of their own",
            Self::ManyWaits => "requests wait for the last 64 of those before them only",
            Self::Summaries => {
                "requests that wrote a summary are left out: their prompts are not recorded"
            }
            Self::PutBack => "answers are put back into prompts that are recorded without them",
            Self::Spread => {
                "arrivals are moved inside mooncake_spread, in which they were recorded at once"
            }
            Self::Branches => {
                "branches lead nowhere, back to where they come from, or are too many, and are left out"
            }
            Self::UnknownKeys => "keys that the format does not have are not read",
            Self::Answered => "requests that a gateway answered from its own cache are left out",
        }
    }
}

/// Where a source was cut short or damaged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Damage {
    /// It ends in the middle of a record.
    Truncated {
        /// The file, as given.
        file: String,
        /// Bytes that were read as records.
        offset: u64,
    },
    /// Records are no JSON.
    Unreadable {
        /// The file, as given.
        file: String,
        /// How many.
        count: u64,
        /// Byte at which the first one starts.
        offset: u64,
    },
}

impl Damage {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Truncated { file, offset } => {
                format!("{file}: cut short at byte {offset}; what stands before is kept")
            }
            Self::Unreadable { file, count, offset } => {
                format!(
                    "{file}: {count} records are no JSON and are left out (first at byte {offset})"
                )
            }
        }
    }
}

/// What was recorded, what the rows say of it, and what happened on the way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fidelity {
    /// Files read.
    pub files: u64,
    /// Requests of the source, but for those that are left out.
    pub recorded: Sum,
    /// Requests of the rows as they are replayed.
    pub represented: Sum,
    /// Conversations of the source.
    pub sessions: u64,
    /// Rows made.
    pub rows: u64,
    /// What else is counted.
    pub events: BTreeMap<Event, u64>,
    /// What of the source could not be read.
    pub damage: Vec<Damage>,
    /// What the formats that were read cannot say.
    pub lost: Vec<&'static str>,
}

impl Fidelity {
    /// Counts something.
    pub(crate) fn count(&mut self, event: Event, times: u64) {
        if times > 0 {
            *self.events.entry(event).or_insert(0) += times;
        }
    }

    /// How often something happened.
    #[must_use]
    pub fn times(&self, event: Event) -> u64 {
        self.events.get(&event).copied().unwrap_or(0)
    }

    /// Counts a row as it is replayed.
    pub(crate) fn represent(&mut self, trace: &Trace) {
        self.rows += 1;
        for step in &trace.steps {
            self.represented.add(step.prompt_tokens, step.output.tokens);
        }
    }

    /// The line that sums it up.
    #[must_use]
    pub fn line(&self) -> String {
        let of = |kept: u64, all: u64| format!("{} of {}", grouped(kept), grouped(all));
        let (made, found) = (self.represented, self.recorded);
        format!(
            "fidelity: {} requests, {} prompt tokens, {} answer tokens; {} sessions in {} rows; {} \
             prefix breaks, {} waits capped",
            of(made.requests, found.requests),
            of(made.prompt_tokens, found.prompt_tokens),
            of(made.answer_tokens, found.answer_tokens),
            grouped(self.sessions),
            grouped(self.rows),
            grouped(self.times(Event::Breaks)),
            grouped(self.times(Event::WaitsCapped)),
        )
    }

    /// What else there is to say, a line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let events = self
            .events
            .iter()
            .filter(|(event, _)| !matches!(event, Event::Breaks | Event::WaitsCapped));
        let events = events.map(|(event, count)| format!("{} {}", grouped(*count), event.words()));
        let lost = self.lost.iter().map(|lost| (*lost).to_owned());
        events.chain(lost).collect()
    }
}

/// A count with commas.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_was_kept_of_what() {
        let mut fidelity = Fidelity::default();
        fidelity.recorded.add(1_234_567, 89);
        fidelity.count(Event::Breaks, 2);
        fidelity.count(Event::Errors, 1);
        assert_eq!(
            fidelity.line(),
            "fidelity: 0 of 1 requests, 0 of 1,234,567 prompt tokens, 0 of 89 answer tokens; 0 \
             sessions in 0 rows; 2 prefix breaks, 0 waits capped"
        );
        assert_eq!(fidelity.notes(), ["1 requests that failed are left out"]);
    }
}
