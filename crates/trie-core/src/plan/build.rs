//! The plan itself.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::content::{CONTENT_VERSION, ContentRule};
use super::options::{Order, PlanOptions};
use super::order::shuffled;
use super::prompt::PlannedTrace;
use super::scale::{ScaleCounts, scale_trace};
use crate::record::{Entry, WorkloadFacts};
use crate::units::Tokens;
use crate::workload::{MAX_TOKENS, Workload, WorkloadError};

/// Name and version of the plan's format.
pub const PLAN_SCHEMA: &str = "trie.plan/1";

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The workload cannot be read.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// An option has a value no plan can be made from.
    #[error("{option}: found {found}, wanted {wanted}")]
    Option {
        /// Its name.
        option: &'static str,
        /// Its value.
        found: String,
        /// What would be right.
        wanted: String,
    },
    /// Scaling leaves no trace.
    #[error(
        "{file}: none of its {rows} traces fits max_context={max_context}\n\
         hint: raise max_context, or lower token_scale"
    )]
    NothingLeft {
        /// The workload file, as given.
        file: String,
        /// Its traces.
        rows: u64,
        /// The limit.
        max_context: Tokens,
    },
    /// Scaling makes a request too long.
    #[error(
        "{file}: token_scale makes a request of {tokens} tokens, at most {MAX_TOKENS} are possible\n\
         hint: lower token_scale, or set max_context"
    )]
    TooLong {
        /// The workload file, as given.
        file: String,
        /// Prompt plus answer of the longest request.
        tokens: Tokens,
    },
}

/// What will be replayed: the options, the rows, and the rule for trace instance k.
#[derive(Clone, Debug)]
pub struct Plan {
    options: PlanOptions,
    content: ContentRule,
    facts: WorkloadFacts,
    counts: ScaleCounts,
    /// Rows that `max_context` leaves out, ascending.
    left_out: Vec<u64>,
    /// Rows that are replayed, in their order; empty where it is that of the file.
    order: Vec<u64>,
    /// Where the slots' first traces are entered; empty where all start at their first step.
    entries: Vec<Entry>,
}

/// One run through one row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Instance {
    /// Number of the instance in the plan, from 0.
    pub number: u64,
    /// Row of the workload, from 0.
    pub row: u64,
    /// How often all rows had been gone through before.
    pub cycle: u64,
}

/// A plan as bytes. What a run draws or meets (salt, path of the workload) is not in it.
#[derive(Serialize)]
struct PlanFile<'p> {
    schema: &'static str,
    content_version: u32,
    options: &'p PlanOptions,
    workload: PlanWorkload<'p>,
    scaling: &'p ScaleCounts,
    left_out: &'p [u64],
}

/// The workload as replayed, after scaling.
#[derive(Serialize)]
struct PlanWorkload<'p> {
    sha256: &'p str,
    rows: u64,
    requests: u64,
    prompt_tokens: Tokens,
    completion_tokens: Tokens,
    max_context_tokens: Tokens,
}

impl Plan {
    /// Makes a plan. `salt` is mixed into all content and is not part of the plan's bytes.
    ///
    /// Goes through all rows once when anything is scaled, and once when they are shuffled.
    pub fn new(
        options: PlanOptions,
        salt: u64,
        workload: &mut Workload,
    ) -> Result<Self, PlanError> {
        options.check()?;
        let content = ContentRule::new(options.seed, salt, options.cache_scope);
        let facts = workload.facts().clone();
        let counts = ScaleCounts::default();
        let (left_out, order, entries) = (Vec::new(), Vec::new(), Vec::new());
        let mut plan = Self { options, content, facts, counts, left_out, order, entries };
        if !plan.options.scale.is_identity() {
            plan.scale_all(workload)?;
        }
        plan.order = match plan.options.order {
            Order::File => Vec::new(),
            Order::Shuffle => {
                let rows = (0..plan.replayed()).map(|place| plan.row_at(place));
                shuffled(plan.options.seed, rows, workload)?
            }
        };
        Ok(plan)
    }

