//! From the records of both sides to the comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::equal::{CompareError, allowed, unlike};
use super::resample::{Sample, resample};
use super::watch::{Step, Wait, Watched};
use super::{
    BrokeOff, COMPARISON_SCHEMA, Change, Comparison, Difference, Estimate, Gate, Matched, Measure,
    QUANTITIES, Quantity, QuantityRow, SideFacts,
};
use crate::metrics::{
    Cell, FLOORS, Floor, MetricId, RunRecords, Stat, Status, Summary, Trust, float, mean_and_error,
    seconds, summarize, t_quantile,
};
use crate::record::{ClientRow, Ending, Manifest, Reason, RequestRow, Source, TraceRow};

/// A run and its name.
#[derive(Debug)]
pub struct NamedRun<Requests, Traces, Client> {
    /// As messages call it.
    pub name: String,
    /// Its records.
    pub records: RunRecords<Requests, Traces, Client>,
}

/// Chance of what lies beyond an interval of 95 %, on both sides.
const BEYOND: f64 = 0.05;

/// Runs that replayed the same, A first.
type Partners<Requests, Traces, Client> =
    (NamedRun<Requests, Traces, Client>, NamedRun<Requests, Traces, Client>);

/// Pairs of runs from which on intervals come from how much the pairs vary; below, from blocks of
/// traces, which cannot see what makes one run as a whole a little slower than the next.
const ENOUGH_PAIRS: usize = 3;

/// Blocks of traces below which an interval from resampling says nothing.
const LEAST_CLUSTERS: usize = 3;

/// Traces of a block, in halves of how many run together. Of 1,500 A/A pairs of scenario S (seeds from 50,001
/// on) trace latency is found different in 6.7 % with blocks of 2 halves and 5.3 % with 3; mean step latency
/// and TPOT, of 800 pairs, in 10.4 and 14.0 % with 2, 6.5 and 6.8 % with 3, 4.9 and 3.1 % with 4, with which
/// one engine in 25 that is 5 % faster is no longer found by its TPOT.
const HALVES: usize = 3;

/// Traces that have to end before the common horizon on each side: as many as a median needs. Where none does,
/// the mean up to the horizon is the horizon, on both sides.
const LEAST_ENDS: f64 = 11.0;

/// Part of the shortest window that the common horizon is at most: of the same pairs 5.8, 5.3 and 4.0 % are
/// found different in trace latency at 1/2, 1/3 and 1/4 with blocks of 3 halves, and of engines that are 5 %
/// faster 98, 100 and 100 %.
const HORIZON_PART: u64 = 3;

/// Compares the runs of B with those of A, paired by their seeds.
pub fn compare<Requests, Traces, Client>(
    a: Vec<NamedRun<Requests, Traces, Client>>,
    b: Vec<NamedRun<Requests, Traces, Client>>,
    gates: &[Gate],
) -> Result<Comparison, CompareError>
where
    Requests: Source<RequestRow>,
    Traces: Source<TraceRow>,
    Client: Source<ClientRow>,
{
    let pairs = paired(a, b)?;
    for (a, b) in &pairs {
        let different = unlike(&a.records.manifest, &b.records.manifest);
        if !different.is_empty() {
            let (a, b) = (a.name.clone(), b.name.clone());
            return Err(CompareError::Different { a, b, different });
        }
    }
    let (pairs, broke_off) = whole(pairs);
    let read = |(a, b)| Ok(Pair { a: Run::read(a)?, b: Run::read(b)? });
    let pairs = pairs.into_iter().map(read).collect::<Result<Vec<_>, CompareError>>()?;
    let mut comparison = Comparison { broke_off, ..of_pairs(&pairs) };
    comparison.gates = gates.iter().map(|gate| gate.judge(&comparison)).collect();
    Ok(comparison)
}

