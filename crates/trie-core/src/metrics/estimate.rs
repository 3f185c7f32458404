//! Estimators: quantiles, Kaplan-Meier, effective sample size.

use super::{Bound, Cell, Distribution, Floor, Stat};
use crate::record::Histogram;

/// Quantiles of the tables and the effective samples each needs so that its 99 % confidence
/// interval lies inside the sample.
pub(crate) const FLOORS: [(Stat, f64, f64); 4] = [
    (Stat::P50, 0.50, 11.0),
    (Stat::P90, 0.90, 64.0),
    (Stat::P95, 0.95, 130.0),
    (Stat::P99, 0.99, 662.0),
];

/// The shares of values at or below the columns min, p50, p90, p95, p99, max.
const COLUMNS: [f64; 6] = [0.0, 0.50, 0.90, 0.95, 0.99, 1.0];

/// A time to an event, in nanoseconds; or how long it was waited for in vain.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Observation {
    pub(crate) nanos: u64,
    /// Whether the event came; else it was only waited for.
    pub(crate) seen: bool,
}

impl Observation {
    /// By time; at equal times events come before censorings.
    pub(crate) fn order(&self) -> (u64, bool) {
        (self.nanos, !self.seen)
    }
}

/// Count, mean and sum of squared deviations of one cluster's values (Welford's recurrence).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// Adds a value that counts `weight` times.
    pub(crate) fn add(&mut self, value: f64, weight: f64) {
        self.count += weight;
        let before = value - self.mean;
        self.mean += before * weight / self.count;
        self.squares += weight * before * (value - self.mean);
    }
}

/// The same of nanoseconds in whole numbers: count, sum and sum of squares.
///
/// Exact, so that it does not hang on the order of what is added, and without a division.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exact {
    count: u64,
    sum: u128,
    squares: u128,
}

impl Exact {
    /// Adds all values of a histogram.
    pub(super) fn add_all(&mut self, values: &Histogram) {
        let Self { count, sum, squares } = self;
        for (nanos, times) in values.iter() {
            *count = count.saturating_add(times);
            // Of values below 4 s, which nearly all are, the square has 64 bits.
            if let (Ok(nanos), Ok(times)) = (u32::try_from(nanos), u32::try_from(times)) {
                let (nanos, times) = (u64::from(nanos), u64::from(times));
                *sum = sum.saturating_add(u128::from(nanos * times));
                let square = u128::from(nanos * nanos) * u128::from(times);
                *squares = squares.saturating_add(square);
            } else {
                let (nanos, times) = (u128::from(nanos), u128::from(times));
                *sum = sum.saturating_add(nanos * times);
                *squares = squares.saturating_add((nanos * nanos).saturating_mul(times));
            }
        }
    }

    /// In milliseconds.
    pub(super) fn spread(self) -> Spread {
        let Self { count, sum, squares } = self;
        let Some(mean) = sum.checked_div(u128::from(count)) else { return Spread::default() };
        // Around the mean rounded down, m: the sum of (x - m)^2 is that of x^2 less m (2 sum - n m), and
        // what m lacks, r / n, takes r^2 / n off. All of it is as great as the sum of squares at most.
        let rest = sum % u128::from(count);
        let around = squares.saturating_sub(mean.saturating_mul(sum + rest));
        let off = wide(rest) * wide(rest) / float(count);
        Spread {
            count: float(count),
            mean: (wide(mean) + wide(rest) / float(count)) / 1e6,
            squares: (wide(around) - off).max(0.0) / 1e12,
        }
    }
}

/// The distribution of `values`, all columns by linear interpolation; `clusters` are the same
/// values by trace.
pub(super) fn distribution(unit: &str, mut values: Vec<f64>, clusters: &[Spread]) -> Distribution {
    let n = values.len() as u64;
    let mean = sum(&values) / float(n);
    place(&mut values);
    columns(unit, n, effective(clusters), mean, |share| linear(&values, share))
}

/// The distribution of values that are their own clusters.
pub(super) fn independent(unit: &str, values: Vec<f64>) -> Distribution {
    let mut all = distribution(unit, values, &[]);
    let n = float(all.n);
    all.n_effective = n;
    refloor(&mut all, n);
    all
}

