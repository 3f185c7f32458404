//! Scenario S in virtual time, and what it takes.
//!
//! `cargo run --release -p trie-sim --example scenario_s -- [concurrency] [replicas] [seconds]`
//!
//! Traces of ceil(lognormal(median 6, sigma 0.9)) tool turns: a first prompt of 6,000 tokens, tool outputs
//! of 600 after 1 s, answers of 150; engines `llama-3.1-70b-4xh100` with 424,000 tokens of cache behind the
//! router `session`. Every token's time is in a record.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::disallowed_methods, reason = "it times itself, outside any measurement")]

#[expect(dead_code, reason = "whole runs are for the proofs")]
mod scenario;

use std::{error::Error, io, time::Instant};

use trie_core::plan::Plan;
use trie_sim::forecast::{Files, ForecastOptions, forecast};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let concurrency = arguments.next().map_or(Ok(4_096), |text| text.parse())?;
    let replicas = arguments.next().map_or(Ok(16), |text| text.parse())?;
    let seconds = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let mut workload = scenario::workload(1, u64::from(concurrency) * 4)?;
    let plan = Plan::new(scenario::plan_options(concurrency, seconds, 1), 1, &mut workload)?;
    let options = ForecastOptions { chunks: true, ..scenario::options(replicas)? };
    let (mut requests, mut traces, mut client) = (Counter(io::sink(), 0), io::sink(), io::sink());
    let files =
        Files { requests: &mut requests, traces: &mut traces, client: &mut client, truth: None };
    let begun = Instant::now();
    let done = forecast(&plan, &mut workload, &options, files, &|| false)?;
    println!(
        "c={concurrency} replicas={replicas} {seconds} s: {} requests, {} token records, {} preemptions, {} MB of rows in {:.3} s",
        done.requests,
        done.tokens,
        done.preemptions,
        requests.1 / 1_000_000,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Counts what is written.
struct Counter(io::Sink, usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += bytes.len();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