/// Runs of equal seeds, in the order of their seeds; those of one seed in the order given.
fn paired<T, U, V>(
    mut a: Vec<NamedRun<T, U, V>>,
    mut b: Vec<NamedRun<T, U, V>>,
) -> Result<Vec<Partners<T, U, V>>, CompareError> {
    for (side, runs) in [("A", &a), ("B", &b)] {
        if runs.is_empty() {
            return Err(CompareError::NoRuns { side });
        }
    }
    let seed = |run: &NamedRun<T, U, V>| run.records.manifest.seed;
    a.sort_by_key(seed);
    b.sort_by_key(seed);
    let seeds = |runs: &[NamedRun<T, U, V>]| runs.iter().map(seed).collect::<Vec<_>>();
    // One run a side: what differs is said together, the seed among it.
    if a.len() != b.len() || (a.len() > 1 && seeds(&a) != seeds(&b)) {
        return Err(CompareError::Seeds { a: seeds(&a), b: seeds(&b) });
    }
    Ok(a.into_iter().zip(b).collect())
}

/// The pairs of runs that both went on to their deadline, or all where none did; and the runs that did not.
/// Rates of 20 s say nothing beside those of 300 s, and the common horizon is a part of the shortest window.
fn whole<T, U, V>(pairs: Vec<Partners<T, U, V>>) -> (Vec<Partners<T, U, V>>, Vec<BrokeOff>) {
    let ended = |run: &NamedRun<T, U, V>| {
        let ending = run.records.manifest.ending.as_ref();
        ending.is_some_and(|ending| ending.reason == Reason::Deadline)
    };
    let both = |(a, b): &Partners<T, U, V>| ended(a) && ended(b);
    let none = !pairs.iter().any(both);
    let short = |run: &NamedRun<T, U, V>| {
        let Manifest { ending, start_ns, duration_ns, .. } = &run.records.manifest;
        let after = |ending: &Ending| seconds(ending.end_ns.0.saturating_sub(start_ns.0));
        BrokeOff {
            run: run.name.clone(),
            reason: ending.as_ref().map(|ending| ending.reason),
            after_s: ending.as_ref().map(after),
            of_s: seconds(duration_ns.0),
            compared: none,
        }
    };
    let runs = pairs.iter().flat_map(|(a, b)| [a, b]);
    let broke_off = runs.filter(|run| !ended(run)).map(short).collect();
    (pairs.into_iter().filter(|pair| none || both(pair)).collect(), broke_off)
}

/// A run, read.
struct Run {
    name: String,
    manifest: Manifest,
    summary: Summary,
    steps: BTreeMap<(u64, u32), Step>,
    waits: BTreeMap<u64, Wait>,
}

struct Pair {
    a: Run,
    b: Run,
}

/// Rows that somebody looks at before whoever asks for them.
struct Seen<Rows, Look>(Rows, Look);

impl<T, Rows: Source<T>, Look: FnMut(&T) + Send> Source<T> for Seen<Rows, Look> {
    fn deal<S: Send>(mut self, shares: &mut [S], which: fn(&T) -> usize, take: fn(&mut S, &T)) {
        self.0.each(&mut |row| {
            (self.1)(row);
            take(&mut shares[which(row)], row);
        });
    }
}

impl Run {
    fn read<Requests, Traces, Client>(
        run: NamedRun<Requests, Traces, Client>,
    ) -> Result<Self, CompareError>
    where
        Requests: Source<RequestRow>,
        Traces: Source<TraceRow>,
        Client: Source<ClientRow>,
    {
        let NamedRun { name, records: RunRecords { manifest, requests, traces, client } } = run;
        let mut watched = Watched::default();
        // Both look at the rows while they are read once: first all of one file, then of the other.
        let seen = Mutex::new(&mut watched);
        let watched_by = || seen.lock().unwrap_or_else(PoisonError::into_inner);
        let records = RunRecords {
            manifest: manifest.clone(),
            requests: Seen(requests, |row: &RequestRow| watched_by().request(row)),
            traces: Seen(traces, |row: &TraceRow| watched_by().trace(row)),
            client,
        };
        let summary = summarize(vec![records])?;
        let watched = watched.whole();
        let waits = watched.waits(&manifest);
        Ok(Self { name, manifest, summary, steps: watched.steps, waits })
    }

