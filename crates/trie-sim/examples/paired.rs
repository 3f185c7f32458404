//! How often paired comparisons find a difference that is there, and one that is not.
//!
//! `cargo run --release -p trie-sim --example paired -- [seeds] [sets of five] [first seed] [A/A jitter] [first set]`
//!
//! Scenario S at 8 traces for 300 virtual seconds, a workload of its own for each seed. A is the engine
//! `llama-3.1-70b-4xh100` with 424,000 tokens of cache, whose steps jitter by 2.5 %; B is the same engine
//! with all coefficients of its steps times 0.95, or, for A/A, as it is. Both sides replay the same
//! requests, and each has a jitter of its own: nothing but the engine's own noise differs in an A/A pair.
//!
//! Set k of five pairs has the seeds 10,000 + 5 k to 10,004 + 5 k. With no seeds there are A/A sets alone.
//!
//! Exits with 1 where a 5 % faster engine is found in less than 95 % of the comparisons, or where more or
//! less than 3 to 7 % of the A/A comparisons find a difference.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::{error::Error, process::ExitCode};

use trie_core::compare::{Change, Comparison, Finding, Measure, Quantity, compare};

#[expect(dead_code, reason = "starts and summaries are for the proofs")]
mod scenario;

use scenario::{Side, figures::Share, on_threads};

/// Jitter of A is the seed's own; of B of the same seed these further on.
const FASTER: u64 = 1_000_000;
const SAME: u64 = 2_000_000;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let singles: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let fives: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let first: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let same: u64 = arguments.next().map_or(Ok(SAME), |text| text.parse())?;
    let first_set: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    // Five seeds of their own for each comparison, so that comparisons share no run.
    let sets = first_set..first_set + fives;
    let sets: Vec<[u64; 5]> =
        sets.map(|set| [0, 1, 2, 3, 4].map(|at| 10_000 + 5 * set + at)).collect();
    if singles == 0 {
        return alarms(&sets, same);
    }
    let mut counts = Counts::default();
    let seeds: Vec<u64> = (first..first + singles).collect();
    for (faster, same) in on_threads(&seeds, |seed| both(&[*seed], same))? {
        counts.add(faster, same);
    }
    println!(
        "single pairs, {singles} seeds from {first}: share of comparisons with an interval beyond 0"
    );
    let mut good = counts.print(&SINGLE_TARGETS);
    let mut counts = Counts::default();
    for (faster, same) in on_threads(&sets, |seeds| both(seeds, same))? {
        counts.add(faster, same);
    }
    println!("five replicate pairs, {fives} comparisons of 5 seeds each");
    good &= counts.print(&FIVE_TARGETS);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How often A/A sets of five pairs are found different, and how their changes are spread.
fn alarms(sets: &[[u64; 5]], same: u64) -> Result<ExitCode, Box<dyn Error>> {
    let all = on_threads(sets, |seeds| of_seeds(seeds, same, 1.0))?;
    println!("A/A alone, {} sets of five replicate pairs", sets.len());
    for (metric, stat) in [
        (Quantity::Completion, Measure::SteadyState),
        (Quantity::Completion, Measure::Overall),
        (Quantity::Latency, Measure::Mean),
        (Quantity::StepLatency, Measure::Mean),
        (Quantity::Tpot, Measure::Mean),
    ] {
        let changes = || all.iter().filter_map(|one| one.change(metric, stat));
        let found = |change: &Change| {
            matches!(change.change_pct.finding(), Finding::Higher | Finding::Lower)
        };
        let share = Share::new(changes(), found);
        println!("  {metric}.{:14} {:5.2} % ({share})", stat.name(), share.percent());
    }
    Ok(ExitCode::SUCCESS)
}

const SINGLE_TARGETS: [(Quantity, Measure); 1] = [(Quantity::Latency, Measure::Mean)];
const FIVE_TARGETS: [(Quantity, Measure); 1] = [(Quantity::Completion, Measure::SteadyState)];

/// With B faster, and A/A with a jitter of `same`.
fn both(seeds: &[u64], same: u64) -> Result<(Comparison, Comparison), Box<dyn Error>> {
    Ok((of_seeds(seeds, FASTER, 0.95)?, of_seeds(seeds, same, 1.0)?))
}

fn of_seeds(seeds: &[u64], jitter: u64, factor: f64) -> Result<Comparison, Box<dyn Error>> {
    let side = |jitter: u64, factor: f64| {
        let one = |seed: &u64| Side { seed: *seed, jitter: *seed + jitter, factor }.run();
        seeds.iter().map(one).collect::<Result<Vec<_>, _>>()
    };
    Ok(compare(side(0, 1.0)?, side(jitter, factor)?, &[])?)
}

/// By quantity and statistic, with B faster and in A/A: what was found different, and the sum of the change.
#[derive(Default)]
struct Counts(std::collections::BTreeMap<(Quantity, Measure), [(Share, f64); 2]>);

impl Counts {
    fn add(&mut self, faster: Comparison, same: Comparison) {
        for (at, comparison) in [faster, same].into_iter().enumerate() {
            for change in comparison.changes {
                let Some(value) = change.change_pct.value.value() else { continue };
                let found = matches!(change.change_pct.finding(), Finding::Higher | Finding::Lower);
                let (share, sum) = &mut self.0.entry((change.metric, change.stat)).or_default()[at];
                share.of += 1;
                share.count += u32::from(found);
                *sum += value;
            }
        }
    }

    /// Prints all and says whether the targets are met.
    fn print(&self, targets: &[(Quantity, Measure)]) -> bool {
        let mut good = true;
        for ((metric, stat), [(found, change), (false_alarms, drift)]) in &self.0 {
            let (power, alarms) = (found.percent(), false_alarms.percent());
            let (low, high) = false_alarms.interval();
            let name = format!("{metric}.{}", stat.name());
            let (mean, mean_same) =
                (change / f64::from(found.of), drift / f64::from(false_alarms.of));
            let n = found.of;
            let is_target = targets.contains(&(*metric, *stat));
            let mark = if is_target { "  <- target" } else { "" };
            println!(
                "  {name:36} n={n:3} 5 % faster: found {power:5.1} % (mean change {mean:+6.2} %)   \
                 A/A: found {alarms:4.1} % ({low:.1} to {high:.1}; mean change {mean_same:+.3} %){mark}"
            );
            if is_target {
                good &= power >= 95.0 && (3.0..=7.0).contains(&alarms);
            }
        }
        good
    }
}
