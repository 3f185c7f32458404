//! All that can be said of a workload without a run.

use serde::{Deserialize, Serialize};

use super::closed_loop::{Asked, Pace, Play, Until, play};
use super::curve::Curve;
use super::shape::{Census, Shape};
use crate::metrics::{float, percent};
use crate::plan::{Dwell, Plan};
use crate::record::WorkloadFacts;
use crate::units::Tokens;
use crate::workload::{Workload, WorkloadError};

/// Name and version of the format of an inspection.
pub const INSPECTION_SCHEMA: &str = "trie.inspection/1";

/// Traces that each slot starts, at the least, where no duration says otherwise.
const TRACES_PER_SLOT: u64 = 4;

/// Points of the curve: a column each of a terminal, beside labels.
const POINTS: u32 = 72;

/// Points of the curve where each of them has to be played.
const PLAYED: u32 = 24;

/// Shares of the ceiling, in percent, whose capacities are looked up.
const SHARES: [u32; 5] = [25, 50, 75, 90, 99];

/// What is known of a workload without a run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inspection {
    /// Name and version of the format: `trie.inspection/1`.
    pub schema: String,
    /// The file, as it was given.
    pub path: String,
    /// sha256 of its bytes.
    pub sha256: String,
    /// What its traces look like, scaled as it was asked for.
    pub shape: Shape,
    /// What a cache of any capacity holds of the prompts; absent where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheCurve>,
    /// What is worth knowing beside the figures.
    pub notes: Vec<String>,
}

/// The hit rate of a prefix cache, by its capacity.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CacheCurve {
    /// Traces kept alive at a time.
    pub concurrency: u32,
    /// Tokens that the cache keeps or drops together.
    pub block_tokens: Tokens,
    /// Whose times a request is taken to have: an engine's name.
    pub engine: String,
    /// Nanoseconds of each request to its first token, beside its prompt.
    pub request_ns: f64,
    /// Nanoseconds of each prompt token that no earlier request had.
    pub prefill_ns: f64,
    /// Nanoseconds of each further token of an answer; in steps while as many others are on their way.
    pub decode_ns: f64,
    /// The same while none is.
    #[serde(default)]
    pub decode_alone_ns: f64,
    /// Nanoseconds of each pair of a new prompt token and one before it.
    #[serde(default)]
    pub attention_ns: f64,
    /// Whether prompts are computed one after another, and all answers stand still meanwhile.
    pub in_steps: bool,
    /// Whether each capacity was played on its own: where prompts take time, so does what was lost of them, and
    /// the order of requests is another at each capacity. Else one order serves all.
    #[serde(default)]
    pub each_played: bool,
    /// Traces that were started.
    pub traces: u64,
    /// Requests whose first token came.
    pub requests: u64,
    /// Tokens of their prompts.
    pub prompt_tokens: Tokens,
    /// How long that took, in seconds of its own time.
    pub length_s: f64,
    /// Prompt tokens that a cache without end holds, in percent of all.
    pub ceiling_pct: f64,
    /// Capacity, in tokens, from which on nothing more is gained.
    pub enough_tokens: Tokens,
    /// The most tokens in use by running requests at a time: with less room, requests wait for each other.
    pub running_tokens: Tokens,
    /// The least capacities that reach shares of the ceiling.
    pub needed: Vec<Needed>,
    /// The curve, at capacities that grow by a fixed factor from where it leaves 0 to where it is flat.
    pub points: Vec<Point>,
    /// The curve at the capacities that were asked for.
    pub asked: Vec<Point>,
}

/// The least capacity that reaches a share of the ceiling.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Needed {
    /// Share of the ceiling, in percent.
    pub share_pct: u32,
    /// Capacity in tokens.
    pub cache_tokens: Tokens,
}

/// A point of the curve.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Point {
    /// Capacity in tokens.
    pub cache_tokens: Tokens,
    /// Prompt tokens that are hit, in percent of all.
    pub hit_pct: f64,
}

/// What the curve is drawn for. Concurrency, scale and who shares what are the plan's.
#[derive(Clone, Debug)]
pub struct CurveOptions {
    /// Tokens that the cache keeps or drops together, at least 1.
    pub block: Tokens,
    /// Name of the engine whose times these are.
    pub engine: String,
    /// How long a request takes, among as many others as the plan keeps alive.
    pub pace: Dwell,
    /// Nanoseconds of an answer's further tokens where no other is on its way; of weight in steps only.
    pub decode_alone: f64,
    /// Nanoseconds of each pair of a new prompt token and one before it, beside those of the pace.
    pub attention: f64,
    /// Whether prompts are computed one after another, and all answers stand still meanwhile, as in engines
    /// that work in steps; else each request is on its own.
    pub in_steps: bool,
    /// Whether the plan's duration ends it, as it does a run. Without that, it goes on until all rows, and
    /// four for each slot, have been started.
    pub by_duration: bool,
    /// Capacities to look up, in tokens.
    pub capacities: Vec<Tokens>,
}