    fn rate(&self, metric: Quantity, stat: Measure) -> Option<f64> {
        let id = match metric {
            Quantity::TotalPrompt => MetricId::TotalPrompt,
            Quantity::UncachedPrompt => MetricId::UncachedPrompt,
            Quantity::Completion => MetricId::Completion,
            Quantity::Traces => MetricId::Traces,
            Quantity::GoodTraces
            | Quantity::GoodRequests
            | Quantity::GoodCompletion
            | Quantity::GoodJobs => return self.good(metric),
            Quantity::Latency
            | Quantity::Ttft
            | Quantity::Tpot
            | Quantity::StepLatency
            | Quantity::CacheHitRate => return None,
        };
        let rates = self.summary.workload.get(&id)?;
        let cell = match stat {
            Measure::Overall => Some(&rates.overall),
            Measure::SteadyState => rates.steady_state.as_ref(),
            Measure::Mean | Measure::P50 | Measure::P90 | Measure::P95 | Measure::P99 => None,
        };
        cell.and_then(Cell::value)
    }

    /// What met the objectives, at least; `None` where there are none.
    fn good(&self, metric: Quantity) -> Option<f64> {
        let good = self.summary.goodput.as_ref()?;
        let bounds = match metric {
            Quantity::GoodTraces => &good.per_trace.share_pct,
            Quantity::GoodRequests => &good.per_request.share_pct,
            Quantity::GoodCompletion => &good.completion_tok_per_s,
            Quantity::GoodJobs => &good.jobs_per_h_user,
            Quantity::Latency
            | Quantity::Ttft
            | Quantity::Tpot
            | Quantity::StepLatency
            | Quantity::CacheHitRate
            | Quantity::TotalPrompt
            | Quantity::UncachedPrompt
            | Quantity::Completion
            | Quantity::Traces => return None,
        };
        bounds.low.value()
    }
}

fn of_pairs(pairs: &[Pair]) -> Comparison {
    let clusters = Clusters::of(pairs);
    let horizon = horizon(pairs);
    let resampled = QUANTITIES.iter().filter(|row| row.measures[0] == Measure::Mean);
    let (mut changes, mut resamples) = (vec![], 0);
    if pairs.len() >= ENOUGH_PAIRS {
        changes.extend(resampled.flat_map(|row| by_pairs(pairs, row, horizon)));
    } else {
        let samples: Vec<Samples> =
            resampled.filter_map(|row| clusters.samples(row.id, pairs, horizon)).collect();
        (changes, resamples) = by_resampling(&samples, clusters.count);
    }
    // Good by other objectives is another thing.
    let alike = pairs.iter().all(|pair| {
        let limits = |run: &Run| run.summary.goodput.as_ref().map(|good| good.objectives.clone());
        limits(&pair.a).is_some() && limits(&pair.a) == limits(&pair.b)
    });
    let rates = QUANTITIES.iter().filter(|row| row.measures[0] != Measure::Mean);
    for row in rates.filter(|row| alike || !row.id.of_objectives()) {
        changes.extend(row.measures.iter().map(|stat| by_runs(pairs, row.id, *stat)));
    }
    let instances = matched(pairs.iter().map(|pair| (keys(&pair.a.waits), keys(&pair.b.waits))));
    let steps = matched(pairs.iter().map(|pair| (keys(&pair.a.steps), keys(&pair.b.steps))));
    Comparison {
        schema: COMPARISON_SCHEMA.to_owned(),
        a: side(pairs.iter().map(|pair| &pair.a)),
        b: side(pairs.iter().map(|pair| &pair.b)),
        pairs: pairs.len() as u64,
        broke_off: vec![],
        instances,
        steps,
        horizon_s: horizon.map(seconds),
        resamples,
        differences: differences(pairs),
        changes,
        gates: vec![],
    }
}

fn keys<Key: Copy + Ord, Value>(map: &BTreeMap<Key, Value>) -> BTreeSet<Key> {
    map.keys().copied().collect()
}

fn matched<Key: Ord>(pairs: impl Iterator<Item = (BTreeSet<Key>, BTreeSet<Key>)>) -> Matched {
    let mut all = Matched::default();
    for (a, b) in pairs {
        let both = a.intersection(&b).count() as u64;
        all.both += both;
        all.only_a += a.len() as u64 - both;
        all.only_b += b.len() as u64 - both;
    }
    all
}

fn differences(pairs: &[Pair]) -> Vec<Difference> {
    let mut all: Vec<Difference> = vec![];
    for pair in pairs {
        for difference in allowed(&pair.a.manifest, &pair.b.manifest) {
            if !all.contains(&difference) {
                all.push(difference);
            }
        }
    }
    all
}

