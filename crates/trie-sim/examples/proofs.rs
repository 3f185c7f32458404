//! What the statistics of a report are worth, on scenario S with seeds fixed beforehand.
//!
//! `cargo run --release -p trie-sim --example proofs -- [seeds] [truths]` prints a table for each claim of
//! docs/benchmarks/trust.md and ends with 1 where a bound is missed. 200 seeds and 32 truths are the default.
//! The truth is what runs of 6 h have; a bias is the mean over the seeds against it. Behind each figure
//! stands its standard error and that of the truth, or the interval of Clopper and Pearson.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::disallowed_methods, reason = "it times itself, outside any measurement")]

#[expect(dead_code, reason = "sides are for comparisons")]
mod scenario;

use std::{error::Error, ops::RangeInclusive, process::ExitCode, time::Instant};

use scenario::{
    Run, Start,
    figures::{Share, error, mean, median, off},
    on_threads,
};
use trie_core::{
    metrics::{CheckId, MetricId, Stat, Status, Summary, over_replicates, within_run},
    units::Nanos,
};

/// Length of a run, of a long run, of one that sees the end of traces, and of a truth, in seconds.
const RUN: u64 = 300;
const LONG: u64 = 900;
const WATCHED: u64 = 1_500;
const TRUTH: u64 = 21_600;
/// The truths' seeds are none of the runs'.
const FIRST_TRUTH: u64 = 100_001;

