//! The engine as a queue whose truth is known: one request at a time, steps of 1 ns a token.
//!
//! `cargo run --release -p trie-sim --example queues -- [arrivals]`
//!
//! Arrivals are Poisson, at half of what the engine can serve. With exponential lengths (M/M/1) a request
//! waits rho/(1 - rho) = 1 mean service time, with equal lengths (M/D/1) half as long. It fails if the mean
//! over 2 * 10^7 arrivals is off by more than 0.5 %.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::num::NonZeroUsize;

use trie_core::units::Nanos;
use trie_sim::engine::{
    Engine, EngineConfig, Event, FinishReason, Policy, Request, RequestId, Sequence, Span,
    StepTime, Steps, exponential,
};

/// Mean service time in nanoseconds and tokens.
const SERVICE: f64 = 1e6;
/// The seed, fixed before the first run.
const SEED: u64 = 20_260_101;
const ARRIVALS: u64 = 0x6172_7269;
const LENGTHS: u64 = 0x6c65_6e67;

fn main() {
    let arrivals = std::env::args()
        .nth(1)
        .map_or(20_000_000, |text| text.parse().expect("the argument is a number of arrivals"));
    check(arrivals, "M/M/1", 1.0, |index| SERVICE * exponential(SEED, LENGTHS, index));
    check(arrivals, "M/D/1", 0.5, |_| SERVICE);
}

fn check(arrivals: u64, name: &str, truth: f64, length: impl Fn(u64) -> f64) {
    let wait = mean_wait(arrivals, length) / SERVICE;
    let off = (wait / truth - 1.0) * 100.0;
    println!("{name}: mean wait {wait:.5} service times, truth {truth}, off by {off:+.3} %");
    assert!(off.abs() <= 0.5 || arrivals < 20_000_000, "{name} is off by more than 0.5 %");
}

/// Mean time in the queue, in nanoseconds.
fn mean_wait(arrivals: u64, length: impl Fn(u64) -> f64) -> f64 {
    let mut engine = Engine::new(config());
    let mut events = vec![];
    let mut arrived = std::collections::VecDeque::new();
    let (mut total, mut now) = (0_u64, 0.0);
    for index in 0..arrivals {
        now += 2.0 * SERVICE * exponential(SEED, ARRIVALS, index);
        let at = Nanos(whole(now));
        while let Some(due) = engine.next_wake().filter(|due| *due < at) {
            engine.wake(due, &mut events);
        }
        total += waits(&mut events, &mut arrived);
        arrived.push_back(at);
        engine.arrive(at, request(index, length(index)), &mut events);
    }
    while let Some(due) = engine.next_wake() {
        engine.wake(due, &mut events);
    }
    total += waits(&mut events, &mut arrived);
    float(total) / float(arrivals)
}

/// Waits of those that were admitted, first come first served.
fn waits(events: &mut Vec<Event>, arrived: &mut std::collections::VecDeque<Nanos>) -> u64 {
    let mut total = 0;
    for event in events.drain(..) {
        if let Event::Admitted { at, .. } = event {
            let since = arrived.pop_front().expect("who is admitted has arrived");
            total += at.since(since).expect("admission follows arrival").0;
        }
    }
    total
}

fn config() -> EngineConfig {
    let most = NonZeroUsize::new(1 << 40).expect("it is not 0");
    let time = StepTime { p: 1e-6, ..StepTime::default() };
    EngineConfig {
        policy: Policy::Steps(Steps { max_num_batched_tokens: most, time, ..Steps::default() }),
        block: most,
        cache_tokens: most.get(),
        max_num_seqs: NonZeroUsize::new(1),
    }
}

fn request(index: u64, length: f64) -> Request {
    let prompt_tokens = usize::try_from(whole(length)).expect("64 bits").max(1);
    let span = |key, tokens| Span { key, from: 0, tokens };
    let content: Sequence =
        [span(index.into(), prompt_tokens), span(1 << 80, 1)].into_iter().collect();
    let finish = FinishReason::Length;
    Request { id: RequestId(index), prompt_tokens, output_tokens: 1, finish, content }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, below 2^53")]
fn whole(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}
