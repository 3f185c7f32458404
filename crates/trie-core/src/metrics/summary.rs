//! The contents of `summary.json`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::verdict::makes_wrong;
use super::{CacheRoom, Cell, Floor, Goodput, MetricId};
use crate::record::{Outcome, Reason, StampSource, TokenSource, WorkloadFacts};
use crate::units::Tokens;

/// Name and version of the summary's format.
pub const SUMMARY_SCHEMA: &str = "trie.summary/1";

/// Everything a report says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Name and version of the format: `trie.summary/1` ([`SUMMARY_SCHEMA`]).
    pub schema: String,
    /// Whether the numbers can be believed.
    pub verdict: Verdict,
    /// What became of the traces.
    pub populations: Populations,
    /// Metrics with one value per trace.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Distribution>"))]
    pub per_trace: BTreeMap<MetricId, Distribution>,
    /// Metrics with one value per request or token.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Distribution>"))]
    pub per_request: BTreeMap<MetricId, Distribution>,
    /// Metrics of the whole run.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, Throughput>"))]
    pub workload: BTreeMap<MetricId, Throughput>,
    /// How much met the objectives; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Goodput>,
    /// Whether a steady state was reached; absent where there is too little to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_state: Option<SteadyState>,
    /// How much context the server had to keep; absent where the window has no length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_room: Option<CacheRoom>,
    /// The original harness's own values under its own keys.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, f64>"))]
    pub seed: BTreeMap<String, Number>,
    /// What the numbers stand on.
    pub accounting: Accounting,
    /// What was run.
    pub run: RunFacts,
    /// Of several runs with seeds of their own: which they are. Every figure is then the mean over them,
    /// with a 95 % interval by Student's t, but for `min` and `max`, which are those of all of them, and
    /// counts, which are sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicates: Option<Replicates>,
}

/// Runs of one workload and the same options, each with a seed of its own.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replicates {
    /// How many were asked for.
    pub planned: u64,
    /// How many the figures are of: those that went on to their deadline.
    pub used: u64,
    /// Each of them, in the order of their seeds.
    pub runs: Vec<Replicate>,
}

/// One of several runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replicate {
    /// Its run directory, below that of all.
    pub dir: String,
    /// Its seed.
    pub seed: u64,
    /// sha256 of its plan.
    pub plan_sha256: String,
    /// When it started, RFC 3339.
    pub started_at: String,
    /// How it ended; `null`: it was killed.
    pub ending: Option<Reason>,
    /// Whether the figures hold it.
    pub used: bool,
    /// Its verdict.
    pub trust: Trust,
    /// Its steady state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_state: Option<SteadyState>,
}

/// Whether the numbers can be believed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// In one word.
    pub trust: Trust,
    /// Every check that was made; those that failed first.
    pub checks: Vec<Check>,
}

/// The verdict in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// No check has anything to say.
    Yes,
    /// The numbers are right, but mean less than they seem to.
    Caveats,
    /// Numbers are wrong.
    No,
}

/// One check of a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// What it found.
    pub status: Status,
    /// What was measured; the threshold names the unit.
    pub value: Cell,
    /// Where it warns and where it fails, in words.
    pub threshold: String,
    /// What to do; empty when it passed.
    pub advice: String,
}

/// A check.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckId {
    /// How long the client took to see a chunk that had arrived.
    ClientLag,
    /// How late requests went out.
    SendLateness,
    /// Connections opened after the request was due.
    Connections,
    /// Planned against reported tokens.
    TokenDrift,
    /// Answers of the planned length.
    OutputLength,
    /// Answer tokens whose arrival is not known.
    ChunkCounts,
    /// Whether the server says what came from its cache, and whether that is what was expected.
    CacheField,
    /// Whether the server's cache held what only this run could have sent.
    WarmCache,
    /// Traces that failed.
    FailedTraces,
    /// Whether anything was measured at all.
    Population,
    /// Rows that are missing, there twice, or contradict each other.
    Records,
    /// Whether the state of the slots changes over the run.
    SteadyState,
    /// Whether some requests find their history in the cache and others do not.
    Metastability,
    /// How much of the server's KV cache the contexts of the traces alive fill.
    CacheRoom,
    /// Traces cut off, and trace latency against the window.
    Censoring,
    /// Effective samples against the floors of the quantiles.
    SampleSize,
    /// Attempts after the first.
    Retries,
    /// The longest time that a thread of the client did not run when it was to.
    RuntimeStall,
    /// How busy the busiest thread of the client was.
    ClientCpu,
    /// How long a thread of the client waited for a core.
    CoreWait,
    /// What the client received in its busiest second against what it can.
    ClientCapacity,
    /// Whether chunks of an answer came together.
    Coalescing,
    /// Whether the clock of the stamps was set during the run.
    Clock,
    /// Whether the server had other work before the start.
    IdleAtStart,
    /// Whether it was given all that the entered traces had behind them.
    Priming,
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Check {
    /// Whether it failed in a way that makes numbers wrong.
    #[must_use]
    pub fn makes_wrong(&self) -> bool {
        self.status == Status::Fail && makes_wrong(self.id)
    }
}