/// Looks at every trace of a plan, and plays it once against a cache of every capacity.
///
/// # Errors
///
/// When the workload cannot be read again.
pub fn inspect(
    plan: &Plan,
    workload: &mut Workload,
    curve: Option<&CurveOptions>,
) -> Result<Inspection, WorkloadError> {
    let WorkloadFacts { path, sha256, rows, .. } = workload.facts().clone();
    let mut census = Census::default();
    for number in 0..rows - plan.left_out().len() as u64 {
        census.add(&plan.trace(number, workload)?.trace);
    }
    let shape = census.into_shape();
    let cache = curve.map(|options| cache_curve(plan, workload, &shape, options)).transpose()?;
    let mut notes = plan.counts().notes();
    if matches!(cache, Some(None)) {
        notes.push("no first token comes within duration=: there is no curve".to_owned());
    }
    let schema = INSPECTION_SCHEMA.to_owned();
    Ok(Inspection { schema, path, sha256, shape, cache: cache.flatten(), notes })
}

fn cache_curve(
    plan: &Plan,
    workload: &mut Workload,
    shape: &Shape,
    options: &CurveOptions,
) -> Result<Option<CacheCurve>, WorkloadError> {
    let concurrency = plan.options().concurrency;
    let traces = shape.traces.max(TRACES_PER_SLOT * u64::from(concurrency));
    let until = if options.by_duration { Until::Deadline } else { Until::Started(traces) };
    let CurveOptions { pace: dwell, in_steps, decode_alone, attention, .. } = *options;
    let pace = Pace { dwell, decode_alone, attention, most: concurrency, in_steps };
    let endless = Play { pace, until, block: options.block, blocks: None };
    let Asked { requests, prompt_tokens, traces, length, ranges, most_in_use, .. } =
        play(plan, workload, endless)?;
    let curve = Curve::new(options.block, ranges);
    let ceiling = curve.hit_tokens(Tokens::MAX);
    let Some(ceiling_pct) = percent(ceiling, prompt_tokens) else { return Ok(None) };
    let each_played = options.pace.prefill > 0.0;
    let mut points = |capacities: &[Tokens]| -> Result<Vec<Point>, WorkloadError> {
        let point = |cache_tokens: &Tokens| {
            let hit_pct = if each_played {
                let blocks = Some(cache_tokens / options.block);
                let Asked { prompt_tokens, hit_tokens, .. } =
                    play(plan, workload, Play { blocks, ..endless })?;
                percent(hit_tokens, prompt_tokens)
            } else {
                percent(curve.hit_tokens(*cache_tokens), prompt_tokens)
            };
            Ok(hit_pct.map(|hit_pct| Point { cache_tokens: *cache_tokens, hit_pct }))
        };
        capacities.iter().map(point).filter_map(Result::transpose).collect()
    };
    let count = if each_played { PLAYED } else { POINTS };
    let drawn = points(&capacities(&curve, (ceiling, options.block), count))?;
    let asked = points(&options.capacities)?;
    let needed = SHARES.map(|share_pct| {
        let cache_tokens = if each_played {
            needed(&drawn, ceiling_pct * f64::from(share_pct) / 100.0, options.block)
        } else {
            let wanted = u128::from(ceiling) * u128::from(share_pct) / 100;
            Some(curve.needed(Tokens::try_from(wanted).expect("a share of 64 bits fits in them")))
        };
        cache_tokens.map(|cache_tokens| Needed { share_pct, cache_tokens })
    });
    Ok(Some(CacheCurve {
        concurrency,
        block_tokens: options.block,
        engine: options.engine.clone(),
        request_ns: options.pace.request,
        prefill_ns: options.pace.prefill,
        decode_ns: options.pace.decode,
        decode_alone_ns: decode_alone,
        attention_ns: attention,
        in_steps: options.in_steps,
        each_played,
        traces,
        requests,
        prompt_tokens,
        length_s: length.as_secs_f64(),
        ceiling_pct,
        enough_tokens: curve.enough(),
        running_tokens: most_in_use * options.block,
        needed: needed.into_iter().flatten().collect(),
        points: drawn,
        asked,
    }))
}

/// The capacity at which a curve of points first reaches a height, on the straight line between the two
/// points there; none where it does not, or is there from its first point on.
fn needed(points: &[Point], wanted_pct: f64, block: Tokens) -> Option<Tokens> {
    let pair = points.windows(2).find(|pair| pair[1].hit_pct >= wanted_pct)?;
    let [low, high] = [&pair[0], &pair[1]];
    let part = (wanted_pct - low.hit_pct) / (high.hit_pct - low.hit_pct);
    let more = float(high.cache_tokens - low.cache_tokens) * part;
    let tokens = low.cache_tokens + rounded(more);
    (low.hit_pct < wanted_pct).then_some(tokens.div_ceil(block) * block)
}

/// Capacities that grow by a fixed factor, in whole blocks: from half of what gives a twentieth of the ceiling
/// to twice what gives all but a hundredth of it.
fn capacities(curve: &Curve, (ceiling, block): (Tokens, Tokens), count: u32) -> Vec<Tokens> {
    let high = curve.needed(ceiling - ceiling / 100).saturating_mul(2).min(curve.enough());
    let low = (curve.needed(ceiling / 20) / 2).clamp(block, high.div_ceil(4).max(block));
    let factor = float(high.max(low)) / float(low);
    let capacity = |number: u32| {
        let share = f64::from(number) / f64::from(count - 1);
        rounded(float(low) * libm::pow(factor, share)).div_ceil(block) * block
    };
    if ceiling == 0 { Vec::new() } else { (0..count).map(capacity).collect() }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a capacity is not negative and below 2^53"
)]
fn rounded(tokens: f64) -> Tokens {
    tokens.round() as Tokens
}