/// The distribution of a histogram of nanoseconds, in milliseconds.
pub(super) fn histogram(unit: &str, values: &Histogram, clusters: &[Spread]) -> Distribution {
    let n = values.count();
    let sum: f64 = values.iter().map(|(nanos, count)| millis(nanos) * float(count)).sum();
    let at = |rank: u64| values.at_rank(rank).map_or(f64::NAN, millis);
    columns(unit, n, effective(clusters), sum / float(n), |share| interpolate(n, share, at))
}

/// A distribution without values.
pub(super) fn nothing(unit: &str, why: &str) -> Distribution {
    let cell = || Cell::Missing(why.to_owned());
    Distribution {
        unit: unit.to_owned(),
        n: 0,
        n_effective: 0.0,
        mean: cell(),
        min: cell(),
        p50: cell(),
        p90: cell(),
        p95: cell(),
        p99: cell(),
        max: cell(),
        failed_never_finish: None,
    }
}

/// The Kaplan-Meier distribution of times to an event, in seconds. `observations` is not empty.
///
/// A quantile is read off by [`waited`]; the mean is the area under the share still waiting up to the
/// largest time. What the observations do not reach is given as the largest time and marked as a lower
/// bound.
pub(super) fn kaplan_meier(unit: &str, mut observations: Vec<Observation>) -> Distribution {
    observations.sort_unstable_by_key(Observation::order);
    let events = observations.iter().filter(|observation| observation.seen).count();
    let largest = observations.last().expect("there is an observation: callers check");
    let open = !largest.seen;
    let steps = survival(&observations);
    let end = seconds(largest.nanos);
    let bound = if open { Bound::AtLeast } else { Bound::Exact };
    let quantile = |share: f64| match waited(&observations, share) {
        Some(nanos) => Cell::exact(nanos / 1e9),
        None => Cell::exact(end).bounded(Bound::AtLeast),
    };
    let min = match steps.first() {
        Some(&(nanos, _)) => Cell::exact(seconds(nanos)),
        None => Cell::exact(seconds(observations[0].nanos)).bounded(Bound::AtLeast),
    };
    let mut all = Distribution {
        unit: unit.to_owned(),
        n: observations.len() as u64,
        n_effective: float(events as u64),
        mean: Cell::exact(area(&steps, largest.nanos)).bounded(bound),
        min,
        p50: quantile(0.50),
        p90: quantile(0.90),
        p95: quantile(0.95),
        p99: quantile(0.99),
        max: Cell::exact(end).bounded(bound),
        failed_never_finish: None,
    };
    let effective = all.n_effective;
    refloor(&mut all, effective);
    all
}

/// The Kaplan-Meier quantile, in nanoseconds, by linear interpolation between events; `None` where too
/// few of them were seen. `observations` are in order.
///
/// Each event takes a weight: the share still waiting before it over how many these are. One of weight w
/// behind events of weight F stands at rank F / (1 - w). If all were seen these are the ranks
/// (k - 1) / (n - 1) of a plain sample, so that nothing censored is read off as any other column. The
/// smallest time with at most 1 - q still waiting, which is what is mostly taken, is 4 % too high at p90 of
/// some 65 traces with lognormal lengths (docs/benchmarks/trust.md).
fn waited(observations: &[Observation], share: f64) -> Option<f64> {
    let mut before: Option<(f64, f64)> = None;
    let mut alive = 1.0;
    for (at, seen) in observations.iter().enumerate().filter(|(_, one)| one.seen) {
        let weight = alive / float((observations.len() - at) as u64);
        // The last of all has the top rank; also where it alone is left.
        let rank = if weight < alive { (1.0 - alive) / (1.0 - weight) } else { 1.0 };
        let nanos = float(seen.nanos);
        // Products of ratios err by some 1e-16 each; the closest true ranks lie 1e-7 apart.
        if rank >= share - 1e-12 {
            let part = |(_, low): (f64, f64)| ((share - low) / (rank - low)).min(1.0);
            return Some(before.map_or(nanos, |low| low.0 + (nanos - low.0) * part(low)));
        }
        before = Some((nanos, rank));
        alive -= weight;
    }
    // Enough have come, and what would have been next is not known.
    before.filter(|_| 1.0 - alive >= share - 1e-12).map(|(nanos, _)| nanos)
}