/// What a check found. In order of weight.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Beyond the second threshold.
    Fail,
    /// Beyond the first threshold.
    Warn,
    /// Nothing to say.
    Pass,
    /// The records do not hold what it needs; `value` says what.
    Unknown,
}

/// What became of the traces: admitted = completed + failed + cut off.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Populations {
    /// Given a slot.
    pub admitted: u64,
    /// Every step ended well.
    pub completed: u64,
    /// By kind of failure.
    pub failed: BTreeMap<String, u64>,
    /// Alive at the end.
    pub cut_off: u64,
    /// Of those admitted, the ones that were entered in the middle of their life: latency, TTFT and TTFAT
    /// leave them out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub entered: u64,
}

impl Populations {
    /// All that failed, of any kind.
    #[must_use]
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A metric's distribution.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Distribution {
    /// Unit of every cell.
    pub unit: String,
    /// How many values.
    pub n: u64,
    /// How many independent values they are worth; events for Kaplan-Meier.
    pub n_effective: f64,
    /// Mean; for Kaplan-Meier the area under the curve up to the largest time.
    pub mean: Cell,
    /// Smallest value.
    pub min: Cell,
    /// Median.
    pub p50: Cell,
    /// 90 % quantile.
    pub p90: Cell,
    /// 95 % quantile.
    pub p95: Cell,
    /// 99 % quantile.
    pub p99: Cell,
    /// Largest value.
    pub max: Cell,
    /// The same if failed traces count as never finished; there when over 1 % failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_never_finish: Option<Box<Distribution>>,
}

/// Whether the slots of a run were in a steady state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SteadyState {
    /// From when on the steady-state column is, in seconds; `null`: none was reached, and the column is
    /// from 20 % of the window on.
    pub from_s: Option<f64>,
    /// Least likely change of the slots' state over the whole run, as normal deviations (at most 10).
    pub deviations: f64,
    /// Answer tokens a second of the later half of the run over those of the earlier one, the first tenth
    /// left out; `null` where that had none.
    #[serde(default)]
    pub halves: Option<f64>,
    /// Standard errors of the steady-state column, by metric and in its unit: from the thirds of its window
    /// and from the slots. Lower bounds, where traces last long against a third of the window.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, f64>"))]
    pub errors: BTreeMap<MetricId, f64>,
    /// Requests that the traces in the slots had sent, on average over the run.
    pub age_requests: f64,
    /// The same in a steady state, by the lengths of the traces admitted.
    pub age_requests_expected: Option<f64>,
}

/// A column of a distribution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Stat {
    Mean,
    Min,
    P50,
    P90,
    P95,
    P99,
    Max,
}

impl Stat {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] =
        [Self::Mean, Self::Min, Self::P50, Self::P90, Self::P95, Self::P99, Self::Max];

    /// Its name in tables and keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Min => "min",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
        }
    }
}

impl Summary {
    /// Takes out every value whose sample was too small for it.
    pub fn drop_small_samples(&mut self) {
        let all = self.per_trace.values_mut().chain(self.per_request.values_mut());
        all.for_each(Distribution::drop_small_samples);
    }
}

impl Distribution {
    fn drop_small_samples(&mut self) {
        let Self { mean, min, p50, p90, p95, p99, max, failed_never_finish, .. } = self;
        for cell in [mean, min, p50, p90, p95, p99, max] {
            if matches!(cell, Cell::Measured(measured) if measured.floor == Floor::Below) {
                *cell = Cell::Missing("too few samples for this quantile".to_owned());
            }
        }
        if let Some(other) = failed_never_finish {
            other.drop_small_samples();
        }
    }

    /// One of its cells.
    #[must_use]
    pub fn cell(&self, stat: Stat) -> &Cell {
        match stat {
            Stat::Mean => &self.mean,
            Stat::Min => &self.min,
            Stat::P50 => &self.p50,
            Stat::P90 => &self.p90,
            Stat::P95 => &self.p95,
            Stat::P99 => &self.p99,
            Stat::Max => &self.max,
        }
    }
}

/// A metric of the whole run over several windows. Windows that make no sense for it are absent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Throughput {
    /// Unit of every cell.
    pub unit: String,
    /// Over the whole window, from the start to the deadline.
    pub overall: Cell,
    /// Over the window's last 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_30s: Option<Cell>,
    /// From 20 % of the window to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_state: Option<Cell>,
    /// The same per GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady_state_per_gpu: Option<Cell>,
}