    fn scale_all(&mut self, workload: &mut Workload) -> Result<(), PlanError> {
        let WorkloadFacts { path, sha256, rows, .. } = workload.facts().clone();
        self.facts = WorkloadFacts { sha256, rows, ..WorkloadFacts::of(&path) };
        for row in 0..rows {
            match scale_trace(workload.trace(row)?, &self.options.scale, &mut self.counts) {
                Some(trace) => self.facts.add(&trace),
                None => self.left_out.push(row),
            }
        }
        let tokens = self.facts.max_context_tokens;
        match self.options.scale.max_context {
            Some(max_context) if self.left_out.len() as u64 == rows => {
                Err(PlanError::NothingLeft { file: path, rows, max_context })
            }
            Some(_) | None if tokens > MAX_TOKENS => Err(PlanError::TooLong { file: path, tokens }),
            Some(_) | None => Ok(()),
        }
    }

    /// Lets the slots' first traces be entered here, one a slot. They come before those of the plan, in
    /// a cycle of their own, and are not in its bytes: they depend on the server.
    #[must_use]
    pub fn entering(self, entries: Vec<Entry>) -> Self {
        Self { entries, ..self }
    }

    /// Where the slots' first traces are entered; empty where all start at their first step.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn entry(&self, number: u64) -> Option<Entry> {
        usize::try_from(number).ok().and_then(|number| self.entries.get(number)).copied()
    }

    /// Trace instance `number`: those that are entered, then rows in their order, again and again.
    pub fn instance(&self, number: u64) -> Instance {
        if let Some(entry) = self.entry(number) {
            return Instance { number, row: entry.row, cycle: 0 };
        }
        let entered = self.entries.len() as u64;
        let Instance { row, cycle, .. } = self.fresh(number - entered);
        Instance { number, row, cycle: cycle + u64::from(entered > 0) }
    }

    fn fresh(&self, number: u64) -> Instance {
        let replayed = self.replayed();
        let place = number % replayed;
        let drawn = usize::try_from(place).ok().and_then(|place| self.order.get(place));
        let row = drawn.copied().unwrap_or_else(|| self.row_at(place));
        Instance { number, row, cycle: number / replayed }
    }

    /// Rows that are not left out.
    fn replayed(&self) -> u64 {
        self.facts.rows - self.left_out.len() as u64
    }

    /// The row at a place among those that are not left out.
    fn row_at(&self, place: u64) -> u64 {
        // Before the i-th row left out lie its number minus i that are not.
        let (mut low, mut high) = (0, self.left_out.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.left_out[middle] - middle as u64 <= place {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        place + low as u64
    }

    /// Trace instance `number` as it is replayed.
    pub fn trace(
        &self,
        number: u64,
        workload: &mut Workload,
    ) -> Result<PlannedTrace, WorkloadError> {
        let instance = self.instance(number);
        let trace = workload.trace(instance.row)?;
        let scaled = scale_trace(trace, &self.options.scale, &mut ScaleCounts::default());
        let trace = scaled.expect("rows that scaling leaves nothing of are left out");
        let mut planned = PlannedTrace::new(instance, trace, &self.content);
        planned.entry = self.entry(number);
        Ok(planned)
    }

    /// What the plan was made with.
    pub fn options(&self) -> &PlanOptions {
        &self.options
    }

    /// The salt in effect.
    pub fn salt(&self) -> u64 {
        self.content.salt()
    }

    /// The workload after scaling. `rows` are the file's; those left out are counted in
    /// [`Plan::counts`].
    pub fn facts(&self) -> &WorkloadFacts {
        &self.facts
    }

    /// What scaling touched.
    pub fn counts(&self) -> &ScaleCounts {
        &self.counts
    }

    /// Rows that `max_context` leaves out, ascending.
    pub fn left_out(&self) -> &[u64] {
        &self.left_out
    }

    /// The plan as canonical JSON: keys in a fixed order, no spaces.
    pub fn to_bytes(&self) -> Vec<u8> {
        let WorkloadFacts { path: _, sha256, rows, requests, .. } = &self.facts;
        let file = PlanFile {
            schema: PLAN_SCHEMA,
            content_version: CONTENT_VERSION,
            options: &self.options,
            workload: PlanWorkload {
                sha256,
                rows: *rows,
                requests: *requests,
                prompt_tokens: self.facts.prompt_tokens,
                completion_tokens: self.facts.completion_tokens,
                max_context_tokens: self.facts.max_context_tokens,
            },
            scaling: &self.counts,
            left_out: &self.left_out,
        };
        serde_json::to_vec(&file).expect("a plan has string keys and finite numbers only")
    }

    /// sha256 of [`Plan::to_bytes`], in hexadecimal: equal plans replay the same requests.
    pub fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(self.to_bytes()))
    }
}