fn side<'r>(runs: impl Iterator<Item = &'r Run> + Clone) -> SideFacts {
    let first = runs.clone().next().expect("a side has a run: it was checked");
    let mut side = SideFacts {
        runs: runs.clone().map(|run| run.name.clone()).collect(),
        seeds: runs.clone().map(|run| run.manifest.seed).collect(),
        model: first.manifest.model.clone(),
        simulated: first.manifest.simulated.clone(),
        populations: crate::metrics::Populations::default(),
        trust: Trust::Yes,
        doubts: BTreeMap::new(),
        wrong: BTreeMap::new(),
        steady_from_s: vec![],
    };
    for run in runs {
        let from = &run.summary.populations;
        side.populations.admitted += from.admitted;
        side.populations.completed += from.completed;
        side.populations.cut_off += from.cut_off;
        side.populations.entered += from.entered;
        for (kind, count) in &from.failed {
            *side.populations.failed.entry(kind.clone()).or_insert(0) += count;
        }
        side.trust = worse(side.trust, run.summary.verdict.trust);
        let checks = run.summary.verdict.checks.iter();
        for check in checks.filter(|check| matches!(check.status, Status::Fail | Status::Warn)) {
            let counts = [Some(&mut side.doubts), check.makes_wrong().then_some(&mut side.wrong)];
            for count in counts.into_iter().flatten() {
                *count.entry(check.id.to_string()).or_insert(0) += 1;
            }
        }
        let state = run.summary.steady_state.as_ref();
        side.steady_from_s.push(state.and_then(|state| state.from_s));
    }
    side
}

fn worse(one: Trust, other: Trust) -> Trust {
    match (one, other) {
        (Trust::No, _) | (_, Trust::No) => Trust::No,
        (Trust::Caveats, _) | (_, Trust::Caveats) => Trust::Caveats,
        (Trust::Yes, Trust::Yes) => Trust::Yes,
    }
}

/// The common horizon, in nanoseconds from a trace's intent: the longest that a trace took, and at
/// most a third of the shortest window, so that there are traces which could be watched that long.
fn horizon(pairs: &[Pair]) -> Option<u64> {
    let runs = || pairs.iter().flat_map(|pair| [&pair.a, &pair.b]);
    let rooms = runs().filter_map(|run| run.waits.values().map(|wait| wait.room).max());
    let finished = runs().flat_map(|run| run.waits.values()).filter(|wait| wait.seen.seen);
    let longest = finished.map(|wait| wait.seen.nanos).max()?;
    Some((rooms.min()? / HORIZON_PART).min(longest))
}

/// Trace instances that both sides admitted, over all pairs, by the block they are in.
///
/// Traces that run at the same time share what the engine is doing, so that their differences are not
/// independent: a block holds [`HALVES`] halves of as many consecutive ones as run together.
struct Clusters {
    of: BTreeMap<(usize, u64), usize>,
    count: usize,
}

/// Both sides of one quantity.
struct Samples {
    metric: Quantity,
    a: Sample,
    b: Sample,
}

impl Samples {
    /// Whether so few traces ended before the horizon that their means say only how far off it is.
    fn is_blind(&self, clusters: usize) -> bool {
        self.metric == Quantity::Latency && self.effective(clusters) < LEAST_ENDS
    }

    /// How many independent pairs there are.
    fn effective(&self, clusters: usize) -> f64 {
        self.a.effective(clusters).min(self.b.effective(clusters))
    }
}

impl Clusters {
    fn of(pairs: &[Pair]) -> Self {
        let (mut of, mut count) = (BTreeMap::new(), 0);
        for (number, pair) in pairs.iter().enumerate() {
            let (a, b) = (keys(&pair.a.waits), keys(&pair.b.waits));
            let both: Vec<u64> = a.intersection(&b).copied().collect();
            let together = pair.a.manifest.concurrency.max(pair.b.manifest.concurrency);
            let size = (together as usize * HALVES).div_ceil(2).max(1);
            // What does not fill a block at the end goes with the one before it.
            let blocks = both.len() / size;
            for (at, trace) in both.iter().enumerate() {
                let block = (at / size).min(blocks.saturating_sub(1));
                of.insert((number, *trace), count + block);
            }
            count += blocks.max(1);
        }
        Self { of, count }
    }