type Runs = Result<Vec<Summary>, Box<dyn Error>>;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let begun = Instant::now();
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let truths: u64 = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let mut bounds = Bounds::default();
    let truth =
        |concurrency| runs(concurrency, TRUTH, FIRST_TRUTH..=FIRST_TRUTH + truths - 1, Start::Cold);
    let some = |concurrency, start| runs(concurrency, RUN, 1..=seeds, start);
    let (calm, crowded) = (truth(8)?, truth(48)?);
    let (cold_8, cold_48) = (some(8, Start::Cold)?, some(48, Start::Cold)?);
    let (warm_8, warm_48) = (some(8, Start::Equilibrium)?, some(48, Start::Equilibrium)?);

    survivors(&cold_8, &calm, &mut bounds);
    watched(seeds, &cold_8, &mut bounds)?;
    println!("\nSteady-state completion tok/s against the truth");
    start(8, 2.0, (&cold_8, &warm_8, &calm), &mut bounds);
    start(48, 4.0, (&cold_48, &warm_48, &crowded), &mut bounds);
    println!("\nNo steady state, of 300 s");
    let cold_24 = some(24, Start::Cold)?;
    let shares = [
        ("c=8 equilibrium", &warm_8, Bound::AtMost(5.0)),
        ("c=24 cold", &cold_24, Bound::AtLeast(95.0)),
        ("c=48 cold", &cold_48, Bound::AtLeast(95.0)),
        ("c=8 cold", &cold_8, Bound::None),
        ("c=48 equilibrium", &warm_48, Bound::None),
    ];
    for (name, runs, bound) in shares {
        bounds.share(name, Share::new(runs, unsteady), bound);
    }
    println!("\nNo room in the cache, of 300 s");
    for (name, runs) in [("c=8 equilibrium", &warm_8), ("c=8 cold", &cold_8)] {
        bounds.share(name, Share::new(runs, crowds), Bound::AtMost(5.0));
    }
    replicates(seeds, &calm, &mut bounds)?;
    cliff(seeds, truths.div_ceil(4), &mut bounds)?;
    inside(seeds, &calm, &mut bounds)?;
    println!(
        "\n{} of {} bounds are kept, in {:.0} s",
        bounds.kept,
        bounds.kept + bounds.missed,
        begun.elapsed().as_secs_f64()
    );
    Ok(if bounds.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runs(concurrency: u32, seconds: u64, seeds: RangeInclusive<u64>, start: Start) -> Runs {
    let seeds: Vec<u64> = seeds.collect();
    on_threads(&seeds, |seed| Run { concurrency, seconds, seed: *seed, start }.summary())
}

/// Trace latency of a cold start, of all traces and of the completed ones alone.
fn survivors(runs: &[Summary], truth: &[Summary], bounds: &mut Bounds) {
    println!("Trace latency, c=8, 300 s, cold start: off the truth by");
    let of = |metric: MetricId, stat: Stat| {
        move |one: &Summary| one.per_trace[&metric].cell(stat).value()
    };
    for stat in [Stat::P50, Stat::P90, Stat::P95, Stat::P99] {
        let truth = values(truth, of(MetricId::Latency, stat));
        let all = values(runs, of(MetricId::Latency, stat));
        let bound = match stat {
            Stat::P50 | Stat::P90 => Bound::Within(2.0),
            Stat::Mean | Stat::Min | Stat::P95 | Stat::P99 | Stat::Max => Bound::None,
        };
        let name = format!("{} Kaplan-Meier, %", stat.name());
        bounds.off(&name, (&all, &truth), bound);
        let completed = values(runs, of(MetricId::LatencyCompleted, stat));
        let name = format!("{} completed only, %", stat.name());
        bounds.off(&name, (&completed, &truth), Bound::None);
    }
    let flagged = Share::new(runs, |run| doubted(run, CheckId::Censoring));
    bounds.share("flagged by `censoring`", flagged, Bound::AtLeast(95.0));
    let total = runs.iter().map(|one| one.populations.admitted).sum::<u64>();
    let cut = runs.iter().map(|one| one.populations.cut_off).sum::<u64>();
    println!("  {cut} of {total} traces were cut off");
}

/// The same traces seen to their end, those admitted in the first 300 s of longer runs: what is off then is
/// the estimator's alone, neither the draw of the traces nor the start.
fn watched(seeds: u64, runs: &[Summary], bounds: &mut Bounds) -> Result<(), Box<dyn Error>> {
    println!("\nTrace latency of the same traces watched for {WATCHED} s");
    let seeds: Vec<u64> = (1..=seeds).collect();
    let start = Start::Cold;
    let ends = on_threads(&seeds, |seed| {
        Run { concurrency: 8, seconds: WATCHED, seed: *seed, start }
            .latencies(Nanos::from_secs(RUN))
    })?;
    let open = ends.iter().filter(|ends| ends.contains(&None)).count();
    println!("  runs with a trace that was not over then: {open}");
    for (stat, share) in [(Stat::P50, 0.50), (Stat::P90, 0.90), (Stat::P95, 0.95)] {
        let plain: Vec<f64> = ends.iter().map(|ends| quantile(ends, share)).collect();
        let of = |run: &Summary| run.per_trace[&MetricId::Latency].cell(stat).value();
        let found = values(runs, of);
        let apart: Vec<f64> = found.iter().zip(&plain).map(|(one, other)| one - other).collect();
        let percent = 100.0 / mean(&plain);
        let doubt = format!("standard error {:.2}", percent * error(&apart));
        let name = format!("{} Kaplan-Meier, %", stat.name());
        bounds.check(&name, percent * mean(&apart), Bound::None, &doubt);
    }
    Ok(())
}

/// Linear interpolation at rank (n - 1) share; what was not seen to end is longer than all others.
fn quantile(latencies: &[Option<f64>], share: f64) -> f64 {
    let mut all: Vec<f64> = latencies.iter().map(|one| one.unwrap_or(f64::INFINITY)).collect();
    all.sort_by(f64::total_cmp);
    let rank = share * f64::from(u32::try_from(all.len() - 1).expect("some hundred"));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let below = rank as usize;
    let low = all[below];
    low + (all.get(below + 1).map_or(0.0, |high| high - low)) * (rank - rank.floor())
}

fn start(
    concurrency: u32,
    bound: f64,
    (cold, warm, truth): (&[Summary], &[Summary], &[Summary]),
    bounds: &mut Bounds,
) {
    let truth = values(truth, throughput);
    println!("  c={concurrency}: truth {:.1}, median {:.1}", mean(&truth), median(&truth));
    for (name, runs, bound) in
        [("cold", cold, Bound::None), ("equilibrium", warm, Bound::Within(bound))]
    {
        let name = format!("c={concurrency} {name}, %");
        bounds.off(&name, (&values(runs, throughput), &truth), bound);
    }
}

/// Five runs each: how often their interval holds the truth.
fn replicates(sets: u64, calm: &[Summary], bounds: &mut Bounds) -> Result<(), Box<dyn Error>> {
    println!("\nSets of five replicates, c=8, equilibrium start, seeds 1 to {}", sets * 5);
    let truth = mean(&values(calm, throughput));
    let all = runs(8, RUN, 1..=sets * 5, Start::Equilibrium)?;
    let sets: Vec<&[Summary]> = all.chunks_exact(5).collect();
    let held = Share::new(&sets, |set| holds(set, inside_error, truth));
    bounds.share("95 % intervals that hold the truth", held, Bound::Between(92.0, 98.0));
    let plain = Share::new(&sets, |set| holds(set, |_| None, truth));
    bounds.share("the same by t over the five alone", plain, Bound::None);
    bounds.share("sets flagged", Share::new(&sets, |set| set_flagged(set)), Bound::None);
    let crowd = Share::new(&sets, |set| crowd(set));
    bounds.share("sets flagged by `cache_room`", crowd, Bound::AtMost(5.0));
    bounds.share("runs flagged", Share::new(&all, flagged), Bound::None);
    Ok(())
}

/// Whether the interval of replicates, no closer than their errors `inside`, holds the truth.
fn holds(set: &[Summary], inside: fn(&Summary) -> Option<f64>, truth: f64) -> bool {
    let interval = over_replicates(&values(set, throughput), &values(set, inside));
    interval.is_some_and(|(middle, reach)| (middle - truth).abs() <= reach)
}

/// How often sets of five at the edge of the cache are flagged, and hold the truth.
fn cliff(seeds: u64, truths: u64, bounds: &mut Bounds) -> Result<(), Box<dyn Error>> {
    println!("\nSets of five at the edge of the cache, seeds 1 to {seeds}, {truths} truths");
    for concurrency in [16, 24] {
        let last = FIRST_TRUTH + truths - 1;
        let truth = values(&runs(concurrency, TRUTH, FIRST_TRUTH..=last, Start::Cold)?, throughput);
        for start in [Start::Cold, Start::Equilibrium] {
            let all = runs(concurrency, RUN, 1..=seeds, start)?;
            let name = format!("c={concurrency} {start:?}, %");
            bounds.off(&name, (&values(&all, throughput), &truth), Bound::None);
            let sets: Vec<&[Summary]> = all.chunks_exact(5).collect();
            let name = format!("c={concurrency} {start:?}: sets flagged");
            let some = Share::new(&sets, |set| set_flagged(set));
            bounds.share(&name, some, Bound::AtLeast(95.0));
            let name = format!("c={concurrency} {start:?}: without `cache_room`");
            let some = Share::new(&sets, |set| set.iter().any(restless));
            bounds.share(&name, some, Bound::None);
            let name = format!("c={concurrency} {start:?}: intervals that hold it");
            let held = Share::new(&sets, |set| holds(set, inside_error, mean(&truth)));
            bounds.share(&name, held, Bound::None);
            let name = format!("c={concurrency} {start:?}: runs flagged");
            bounds.share(&name, Share::new(&all, flagged), Bound::AtLeast(95.0));
            let name = format!("c={concurrency} {start:?}: runs without `cache_room`");
            bounds.share(&name, Share::new(&all, restless), Bound::None);
        }
    }
    Ok(())
}

/// Intervals inside one long run.
fn inside(seeds: u64, calm: &[Summary], bounds: &mut Bounds) -> Result<(), Box<dyn Error>> {
    println!("\nIntervals inside one run of 900 s, c=8, equilibrium start");
    let truth = mean(&values(calm, throughput));
    let all = runs(8, LONG, 1..=seeds, Start::Equilibrium)?;
    let known = |run: &Summary| {
        let reach = within_run(inside_error(run)?, Nanos::from_secs(LONG), !unsteady(run))?;
        Some((throughput(run)? - truth).abs() <= reach)
    };
    let known: Vec<bool> = all.iter().filter_map(known).collect();
    println!("  {} of {} runs have one", known.len(), all.len());
    bounds.share("hold the truth", Share::new(&known, |holds| *holds), Bound::None);
    Ok(())
}

fn flagged(run: &Summary) -> bool {
    restless(run) || crowds(run)
}

/// Flagged by what happened in the run.
fn restless(run: &Summary) -> bool {
    unsteady(run) || doubted(run, CheckId::Metastability)
}

fn crowds(run: &Summary) -> bool {
    doubted(run, CheckId::CacheRoom)
}

/// As the report on replicates does it: the worst of them, and the mean of what they fill.
fn set_flagged(set: &[Summary]) -> bool {
    set.iter().any(restless) || crowd(set)
}

fn crowd(set: &[Summary]) -> bool {
    let filled = |run: &Summary| {
        run.verdict.checks.iter().find(|check| check.id == CheckId::CacheRoom)?.value.value()
    };
    mean(&values(set, filled)) > 40.0
}

fn unsteady(run: &Summary) -> bool {
    doubted(run, CheckId::SteadyState)
}

fn doubted(run: &Summary, id: CheckId) -> bool {
    let doubt = |status| matches!(status, Status::Warn | Status::Fail);
    run.verdict.checks.iter().any(|check| check.id == id && doubt(check.status))
}

fn throughput(run: &Summary) -> Option<f64> {
    run.workload[&MetricId::Completion].steady_state.as_ref()?.value()
}

/// Standard error of the throughput inside the run.
fn inside_error(run: &Summary) -> Option<f64> {
    run.steady_state.as_ref()?.errors.get(&MetricId::Completion).copied()
}

fn values(all: &[Summary], get: impl Fn(&Summary) -> Option<f64>) -> Vec<f64> {
    all.iter().filter_map(get).collect()
}

/// What a figure has to be.
#[derive(Clone, Copy)]
enum Bound {
    None,
    Within(f64),
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
}

#[derive(Default)]
struct Bounds {
    kept: u32,
    missed: u32,
}

impl Bounds {
    fn share(&mut self, name: &str, share: Share, bound: Bound) {
        self.check(&format!("{name}, %"), share.percent(), bound, &share.to_string());
    }

    /// How far the mean of values is from that of a truth, in percent.
    fn off(&mut self, name: &str, (all, truth): (&[f64], &[f64]), bound: Bound) {
        let doubt = format!(
            "standard error {:.2}, of the truth {:.2}; the median run {:+.1}",
            100.0 * error(all) / mean(all),
            100.0 * error(truth) / mean(truth),
            100.0 * (median(all) / mean(truth) - 1.0)
        );
        self.check(name, off(all, truth), bound, &doubt);
    }

    fn check(&mut self, name: &str, value: f64, bound: Bound, doubt: &str) {
        let (kept, words) = match bound {
            Bound::None => return println!("  {name:44} {value:8.2}   ({doubt})"),
            Bound::Within(most) => (value.abs() <= most, format!("within {most}")),
            Bound::AtMost(most) => (value <= most, format!("at most {most}")),
            Bound::AtLeast(least) => (value >= least, format!("at least {least}")),
            Bound::Between(low, high) => {
                ((low..=high).contains(&value), format!("{low} to {high}"))
            }
        };
        self.kept += u32::from(kept);
        self.missed += u32::from(!kept);
        let word = if kept { "kept" } else { "MISSED" };
        println!("  {name:44} {value:8.2}   {words}: {word}   ({doubt})");
    }
}
