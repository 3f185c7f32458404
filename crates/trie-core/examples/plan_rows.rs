//! Plans a workload of many rows and prints what that takes.
//!
//! `cargo run --release -p trie-core --example plan_rows -- [rows] [turns] [file]`
//!
//! Without a file, one is generated in the temporary directory and removed again.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]
#![expect(clippy::disallowed_methods, reason = "it times itself, outside any measurement")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use trie_core::plan::{CacheScope, History, Order, Plan, PlanOptions, Scale};
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source, Workload};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse())?;
    let turns = arguments.next().map_or(Ok(10), |turns| turns.parse())?;
    if let Some(file) = arguments.next() {
        return measure(Path::new(&file));
    }
    let path = generate(rows, turns)?;
    let measured = measure(&path);
    fs::remove_file(&path)?;
    measured
}

fn generate(rows: u64, turns: u64) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::temp_dir().join(format!("plan_rows.{}.jsonl", std::process::id()));
    let mut file = BufWriter::new(File::create(&path)?);
    for row in 0..rows {
        let list = |start: u64, step: u64| -> Vec<String> {
            (0..turns).map(|turn| (start + (row * 31 + turn * step) % 900).to_string()).collect()
        };
        let latencies: Vec<String> =
            (0..turns).map(|turn| format!("0.{:03}", (row + turn * 7) % 1000)).collect();
        writeln!(
            file,
            "{{\"num_turns\": {turns}, \"input_prompt_length\": {}, \
             \"assistant_response_length\": [{}], \"tool_call_output_length\": [{}], \
             \"tool_call_latency\": [{}], \"final_assistant_response_length\": {}}}",
            8_000 + row % 1_000,
            list(5, 13).join(", "),
            list(10, 57).join(", "),
            latencies.join(", "),
            100 + row % 400,
        )?;
    }
    file.flush()?;
    Ok(path)
}

fn measure(path: &Path) -> Result<(), Box<dyn Error>> {
    let name = path.display().to_string();
    println!("{name}: {} MB", fs::metadata(path)?.len() / 1_000_000);
    let start = Instant::now();
    let source = Source::Seekable(Box::new(File::open(path)?));
    let encoding = Encoding::of_name(&name);
    let mut workload = Workload::open(source, &name, encoding, &ReadOptions::default())?;
    println!("read and checked   {:7.2} s, {}", start.elapsed().as_secs_f64(), peak_memory()?);
    println!("{:#?}", workload.facts());
    for warning in workload.warnings() {
        println!("warning: {warning}");
    }
    plan(&mut workload, "planned as it is", Scale::default())?;
    let scale = Scale {
        token_scale: 0.0625,
        wait_cap: Some(Nanos::SECOND),
        max_turns: Some(20),
        ..Scale::default()
    };
    plan(&mut workload, "planned scaled", scale)
}

fn plan(workload: &mut Workload, what: &str, scale: Scale) -> Result<(), Box<dyn Error>> {
    let options = PlanOptions {
        concurrency: 64,
        duration: Nanos::from_secs(300),
        seed: 0,
        stream: true,
        history: History::default(),
        cache_scope: CacheScope::default(),
        ramp: Nanos::ZERO,
        order: Order::File,
        scale,
    };
    let start = Instant::now();
    let plan = Plan::new(options, 0, workload)?;
    let trace = plan.trace(plan.facts().rows / 2, workload)?;
    let last = u32::try_from(trace.trace.steps.len() - 1)?;
    let pieces = trace.prompt(last).len();
    println!("{what:18} {:7.2} s, {}", start.elapsed().as_secs_f64(), peak_memory()?);
    println!("  {} requests, last prompt in {pieces} pieces", plan.facts().requests);
    println!("  {} prompt tokens", plan.facts().prompt_tokens);
    println!("  plan {}, {} bytes", plan.sha256(), plan.to_bytes().len());
    for note in plan.counts().notes() {
        println!("  {note}");
    }
    Ok(())
}

/// The most memory this process had, as Linux tells it.
fn peak_memory() -> Result<String, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(format!("peak memory {}", peak.unwrap_or("unknown").trim()))
}
