//! A condition on a change: `ttft_s.p90 > +5%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Comparison, Measure, QUANTITIES, Quantity};
use crate::metrics::{Cell, Floor};

/// Fires when the whole 95 % interval of a change lies beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    metric: Quantity,
    stat: Measure,
    side: Side,
    limit: f64,
    unit: LimitUnit,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Above,
    Below,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LimitUnit {
    /// Percent of A.
    Percent,
    /// The quantity's own.
    Own,
}

/// Why a text is no gate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Not of the form that a gate has.
    #[error(
        "`{0}` is not METRIC[.STAT] > LIMIT or METRIC[.STAT] < LIMIT, such as `ttft_s.p90 > +5%`"
    )]
    Form(String),
    /// No such quantity.
    #[error("there is no `{found}` to compare; there are {}", names())]
    Metric {
        /// What was found.
        found: String,
    },
    /// No such statistic.
    #[error("`{metric}` has no `{found}`; it has {}", stats(*.metric))]
    Stat {
        /// Of which quantity.
        metric: Quantity,
        /// What was found.
        found: String,
    },
}

fn names() -> String {
    QUANTITIES.map(|row| row.key).join(", ")
}

fn stats(metric: Quantity) -> String {
    metric.row().measures.iter().map(|measure| measure.name()).collect::<Vec<_>>().join(", ")
}

/// What a gate found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GateResult {
    /// The gate, as it is written.
    pub gate: String,
    /// What it found.
    pub status: GateStatus,
    /// Lower end of the interval, in the unit of the gate.
    pub low: Cell,
    /// Upper end of the interval.
    pub high: Cell,
    /// Why it is not sure, where the interval alone does not say it.
    pub why: Option<String>,
}

/// What a gate found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GateStatus {
    /// The whole interval is beyond the limit.
    Fired,
    /// The whole interval is within it.
    Passed,
    /// The interval straddles the limit, or there is none.
    Inconclusive,
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let form = || GateError::Form(text.trim().to_owned());
        let at = text.find(['>', '<']).ok_or_else(form)?;
        let side = if text[at..].starts_with('>') { Side::Above } else { Side::Below };
        let (name, limit) = (text[..at].trim(), text[at + 1..].trim());
        let (number, unit) = match limit.strip_suffix('%') {
            Some(number) => (number.trim_end(), LimitUnit::Percent),
            None => (limit, LimitUnit::Own),
        };
        let number = number.strip_prefix('+').unwrap_or(number);
        let limit: f64 = number.parse().map_err(|_| form())?;
        if !limit.is_finite() {
            return Err(form());
        }
        let (metric, stat) = match name.split_once('.') {
            Some((metric, stat)) => (metric, Some(stat)),
            None => (name, None),
        };
        let row = QUANTITIES.iter().find(|row| row.key == metric);
        let row = row.ok_or_else(|| GateError::Metric { found: metric.to_owned() })?;
        let stat = match stat {
            None => row.measures[0],
            Some(stat) => {
                let known = row.measures.iter().find(|measure| measure.name() == stat);
                let missing = || GateError::Stat { metric: row.id, found: stat.to_owned() };
                *known.ok_or_else(missing)?
            }
        };
        Ok(Self { metric: row.id, stat, side, limit, unit })
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Above => '>',
            Side::Below => '<',
        };
        let unit = match self.unit {
            LimitUnit::Percent => "%",
            LimitUnit::Own => "",
        };
        write!(f, "{}.{} {side} {:+}{unit}", self.metric, self.stat.name(), self.limit)
    }
}

impl Gate {
    /// What it finds.
    #[must_use]
    pub fn judge(&self, comparison: &Comparison) -> GateResult {
        let unsure = |low, high, why: String| GateResult {
            gate: self.to_string(),
            status: GateStatus::Inconclusive,
            low,
            high,
            why: Some(why),
        };
        let Some(change) = comparison.change(self.metric, self.stat) else {
            let why = if self.metric.of_objectives() {
                "the sides have no objectives, or not the same ones (slo.METRIC=)"
            } else {
                "it was not compared"
            };
            let cell = || Cell::Missing(why.into());
            return unsure(cell(), cell(), why.to_owned());
        };
        let estimate = match self.unit {
            LimitUnit::Percent => &change.change_pct,
            LimitUnit::Own => &change.difference,
        };
        let (low, high) = (estimate.low.clone(), estimate.high.clone());
        let Some(ends) = estimate.interval() else {
            let why = match &low {
                Cell::Missing(why) => why.clone(),
                Cell::Measured(_) => "there is no interval".to_owned(),
            };
            return unsure(low, high, why);
        };
        if matches!(&change.a, Cell::Measured(a) if a.floor == Floor::Below) {
            return unsure(low, high, "too few samples for this quantile".to_owned());
        }
        let status = self.status(ends);
        GateResult { gate: self.to_string(), status, low, high, why: None }
    }

    fn status(&self, (low, high): (f64, f64)) -> GateStatus {
        let (beyond, within) = match self.side {
            Side::Above => (low > self.limit, high <= self.limit),
            Side::Below => (high < self.limit, low >= self.limit),
        };
        if beyond {
            GateStatus::Fired
        } else if within {
            GateStatus::Passed
        } else {
            GateStatus::Inconclusive
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_reads_as_it_is_written() {
        let check = |text: &str, shown: &str| {
            assert_eq!(text.parse::<Gate>().unwrap().to_string(), shown, "{text}");
        };
        check("ttft_s.p90 > +5%", "ttft_s.p90 > +5%");
        check("latency_s>5 %", "latency_s.mean > +5%");
        check("completion_tok_per_s < -2.5%", "completion_tok_per_s.steady_state < -2.5%");
        check("tpot_ms.p50 > 3", "tpot_ms.p50 > +3");
    }

    #[test]
    fn what_is_no_gate_is_refused_by_what_is_wrong() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Gate>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("ttft_s.p90", "`ttft_s.p90` is not METRIC[.STAT] > LIMIT");
        check("ttft_s.p90 > five", "such as `ttft_s.p90 > +5%`");
        check("ttft_s.p90 > inf", "is not METRIC");
        check("tttt_s > 5%", "there is no `tttt_s` to compare; there are latency_s, ttft_s");
        check("latency_s.p90 > 5%", "`latency_s` has no `p90`; it has mean");
    }

    #[test]
    fn a_gate_fires_only_where_the_whole_interval_is_beyond() {
        let check = |text: &str, interval: (f64, f64), expected: GateStatus| {
            let gate: Gate = text.parse().unwrap();
            assert_eq!(gate.status(interval), expected, "{text} {interval:?}");
        };
        check("ttft_s > +5%", (5.1, 9.0), GateStatus::Fired);
        check("ttft_s > +5%", (4.9, 9.0), GateStatus::Inconclusive);
        check("ttft_s > +5%", (-2.0, 5.0), GateStatus::Passed);
        check("ttft_s < -5%", (-9.0, -5.1), GateStatus::Fired);
        check("ttft_s < -5%", (-9.0, -4.0), GateStatus::Inconclusive);
        check("ttft_s < -5%", (-5.0, 2.0), GateStatus::Passed);
    }
}
