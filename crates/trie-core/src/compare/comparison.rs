//! What a comparison finds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::GateResult;
use super::{Measure, Quantity};
use crate::metrics::{Cell, Populations, Trust};
use crate::record::Reason;

/// Name and version of the comparison's format.
pub const COMPARISON_SCHEMA: &str = "trie.comparison/1";

/// Two sides, and how B differs from A.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Comparison {
    /// Name and version of the format: `trie.comparison/1`.
    pub schema: String,
    /// The side that is compared with.
    pub a: SideFacts,
    /// The side that is compared.
    pub b: SideFacts,
    /// Pairs of runs.
    pub pairs: u64,
    /// Runs that did not come to their deadline. Where there are pairs that both did, the others are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broke_off: Vec<BrokeOff>,
    /// Trace instances admitted, over all pairs of runs.
    pub instances: Matched,
    /// Steps finished, over all pairs of runs.
    pub steps: Matched,
    /// The common horizon: trace latencies are compared up to it. Seconds; `None` where no trace was
    /// admitted on both sides.
    pub horizon_s: Option<f64>,
    /// How often instances were resampled.
    pub resamples: u64,
    /// What differs between the sides and may.
    pub differences: Vec<Difference>,
    /// How B differs from A, by quantity and statistic.
    pub changes: Vec<Change>,
    /// What the gates found; empty where there are none.
    pub gates: Vec<GateResult>,
}

/// A run that did not come to its deadline.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BrokeOff {
    /// Its name.
    pub run: String,
    /// Why it ended; `null`: it was killed, or still goes on.
    pub reason: Option<Reason>,
    /// Seconds after which it ended; `null` where nobody wrote it down.
    pub after_s: Option<f64>,
    /// Seconds that it was to take.
    pub of_s: f64,
    /// Whether it is compared all the same: no pair of runs came to its deadline.
    pub compared: bool,
}

/// What one side is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SideFacts {
    /// Its runs, as they were named.
    pub runs: Vec<String>,
    /// Seeds of those runs.
    pub seeds: Vec<u64>,
    /// Model name sent to the endpoint.
    pub model: String,
    /// The simulated engine, if no endpoint was measured.
    pub simulated: Option<String>,
    /// What became of the traces, over all runs.
    pub populations: Populations,
    /// The worst verdict of its runs.
    pub trust: Trust,
    /// Checks that failed or warned, by how many of the runs.
    pub doubts: BTreeMap<String, u64>,
    /// Of them, those that say that numbers are wrong.
    #[serde(default)]
    pub wrong: BTreeMap<String, u64>,
    /// Of each run, from when on its steady-state column is, in seconds; `null`: no steady state was reached, or
    /// it could not be tested, and the column is from 20 % of the window on.
    #[serde(default)]
    pub steady_from_s: Vec<Option<f64>>,
}

/// What both sides have, and what only one of them has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Matched {
    /// On both sides: these are compared.
    pub both: u64,
    /// Only in A.
    pub only_a: u64,
    /// Only in B.
    pub only_b: u64,
}

/// Something that differs and may.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Difference {
    /// What.
    pub what: String,
    /// Its value in A.
    pub a: String,
    /// Its value in B.
    pub b: String,
}

/// How B differs from A in one statistic.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// Of what.
    pub metric: Quantity,
    /// Which statistic.
    pub stat: Measure,
    /// Unit of `a`, `b` and `difference`.
    pub unit: String,
    /// How many pairs: traces, steps, or runs.
    pub n: u64,
    /// How many independent pairs they are worth.
    pub n_effective: f64,
    /// Its value in A.
    pub a: Cell,
    /// Its value in B.
    pub b: Cell,
    /// B minus A.
    pub difference: Estimate,
    /// B minus A in percent of A.
    pub change_pct: Estimate,
}

/// A value with its 95 % interval.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The value.
    pub value: Cell,
    /// Lower end of the interval.
    pub low: Cell,
    /// Upper end of the interval.
    pub high: Cell,
}

/// What an interval says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// B is higher: the whole interval is above 0.
    Higher,
    /// B is lower: the whole interval is below 0.
    Lower,
    /// The interval holds 0.
    Unsure,
    /// There is no interval.
    Unknown,
}

impl Estimate {
    /// No value, and why.
    pub(super) fn missing(why: &str) -> Self {
        let cell = || Cell::Missing(why.to_owned());
        Self { value: cell(), low: cell(), high: cell() }
    }

    /// A value whose interval is not known, and why.
    pub(super) fn alone(value: f64, why: &str) -> Self {
        Self { value: Cell::exact(value), ..Self::missing(why) }
    }

    /// The interval, if there is one.
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.value().zip(self.high.value())
    }

    /// What the interval says.
    #[must_use]
    pub fn finding(&self) -> Finding {
        match self.interval() {
            None => Finding::Unknown,
            Some((low, _)) if low > 0.0 => Finding::Higher,
            Some((_, high)) if high < 0.0 => Finding::Lower,
            Some(_) => Finding::Unsure,
        }
    }
}

impl Comparison {
    /// The change of one statistic.
    #[must_use]
    pub fn change(&self, metric: Quantity, stat: Measure) -> Option<&Change> {
        self.changes.iter().find(|change| change.metric == metric && change.stat == stat)
    }
}
