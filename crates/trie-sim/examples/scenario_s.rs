//! Scenario S in virtual time, and what it takes.
//!
//! `cargo run --release -p trie-sim --example scenario_s -- [concurrency] [replicas] [seconds]`
//!
//! Traces of ceil(lognormal(median 6, sigma 0.9)) tool turns: a first prompt of 6,000 tokens, tool outputs
//! of 600 after 1 s, answers of 150; engines `llama-3.1-70b-4xh100` with 424,000 tokens of cache behind the
//! router `session`. Every token's time is in a record.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::disallowed_methods, reason = "it times itself, outside any measurement")]

use std::{error::Error, fmt::Write, io, io::Cursor, num::NonZeroUsize, time::Instant};

use trie_core::{
    plan::{CacheScope, History, Plan, PlanOptions, Scale},
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    engine::{EngineConfig, Preset, normal},
    forecast::{Files, ForecastOptions, Router, forecast},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let concurrency = arguments.next().map_or(Ok(4_096), |text| text.parse())?;
    let replicas = arguments.next().map_or(Ok(16), |text| text.parse())?;
    let seconds = arguments.next().map_or(Ok(300), |text| text.parse())?;
    let rows = usize::try_from(concurrency)? * 4;
    let source = Source::Seekable(Box::new(Cursor::new(scenario_s(rows))));
    let mut workload = Workload::open(source, "S", Encoding::Plain, &ReadOptions::default())?;
    let plan = Plan::new(plan_options(concurrency, seconds), 1, &mut workload)?;
    let options = options(replicas)?;
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

/// Rows of the original's format.
fn scenario_s(rows: usize) -> String {
    let mut text = String::new();
    for row in (0..).take(rows) {
        let turns = turns(row);
        let list = |value: &str| vec![value; turns].join(", ");
        let (answers, outputs, waits) = (list("150"), list("600"), list("1.0"));
        writeln!(
            text,
            "{{\"num_turns\": {turns}, \"input_prompt_length\": 6000, \
             \"assistant_response_length\": [{answers}], \"tool_call_output_length\": [{outputs}], \
             \"tool_call_latency\": [{waits}], \"final_assistant_response_length\": 150}}"
        )
        .expect("a string takes every character");
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few hundred at most"
)]
fn turns(row: u64) -> usize {
    libm::ceil(6.0 * libm::exp(0.9 * normal(1, 0x7475_726e, row))) as usize
}

fn plan_options(concurrency: u32, seconds: u64) -> PlanOptions {
    PlanOptions {
        concurrency,
        duration: Nanos::from_secs(seconds),
        seed: 1,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        scale: Scale::default(),
    }
}

fn options(replicas: usize) -> Result<ForecastOptions, Box<dyn Error>> {
    let preset = Preset::named("llama-3.1-70b-4xh100").ok_or("no such preset")?;
    Ok(ForecastOptions {
        engine: EngineConfig { cache_tokens: 424_000, ..preset.engine() },
        replicas: NonZeroUsize::new(replicas).ok_or("at least one replica")?,
        router: Router::Session,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
        chunks: true,
    })
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
