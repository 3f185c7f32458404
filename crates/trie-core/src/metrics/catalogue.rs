//! The catalogue: one row per metric. A metric's name is typed here and nowhere else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A metric. The order is that of the catalogue, the tables and the JSON.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "each variant is described by its row in `METRICS`")]
pub enum MetricId {
    Latency,
    Ttft,
    Ttfat,
    DecodeTps,
    CacheHitRate,
    EligibleCacheHitRate,
    LatencyCompleted,
    CriticalPath,
    OutputTokensPerTrace,
    TtftLaterTurns,
    TtftTurn2,
    TtftTurn6,
    TtftTurn21,
    TtftPromptShort,
    TtftPrompt4k,
    TtftPrompt16k,
    TtftPrompt64k,
    TtftRootLane,
    TtftOtherLanes,
    LaneLatency,
    JoinWait,
    Tpot,
    Itl,
    Stall,
    OutputTokensPerTurn,
    ReuseLoss,
    TotalPrompt,
    CachedPrompt,
    UncachedPrompt,
    Completion,
    Traces,
    LittleTraces,
    AchievedConcurrency,
    InFlightPrompt,
    ThinkTime,
    JobsPerUser,
    JobsPerGpu,
}

/// By what requests are shown apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Breakdown {
    Turn,
    Prompt,
    Lane,
}

/// What a metric is taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// One value per trace.
    Trace,
    /// One value per request, or per token of a request.
    Request,
    /// One value per run.
    Workload,
}

/// What must be there for a metric to exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Needs {
    /// Nothing but requests.
    Nothing,
    /// Streamed answers.
    Stream,
    /// A server that reports `cached_tokens`.
    CachedTokens,
    /// `num_gpus`.
    NumGpus,
}

/// A row of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Which metric.
    pub id: MetricId,
    /// Its key in `summary.json`.
    pub key: &'static str,
    /// Its key in the log line and in the `seed` block, the original's where that has one.
    pub log_key: &'static str,
    /// Title of its column or row.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Decimals in tables.
    pub decimals: usize,
    /// What it is taken over.
    pub scope: Scope,
    /// What must be there.
    pub needs: Needs,
    /// The formula in words.
    pub formula: &'static str,
    /// First version that has it.
    pub since: &'static str,
}

impl MetricId {
    /// Whether it shows a part of the requests of another metric apart.
    #[must_use]
    pub const fn is_breakdown(self) -> bool {
        self.breakdown().is_some()
    }

    /// By what it does that, if it does.
    pub(crate) const fn breakdown(self) -> Option<Breakdown> {
        match self {
            Self::TtftTurn2 | Self::TtftTurn6 | Self::TtftTurn21 => Some(Breakdown::Turn),
            Self::TtftPromptShort
            | Self::TtftPrompt4k
            | Self::TtftPrompt16k
            | Self::TtftPrompt64k => Some(Breakdown::Prompt),
            Self::TtftRootLane | Self::TtftOtherLanes => Some(Breakdown::Lane),
            Self::Latency
            | Self::Ttft
            | Self::Ttfat
            | Self::DecodeTps
            | Self::CacheHitRate
            | Self::EligibleCacheHitRate
            | Self::LatencyCompleted
            | Self::CriticalPath
            | Self::OutputTokensPerTrace
            | Self::TtftLaterTurns
            | Self::LaneLatency
            | Self::JoinWait
            | Self::Tpot
            | Self::Itl
            | Self::Stall
            | Self::OutputTokensPerTurn
            | Self::ReuseLoss
            | Self::TotalPrompt
            | Self::CachedPrompt
            | Self::UncachedPrompt
            | Self::Completion
            | Self::Traces
            | Self::LittleTraces
            | Self::AchievedConcurrency
            | Self::InFlightPrompt
            | Self::ThinkTime
            | Self::JobsPerUser
            | Self::JobsPerGpu => None,
        }
    }

    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static Metric {
        &METRICS[self as usize]
    }
}

impl fmt::Display for MetricId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().key)
    }
}

impl Serialize for MetricId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.row().key)
    }
}

