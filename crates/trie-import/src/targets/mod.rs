//! Rows written in other formats.
//!
//! - `prompts`: prompts as ids of blocks: those that the source had, or made from what prompts share.
//! - `times`: when each request of a trace starts, as far as its row says.
//! - `mooncake`, `weka`, `dynamo`: one format each.

mod dynamo;
mod mooncake;
mod prompts;
mod times;
mod weka;

use std::collections::BTreeMap;
use std::io::{self, Write};

use trie_core::units::Tokens;
use trie_core::workload::{Converted, Row};

use prompts::Prompts;

/// Most ids of blocks in the prompts of one trace: they are held at once.
const MOST_BLOCKS: u64 = 1 << 24;

/// A format that rows are written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// The original's six fields.
    Seed,
    /// Version 2: a header, then every row as it is.
    V2,
    /// Mooncake: a request a row, prompts as ids of blocks of 512 tokens.
    Mooncake,
    /// Weka: a session a line, prompts as ids of blocks of 64 tokens.
    Weka,
    /// Dynamo's agentic Mooncake, version 2: a graph of requests.
    Dynamo,
}

/// The words of `to=`.
pub const TARGETS: &[(&str, Target)] = &[
    ("v2", Target::V2),
    ("seed", Target::Seed),
    ("mooncake", Target::Mooncake),
    ("weka", Target::Weka),
    ("dynamo", Target::Dynamo),
];

/// What a target could not say, and how often.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Unsaid {
    /// A request waits for others: rows have times only.
    Waits,
    /// When a request starts is not recorded: it is worked out from the waits.
    Times,
    /// Several lanes become independent rows.
    Lanes,
    /// Prompts are shared with other traces.
    Sharing,
    /// A prompt ends in a block that is cut short.
    Partial,
    /// A wait for the first token becomes one for the end.
    FirstToken,
    /// Reasoning is not told apart.
    Reasoning,
    /// Who is waited for.
    Kinds,
    /// Answers of 0 tokens.
    Empty,
    /// Prompts have more blocks than are written.
    TooLong,
}

impl Unsaid {
    fn words(self) -> &'static str {
        match self {
            Self::Waits => "requests wait for others, which the target says by times only",
            Self::Times => {
                "starts are not recorded: they are worked out from waits, as if answers took no time"
            }
            Self::Lanes => "traces of several lanes become rows without their joins",
            Self::Sharing => "traces share segments with others, which the target cannot name",
            Self::Partial => "prompts end in a block that is cut short and has no id",
            Self::FirstToken => "waits for a first token are written as waits for the end",
            Self::Reasoning => "answers have reasoning, which is not told apart",
            Self::Kinds => "waits are for people, which the target does not tell from tools",
            Self::Empty => "answers of 0 tokens are written as 1",
            Self::TooLong => "traces have over 16,777,216 blocks in their prompts and are left out",
        }
    }
}

/// Writes rows in a target.
pub struct Writer<'w> {
    target: Target,
    out: &'w mut dyn Write,
    /// What the rows' lengths are counted with, for a header.
    tokenizer: String,
    begun: bool,
    seed: Converted,
    unsaid: BTreeMap<Unsaid, u64>,
    prompts: Prompts,
    written: u64,
}

impl<'w> Writer<'w> {
    /// Of no row yet. `tokenizer` says what lengths are counted with, where a header says it.
    pub fn new(target: Target, tokenizer: &str, out: &'w mut dyn Write) -> Self {
        let size = match target {
            Target::Weka => weka::BLOCK,
            Target::Seed | Target::V2 | Target::Mooncake | Target::Dynamo => mooncake::BLOCK,
        };
        Self {
            target,
            out,
            tokenizer: tokenizer.to_owned(),
            begun: false,
            seed: Converted::default(),
            unsaid: BTreeMap::new(),
            prompts: Prompts::of(size),
            written: 0,
        }
    }

    /// Writes a row.
    pub fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if !self.begun {
            self.begun = true;
            self.header()?;
        }
        let trace = row.trace();
        if !matches!(self.target, Target::V2 | Target::Seed) {
            let tokens: Tokens = trace.steps.iter().map(|step| step.prompt_tokens).sum();
            if tokens / self.prompts.size() > MOST_BLOCKS {
                count(&mut self.unsaid, Unsaid::TooLong, 1);
                return Ok(());
            }
            count(&mut self.unsaid, Unsaid::Empty, row.zero_answers());
        }
        match self.target {
            Target::V2 => {
                writeln!(self.out, "{}", row.text())?;
                self.written += 1;
            }
            Target::Seed => {
                self.seed.write_seed(row, self.out)?;
                self.written = self.seed.written;
            }
            Target::Mooncake => {
                for line in mooncake::rows(trace, row.number(), &mut self.prompts, &mut self.unsaid)
                {
                    writeln!(self.out, "{line}")?;
                    self.written += 1;
                }
            }
            Target::Weka => {
                let line = weka::session(trace, row.number(), &mut self.unsaid);
                writeln!(self.out, "{line}")?;
                self.written += 1;
            }
            Target::Dynamo => {
                for line in dynamo::rows(trace, row.number(), &mut self.prompts, &mut self.unsaid) {
                    writeln!(self.out, "{line}")?;
                    self.written += 1;
                }
            }
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        match self.target {
            Target::V2 => writeln!(
                self.out,
                r#"{{"trie_workload":2,"tokenizer":{},"created_by":"trie {version}"}}"#,
                crate::row::quoted(&self.tokenizer)
            ),
            Target::Dynamo => writeln!(self.out, "{}", dynamo::header()),
            Target::Seed | Target::Mooncake | Target::Weka => Ok(()),
        }
    }

    /// Ends the output: lines written beside a header, and what the target could not say.
    pub fn finish(self) -> io::Result<(u64, Vec<String>)> {
        self.out.flush()?;
        let unsaid = self.unsaid.iter().map(|(what, count)| format!("{count} {}", what.words()));
        Ok((self.written, self.seed.notes().into_iter().chain(unsaid).collect()))
    }
}

fn count(unsaid: &mut BTreeMap<Unsaid, u64>, what: Unsaid, times: u64) {
    if times > 0 {
        *unsaid.entry(what).or_insert(0) += times;
    }
}
