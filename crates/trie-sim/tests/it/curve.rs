//! The cache's curve, which no engine was asked for, against what a simulated engine really hits.

use trie_core::{
    generate::{GenerateOptions, Knobs, Origin, Preset, generate},
    inspect::{CurveOptions, inspect},
    plan::Dwell,
    units::Tokens,
};
use trie_sim::{
    config::Config,
    engine::{EngineConfig, Policy, Preset as Shape, Steps},
};

use crate::forecast::{options, planned, run};

fn rows(preset: Preset, knobs: Knobs) -> String {
    let options = GenerateOptions { seed: 5, traces: 60, knobs, command: String::new() };
    let mut rows = Vec::new();
    generate(Origin::Preset(preset), &options, &mut rows).unwrap();
    String::from_utf8(rows).unwrap()
}

/// Percent of prompt tokens hit, of requests whose first token came.
fn measured(rows: &str, engine: EngineConfig, concurrency: u32, seconds: u64) -> f64 {
    let requests = run(rows, concurrency, seconds, &options(engine)).requests();
    let answered = requests.iter().filter(|row| row.first_token_ns.is_some());
    let (prompt, cached) = answered.fold((0, 0), |(prompt, cached), row| {
        (prompt + row.prompt_tokens.unwrap(), cached + row.cached_tokens.unwrap())
    });
    percent(cached, prompt)
}

#[expect(clippy::cast_precision_loss, reason = "tokens of one run")]
fn percent(part: Tokens, whole: Tokens) -> f64 {
    part as f64 / whole as f64 * 100.0
}

/// The curve at capacities, and the most that running requests use.
fn curve(
    rows: &str,
    engine: EngineConfig,
    (concurrency, seconds): (u32, u64),
    capacities: &[Tokens],
) -> (Vec<f64>, Tokens) {
    let (plan, mut workload) = planned(rows, concurrency, seconds);
    let engine = EngineConfig { cache_tokens: usize::MAX, ..engine };
    let pace = engine.dwell(concurrency.into(), plan.facts());
    let (prefill, attention) = match engine.policy {
        Policy::Steps(Steps { time, .. }) => (time.p * 1e6, time.q * 1e6),
        Policy::Fixed { .. } | Policy::Instant => (pace.prefill, 0.0),
    };
    let options = CurveOptions {
        block: u64::try_from(engine.block.get()).unwrap(),
        engine: "test".into(),
        pace: Dwell { prefill, ..pace },
        decode_alone: engine.dwell(1, plan.facts()).decode,
        attention,
        in_steps: matches!(engine.policy, Policy::Steps(_)),
        by_duration: true,
        capacities: capacities.to_vec(),
    };
    let cache = inspect(&plan, &mut workload, Some(&options)).unwrap().cache.unwrap();
    (cache.asked.iter().map(|point| point.hit_pct).collect(), cache.running_tokens)
}

/// Holds the curve against five engines, from one that just has room for all running requests.
fn check(rows: &str, engine: EngineConfig, (concurrency, seconds): (u32, u64)) {
    let all = curve(rows, engine, (concurrency, seconds), &[]).1;
    let capacities = [100, 125, 150, 200, 400].map(|percent| all * percent / 100);
    let (curve, running) = curve(rows, engine, (concurrency, seconds), &capacities);
    for (capacity, expected) in capacities.into_iter().zip(curve) {
        let engine = EngineConfig { cache_tokens: usize::try_from(capacity).unwrap(), ..engine };
        let found = measured(rows, engine, concurrency, seconds);
        assert!(
            (found - expected).abs() < 1.0,
            "{capacity} tokens (running {running}): {expected} by the curve, {found} measured"
        );
    }
}

#[test]
fn the_curve_is_what_an_engine_on_a_schedule_hits() {
    let engine = Config::default().engine();
    let office = rows(Preset::OfficeWork, Knobs { turn_scale: 0.3, ..Knobs::default() });
    check(&office, engine, (12, 120));
    let shared = Knobs { turn_scale: 0.2, shared_prefix: Some(6_000), ..Knobs::default() };
    check(
        &rows(Preset::AgenticCoding, Knobs { user_wait_scale: 0.01, ..shared }),
        engine,
        (8, 200),
    );
    let fan =
        Knobs { turn_scale: 0.3, fan_out: Some(3), compact_at: Some(30_000), ..Knobs::default() };
    check(&rows(Preset::OfficeWork, fan), engine, (6, 120));
    check(
        &rows(Preset::ChatMooncake, Knobs { user_wait_scale: 0.05, ..Knobs::default() }),
        engine,
        (8, 200),
    );
}

/// A prompt that is computed takes time there, also where it was lost: each capacity is played.
#[test]
fn the_curve_is_what_an_engine_in_steps_hits() {
    let engine = Shape::named("llama-3.1-70b-4xh100").unwrap().engine();
    check(&rows(Preset::OfficeWork, Knobs::default()), engine, (8, 600));
    let coding = Knobs { user_wait_scale: 0.2, ..Knobs::default() };
    check(&rows(Preset::AgenticCoding, coding), engine, (8, 1_800));
    let fan = Knobs { fan_out: Some(3), compact_at: Some(30_000), ..Knobs::default() };
    check(&rows(Preset::OfficeWork, fan), engine, (4, 600));
}
