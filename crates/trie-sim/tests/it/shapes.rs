//! What a user asks a forecast for: where throughput stops growing, where the cache stops helping.
#![expect(
    clippy::print_stderr,
    reason = "with --nocapture it prints the tables of the documentation"
)]

use trie_core::record::RequestRow;
use trie_sim::{
    engine::{EngineConfig, Preset, draw},
    forecast::ForecastOptions,
};

use crate::forecast::{options, row, run};

fn engine(preset: &str) -> EngineConfig {
    Preset::named(preset).unwrap().engine()
}

/// Rows of one request, with answers of 0.5 to 1.5 times `answer` so that they do not march in step.
fn single(prompt: u64, answer: u64) -> String {
    let length = |number| answer / 2 + draw(9, 1, number) % answer;
    (0..200).map(|number| row(prompt, &[], length(number))).collect()
}

/// Tokens a second, of 300 s.
fn throughput(text: &str, concurrency: u32, engine: EngineConfig) -> f64 {
    let tokens = run(text, concurrency, 300, &options(engine)).done.tokens;
    f64::from(u32::try_from(tokens).unwrap()) / 300.0
}

/// The least concurrency with 98 % of the most throughput; rows of the table go to standard error.
fn knee(text: &str, concurrencies: &[u32], engine: EngineConfig) -> u32 {
    let sweep: Vec<_> = concurrencies.iter().map(|c| (*c, throughput(text, *c, engine))).collect();
    let most = sweep.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    for (concurrency, rate) in &sweep {
        eprintln!("| {concurrency} | {rate:.0} | {:.0} % |", rate / most * 100.0);
    }
    sweep.iter().find(|(_, rate)| *rate >= 0.98 * most).unwrap().0
}

#[test]
fn throughput_stops_growing_where_no_more_requests_may_run() {
    let engine = EngineConfig {
        max_num_seqs: std::num::NonZeroUsize::new(64),
        ..engine("qwen3-32b-1xh200")
    };
    let sweep = [8, 16, 32, 48, 56, 60, 64, 68, 72, 96, 128, 256];
    let found = knee(&single(100, 400), &sweep, engine);
    assert!((58..=70).contains(&found), "knee at {found}, at most 64 run");
}

#[test]
fn throughput_stops_growing_where_the_cache_is_full() {
    // Answers are 500 to 1,500 tokens long. Those that are found running are the longer ones: of answers
    // of length L they have E[L^2] / 2E[L] = 542 tokens on average, and hold 500 of prompt and half a block
    // beside them: 1,050 of 33,600.
    let engine = EngineConfig { cache_tokens: 33_600, ..engine("qwen3-32b-1xh200") };
    let sweep = [8, 16, 24, 26, 28, 29, 30, 31, 32, 34, 36, 48, 64];
    let found = knee(&single(500, 1_000), &sweep, engine);
    assert!((29..=35).contains(&found), "knee at {found}, room for 32");
}

#[test]
fn the_hit_rate_falls_where_the_contexts_outgrow_the_cache() {
    // Traces that grow from 6,000 to 17,250 tokens; the sum of eight is 138,000 at most.
    let text = row(6_000, &[(150, 600, 1_000); 15], 150);
    let rate = |cache_tokens| {
        let engine = EngineConfig { cache_tokens, ..engine("llama-3.1-70b-4xh100") };
        let run = run(&text, 8, 300, &ForecastOptions { ..options(engine) });
        let rows = run.requests();
        let sum = |of: fn(&RequestRow) -> Option<u64>| rows.iter().filter_map(of).sum::<u64>();
        sum(|row| row.cached_tokens) * 100 / sum(|row| row.prompt_tokens)
    };
    let sweep = [35_000, 52_000, 69_000, 86_000, 104_000, 121_000, 138_000, 172_000, 276_000];
    let rates = sweep.map(|capacity| (capacity, rate(capacity)));
    for (capacity, rate) in rates {
        eprintln!("| {capacity} | {rate} % |");
    }
    let at = |wanted| rates.iter().find(|(capacity, _)| *capacity == wanted).unwrap().1;
    assert!(at(138_000) >= at(69_000) + 30, "{rates:?}");
    assert!(rates.is_sorted_by(|a, b| a.1 <= b.1), "{rates:?}");
}

#[test]
fn time_to_first_token_grows_with_the_context() {
    for preset in trie_sim::engine::PRESETS {
        let mut engine = preset.engine();
        if let trie_sim::engine::Policy::Steps(steps) = &mut engine.policy {
            steps.time.jitter = 0.0;
        }
        let first_token = |prompt| {
            let run = run(&row(prompt, &[], 5), 1, 60, &options(engine));
            run.requests()[0].first_token_ns.unwrap()
        };
        let times = [100, 1_000, 8_000, 9_000, 30_000, 70_000].map(first_token);
        assert!(times.is_sorted_by(|a, b| a < b), "{}: {times:?}", preset.name);
        eprintln!("| {} | {times:?} |", preset.name);
    }
}
