//! How late waits end, as sends wait for their time: `send_times [PER_SECOND] [SECONDS]`.
//!
//! Prints the lateness of every wait and the CPU time that all of them took, once with
//! `Clock::sleep_until` and once with Tokio's timer alone.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};
use trie_replay::clock::{Clock, SystemClock};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| {
        arguments.get(at).map_or(otherwise, |text| text.parse().expect("a whole number"))
    };
    let (rate, seconds) = (number(0, 5_000), number(1, 5));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    for exact in [true, false] {
        let cpu = SystemClock.thread_cpu().unwrap_or(0);
        let mut late = LocalSet::new().block_on(&runtime, measure(rate, seconds, exact));
        let cpu = SystemClock.thread_cpu().unwrap_or(0) - cpu;
        late.sort_unstable();
        let at = |share: usize| late[(late.len() - 1) * share / 1000] / 1_000;
        println!(
            "{}: {} waits at {rate}/s: late by {} us (p50), {} us (p99), {} us (p99.9), {} us (most); CPU {} %",
            if exact { "sleep_until" } else { "tokio alone" },
            late.len(),
            at(500),
            at(990),
            at(999),
            at(1000),
            cpu / (seconds * 10_000_000),
        );
    }
}

/// Waits spread evenly, each in a task of its own, as a slot has.
async fn measure(rate: u64, seconds: u64, exact: bool) -> Vec<u64> {
    let clock = SystemClock;
    let start = clock.now() + 50_000_000;
    let mut waits = JoinSet::new();
    // A slot sends once a second.
    for slot in 0..rate {
        waits.spawn_local(async move {
            let mut late = Vec::new();
            for second in 0..seconds {
                let due = start + second * 1_000_000_000 + slot * 1_000_000_000 / rate;
                if exact {
                    clock.sleep_until(due).await;
                } else {
                    tokio::time::sleep(Duration::from_nanos(due.saturating_sub(clock.now()))).await;
                }
                late.push(clock.now().saturating_sub(due));
            }
            late
        });
    }
    waits.join_all().await.concat()
}
