//! `trie inspect`: a workload looked at without a run.

use trie_core::inspect::{CurveOptions, Inspection, inspect};
use trie_core::plan::{Dwell, Plan};
use trie_core::report::{inspection_json, inspection_text};
use trie_core::units::Tokens;
use trie_core::workload::ReadOptions;
use trie_sim::engine::{EngineConfig, Policy, Steps};

use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{CheckFormat, plan_options};
use crate::setup;

use super::engine::Engine;
use super::opened::{Opened, Opening};
use super::run::layers;

/// What is taken for granted where the user says nothing.
const DEFAULTS: &[(&str, &str)] = &[("concurrency", "16"), ("engine", "fixed")];

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = layers(words, environment)?.or_defaults(DEFAULTS);
    let [path] = &words.positional[..] else {
        let what = "`trie inspect` needs one workload\nhint: trie inspect FILE concurrency=16";
        return Err(ArgsError::Conflict(what.to_owned()).into());
    };
    let format =
        layers.choice("format", &[("text", CheckFormat::Text), ("json", CheckFormat::Json)])?;
    let engine = Engine::of(&layers)?;
    let max_workload_mb = layers.whole("max_workload_mb", 1)?.unwrap_or(1024);
    let options = plan_options(&layers, &mut || 0)?;
    let capacities = capacities(&layers)?;
    let block = layers.whole("block", 1)?;
    let read = ReadOptions { strict: false, max_workload_mb };
    let opening = Opening {
        names: "`trie inspect` takes",
        read,
        blocks: layers.switch("blocks")?,
        change: &|_| None,
        layers: &layers,
        environment,
        printer,
    };
    let Opened { mut workload, code } = opening.open(path)?;
    // No text is made: any salt will do.
    let (plan, _) = setup::plan(options, 0, &mut workload)?;
    for warning in workload.warnings() {
        printer.warn(&warning.to_string());
    }
    let curve = layers.switch("curve")?.then(|| {
        let by_duration = layers.given("duration").is_some();
        curve_options(&engine, &plan, (block, by_duration), capacities)
    });
    let found: Inspection = inspect(&plan, &mut workload, curve.as_ref()).map_err(Fault::failed)?;
    printer.out(&match format {
        CheckFormat::Text => inspection_text(&found),
        CheckFormat::Json => inspection_json(&found),
    });
    Ok(code)
}

fn curve_options(
    engine: &Engine,
    plan: &Plan,
    (block, by_duration): (Option<Tokens>, bool),
    capacities: Vec<Tokens>,
) -> CurveOptions {
    // What a cache loses is the curve's own business: the pace is that of one that holds all.
    let config = EngineConfig { cache_tokens: usize::MAX, ..engine.config.engine() };
    let concurrency = plan.options().concurrency.into();
    let pace = config.dwell(concurrency, plan.facts());
    // Attention is worked out for each prompt, not at the average length.
    let (prefill, attention) = match config.policy {
        Policy::Steps(Steps { time, .. }) => (time.p * 1e6, time.q * 1e6),
        Policy::Fixed { .. } | Policy::Instant => (pace.prefill, 0.0),
    };
    let own = Tokens::try_from(config.block.get()).unwrap_or(Tokens::MAX);
    CurveOptions {
        block: block.unwrap_or(own),
        engine: engine.name.clone(),
        pace: Dwell { prefill, ..pace },
        decode_alone: config.dwell(1, plan.facts()).decode,
        attention,
        in_steps: matches!(config.policy, Policy::Steps(_)),
        by_duration,
        capacities,
    }
}

fn capacities(layers: &Layers) -> Result<Vec<Tokens>, ArgsError> {
    let wanted = || layers.bad("cache_tokens", "whole numbers of tokens, as in 100000;200000");
    let each = layers.list("cache_tokens").into_iter();
    each.map(|text| text.parse().map_err(|_| wanted())).collect()
}
