//! What is compared: one row per quantity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A quantity that both sides have. The order is that of the table and the JSON.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "each variant is described by its row in `QUANTITIES`")]
pub enum Quantity {
    #[serde(rename = "latency_s")]
    Latency,
    #[serde(rename = "ttft_s")]
    Ttft,
    #[serde(rename = "tpot_ms")]
    Tpot,
    #[serde(rename = "step_latency_s")]
    StepLatency,
    #[serde(rename = "cache_hit_rate_pct")]
    CacheHitRate,
    #[serde(rename = "total_prompt_tok_per_s")]
    TotalPrompt,
    #[serde(rename = "uncached_prompt_tok_per_s")]
    UncachedPrompt,
    #[serde(rename = "completion_tok_per_s")]
    Completion,
    #[serde(rename = "trace_per_s")]
    Traces,
    #[serde(rename = "good_traces_pct")]
    GoodTraces,
    #[serde(rename = "good_requests_pct")]
    GoodRequests,
    #[serde(rename = "good_completion_tok_per_s")]
    GoodCompletion,
    #[serde(rename = "good_jobs_per_h_user")]
    GoodJobs,
}

/// A statistic of a quantity.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Mean over the pairs; for the latency of traces the mean up to the common horizon.
    Mean,
    /// Median.
    P50,
    /// 90 % quantile.
    P90,
    /// 95 % quantile.
    P95,
    /// 99 % quantile.
    P99,
    /// Over the whole window.
    Overall,
    /// Over the steady-state window.
    SteadyState,
}

/// A row of the table of quantities.
#[derive(Clone, Copy, Debug)]
pub struct QuantityRow {
    /// Which.
    pub id: Quantity,
    /// Its key in gates and in JSON.
    pub key: &'static str,
    /// Its title in the table.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Decimals in tables.
    pub decimals: usize,
    /// Its statistics; the first is meant where none is named.
    pub measures: &'static [Measure],
    /// What it is and over what pairs, in words.
    pub formula: &'static str,
}

const STEPS: &[Measure] = &[Measure::Mean, Measure::P50, Measure::P90, Measure::P95, Measure::P99];
const RATES: &[Measure] = &[Measure::SteadyState, Measure::Overall];
/// Of what met the objectives.
const GOOD: &[Measure] = &[Measure::Overall];

/// All quantities, in the order of [`Quantity`].
pub const QUANTITIES: [QuantityRow; 13] = [
    QuantityRow {
        id: Quantity::Latency,
        key: "latency_s",
        title: "Trace latency (s)",
        unit: "s",
        decimals: 3,
        measures: &[Measure::Mean],
        formula: "area under the Kaplan-Meier curve of trace latency up to the common horizon, over \
                  the traces that both sides admitted",
    },
    QuantityRow {
        id: Quantity::Ttft,
        key: "ttft_s",
        title: "TTFT, all steps (s)",
        unit: "s",
        decimals: 3,
        measures: STEPS,
        formula: "first generated token minus the intent of its request, over the steps that both \
                  sides finished",
    },
    QuantityRow {
        id: Quantity::Tpot,
        key: "tpot_ms",
        title: "TPOT (ms/tok)",
        unit: "ms/tok",
        decimals: 2,
        measures: STEPS,
        formula: "time from the first to the last token / tokens after the first chunk, over the \
                  steps that both sides finished",
    },
    QuantityRow {
        id: Quantity::StepLatency,
        key: "step_latency_s",
        title: "Step latency (s)",
        unit: "s",
        decimals: 3,
        measures: STEPS,
        formula: "end of the answer minus the intent of its request, over the steps that both sides \
                  finished",
    },
    QuantityRow {
        id: Quantity::CacheHitRate,
        key: "cache_hit_rate_pct",
        title: "Cache hit rate (%)",
        unit: "%",
        decimals: 1,
        measures: &[Measure::Mean],
        formula: "sum of cached / sum of prompt tokens over the steps that both sides finished and \
                  reported",
    },
    QuantityRow {
        id: Quantity::TotalPrompt,
        key: "total_prompt_tok_per_s",
        title: "Total prompt tok/s",
        unit: "tok/s",
        decimals: 2,
        measures: RATES,
        formula: "as in the report, a pair per pair of runs",
    },
    QuantityRow {
        id: Quantity::UncachedPrompt,
        key: "uncached_prompt_tok_per_s",
        title: "Uncached prompt tok/s",
        unit: "tok/s",
        decimals: 2,
        measures: RATES,
        formula: "as in the report, a pair per pair of runs",
    },
    QuantityRow {
        id: Quantity::Completion,
        key: "completion_tok_per_s",
        title: "Completion tok/s",
        unit: "tok/s",
        decimals: 2,
        measures: RATES,
        formula: "as in the report, a pair per pair of runs",
    },
    QuantityRow {
        id: Quantity::Traces,
        key: "trace_per_s",
        title: "Traces/s",
        unit: "traces/s",
        decimals: 4,
        measures: RATES,
        formula: "as in the report, a pair per pair of runs",
    },
    QuantityRow {
        id: Quantity::GoodTraces,
        key: "good_traces_pct",
        title: "Good traces (%)",
        unit: "%",
        decimals: 1,
        measures: GOOD,
        formula: "traces that completed and met every objective (slo.METRIC=) in percent of those admitted, a pair per pair \
                  of runs; of what is not known of a trace cut off, the lower bound",
    },
    QuantityRow {
        id: Quantity::GoodRequests,
        key: "good_requests_pct",
        title: "Good requests (%)",
        unit: "%",
        decimals: 1,
        measures: GOOD,
        formula: "the same of the requests that were due in the window",
    },
    QuantityRow {
        id: Quantity::GoodCompletion,
        key: "good_completion_tok_per_s",
        title: "Good completion tok/s",
        unit: "tok/s",
        decimals: 2,
        measures: GOOD,
        formula: "answer tokens of good requests that arrived in the window, per second, a pair per pair of runs; the lower \
                  bound",
    },
    QuantityRow {
        id: Quantity::GoodJobs,
        key: "good_jobs_per_h_user",
        title: "Good jobs/h/user",
        unit: "1/h",
        decimals: 2,
        measures: GOOD,
        formula: "traces that were good by the deadline, per hour and slot, a pair per pair of runs; the lower bound",
    },
];

impl Quantity {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static QuantityRow {
        &QUANTITIES[self as usize]
    }
}

impl Quantity {
    /// Whether it counts what met the objectives of a run.
    pub(super) fn of_objectives(self) -> bool {
        self.row().measures == GOOD
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().key)
    }
}

impl Measure {
    /// Its name in gates, tables and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Overall => "overall",
            Self::SteadyState => "steady_state",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_at_their_number_and_serde_writes_their_key() {
        for (at, row) in QUANTITIES.iter().enumerate() {
            assert_eq!(row.id as usize, at);
            assert_eq!(serde_json::to_value(row.id).unwrap(), row.key);
            for measure in row.measures {
                assert_eq!(serde_json::to_value(measure).unwrap(), measure.name());
            }
        }
    }
}