/// The Kaplan-Meier curve up to the largest time, which stands last.
pub(super) fn survival_to_the_end(mut observations: Vec<Observation>) -> Vec<(u64, f64)> {
    observations.sort_unstable_by_key(Observation::order);
    let mut steps = survival(&observations);
    let left = steps.last().map_or(1.0, |step| step.1);
    steps.extend(observations.last().map(|last| (last.nanos, left)));
    steps
}

/// `(time, share still waiting after it)` at each time with an event, ascending.
fn survival(observations: &[Observation]) -> Vec<(u64, f64)> {
    let mut steps = Vec::new();
    let mut alive = 1.0;
    let mut first = 0;
    for group in observations.chunk_by(|one, next| one.nanos == next.nanos) {
        let at_risk = observations.len() - first;
        let events = group.iter().filter(|observation| observation.seen).count();
        if events > 0 {
            alive *= 1.0 - float(events as u64) / float(at_risk as u64);
            steps.push((group[0].nanos, alive));
        }
        first += group.len();
    }
    steps
}

/// Area under the share still waiting from 0 to `end`, in seconds.
fn area(steps: &[(u64, f64)], end: u64) -> f64 {
    let mut total = 0.0;
    let mut from = (0, 1.0);
    for &step in steps.iter().chain([&(end, 0.0)]) {
        total += seconds(step.0 - from.0) * from.1;
        from = step;
    }
    total
}

/// What `clusters` of dependent values are worth in independent ones:
/// n / (1 + (m - 1) rho), m = sum of squared sizes / n, rho = ANOVA intraclass correlation.
///
/// With a single cluster rho cannot be estimated and is taken as 1.
pub(crate) fn effective(clusters: &[Spread]) -> f64 {
    let filled = || clusters.iter().filter(|cluster| cluster.count > 0.0);
    let groups = float(filled().count() as u64);
    let n: f64 = filled().map(|cluster| cluster.count).sum();
    if n == 0.0 {
        return 0.0;
    }
    let size = filled().map(|cluster| cluster.count * cluster.count).sum::<f64>() / n;
    if groups < 2.0 {
        return n / size;
    }
    let mean = filled().map(|cluster| cluster.count * cluster.mean).sum::<f64>() / n;
    let between: f64 = filled().map(|one| one.count * (one.mean - mean).powi(2)).sum();
    let within: f64 = filled().map(|one| one.squares).sum();
    n / (1.0 + (size - 1.0) * correlation([n, groups, size], between, within))
}

fn correlation([n, groups, size]: [f64; 3], between: f64, within: f64) -> f64 {
    if n - groups < 0.5 {
        return 0.0;
    }
    let (between, within) = (between / (groups - 1.0), within / (n - groups));
    let typical = (n - size) / (groups - 1.0);
    let scale = between + (typical - 1.0) * within;
    if scale <= 0.0 { 0.0 } else { ((between - within) / scale).clamp(0.0, 1.0) }
}

/// All columns from a mean and a function of the share.
fn columns(unit: &str, n: u64, effective: f64, mean: f64, at: impl Fn(f64) -> f64) -> Distribution {
    let [min, p50, p90, p95, p99, max] = COLUMNS.map(|share| Cell::exact(at(share)));
    let mut all = Distribution {
        unit: unit.to_owned(),
        n,
        n_effective: effective,
        mean: Cell::exact(mean),
        min,
        p50,
        p90,
        p95,
        p99,
        max,
        failed_never_finish: None,
    };
    refloor(&mut all, effective);
    all
}

/// Marks every quantile by whether `effective` samples are enough for it.
fn refloor(all: &mut Distribution, effective: f64) {
    for (cell, (_, _, needed)) in
        [&mut all.p50, &mut all.p90, &mut all.p95, &mut all.p99].into_iter().zip(FLOORS)
    {
        let floor = if effective >= needed { Floor::Met } else { Floor::Below };
        *cell = cell.clone().floored(floor);
    }
}

/// The sum of values in any order, as exact as if each were added in twice the digits (Neumaier).
fn sum(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    for &value in values {
        let next = sum + value;
        let (greater, lesser) = if sum.abs() >= value.abs() { (sum, value) } else { (value, sum) };
        lost += (greater - next) + lesser;
        sum = next;
    }
    sum + lost
}