/// What the numbers stand on. Shares are 0 to 1.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Accounting {
    /// Attempts of requests, by how they ended.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, u64>"))]
    pub requests: BTreeMap<Outcome, u64>,
    /// Failed attempts by kind.
    pub request_failures: BTreeMap<String, u64>,
    /// Attempts after the first.
    pub retries: u64,
    /// Requests sent again because the kept connection had closed.
    pub stale_resends: u64,
    /// Share of the finished requests with usage whose prompt had exactly the planned length.
    pub prompt_exact: Cell,
    /// Share of the finished requests with usage whose answer had exactly the planned length.
    pub completion_exact: Cell,
    /// Reported minus planned prompt tokens, over finished requests with usage.
    pub prompt_drift_tokens: i64,
    /// Reported minus planned answer tokens, over finished requests with usage.
    pub completion_drift_tokens: i64,
    /// Finished requests whose usage was missing.
    pub usage_missing: u64,
    /// Requests whose planned prompt length stood in for a missing one in the throughput rows.
    pub prompt_from_plan: u64,
    /// Share of the finished requests that said how many tokens came from the cache.
    pub cache_coverage: Cell,
    /// Cached tokens as reported, over the requests that said.
    pub cached_reported_tokens: Tokens,
    /// Cached tokens as expected, over the same requests.
    pub cached_expected_tokens: Tokens,
    /// Expected cached tokens of the requests that did not say; in the throughput rows they stand
    /// in as far as the others kept to what was expected.
    pub cached_stand_in_tokens: Tokens,
    /// Requests after the first of their trace that still waited for their first token when the
    /// run ended: their waits are missing from TTFT of later turns.
    pub ttft_later_left_out: u64,
    /// Finished requests left out of decode speed: one chunk, one instant, or no count.
    pub decode_left_out: u64,
    /// Where the per-chunk token counts came from.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, u64>"))]
    pub token_sources: BTreeMap<TokenSource, u64>,
    /// Which clock stamped the chunks.
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, u64>"))]
    pub stamp_sources: BTreeMap<StampSource, u64>,
    /// Token chunks that came in a read together with an earlier one.
    pub late_chunks: u64,
    /// Answer tokens that no chunk was known to hold when it arrived.
    #[serde(default)]
    pub uncounted_tokens: Tokens,
    /// Tokens counted on arrival that no usage counts.
    #[serde(default)]
    pub excess_tokens: Tokens,
    /// Traces whose slot waited because an earlier row of their session was alive.
    #[serde(default)]
    pub held_traces: u64,
    /// How long those slots waited, all together, in seconds.
    #[serde(default)]
    pub held_s: f64,
    /// Connections that were opened after their request was due.
    pub connects_after_intent: u64,
    /// HTTP/2: requests that waited on their way for the server's leave to send more; left out where none
    /// did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_waits: Option<u64>,
    /// How long they waited, all together, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_wait_s: Option<f64>,
    /// `sent` minus `intent`, median, in milliseconds.
    pub send_lateness_p50_ms: Cell,
    /// `sent` minus `intent`, 99 % quantile, in milliseconds.
    pub send_lateness_p99_ms: Cell,
    /// Read minus kernel stamp of every read, median, in milliseconds.
    pub client_lag_p50_ms: Cell,
    /// Read minus kernel stamp, 99 % quantile, in milliseconds.
    pub client_lag_p99_ms: Cell,
    /// Read minus kernel stamp, the largest, in milliseconds.
    pub client_lag_max_ms: Cell,
    /// Share (0 to 1) of reads that brought several token chunks of one stream: all but the last
    /// of them arrived earlier than their stamp says.
    pub merged_reads: Cell,
    /// How often the clock of the kernel's stamps was set while the run went on.
    pub clock_steps: u64,
    /// How often the recorder's queue was found full.
    pub queue_full: u64,
}

/// What was run: the manifest's essentials.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunFacts {
    /// How many runs (shards) were merged.
    pub runs: u64,
    /// Wall-clock time of the first run's start, RFC 3339.
    pub started_at: String,
    /// Model name sent to the endpoint.
    pub model: String,
    /// The workload file.
    pub workload: WorkloadFacts,
    /// sha256 of the plan.
    pub plan_sha256: String,
    /// Seed of the plan.
    pub seed: u64,
    /// Rung of the history ladder.
    pub history: String,
    /// Version of the content rule.
    pub content_version: u32,
    /// Traces kept alive, over all runs.
    pub concurrency: u64,
    /// GPUs behind the endpoint.
    pub num_gpus: Option<u32>,
    /// Whether answers were streamed.
    pub stream: bool,
    /// The simulated engine, if no endpoint was measured.
    pub simulated: Option<String>,
    /// Planned length, in seconds.
    pub duration_s: f64,
    /// Length of the window that was measured, in seconds.
    pub window_s: f64,
    /// Time from start to end, cancelling included, in seconds.
    pub wall_time_s: f64,
    /// How each run ended; `null`: it was killed and its records are what is left.
    pub endings: Vec<Option<Reason>>,
    /// What the user should know, in words.
    pub notes: Vec<String>,
}