impl<'de> Deserialize<'de> for MetricId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let row = METRICS.iter().find(|row| row.key == key);
        row.map(|row| row.id).ok_or_else(|| de::Error::custom(format!("unknown metric `{key}`")))
    }
}

/// All metrics, in the order of [`MetricId`].
pub const METRICS: [Metric; 37] = [
    Metric {
        id: MetricId::Latency,
        key: "latency_s",
        log_key: "latency_s",
        title: "Latency (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Trace,
        needs: Needs::Nothing,
        formula: "latest end of any step minus intent of the first; Kaplan-Meier, censored where \
                  the trace was cut off or failed",
        since: "0.1",
    },
    Metric {
        id: MetricId::Ttft,
        key: "ttft_s",
        log_key: "ttft_s",
        title: "TTFT (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Trace,
        needs: Needs::Stream,
        formula: "first generated token of any channel of the first step minus the intent of the \
                  trace; Kaplan-Meier",
        since: "0.1",
    },
    Metric {
        id: MetricId::Ttfat,
        key: "ttfat_s",
        log_key: "ttfat_s",
        title: "TTFAT (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Trace,
        needs: Needs::Stream,
        formula: "first generated token of the root lane's last step minus the intent of the \
                  trace; Kaplan-Meier",
        since: "0.1",
    },
    Metric {
        id: MetricId::DecodeTps,
        key: "decode_tps",
        log_key: "decode_tps",
        title: "Decode TPS (tok/s)",
        unit: "tok/s",
        decimals: 2,
        scope: Scope::Trace,
        needs: Needs::Stream,
        formula: "mean over the trace's finished requests of (tokens - tokens of the first chunk) \
                  / (last token - first token); requests whose tokens came in one chunk or at one \
                  instant are left out and counted",
        since: "0.1",
    },
    Metric {
        id: MetricId::CacheHitRate,
        key: "cache_hit_rate_pct",
        log_key: "cache_hit_rate_pct",
        title: "Cache hit rate (%)",
        unit: "%",
        decimals: 1,
        scope: Scope::Trace,
        needs: Needs::CachedTokens,
        formula: "sum of cached prompt tokens / sum of prompt tokens, over the trace's finished \
                  requests whose usage said both",
        since: "0.1",
    },
    Metric {
        id: MetricId::EligibleCacheHitRate,
        key: "eligible_cache_hit_rate_pct",
        log_key: "eligible_cache_hit_rate_pct",
        title: "Eligible cache hit rate (%)",
        unit: "%",
        decimals: 1,
        scope: Scope::Trace,
        needs: Needs::CachedTokens,
        formula: "sum of min(cached, eligible) / sum of eligible over the trace's finished \
                  requests after the first whose usage said cached tokens; eligible = tokens taken \
                  over from the step's context",
        since: "0.1",
    },
    Metric {
        id: MetricId::LatencyCompleted,
        key: "latency_s_completed",
        log_key: "latency_s_completed",
        title: "Latency, completed only (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Trace,
        needs: Needs::Nothing,
        formula: "latency of the traces that completed; too short whenever traces were cut off",
        since: "0.1",
    },
    Metric {
        id: MetricId::CriticalPath,
        key: "critical_path_s",
        log_key: "critical_path_s",
        title: "Critical path (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Trace,
        needs: Needs::Nothing,
        formula: "how long a completed trace waited for the server: from its latest end back through \
                  the requests that each let the next one go, without the waits for tools and people \
                  between them; waits before another attempt count",
        since: "0.1",
    },
    Metric {
        id: MetricId::OutputTokensPerTrace,
        key: "output_tokens_per_trace",
        log_key: "output_tokens_per_trace",
        title: "Output tokens/trace",
        unit: "tok",
        decimals: 1,
        scope: Scope::Trace,
        needs: Needs::Nothing,
        formula: "answer tokens of a completed trace",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftLaterTurns,
        key: "ttft_later_turns_s",
        log_key: "ttft_later_turns_s",
        title: "TTFT, later turns (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "first generated token of a step after the first minus the attempt's own intent, \
                  over all attempts with a token",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftTurn2,
        key: "ttft_turns_2_to_5_s",
        log_key: "ttft_turns_2_to_5_s",
        title: "TTFT, turns 2-5 (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of turns 2 to 5 of their trace",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftTurn6,
        key: "ttft_turns_6_to_20_s",
        log_key: "ttft_turns_6_to_20_s",
        title: "TTFT, turns 6-20 (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of turns 6 to 20 of their trace",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftTurn21,
        key: "ttft_turns_from_21_s",
        log_key: "ttft_turns_from_21_s",
        title: "TTFT, turns 21+ (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of turns from 21 on",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftPromptShort,
        key: "ttft_prompt_below_4k_s",
        log_key: "ttft_prompt_below_4k_s",
        title: "TTFT, prompt < 4k (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of all turns whose planned prompt has fewer than 4,096 tokens",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftPrompt4k,
        key: "ttft_prompt_4k_to_16k_s",
        log_key: "ttft_prompt_4k_to_16k_s",
        title: "TTFT, prompt 4k-16k (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of all turns whose planned prompt has 4,096 to 16,383 tokens",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftPrompt16k,
        key: "ttft_prompt_16k_to_64k_s",
        log_key: "ttft_prompt_16k_to_64k_s",
        title: "TTFT, prompt 16k-64k (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of all turns whose planned prompt has 16,384 to 65,535 tokens",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftPrompt64k,
        key: "ttft_prompt_from_64k_s",
        log_key: "ttft_prompt_from_64k_s",
        title: "TTFT, prompt 64k+ (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "the same of all turns whose planned prompt has at least 65,536 tokens",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftRootLane,
        key: "ttft_root_lane_s",
        log_key: "ttft_root_lane_s",
        title: "TTFT, root lane (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "first generated token minus intent, requests of the lane that the trace begins with",
        since: "0.1",
    },
    Metric {
        id: MetricId::TtftOtherLanes,
        key: "ttft_other_lanes_s",
        log_key: "ttft_other_lanes_s",
        title: "TTFT, other lanes (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "first generated token minus intent, requests of every other lane (subagents)",
        since: "0.1",
    },
    Metric {
        id: MetricId::LaneLatency,
        key: "lane_latency_s",
        log_key: "lane_latency_s",
        title: "Lane latency (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Nothing,
        formula: "latest end minus first intent of each lane of a completed trace with several lanes",
        since: "0.1",
    },
    Metric {
        id: MetricId::JoinWait,
        key: "join_wait_s",
        log_key: "join_wait_s",
        title: "Join wait (s)",
        unit: "s",
        decimals: 3,
        scope: Scope::Request,
        needs: Needs::Nothing,
        formula: "of a step that waits for several branches: from when the first of them was ready \
                  to when the last one was",
        since: "0.1",
    },
    Metric {
        id: MetricId::Tpot,
        key: "tpot_ms",
        log_key: "mean_turn_decode_tpot_ms",
        title: "TPOT (ms/tok)",
        unit: "ms/tok",
        decimals: 2,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "(last token - first token) / (tokens - tokens of the first chunk) of a finished \
                  request",
        since: "0.1",
    },
    Metric {
        id: MetricId::Itl,
        key: "itl_ms",
        log_key: "inter_token_latency_ms",
        title: "ITL (ms)",
        unit: "ms",
        decimals: 2,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "gap before a chunk of k tokens / k, entered k times; first chunks never; all \
                  requests, also those cut off",
        since: "0.1",
    },
    Metric {
        id: MetricId::Stall,
        key: "stall_ms",
        log_key: "stall_ms",
        title: "Stall (ms)",
        unit: "ms",
        decimals: 2,
        scope: Scope::Request,
        needs: Needs::Stream,
        formula: "longest gap between two token chunks of a finished request",
        since: "0.1",
    },
    Metric {
        id: MetricId::OutputTokensPerTurn,
        key: "output_tokens_per_turn",
        log_key: "output_tokens_per_turn",
        title: "Output tokens/turn",
        unit: "tok",
        decimals: 1,
        scope: Scope::Request,
        needs: Needs::Nothing,
        formula: "answer tokens of a finished request: by the server's usage, else as counted",
        since: "0.1",
    },
    Metric {
        id: MetricId::ReuseLoss,
        key: "reuse_loss_tokens",
        log_key: "reuse_loss_tokens",
        title: "Reuse loss (tok)",
        unit: "tok",
        decimals: 1,
        scope: Scope::Request,
        needs: Needs::CachedTokens,
        formula: "eligible tokens in whole blocks of the server's cache - cached tokens, at least \
                  0, of a finished request that takes over context: what was prefilled again",
        since: "0.1",
    },
    Metric {
        id: MetricId::TotalPrompt,
        key: "total_prompt_tok_per_s",
        log_key: "prompt_tok_per_s",
        title: "total prompt tok/s",
        unit: "tok/s",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "prompt tokens, credited at the first token of their request (at the end of one \
                  not streamed), per second; by the server's usage, else by the plan",
        since: "0.1",
    },
    Metric {
        id: MetricId::CachedPrompt,
        key: "cached_prompt_tok_per_s",
        log_key: "cached_prompt_tok_per_s",
        title: "cached prompt tok/s",
        unit: "tok/s",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "of these, tokens from the server's cache; as reported, else the expected ones \
                  times reported/expected of the answers that said, and marked",
        since: "0.1",
    },
    Metric {
        id: MetricId::UncachedPrompt,
        key: "uncached_prompt_tok_per_s",
        log_key: "new_prompt_tok_per_s",
        title: "uncached prompt tok/s",
        unit: "tok/s",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "total minus cached prompt tokens per second",
        since: "0.1",
    },
    Metric {
        id: MetricId::Completion,
        key: "completion_tok_per_s",
        log_key: "completion_tok_per_s",
        title: "completion tok/s",
        unit: "tok/s",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "answer tokens, credited when they arrive, per second",
        since: "0.1",
    },
    Metric {
        id: MetricId::Traces,
        key: "trace_per_s",
        log_key: "trace_per_s",
        title: "trace/s",
        unit: "1/s",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "traces completed in the window per second",
        since: "0.1",
    },
    Metric {
        id: MetricId::LittleTraces,
        key: "little_trace_per_s",
        log_key: "little_trace_per_s",
        title: "trace/s by work done",
        unit: "1/s",
        decimals: 3,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "sum over traces of (prompt and answer tokens served in the window / planned \
                  tokens) per second",
        since: "0.1",
    },
    Metric {
        id: MetricId::AchievedConcurrency,
        key: "achieved_concurrency",
        log_key: "achieved_concurrency",
        title: "achieved concurrency",
        unit: "traces",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "seconds that traces were alive in the window / length of the window",
        since: "0.1",
    },
    Metric {
        id: MetricId::InFlightPrompt,
        key: "in_flight_prompt_tokens",
        log_key: "in_flight_prompt_tokens",
        title: "prompt tokens in flight",
        unit: "tok",
        decimals: 0,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "sum over requests of prompt tokens x seconds in flight in the window / length \
                  of the window",
        since: "0.1",
    },
    Metric {
        id: MetricId::ThinkTime,
        key: "think_time_pct",
        log_key: "think_time_pct",
        title: "think time (%)",
        unit: "%",
        decimals: 1,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "share of the traces' life without a request in flight; traces of one lane only",
        since: "0.1",
    },
    Metric {
        id: MetricId::JobsPerUser,
        key: "jobs_per_h_user",
        log_key: "jobs_per_h_user",
        title: "jobs/h/user",
        unit: "1/h",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::Nothing,
        formula: "traces completed in the window x 3600 / (window x concurrency)",
        since: "0.1",
    },
    Metric {
        id: MetricId::JobsPerGpu,
        key: "jobs_per_h_gpu",
        log_key: "jobs_per_h_gpu",
        title: "jobs/h/GPU",
        unit: "1/h",
        decimals: 2,
        scope: Scope::Workload,
        needs: Needs::NumGpus,
        formula: "traces completed in the window x 3600 / (window x num_gpus)",
        since: "0.1",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_stands_at_its_place_under_a_key_of_its_own() {
        for (place, row) in METRICS.iter().enumerate() {
            assert_eq!(row.id as usize, place, "{}", row.key);
        }
        let keys: BTreeSet<_> = METRICS.iter().map(|row| row.key).collect();
        assert_eq!(keys.len(), METRICS.len());
    }
}