/// Moves to its place what stands at the ranks of the columns when all values are in order, in a third of
/// the time that it takes to sort them.
fn place(values: &mut [f64]) {
    let (count, mut placed) = (values.len(), 0);
    for (below, _) in COLUMNS.map(|share| rank(count as u64, share)) {
        for at in [below, below + 1].map(|at| usize::try_from(at).unwrap_or(count)) {
            if (placed..count).contains(&at) {
                values[placed..].select_nth_unstable_by(at - placed, f64::total_cmp);
                placed = at + 1;
            }
        }
    }
}

/// Quantile by linear interpolation at rank (n - 1) q, of values that are in order at least there; NaN of
/// none.
pub(crate) fn linear(ascending: &[f64], share: f64) -> f64 {
    let at = |rank: u64| usize::try_from(rank).ok().and_then(|rank| ascending.get(rank)).copied();
    interpolate(ascending.len() as u64, share, |rank| at(rank).unwrap_or(f64::NAN))
}

pub(crate) fn interpolate(n: u64, share: f64, at: impl Fn(u64) -> f64) -> f64 {
    let (below, beyond) = rank(n, share);
    let low = at(below);
    if beyond > 0.0 { low + (at(below + 1) - low) * beyond } else { low }
}

/// The rank (n - 1) q: the whole one below it, and how far it lies beyond that.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank lies between 0 and the count"
)]
fn rank(n: u64, share: f64) -> (u64, f64) {
    let rank = float(n.saturating_sub(1)) * share;
    (rank.floor() as u64, rank - rank.floor())
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A sum as a float.
#[expect(clippy::cast_precision_loss, reason = "sums for display; 53 bits are 16 digits")]
pub(super) fn wide(sum: u128) -> f64 {
    sum as f64
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(nanos: u64) -> f64 {
    float(nanos) / 1e9
}

/// Nanoseconds as milliseconds.
pub(super) fn millis(nanos: u64) -> f64 {
    float(nanos) / 1e6
}

/// A share in percent; `None` of nothing.
pub(crate) fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| float(part) / float(whole) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(list: &[(u64, bool)]) -> Vec<Observation> {
        list.iter().map(|&(s, seen)| Observation { nanos: s * 1_000_000_000, seen }).collect()
    }

    #[test]
    fn kaplan_meier_without_censoring_is_the_plain_sample() {
        let all = kaplan_meier("s", times(&[(4, true), (1, true), (3, true), (2, true)]));
        let value = |cell: &Cell| cell.value().unwrap();
        assert!((value(&all.mean) - 2.5).abs() < 1e-12);
        for (cell, share) in [(&all.p50, 0.50), (&all.p90, 0.90), (&all.p99, 0.99)] {
            let plain = linear(&[1.0, 2.0, 3.0, 4.0], share);
            assert!((value(cell) - plain).abs() < 1e-12, "{share}: {cell:?} {plain}");
        }
        assert_eq!(all.max, Cell::exact(4.0));
        let alone = kaplan_meier("s", times(&[(7, true)]));
        assert!((value(&alone.p90) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn a_kaplan_meier_quantile_lies_between_the_events_around_it() {
        let check = |list: &[(u64, bool)], share: f64, expected: f64| {
            let mut list = times(list);
            list.sort_unstable_by_key(Observation::order);
            let found = waited(&list, share).unwrap() / 1e9;
            assert!((found - expected).abs() < 1e-9, "{share}: {found} instead of {expected}");
        };
        // Weights 1/4, then 3/8 each of the two that are left after a censoring: ranks 0, 2/5 and 1.
        let some = [(2, true), (4, false), (6, true), (9, true)];
        check(&some, 0.0, 2.0);
        check(&some, 0.2, 4.0);
        check(&some, 0.4, 6.0);
        check(&some, 0.7, 7.5);
        check(&some, 1.0, 9.0);
        // Ties stand at ranks of their own: 0, 1/3, 2/3, 1.
        check(&[(1, true), (3, true), (3, true), (5, true)], 0.5, 3.0);
        // Half have come at 3 s: no later event to lean towards, and none for the rest.
        let open = [(1, true), (3, true), (8, false), (8, false)];
        check(&open, 0.5, 3.0);
        assert_eq!(waited(&times(&open), 0.51), None);
    }

    #[test]
    fn what_censoring_hides_is_a_lower_bound() {
        let all = kaplan_meier("s", times(&[(1, true), (2, false), (2, true), (5, false)]));
        // After 1 s 3/4 wait, after 2 s 3/4 x 2/3 = 1/2: the event at 2 s precedes the censoring.
        let below = |value: f64| Cell::exact(value).floored(Floor::Below);
        assert_eq!(all.min, Cell::exact(1.0));
        assert_eq!(all.p50, below(2.0));
        assert_eq!(all.p90, below(5.0).bounded(Bound::AtLeast));
        assert_eq!(all.max, Cell::exact(5.0).bounded(Bound::AtLeast));
        assert_eq!(all.mean, Cell::exact(1.0 + 0.75 + 1.5).bounded(Bound::AtLeast));
    }

    #[test]
    fn clusters_of_equal_values_are_worth_one_each() {
        let check = |clusters: &[&[f64]], expected: f64| {
            let clusters: Vec<Spread> = clusters
                .iter()
                .map(|values| {
                    let mut spread = Spread::default();
                    values.iter().for_each(|&value| spread.add(value, 1.0));
                    spread
                })
                .collect();
            assert!((effective(&clusters) - expected).abs() < 1e-9, "{}", effective(&clusters));
        };
        check(&[], 0.0);
        check(&[&[1.0, 2.0, 3.0]], 1.0);
        check(&[&[1.0, 1.0], &[2.0, 2.0], &[4.0, 4.0]], 3.0);
        check(&[&[1.0, 2.0], &[2.0, 1.0]], 4.0);
        check(&[&[1.0], &[2.0], &[3.0]], 3.0);
    }

    #[test]
    fn a_sum_does_not_hang_on_the_order() {
        let values: Vec<f64> = (1..=10_000).map(|n| 1e9 / float(n * n)).collect();
        let backwards: Vec<f64> = values.iter().rev().copied().collect();
        assert!(sum(&values).total_cmp(&sum(&backwards)).is_eq());
        assert!(sum(&[1e16, 1.0, -1e16]).total_cmp(&1.0).is_eq());
        assert!(sum(&[]).total_cmp(&0.0).is_eq());
    }

    #[test]
    fn what_the_columns_read_stands_as_if_sorted() {
        for count in (0..40).chain([101, 1_000]) {
            let scattered = (0..count).map(|n| float(n * 7_919 % 1_009 / 3));
            let mut placed: Vec<f64> = scattered.collect();
            let mut sorted = placed.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            place(&mut placed);
            for share in COLUMNS {
                let (found, expected) = (linear(&placed, share), linear(&sorted, share));
                assert!(found.total_cmp(&expected).is_eq(), "{count} values, {share}: {found}");
            }
        }
    }

    #[test]
    fn whole_numbers_spread_as_floats_do() {
        let check = |values: &[(u64, u64)]| {
            let (mut exact, mut spread) = (Exact::default(), Spread::default());
            exact.add_all(&Histogram::of(values.to_vec()));
            for &(nanos, count) in values {
                spread.add(millis(nanos), float(count));
            }
            let exact = exact.spread();
            let near = |one: f64, other: f64| (one - other).abs() <= 1e-9 * other.abs();
            assert!(near(exact.count, spread.count), "{exact:?} {spread:?}");
            assert!(near(exact.mean, spread.mean), "{exact:?} {spread:?}");
            assert!(near(exact.squares, spread.squares), "{exact:?} {spread:?}");
        };
        check(&[]);
        check(&[(7, 3)]);
        check(&[(20_010_000, 5), (20_020_000, 7), (143_200_000, 1)]);
        check(&[(1, 1), (9_999, 2), (4_294_000_000, 3), (4_295_000_000, 1)]);
        check(&[(86_400_000_000_000, 5_000_000_000), (10, 1)]);
    }

    #[test]
    fn quantiles_interpolate_between_ranks() {
        let check = |share: f64, expected: f64| {
            assert!((linear(&[1.0, 2.0, 4.0], share) - expected).abs() < 1e-12);
        };
        check(0.0, 1.0);
        check(0.5, 2.0);
        check(0.75, 3.0);
        check(1.0, 4.0);
    }
}