    /// The values of a quantity on both sides; `None` for one that is not resampled.
    fn samples(&self, metric: Quantity, pairs: &[Pair], horizon: Option<u64>) -> Option<Samples> {
        let (a, b) = match metric {
            Quantity::Latency => {
                let horizon = horizon.unwrap_or(0);
                let (mut a, mut b) = (vec![], vec![]);
                for (&(pair, trace), &cluster) in &self.of {
                    let waits = (pairs[pair].a.waits[&trace], pairs[pair].b.waits[&trace]);
                    if waits.0.room.min(waits.1.room) >= horizon {
                        a.push((waits.0.seen, cluster));
                        b.push((waits.1.seen, cluster));
                    }
                }
                (Sample::waits(a, horizon), Sample::waits(b, horizon))
            }
            Quantity::Ttft => self.values(pairs, |step| step.ttft),
            Quantity::Tpot => self.values(pairs, |step| step.tpot),
            Quantity::StepLatency => self.values(pairs, |step| step.latency),
            Quantity::CacheHitRate => self.shares(pairs),
            Quantity::TotalPrompt
            | Quantity::UncachedPrompt
            | Quantity::Completion
            | Quantity::Traces
            | Quantity::GoodTraces
            | Quantity::GoodRequests
            | Quantity::GoodCompletion
            | Quantity::GoodJobs => return None,
        };
        Some(Samples { metric, a, b })
    }

    /// Values that both sides of a step have.
    fn values(&self, pairs: &[Pair], value: fn(&Step) -> Option<f64>) -> (Sample, Sample) {
        let (mut a, mut b) = (vec![], vec![]);
        self.steps(pairs, |cluster, step_a, step_b| {
            if let (Some(value_a), Some(value_b)) = (value(step_a), value(step_b)) {
                a.push((value_a, cluster));
                b.push((value_b, cluster));
            }
        });
        (Sample::values(a), Sample::values(b))
    }

    fn shares(&self, pairs: &[Pair]) -> (Sample, Sample) {
        let (mut a, mut b) = (vec![(0, 0); self.count], vec![(0, 0); self.count]);
        let mut steps = 0;
        self.steps(pairs, |cluster, step_a, step_b| {
            if let (Some(share_a), Some(share_b)) = (step_a.cached, step_b.cached) {
                steps += 1;
                for (sums, share) in [(&mut a[cluster], share_a), (&mut b[cluster], share_b)] {
                    sums.0 += share.0;
                    sums.1 += share.1;
                }
            }
        });
        (Sample::Shares(a, steps), Sample::Shares(b, steps))
    }

    /// Every step that both sides finished.
    fn steps(&self, pairs: &[Pair], mut each: impl FnMut(usize, &Step, &Step)) {
        for (number, pair) in pairs.iter().enumerate() {
            for ((trace, step), step_a) in &pair.a.steps {
                let cluster = self.of.get(&(number, *trace));
                if let Some((cluster, step_b)) = cluster.zip(pair.b.steps.get(&(*trace, *step))) {
                    each(*cluster, step_a, step_b);
                }
            }
        }
    }
}

/// Differences between both sides of one statistic, one per resample.
#[derive(Default)]
struct Drawn {
    difference: Vec<f64>,
    change_pct: Vec<f64>,
}

fn by_resampling(samples: &[Samples], clusters: usize) -> (Vec<Change>, u64) {
    let stats = |samples: &Samples| samples.metric.row().measures;
    let mut drawn: Vec<Vec<Drawn>> =
        samples.iter().map(|one| stats(one).iter().map(|_| Drawn::default()).collect()).collect();
    let mut resamples = 0;
    if clusters >= LEAST_CLUSTERS {
        let values = samples.iter().map(|one| one.a.len() + one.b.len()).sum();
        resamples = resample(clusters, values, |weights| {
            for (one, drawn) in samples.iter().zip(&mut drawn) {
                let (a, b) = (one.a.at(weights, stats(one)), one.b.at(weights, stats(one)));
                for (drawn, (a, b)) in drawn.iter_mut().zip(a.into_iter().zip(b)) {
                    let Some((a, b)) = a.zip(b) else { continue };
                    drawn.difference.push(b - a);
                    drawn.change_pct.extend(relative(a, b));
                }
            }
        });
    }
    let each = samples.iter().zip(drawn);
    let changes = each.flat_map(|(one, drawn)| changes(one, clusters, drawn)).collect();
    (changes, resamples)
}

