//! An hour of 23,608 requests with long prompts in virtual time, and what it takes.
//!
//! `cargo run --release -p trie-sim --example mooncake_hour -- [concurrency] [replicas]`
//!
//! Rows like those of Mooncake's `toolagent` trace, which has 23,608 requests in an hour, 8,596 tokens of
//! prompt and 182 of answer on average: lengths are lognormal around these means (sigma 0.9), prompts are
//! blocks of 512 tokens. How much is shared is made up: half of each prompt, with 1 of 64 tools. There is no
//! open loop yet, so that the concurrency is what makes it an hour.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::disallowed_methods, reason = "it times itself, outside any measurement")]

use std::{error::Error, fmt::Write, io, io::Cursor, num::NonZeroUsize, time::Instant};

use trie_core::{
    plan::{CacheScope, History, Order, Plan, PlanOptions, Scale},
    session::RetryOptions,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};
use trie_sim::{
    engine::{Preset, draw, normal},
    forecast::{Files, ForecastOptions, Router, forecast},
};

const ROWS: u64 = 23_608;
const BLOCK: u64 = 512;
const TOOLS: u64 = 64;
/// Ids of the blocks that a tool's prompts open with.
const OF_A_TOOL: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let concurrency = arguments.next().map_or(Ok(66), |text| text.parse())?;
    let replicas = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let source = Source::Seekable(Box::new(Cursor::new(rows())));
    let mut workload = Workload::open(source, "M", Encoding::Plain, &ReadOptions::default())?;
    let plan = Plan::new(plan_options(concurrency), 1, &mut workload)?;
    let preset = Preset::named("llama-3.1-70b-4xh100").ok_or("no such preset")?;
    let options = ForecastOptions {
        engine: preset.engine(),
        replicas: NonZeroUsize::new(replicas).ok_or("at least one replica")?,
        router: Router::LeastLoaded,
        feeds_back: true,
        timeout: Nanos::from_secs(600),
        retries: RetryOptions::default(),
        max_failures: 50,
        drain: Nanos::ZERO,
        chunks: true,
    };
    let (mut requests, mut traces, mut client) = (io::sink(), io::sink(), io::sink());
    let files =
        Files { requests: &mut requests, traces: &mut traces, client: &mut client, truth: None };
    let begun = Instant::now();
    let done = forecast(&plan, &mut workload, &options, files, &|| false)?;
    println!(
        "c={concurrency} replicas={replicas} one hour: {} requests, {} token records in {:.3} s",
        done.requests,
        done.tokens,
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn rows() -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        let (prompt, answer) = (length(8_596.0, 1, row), length(182.0, 2, row));
        let blocks = prompt.div_ceil(BLOCK);
        let shared = (blocks / 2).min(OF_A_TOOL);
        let tool = draw(1, 3, row) % TOOLS * OF_A_TOOL;
        let own = 1_000_000 + row * OF_A_TOOL;
        let runs = match shared {
            0 => format!("[{own}, {blocks}]"),
            _ => format!("[{tool}, {shared}], [{own}, {}]", blocks - shared),
        };
        writeln!(
            text,
            "{{\"num_turns\": 0, \"input_prompt_length\": {prompt}, \
             \"assistant_response_length\": [], \"tool_call_output_length\": [], \
             \"tool_call_latency\": [], \"final_assistant_response_length\": {answer}, \
             \"blocks\": {{\"size\": {BLOCK}, \"scope\": \"m\", \"steps\": [{{\"new\": [{runs}]}}]}}}}"
        )
        .expect("a string takes every character");
    }
    text
}

/// Lognormal with this mean, cut at 120,000.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is cut")]
fn length(mean: f64, stream: u64, row: u64) -> u64 {
    const SIGMA: f64 = 0.9;
    let value = mean * libm::exp(SIGMA * normal(1, stream, row) - SIGMA * SIGMA / 2.0);
    value.clamp(1.0, 120_000.0) as u64
}

fn plan_options(concurrency: u32) -> PlanOptions {
    PlanOptions {
        concurrency,
        duration: Nanos::from_secs(3_600),
        seed: 1,
        stream: true,
        history: History::Auto,
        cache_scope: CacheScope::Run,
        ramp: Nanos::ZERO,
        order: Order::File,
        scale: Scale::default(),
    }
}
