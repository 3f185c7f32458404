//! What the statistics are worth, on scenario S with seeds fixed beforehand.
//!
//! `cargo run --release -p trie-sim --example proofs -- [seeds] [truths]`
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::cast_precision_loss, reason = "counts of runs are small")]

mod scenario;

use std::error::Error;

use scenario::{Run, Start};
use trie_core::metrics::{MetricId, Stat, Summary};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seeds: u64 = arguments.next().map_or(Ok(200), |text| text.parse())?;
    let truths: u64 = arguments.next().map_or(Ok(4), |text| text.parse())?;
    for concurrency in [8, 16, 24, 48] {
        let run = |seconds, seed, start| Run { concurrency, seconds, seed, start }.summary();
        let of = |seconds, seeds: std::ops::RangeInclusive<u64>, start| {
            seeds.map(|seed| run(seconds, seed, start)).collect::<Result<Vec<_>, _>>()
        };
        let truth = of(21_600, 1_001..=1_000 + truths, Start::Cold)?;
        let cold = of(300, 1..=seeds, Start::Cold)?;
        let warm = of(300, 1..=seeds, Start::Equilibrium)?;
        println!("c={concurrency}");
        for (name, get) in FIGURES {
            let t = values(&truth, get);
            let (c, w) = (values(&cold, get), values(&warm, get));
            println!(
                "  {name:24} truth {:9.3} (sd {:5.2} %)  cold {:+6.1} % (sd {:5.1} %)  equilibrium {:+6.1} % (sd {:5.1} %)",
                mean(&t),
                rsd(&t),
                off(&c, &t),
                rsd(&c),
                off(&w, &t),
                rsd(&w)
            );
        }
    }
    Ok(())
}

type Get = fn(&Summary) -> Option<f64>;

const FIGURES: [(&str, Get); 14] = [
    ("steady completion tok/s", |s| {
        s.workload[&MetricId::Completion].steady_state.as_ref()?.value()
    }),
    ("steady prompt tok/s", |s| s.workload[&MetricId::TotalPrompt].steady_state.as_ref()?.value()),
    ("overall completion tok/s", |s| s.workload[&MetricId::Completion].overall.value()),
    ("last30 completion tok/s", |s| s.workload[&MetricId::Completion].last_30s.as_ref()?.value()),
    ("little traces/s", |s| s.workload[&MetricId::LittleTraces].overall.value()),
    ("traces/s", |s| s.workload[&MetricId::Traces].overall.value()),
    ("in-flight prompt", |s| s.workload[&MetricId::InFlightPrompt].overall.value()),
    ("latency p50 KM", |s| s.per_trace[&MetricId::Latency].cell(Stat::P50).value()),
    ("latency p90 KM", |s| s.per_trace[&MetricId::Latency].cell(Stat::P90).value()),
    ("latency p50 completed", |s| s.per_trace[&MetricId::LatencyCompleted].cell(Stat::P50).value()),
    ("latency p90 completed", |s| s.per_trace[&MetricId::LatencyCompleted].cell(Stat::P90).value()),
    ("latency p99 completed", |s| s.per_trace[&MetricId::LatencyCompleted].cell(Stat::P99).value()),
    ("hit rate mean", |s| s.per_trace[&MetricId::CacheHitRate].cell(Stat::Mean).value()),
    ("cut off", |s| Some(s.populations.cut_off as f64 / s.populations.admitted as f64)),
];

fn values(all: &[Summary], get: Get) -> Vec<f64> {
    all.iter().filter_map(get).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn rsd(values: &[f64]) -> f64 {
    let m = mean(values);
    let squares: f64 = values.iter().map(|v| (v - m).powi(2)).sum();
    100.0 * (squares / (values.len() as f64 - 1.0)).sqrt() / m
}

fn off(values: &[f64], truth: &[f64]) -> f64 {
    100.0 * (mean(values) / mean(truth) - 1.0)
}
