//! What the statistics of a report are worth, on scenario S with seeds fixed beforehand.
//!
//! `cargo run --release -p trie-sim --example proofs -- [seeds] [truths]` prints a table for each claim of
//! docs/benchmarks/trust.md and ends with 1 where a bound is missed. 200 seeds and 8 truths are the default.
//! The truth is what runs of 6 h have; a bias is the mean over the seeds against it.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::cast_precision_loss, reason = "counts of runs are small")]

#[expect(dead_code, reason = "sides are for comparisons")]
mod scenario;

use std::{error::Error, ops::RangeInclusive, process::ExitCode};

use scenario::{Run, Start};
use trie_core::metrics::{CheckId, MetricId, Stat, Status, Summary};

/// Length of a run and of a truth, in seconds.
const RUN: u64 = 300;
const TRUTH: u64 = 21_600;
/// The truths' seeds are none of the runs'.
const FIRST_TRUTH: u64 = 100_001;
/// Student's t for 95 % of five values.
const T_OF_FIVE: f64 = 2.776_445;

type Runs = Result<Vec<Summary>, Box<dyn Error>>;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let truths: u64 = arguments.next().map_or(Ok(8), |text| text.parse())?;
    let mut bounds = Bounds::default();
    let truth =
        |concurrency| runs(concurrency, TRUTH, FIRST_TRUTH..=FIRST_TRUTH + truths - 1, Start::Cold);
    let some = |concurrency, start| runs(concurrency, RUN, 1..=seeds, start);
    let (calm, crowded) = (truth(8)?, truth(48)?);
    let (cold_8, warm_8) = (some(8, Start::Cold)?, some(8, Start::Equilibrium)?);
    let (cold_48, warm_48) = (some(48, Start::Cold)?, some(48, Start::Equilibrium)?);
    let cold_24 = some(24, Start::Cold)?;

    survivors(&cold_8, &calm, &mut bounds);
    println!("\nSteady-state completion tok/s against the truth");
    start(8, 2.0, (&cold_8, &warm_8, &calm), &mut bounds);
    start(48, 4.0, (&cold_48, &warm_48, &crowded), &mut bounds);
    println!("\nNo steady state, of 300 s");
    let shares = [
        ("c=8 equilibrium", share(&warm_8, unsteady), Bound::AtMost(5.0)),
        ("c=24 cold", share(&cold_24, unsteady), Bound::AtLeast(95.0)),
        ("c=48 cold", share(&cold_48, unsteady), Bound::AtLeast(95.0)),
        ("c=8 cold", share(&cold_8, unsteady), Bound::None),
        ("c=48 equilibrium", share(&warm_48, unsteady), Bound::None),
    ];
    for (name, share, bound) in shares {
        bounds.check(name, share, bound);
    }
    replicates(seeds, &calm, &mut bounds)?;
    println!("\n{} of {} bounds are kept", bounds.kept, bounds.kept + bounds.missed);
    Ok(if bounds.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runs(concurrency: u32, seconds: u64, seeds: RangeInclusive<u64>, start: Start) -> Runs {
    seeds.map(|seed| Run { concurrency, seconds, seed, start }.summary()).collect()
}

/// Trace latency of a cold start, of all traces and of the completed ones alone.
fn survivors(runs: &[Summary], truth: &[Summary], bounds: &mut Bounds) {
    println!("Trace latency, c=8, 300 s, cold start: off the truth by");
    let of = |metric: MetricId, stat: Stat| {
        move |one: &Summary| one.per_trace[&metric].cell(stat).value()
    };
    for stat in [Stat::P50, Stat::P90] {
        let truth = values(truth, of(MetricId::Latency, stat));
        let all = values(runs, of(MetricId::Latency, stat));
        let name = format!("{} Kaplan-Meier, %", stat.name());
        bounds.check(&name, off(&all, &truth), Bound::Within(2.0));
        spread(&all, &truth);
    }
    for stat in [Stat::P50, Stat::P90, Stat::P95, Stat::P99] {
        let truth = values(truth, of(MetricId::Latency, stat));
        let completed = values(runs, of(MetricId::LatencyCompleted, stat));
        let name = format!("{} completed only, %", stat.name());
        bounds.check(&name, off(&completed, &truth), Bound::None);
    }
    let flagged = share(runs, |run| doubted(run, CheckId::Censoring));
    bounds.check("flagged by `censoring`, % of runs", flagged, Bound::AtLeast(95.0));
    let cut = |one: &Summary| {
        Some(100.0 * one.populations.cut_off as f64 / one.populations.admitted as f64)
    };
    bounds.check("cut off, % of traces", mean(&values(runs, cut)), Bound::None);
}

/// Standard error of a mean, that of its truth, and the median over the runs.
fn spread(all: &[f64], truth: &[f64]) {
    let middle = {
        let mut all = all.to_vec();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!(
        "    standard error {:.1}, of the truth {:.1}; the median run is off by {:+.1}",
        error(all) / mean(all) * 100.0,
        error(truth) / mean(truth) * 100.0,
        100.0 * (middle / mean(truth) - 1.0)
    );
}

fn start(
    concurrency: u32,
    bound: f64,
    (cold, warm, truth): (&[Summary], &[Summary], &[Summary]),
    bounds: &mut Bounds,
) {
    let truth = values(truth, throughput);
    let (cold, warm) = (values(cold, throughput), values(warm, throughput));
    println!("  c={concurrency}: truth {:.1}", mean(&truth));
    bounds.check(&format!("c={concurrency} cold, %"), off(&cold, &truth), Bound::None);
    let name = format!("c={concurrency} equilibrium, %");
    bounds.check(&name, off(&warm, &truth), Bound::Within(bound));
    spread(&warm, &truth);
}

/// Five runs each: how often their interval holds the truth, and how often a set at the cliff is flagged.
fn replicates(sets: u64, calm: &[Summary], bounds: &mut Bounds) -> Result<(), Box<dyn Error>> {
    println!("\nSets of five replicates, equilibrium start");
    let truth = mean(&values(calm, throughput));
    let all = runs(8, RUN, 1..=sets * 5, Start::Equilibrium)?;
    let sets_of_five: Vec<&[Summary]> = all.chunks_exact(5).collect();
    let holds = |set: &&[Summary]| {
        let set = values(set, throughput);
        (mean(&set) - truth).abs() <= T_OF_FIVE * error(&set)
    };
    let held = sets_of_five.iter().filter(|set| holds(set)).count();
    let share_held = 100.0 * held as f64 / sets_of_five.len() as f64;
    bounds.check(
        "c=8: 95 % intervals that hold the truth, %",
        share_held,
        Bound::Between(92.0, 98.0),
    );
    for start in [Start::Equilibrium, Start::Cold] {
        for concurrency in [8, 16, 24] {
            let all = runs(concurrency, RUN, 1..=sets, start)?;
            let sets: Vec<&[Summary]> = all.chunks_exact(5).collect();
            let some = sets.iter().filter(|set| set.iter().any(flagged)).count();
            let share_flagged = 100.0 * some as f64 / sets.len() as f64;
            let bound = if concurrency == 8 { Bound::None } else { Bound::AtLeast(95.0) };
            let name = format!("c={concurrency} {start:?}: sets flagged, %");
            bounds.check(&name, share_flagged, bound);
            bounds.check(
                &format!("c={concurrency} {start:?}: runs flagged, %"),
                share(&all, flagged),
                Bound::None,
            );
        }
    }
    Ok(())
}

fn flagged(run: &Summary) -> bool {
    unsteady(run) || doubted(run, CheckId::Metastability)
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
    fn check(&mut self, name: &str, value: f64, bound: Bound) {
        let (kept, words) = match bound {
            Bound::None => return println!("  {name:48} {value:8.1}"),
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
        println!("  {name:48} {value:8.1}   {words}: {word}");
    }
}

fn share(runs: &[Summary], is: fn(&Summary) -> bool) -> f64 {
    100.0 * runs.iter().filter(|run| is(run)).count() as f64 / runs.len() as f64
}

fn values(all: &[Summary], get: impl Fn(&Summary) -> Option<f64>) -> Vec<f64> {
    all.iter().filter_map(get).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of a mean.
fn error(values: &[f64]) -> f64 {
    let middle = mean(values);
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0) / values.len() as f64).sqrt()
}

/// In percent.
fn off(values: &[f64], truth: &[f64]) -> f64 {
    100.0 * (mean(values) / mean(truth) - 1.0)
}
