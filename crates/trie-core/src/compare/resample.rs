//! A statistic of resampled trace instances: the joint bootstrap.
//!
//! An instance is drawn or not on both sides at once, with all that it holds: what both sides owe to
//! the same trace cancels in the difference, and values inside a trace need not be independent.

use super::Measure;
use crate::metrics::{Observation, Spread, effective, float, percent, seconds};
use crate::units::Tokens;

/// Most resamples; fewer where there are so many values that this would take minutes.
const MOST: u64 = 2_000;
const FEWEST: u64 = 500;
/// Values that all resamples may look at together.
const WORK: u64 = 2_000_000_000;

/// The random stream of every comparison: equal records give an equal comparison.
const SEED: u64 = 0x7472_6965_5f61_625f;

/// One side's values of one quantity. Clusters are numbered the same on both sides.
#[derive(Debug)]
pub(super) enum Sample {
    /// Values and their clusters, ascending by value.
    Values(Vec<(f64, usize)>),
    /// Times to an event and their clusters, by time, watched up to a horizon of nanoseconds.
    Waits(Vec<(Observation, usize)>, u64),
    /// Parts and wholes by cluster, and of how many steps they are; the ratio of their sums in percent.
    Shares(Vec<(Tokens, Tokens)>, u64),
}

/// How often each cluster was drawn.
type Weights = [u32];

impl Sample {
    pub(super) fn values(mut values: Vec<(f64, usize)>) -> Self {
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
        Self::Values(values)
    }

    pub(super) fn waits(mut waits: Vec<(Observation, usize)>, horizon: u64) -> Self {
        waits.sort_by_key(|(wait, _)| wait.order());
        Self::Waits(waits, horizon)
    }

    /// How many values it has.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Values(values) => values.len() as u64,
            Self::Waits(waits, _) => waits.len() as u64,
            Self::Shares(_, steps) => *steps,
        }
    }

    /// How many clusters have a value.
    pub(super) fn filled(&self) -> usize {
        let clusters = |all: &mut dyn Iterator<Item = usize>| {
            all.collect::<std::collections::BTreeSet<_>>().len()
        };
        match self {
            Self::Values(values) => clusters(&mut values.iter().map(|(_, cluster)| *cluster)),
            Self::Waits(waits, _) => clusters(&mut waits.iter().map(|(_, cluster)| *cluster)),
            Self::Shares(shares, _) => shares.iter().filter(|(_, whole)| *whole > 0).count(),
        }
    }

    /// How many independent values they are worth.
    pub(super) fn effective(&self, clusters: usize) -> f64 {
        match self {
            Self::Values(values) => {
                let mut spreads = vec![Spread::default(); clusters];
                for (value, cluster) in values {
                    spreads[*cluster].add(*value, 1.0);
                }
                effective(&spreads)
            }
            Self::Waits(waits, horizon) => {
                let seen = |wait: &Observation| wait.seen && wait.nanos <= *horizon;
                float(waits.iter().filter(|(wait, _)| seen(wait)).count() as u64)
            }
            Self::Shares(..) => float(self.filled() as u64),
        }
    }

    /// The statistics `measures` with each cluster counted as often as `weights` say; `None` where
    /// nothing was drawn that has a value.
    pub(super) fn at(&self, weights: &Weights, measures: &[Measure]) -> Vec<Option<f64>> {
        match self {
            Self::Values(values) => of_values(values, weights, measures),
            Self::Waits(waits, horizon) => vec![restricted_mean(waits, weights, *horizon)],
            Self::Shares(shares, _) => {
                let weighted = |pick: fn(&(Tokens, Tokens)) -> Tokens| -> Tokens {
                    let each = shares.iter().zip(weights);
                    each.map(|(share, weight)| pick(share) * u64::from(*weight)).sum()
                };
                vec![percent(weighted(|share| share.0), weighted(|share| share.1))]
            }
        }
    }
}

/// Mean and quantiles (linear interpolation at rank (n - 1) q) of a weighted sample.
fn of_values(values: &[(f64, usize)], weights: &Weights, measures: &[Measure]) -> Vec<Option<f64>> {
    let (mut count, mut sum) = (0_u64, 0.0);
    for &(value, cluster) in values {
        count += u64::from(weights[cluster]);
        sum += value * f64::from(weights[cluster]);
    }
    if count == 0 {
        return vec![None; measures.len()];
    }
    let mut walk = Walk { values, weights, next: 0, passed: 0, value: 0.0 };
    let mut quantile = |share: f64| {
        let rank = float(count - 1) * share;
        let low = walk.value_at(rank.floor());
        // The walk goes on: the upper neighbour comes at or after the lower one.
        if rank > rank.floor() {
            let part = rank - rank.floor();
            low + (walk.peek(rank.floor() + 1.0) - low) * part
        } else {
            low
        }
    };
    let one = |measure: &Measure| match measure {
        Measure::Mean => Some(sum / float(count)),
        Measure::P50 => Some(quantile(0.50)),
        Measure::P90 => Some(quantile(0.90)),
        Measure::P95 => Some(quantile(0.95)),
        Measure::P99 => Some(quantile(0.99)),
        Measure::Overall | Measure::SteadyState => None,
    };
    measures.iter().map(one).collect()
}