/// One change per statistic of a quantity.
fn changes(samples: &Samples, clusters: usize, drawn: Vec<Drawn>) -> Vec<Change> {
    let row = samples.metric.row();
    let once = vec![1; clusters];
    let (a, b) = (samples.a.at(&once, row.measures), samples.b.at(&once, row.measures));
    let (n_effective, filled) = (samples.effective(clusters), samples.a.filled());
    let cell = |stat: Measure, value: Option<f64>| {
        let cell = value.map_or_else(|| Cell::Missing(NO_PAIR.into()), Cell::exact);
        cell.floored(floor(stat, n_effective))
    };
    let blind = samples.is_blind(clusters);
    let mut changes = vec![];
    for (((&stat, a), b), drawn) in row.measures.iter().zip(a).zip(b).zip(drawn) {
        if blind {
            changes.push(too_short(row.id, stat, (samples.a.len(), n_effective)));
            continue;
        }
        let both = a.zip(b);
        changes.push(Change {
            metric: row.id,
            stat,
            unit: row.unit.to_owned(),
            n: samples.a.len(),
            n_effective,
            a: cell(stat, a),
            b: cell(stat, b),
            difference: spread(both.map(|(a, b)| b - a), &drawn.difference, filled),
            change_pct: match both {
                Some((a, b)) if relative(a, b).is_none() => Estimate::missing(OF_NOTHING),
                _ => spread(both.and_then(|(a, b)| relative(a, b)), &drawn.change_pct, filled),
            },
        });
    }
    changes
}

/// A change of which the runs are too short to say anything.
fn too_short(metric: Quantity, stat: Measure, (n, n_effective): (u64, f64)) -> Change {
    let cell = || Cell::Missing(TOO_SHORT.to_owned());
    Change {
        metric,
        stat,
        unit: metric.row().unit.to_owned(),
        n,
        n_effective,
        a: cell(),
        b: cell(),
        difference: Estimate::missing(TOO_SHORT),
        change_pct: Estimate::missing(TOO_SHORT),
    }
}

const TOO_SHORT: &str =
    "fewer than 11 traces ended before the common horizon, on one side at least: run longer";
const OF_NOTHING: &str =
    "A is 0, of which there is no percent: a limit without % is of the difference";
const NO_PAIR: &str = "no pair has a value on both sides";
const FEW_CLUSTERS: &str = "fewer than three blocks of traces have a value on both sides, of 1.5 times the concurrency each: too few to \
     resample";
const ONE_PAIR: &str =
    "one pair of runs has no spread: give several runs a side, such as replicates=5";

/// Whether the effective samples are enough for a quantile.
fn floor(stat: Measure, n_effective: f64) -> Floor {
    let quantile = match stat {
        Measure::P50 => Stat::P50,
        Measure::P90 => Stat::P90,
        Measure::P95 => Stat::P95,
        Measure::P99 => Stat::P99,
        Measure::Mean | Measure::Overall | Measure::SteadyState => return Floor::Met,
    };
    let needed = FLOORS.iter().find(|(stat, _, _)| *stat == quantile);
    let met = needed.is_none_or(|(_, _, needed)| n_effective >= *needed);
    if met { Floor::Met } else { Floor::Below }
}

/// B minus A in percent of A; `None` where A is nothing.
fn relative(a: f64, b: f64) -> Option<f64> {
    (a.abs() > 0.0).then(|| (b - a) / a * 100.0)
}

/// A value with its interval: t times the deviation of what resamples gave. With few blocks their
/// own percentiles would be too close.
fn spread(value: Option<f64>, drawn: &[f64], clusters: usize) -> Estimate {
    let Some(value) = value else { return Estimate::missing(NO_PAIR) };
    let Some(middle) = mean(drawn).filter(|_| clusters >= LEAST_CLUSTERS) else {
        return Estimate::alone(value, FEW_CLUSTERS);
    };
    let freedom = float(clusters as u64 - 1);
    let squares: f64 = drawn.iter().map(|drawn| (drawn - middle).powi(2)).sum();
    let variance = squares / float(drawn.len() as u64) * float(clusters as u64) / freedom;
    let reach = t_quantile(BEYOND, freedom) * variance.sqrt();
    Estimate {
        value: Cell::exact(value),
        low: Cell::exact(value - reach),
        high: Cell::exact(value + reach),
    }
}

