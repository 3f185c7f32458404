//! Objectives: limits that a request or a trace is to keep.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{MetricId, Needs};
use crate::record::OptionValue;

/// Options that set objectives begin with this.
const PREFIX: &str = "slo.";

/// A metric that can be an objective.
#[derive(Clone, Copy, Debug)]
pub struct ObjectiveRow {
    /// Which.
    pub metric: MetricId,
    /// What is to keep it.
    pub of: KeptBy,
    /// On which side of the limit is good.
    pub good: Side,
}

/// What an objective is kept by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeptBy {
    /// Every request.
    Requests,
    /// Every request after the first of its trace.
    LaterRequests,
    /// A trace as a whole.
    Traces,
}

/// On which side of its limit a value is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// At most the limit.
    AtMost,
    /// At least the limit.
    AtLeast,
}

const fn row(metric: MetricId, of: KeptBy, good: Side) -> ObjectiveRow {
    ObjectiveRow { metric, of, good }
}

/// All metrics that can be objectives, in the order of the catalogue.
pub const OBJECTIVES: [ObjectiveRow; 10] = [
    row(MetricId::Latency, KeptBy::Traces, Side::AtMost),
    row(MetricId::Ttft, KeptBy::Requests, Side::AtMost),
    row(MetricId::Ttfat, KeptBy::Traces, Side::AtMost),
    row(MetricId::DecodeTps, KeptBy::Traces, Side::AtLeast),
    row(MetricId::CacheHitRate, KeptBy::Traces, Side::AtLeast),
    row(MetricId::EligibleCacheHitRate, KeptBy::Traces, Side::AtLeast),
    row(MetricId::CriticalPath, KeptBy::Traces, Side::AtMost),
    row(MetricId::TtftLaterTurns, KeptBy::LaterRequests, Side::AtMost),
    row(MetricId::Tpot, KeptBy::Requests, Side::AtMost),
    row(MetricId::Stall, KeptBy::Requests, Side::AtMost),
];

/// Why a text is no objective.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ObjectiveError {
    /// No such metric, or none of one request or trace.
    #[error("`slo.{found}` is no objective; there are {}", names())]
    Metric {
        /// What was found.
        found: String,
    },
    /// Not a limit.
    #[error("slo.{metric}: found `{found}`, wanted a number above 0")]
    Limit {
        /// Of what.
        metric: MetricId,
        /// What was found.
        found: String,
    },
    /// Nothing is known of tokens.
    #[error("slo.{metric} needs the time of tokens, and answers were not streamed (stream=False)")]
    NotStreamed {
        /// Which.
        metric: MetricId,
    },
}

fn names() -> String {
    let each = OBJECTIVES.map(|row| format!("slo.{}", row.metric));
    each.join(", ")
}

/// Limits by metric, each in the metric's unit; empty where there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objectives(BTreeMap<MetricId, f64>);

impl Objectives {
    /// The objectives among a manifest's options; `None` sets none.
    ///
    /// # Errors
    ///
    /// When one names no such metric, or its limit is no number above 0.
    pub fn of_options(options: &BTreeMap<String, OptionValue>) -> Result<Self, ObjectiveError> {
        let named =
            options.iter().filter_map(|(name, option)| Some((name.strip_prefix(PREFIX)?, option)));
        let set = named.filter(|(_, option)| !matches!(option.value.as_str(), "None" | "none"));
        set.map(|(name, option)| Self::one(name, &option.value)).collect::<Result<_, _>>().map(Self)
    }

    /// One objective from its name and its limit, as they are typed behind `slo.`.
    ///
    /// # Errors
    ///
    /// As [`Objectives::of_options`].
    pub fn one(name: &str, limit: &str) -> Result<(MetricId, f64), ObjectiveError> {
        let row = OBJECTIVES.iter().find(|row| row.metric.row().key == name);
        let found = || ObjectiveError::Metric { found: name.to_owned() };
        let metric = row.ok_or_else(found)?.metric;
        let number = limit.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let wrong = || ObjectiveError::Limit { metric, found: limit.to_owned() };
        Ok((metric, number.filter(|number| *number > 0.0).ok_or_else(wrong)?))
    }

    /// Refuses objectives of tokens where nothing is known of them.
    ///
    /// # Errors
    ///
    /// When answers are not streamed and one needs the time of tokens.
    pub fn checked(self, streamed: bool) -> Result<Self, ObjectiveError> {
        let of_tokens = |metric: &&MetricId| metric.row().needs == Needs::Stream;
        match self.0.keys().find(of_tokens).filter(|_| !streamed) {
            Some(&metric) => Err(ObjectiveError::NotStreamed { metric }),
            None => Ok(self),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits by metric.
    #[must_use]
    pub fn limits(&self) -> &BTreeMap<MetricId, f64> {
        &self.0
    }

    /// Whether a value breaks the limit on a metric; `false` where there is none.
    pub(super) fn breaks(&self, metric: MetricId, value: f64) -> bool {
        let Some(limit) = self.0.get(&metric) else { return false };
        match side(metric) {
            Side::AtMost => value > *limit,
            Side::AtLeast => value < *limit,
        }
    }
}

/// On which side of its limit a metric is good.
pub(crate) fn side(metric: MetricId) -> Side {
    let row = OBJECTIVES.iter().find(|row| row.metric == metric);
    row.map_or(Side::AtMost, |row| row.good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_is_one_of_the_list_with_a_limit() {
        let check = |name: &str, limit: &str, expected: &str| {
            let error = Objectives::one(name, limit).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        assert_eq!(Objectives::one("tpot_ms", "50"), Ok((MetricId::Tpot, 50.0)));
        check("tpot", "50", "`slo.tpot` is no objective; there are slo.latency_s, slo.ttft_s");
        check("itl_ms", "50", "`slo.itl_ms` is no objective");
        check("ttft_s", "fast", "slo.ttft_s: found `fast`, wanted a number above 0");
        check("ttft_s", "-1", "wanted a number above 0");
        check("ttft_s", "inf", "wanted a number above 0");
    }

    #[test]
    fn a_limit_itself_is_kept() {
        let objectives =
            Objectives(BTreeMap::from([(MetricId::Ttft, 2.0), (MetricId::CacheHitRate, 80.0)]));
        assert!(!objectives.breaks(MetricId::Ttft, 2.0) && objectives.breaks(MetricId::Ttft, 2.1));
        assert!(objectives.breaks(MetricId::CacheHitRate, 79.9));
        assert!(!objectives.breaks(MetricId::CacheHitRate, 80.0));
        assert!(!objectives.breaks(MetricId::Tpot, 1e9));
        assert!(matches!(
            objectives.checked(false),
            Err(ObjectiveError::NotStreamed { metric: MetricId::Ttft })
        ));
    }
}