/// Goes once through ascending values, for ranks that ascend too.
struct Walk<'v> {
    values: &'v [(f64, usize)],
    weights: &'v Weights,
    next: usize,
    passed: u64,
    value: f64,
}

impl Walk<'_> {
    /// The value at a whole rank, from 0.
    fn value_at(&mut self, rank: f64) -> f64 {
        while float(self.passed) <= rank {
            let Some(&(value, cluster)) = self.values.get(self.next) else { break };
            self.passed += u64::from(self.weights[cluster]);
            self.value = value;
            self.next += 1;
        }
        self.value
    }

    /// The same without going there: the next quantile may lie before it.
    fn peek(&self, rank: f64) -> f64 {
        Walk { ..*self }.value_at(rank)
    }
}

/// Area under the Kaplan-Meier curve up to `horizon` nanoseconds, in seconds. Beyond the last
/// event the curve stays where it is.
fn restricted_mean(waits: &[(Observation, usize)], weights: &Weights, horizon: u64) -> Option<f64> {
    let mut at_risk: u64 = waits.iter().map(|(_, cluster)| u64::from(weights[*cluster])).sum();
    if at_risk == 0 {
        return None;
    }
    let (mut area, mut alive, mut from) = (0.0, 1.0, 0);
    for group in waits.chunk_by(|one, next| one.0.nanos == next.0.nanos) {
        let until = group[0].0.nanos.min(horizon);
        area += alive * seconds(until - from);
        from = until;
        if group[0].0.nanos > horizon || at_risk == 0 {
            break;
        }
        let drawn = |seen_only: bool| -> u64 {
            let group = group.iter().filter(|(wait, _)| wait.seen || !seen_only);
            group.map(|(_, cluster)| u64::from(weights[*cluster])).sum()
        };
        alive *= 1.0 - float(drawn(true)) / float(at_risk);
        at_risk -= drawn(false);
    }
    Some(area + alive * seconds(horizon - from))
}

/// Calls `each` with the weights of every resample of `clusters` clusters; `values` are all that one
/// resample looks at. Says how many there were.
pub(super) fn resample(clusters: usize, values: u64, mut each: impl FnMut(&Weights)) -> u64 {
    let resamples = (WORK / values.max(1)).clamp(FEWEST, MOST);
    let mut stream = Stream(SEED);
    let mut weights = vec![0_u32; clusters];
    for _ in 0..resamples {
        weights.fill(0);
        for _ in 0..clusters {
            weights[stream.below(clusters)] += 1;
        }
        each(&weights);
    }
    resamples
}

/// The generator splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
/// 2014).
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number under `limit`: the upper half of a product, even to 1 in 2^64 / limit.
    fn below(&mut self, limit: usize) -> usize {
        let product = u128::from(self.next()) * limit as u128;
        usize::try_from(product >> 64).expect("it is under a length")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Measure; 5] =
        [Measure::Mean, Measure::P50, Measure::P90, Measure::P95, Measure::P99];

    fn check(values: &[(f64, usize)], weights: &[u32], expected: [f64; 5]) {
        let found = Sample::values(values.to_vec()).at(weights, &ALL);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} {expected}");
        }
    }

    #[test]
    fn quantiles_of_a_weighted_sample_are_those_of_its_copies() {
        let values = [(3.0, 2), (1.0, 0), (2.0, 1)];
        check(&values, &[1, 1, 1], [2.0, 2.0, 2.8, 2.9, 2.98]);
        // 1, 1, 1, 3: linear interpolation at ranks 1.5, 2.7, 2.85 and 2.97.
        check(&values, &[3, 0, 1], [1.5, 1.0, 2.4, 2.7, 2.94]);
        let nothing = Sample::values(values.to_vec()).at(&[0, 0, 0], &ALL);
        assert_eq!(nothing, [None; 5]);
    }

    #[test]
    fn the_restricted_mean_is_the_area_under_the_curve_up_to_the_horizon() {
        let wait = |s: u64, seen: bool| Observation { nanos: s * 1_000_000_000, seen };
        let waits = vec![(wait(4, true), 0), (wait(2, false), 1), (wait(8, true), 2)];
        let check = |horizon: u64, weights: &[u32], expected: f64| {
            let sample = Sample::waits(waits.clone(), horizon * 1_000_000_000);
            let found = sample.at(weights, &[Measure::Mean])[0].unwrap();
            assert!((found - expected).abs() < 1e-12, "{horizon} {weights:?}: {found}");
        };
        // Alive: 1 up to 4, 1/2 up to 8, then none.
        check(3, &[1, 1, 1], 3.0);
        check(6, &[1, 1, 1], 5.0);
        check(9, &[1, 1, 1], 6.0);
        check(6, &[0, 3, 0], 6.0);
    }

    #[test]
    fn resamples_draw_as_many_clusters_as_there_are_and_repeat() {
        let draws = || {
            let mut all = vec![];
            let resamples = resample(7, 7, |weights| all.push(weights.to_vec()));
            assert_eq!(resamples, MOST);
            all
        };
        let all = draws();
        assert!(all.iter().all(|weights| weights.iter().sum::<u32>() == 7));
        let total: u32 = all.iter().map(|weights| weights[3]).sum();
        // 2,000 expected, with a deviation of 41.
        assert!((1_800..2_200).contains(&total), "{total}");
        assert_eq!(all, draws());
    }
}