/// A change of a rate, from one value per run.
fn by_runs(pairs: &[Pair], metric: Quantity, stat: Measure) -> Change {
    let rates = pairs
        .iter()
        .filter_map(|pair| Some((pair.a.rate(metric, stat)?, pair.b.rate(metric, stat)?)));
    let rates: Vec<(f64, f64)> = rates.collect();
    let n = rates.len() as u64;
    of_values((metric, stat), (n, float(n)), &rates)
}

/// Changes of a quantity of traces or steps, from one value per pair of runs.
fn by_pairs(pairs: &[Pair], row: &QuantityRow, horizon: Option<u64>) -> Vec<Change> {
    let mut values = vec![vec![]; row.measures.len()];
    // Each pair's percentile is read from its own sample: the smallest of them is what it stands on.
    let (mut n, mut n_effective, mut fewest) = (0, 0.0, f64::INFINITY);
    let mut blind = false;
    for pair in pairs.chunks(1) {
        let clusters = Clusters::of(pair);
        let Some(samples) = clusters.samples(row.id, pair, horizon) else { continue };
        let once = vec![1; clusters.count];
        let (a, b) = (samples.a.at(&once, row.measures), samples.b.at(&once, row.measures));
        for (values, (a, b)) in values.iter_mut().zip(a.into_iter().zip(b)) {
            values.extend(a.zip(b));
        }
        let effective = samples.effective(clusters.count);
        blind |= samples.is_blind(clusters.count);
        n += samples.a.len();
        n_effective += effective;
        fewest = fewest.min(effective);
    }
    if blind {
        let missing = |stat: &Measure| too_short(row.id, *stat, (n, n_effective));
        return row.measures.iter().map(missing).collect();
    }
    let each = row.measures.iter().zip(values);
    let change = |(stat, values): (&Measure, Vec<(f64, f64)>)| {
        let mut change = of_values((row.id, *stat), (n, n_effective), &values);
        let floor = floor(*stat, fewest);
        for cell in [&mut change.a, &mut change.b] {
            *cell = cell.clone().floored(floor);
        }
        change
    };
    each.map(change).collect()
}

/// A change from one value per pair of runs: t over the pairs.
fn of_values(
    (metric, stat): (Quantity, Measure),
    (n, n_effective): (u64, f64),
    values: &[(f64, f64)],
) -> Change {
    let differences: Vec<f64> = values.iter().map(|(a, b)| b - a).collect();
    // Of nothing there is no percent, also not of the others.
    let changes = values.iter().map(|(a, b)| relative(*a, *b)).collect::<Option<Vec<f64>>>();
    let change_pct = match changes {
        Some(changes) => over_pairs(&changes),
        None => Estimate::missing(OF_NOTHING),
    };
    let cell = |pick: fn(&(f64, f64)) -> f64| {
        let mean = mean(&values.iter().map(pick).collect::<Vec<_>>());
        mean.map_or_else(|| Cell::Missing(NO_PAIR.into()), Cell::exact)
    };
    Change {
        metric,
        stat,
        unit: metric.row().unit.to_owned(),
        n,
        n_effective,
        a: cell(|value| value.0),
        b: cell(|value| value.1),
        difference: over_pairs(&differences),
        change_pct,
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / float(values.len() as u64))
}

/// The mean of one value per pair, with its t interval.
fn over_pairs(values: &[f64]) -> Estimate {
    let Some(middle) = mean(values) else { return Estimate::missing(NO_PAIR) };
    let Some((middle, error)) = mean_and_error(values) else {
        return Estimate::alone(middle, ONE_PAIR);
    };
    let reach = t_quantile(BEYOND, float(values.len() as u64 - 1)) * error;
    let at = |value: f64| Cell::exact(value);
    Estimate { value: at(middle), low: at(middle - reach), high: at(middle + reach) }
}
