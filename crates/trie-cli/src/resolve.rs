//! Values of the options, checked together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};
use trie_core::compare::{Gate, GateError};
use trie_core::metrics::Objectives;
use trie_core::plan::{CacheScope, History, Order, PlanOptions, Scale};
use trie_core::record::{KvCache, OptionValue, ToldBy};
use trie_core::units::Nanos;
use trie_core::workload::PLANNED_FIELDS;
use trie_replay::wire::{Api, Reuse};
use trie_replay::{Cores, Nice};

use crate::args::{ArgsError, Layers};

/// Formats of the report on stdout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
    Markdown,
}

impl Format {
    /// The words that choose one.
    pub(crate) const WORDS: &'static [(&'static str, Self)] = &[
        ("text", Self::Text),
        ("json", Self::Json),
        ("csv", Self::Csv),
        ("markdown", Self::Markdown),
    ];
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ui {
    Auto,
    Bar,
    Log,
    None,
}

/// How a report is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportOptions {
    pub(crate) format: Format,
    pub(crate) strict_percentiles: bool,
    /// Exit 3 on caveats.
    pub(crate) strict: bool,
}

/// What `run` was asked to do. Past this point nothing needs to be checked again.
#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) workload_path: String,
    pub(crate) endpoint: String,
    pub(crate) model: String,
    pub(crate) tokenizer: String,
    pub(crate) api: Api,
    pub(crate) chat_template: Option<PathBuf>,
    pub(crate) plan: PlanOptions,
    pub(crate) salt: u64,
    pub(crate) num_gpus: Option<u32>,
    /// The size of the server's KV cache, where the user says it.
    pub(crate) kv_cache: Option<KvCache>,
    pub(crate) max_workload_mb: u64,
    pub(crate) sampling: Map<String, Value>,
    pub(crate) wire: WireOptions,
    pub(crate) output: OutputOptions,
    /// Runs, each with a seed of its own; at least 1.
    pub(crate) replicates: u32,
    pub(crate) start: Start,
    pub(crate) prime_timeout: Nanos,
    pub(crate) drain: Nanos,
    /// The second server, and how the two are compared.
    pub(crate) against: Option<(String, CompareOptions)>,
    pub(crate) dry_run: bool,
}

/// Whose stamps say when what arrives arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    /// The kernel's, where it has some.
    Kernel,
    /// Those of the reads.
    Reads,
}

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// How requests are sent.
#[derive(Clone, Debug)]
pub(crate) struct WireOptions {
    pub(crate) api_key: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) max_retries: u32,
    pub(crate) timeout: Nanos,
    pub(crate) max_failures: u32,
    pub(crate) threads: Option<u32>,
    pub(crate) cores: Option<Cores>,
    pub(crate) priority: Option<Nice>,
    pub(crate) stamps: Stamps,
    pub(crate) reuse: Reuse,
    pub(crate) protocol: Protocol,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client_cert: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) preflight: bool,
    pub(crate) selfcheck: bool,
}

/// What is kept and shown.
#[derive(Clone, Debug)]
pub(crate) struct OutputOptions {
    pub(crate) dir: Option<PathBuf>,
    pub(crate) metrics_path: Option<PathBuf>,
    pub(crate) chunks: bool,
    pub(crate) ui: Ui,
    pub(crate) update_interval: Option<Nanos>,
    pub(crate) report: ReportOptions,
}

/// 64 random bits, where the user gave none.
pub(crate) type Draw<'d> = &'d mut dyn FnMut() -> u64;

/// How the findings of `check` are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CheckFormat {
    Text,
    Json,
}

/// What `check` was asked to do: what `run` would be, with or without a workload.
#[derive(Debug)]
pub(crate) struct CheckOptions {
    pub(crate) workload_path: Option<String>,
    pub(crate) endpoint: String,
    pub(crate) model: String,
    pub(crate) tokenizer: String,
    pub(crate) api: Api,
    pub(crate) chat_template: Option<PathBuf>,
    pub(crate) plan: PlanOptions,
    pub(crate) salt: u64,
    pub(crate) max_workload_mb: u64,
    pub(crate) stream: bool,
    pub(crate) sampling: Map<String, Value>,
    pub(crate) wire: WireOptions,
    pub(crate) format: CheckFormat,
}

/// Resolves the options of `check`.
pub(crate) fn check_options(layers: &Layers, draw: Draw<'_>) -> Result<CheckOptions, ArgsError> {
    let model = layers.required("model")?;
    let plan = plan_options(layers, draw)?;
    Ok(CheckOptions {
        api: api(layers, plan.history)?,
        chat_template: layers.text("chat_template").map(PathBuf::from),
        workload_path: layers.text("workload_path"),
        endpoint: layers.required("endpoint")?,
        tokenizer: layers.text("tokenizer_model").unwrap_or_else(|| model.clone()),
        model,
        stream: plan.stream,
        plan,
        salt: salt(layers)?.unwrap_or_else(draw),
        max_workload_mb: layers.whole("max_workload_mb", 1)?.unwrap_or(1024),
        sampling: sampling(layers)?,
        wire: wire_options(layers)?,
        format: layers
            .choice("format", &[("text", CheckFormat::Text), ("json", CheckFormat::Json)])?,
    })
}

/// The size of the server's KV cache, if it was given.
fn kv_cache(layers: &Layers) -> Result<Option<KvCache>, ArgsError> {
    let wanted = || layers.bad("cache_tokens", "a whole number of tokens, at least 1");
    let given = layers.list("cache_tokens");
    let [text] = given.as_slice() else {
        return if given.is_empty() { Ok(None) } else { Err(wanted()) };
    };
    let tokens = text.parse().ok().filter(|tokens| *tokens > 0).ok_or_else(wanted)?;
    Ok(Some(KvCache { tokens, block_size: None, told_by: ToldBy::Option }))
}

/// Resolves the options of `run`.
pub(crate) fn run_options(layers: &Layers, draw: Draw<'_>) -> Result<RunOptions, ArgsError> {
    check_open_loop(layers)?;
    check_start(layers)?;
    let model = layers.required("model")?;
    let salt = salt(layers)?.unwrap_or_else(&mut *draw);
    let plan = plan_options(layers, draw)?;
    Ok(RunOptions {
        api: api(layers, plan.history)?,
        chat_template: layers.text("chat_template").map(PathBuf::from),
        workload_path: layers.required("workload_path")?,
        endpoint: layers.required("endpoint")?,
        tokenizer: layers.text("tokenizer_model").unwrap_or_else(|| model.clone()),
        model,
        plan,
        salt,
        num_gpus: small(layers, "num_gpus", 1)?,
        kv_cache: kv_cache(layers)?,
        max_workload_mb: layers.whole("max_workload_mb", 1)?.unwrap_or(1024),
        sampling: sampling(layers)?,
        wire: wire_options(layers)?,
        output: output_options(layers)?,
        replicates: replicates(layers)?,
        start: start(layers)?,
        prime_timeout: layers.seconds("prime_timeout")?.expect("it has a default"),
        drain: drain(layers)?,
        against: against(layers)?,
        dry_run: layers.switch("dry_run")?,
    })
}

/// The second server, if there is one; gates are for a comparison.
fn against(layers: &Layers) -> Result<Option<(String, CompareOptions)>, ArgsError> {
    let compare = compare_options(layers)?;
    match layers.text("against") {
        Some(_) if layers.given("output_metrics_path").is_some() => Err(ArgsError::Conflict(
            "`output_metrics_path=` is a file of one run, and `against=` makes two or more"
                .to_owned(),
        )),
        Some(endpoint) => Ok(Some((endpoint, compare))),
        None if !compare.gates.is_empty() || compare.fail_if_unsure => Err(ArgsError::Conflict(
            "`fail_if=` judges a comparison, and this run is compared with nothing\n\
                 hint: add `against=ENDPOINT`, or `trie compare A B fail_if=...` afterwards"
                .to_owned(),
        )),
        None => Ok(None),
    }
}

/// The objectives that were given, as options of a manifest: known ones, each with a limit.
pub(crate) fn objectives(
    layers: &Layers,
    streamed: bool,
) -> Result<BTreeMap<String, OptionValue>, ArgsError> {
    let given = layers.all().into_iter().filter(|(name, _)| name.starts_with("slo."));
    let options = given.map(|(name, given)| {
        (name, OptionValue { value: given.text, origin: given.origin.label() })
    });
    let options: BTreeMap<_, _> = options.collect();
    let checked = Objectives::of_options(&options).and_then(|all| all.checked(streamed));
    checked.map_err(|error| ArgsError::Conflict(error.to_string()))?;
    Ok(options)
}

/// More would be a slip of the finger.
const MOST_REPLICATES: u32 = 10_000;

/// How many runs there are, each with a seed of its own: the last one must be a seed too.
pub(crate) fn replicates(layers: &Layers) -> Result<u32, ArgsError> {
    let count = small(layers, "replicates", 1)?.expect("it has a default");
    let seed = layers.whole("seed", 0)?.unwrap_or(0);
    let conflict = |what: &str| Err(ArgsError::Conflict(what.to_owned()));
    if count > MOST_REPLICATES {
        return Err(layers.bad("replicates", format!("at most {MOST_REPLICATES}")));
    }
    if seed.checked_add(count.into()).is_none() {
        return conflict("`replicates=` counts up from `seed=`, which is too large for that");
    }
    match ["output_metrics_path", "truth_log"].iter().find(|name| layers.given(name).is_some()) {
        Some(name) if count > 1 => conflict(&format!(
            "`{name}=` is a file of one run, and `replicates=` makes {count}\nhint: the run directory \
             holds one of each replicate, which `trie report` reads alone"
        )),
        Some(_) | None => Ok(count),
    }
}

/// Which API to call. A chat has a rung of its own on the history ladder.
fn api(layers: &Layers, history: History) -> Result<Api, ArgsError> {
    let api = layers.choice("api", &[("completions", Api::Completions), ("chat", Api::Chat)])?;
    let other_rung = match history {
        History::Auto | History::Text => None,
        History::Ids => Some("ids"),
        History::Stable => Some("stable"),
        History::Recorded => Some("recorded"),
    };
    let conflict = |what: String, hint: &str| ArgsError::Conflict(format!("{what}\nhint: {hint}"));
    match (api, other_rung) {
        (Api::Chat, Some(rung)) => Err(conflict(
            format!(
                "`history={rung}` is not for `api=chat`, whose messages hold the answers' text"
            ),
            "leave `history=` out",
        )),
        (Api::Completions | Api::NativeCompletion, _) if layers.text("chat_template").is_some() => {
            let what = "`chat_template=` says nothing without `api=chat`".to_owned();
            Err(conflict(what, "add `api=chat`, or leave it out"))
        }
        (Api::Chat | Api::Completions | Api::NativeCompletion, _) => Ok(api),
    }
}

/// `arrival_rate` is a name of the original's that this version cannot honour.
fn check_open_loop(layers: &Layers) -> Result<(), ArgsError> {
    match layers.given("arrival_rate") {
        None => Ok(()),
        Some(_) => Err(ArgsError::Conflict(
            "`arrival_rate=` (open loop) is not in this version yet\n\
             hint: `concurrency=N` keeps N traces alive (closed loop)"
                .to_owned(),
        )),
    }
}

/// Where slots begin hangs on how fast the server is, which the preflight finds out.
fn check_start(layers: &Layers) -> Result<(), ArgsError> {
    match start(layers)? {
        Start::Equilibrium if !layers.switch("preflight")? => Err(ArgsError::Conflict(
            "`start=equilibrium` needs the preflight, which finds out how fast the server is\n\
             hint: leave `preflight=False` out, or `start=cold`"
                .to_owned(),
        )),
        Start::Cold | Start::Equilibrium => Ok(()),
    }
}

/// What the plan depends on.
pub(crate) fn plan_options(layers: &Layers, draw: Draw<'_>) -> Result<PlanOptions, ArgsError> {
    layers.required("concurrency")?;
    start(layers)?;
    objectives(layers, layers.switch("stream")?)?;
    Ok(PlanOptions {
        concurrency: small(layers, "concurrency", 1)?.expect("it was required just before"),
        duration: layers.seconds("duration")?.expect("it has a default"),
        // 53 bits: the seed stays exact where a reader takes JSON numbers as floats.
        seed: layers.whole("seed", 0)?.unwrap_or_else(|| draw() >> 11),
        stream: layers.switch("stream")?,
        history: layers.choice(
            "history",
            &[
                ("auto", History::Auto),
                ("ids", History::Ids),
                ("stable", History::Stable),
                ("text", History::Text),
                ("recorded", History::Recorded),
            ],
        )?,
        cache_scope: layers.choice(
            "cache_scope",
            &[("run", CacheScope::Run), ("seed", CacheScope::Seed), ("none", CacheScope::None)],
        )?,
        ramp: layers.seconds_or_zero("ramp")?.unwrap_or_default(),
        order: order(layers)?,
        scale: scale(layers)?,
    })
}

/// Replicates that begin with the same rows would say how repeating these differs, and nothing of the
/// rest of the workload.
fn order(layers: &Layers) -> Result<Order, ArgsError> {
    let words = [("auto", None), ("file", Some(Order::File)), ("shuffle", Some(Order::Shuffle))];
    let several = replicates(layers)? > 1;
    let auto = if several { Order::Shuffle } else { Order::File };
    Ok(layers.choice("order", &words)?.unwrap_or(auto))
}

/// How a run starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Start {
    /// All traces at their first request.
    Cold,
    /// Each slot in the middle of a trace.
    Equilibrium,
}

pub(crate) fn start(layers: &Layers) -> Result<Start, ArgsError> {
    let start =
        layers.choice("start", &[("cold", Start::Cold), ("equilibrium", Start::Equilibrium)])?;
    let ramp = layers.seconds_or_zero("ramp")?.unwrap_or_default();
    match start {
        Start::Equilibrium if ramp > Nanos::ZERO => Err(ArgsError::Conflict(
            "`ramp=` opens slots one by one, `start=equilibrium` has all of them in the middle of a trace\n\
             hint: leave one of them out"
                .to_owned(),
        )),
        Start::Cold | Start::Equilibrium => Ok(start),
    }
}

/// How long traces that are alive at the end may go on.
pub(crate) fn drain(layers: &Layers) -> Result<Nanos, ArgsError> {
    Ok(layers.seconds_or_zero("drain")?.unwrap_or_default())
}

fn scale(layers: &Layers) -> Result<Scale, ArgsError> {
    Ok(Scale {
        token_scale: layers.positive("token_scale")?.unwrap_or(1.0),
        tool_wait_scale: layers.factor("tool_wait_scale")?.unwrap_or(1.0),
        user_wait_scale: layers.factor("user_wait_scale")?.unwrap_or(1.0),
        wait_cap: layers.seconds_or_zero("wait_cap")?,
        max_turns: small(layers, "max_turns", 0)?,
        max_context: layers.whole("max_context", 2)?,
    })
}

fn wire_options(layers: &Layers) -> Result<WireOptions, ArgsError> {
    Ok(WireOptions {
        api_key: api_key(layers)?,
        headers: layers.map("headers"),
        max_retries: small(layers, "max_retries", 0)?.unwrap_or(0),
        timeout: layers.seconds("timeout")?.expect("it has a default"),
        max_failures: small(layers, "max_failures", 1)?.expect("it has a default"),
        threads: small(layers, "threads", 1)?,
        cores: layers.cores("pin")?,
        priority: priority(layers)?,
        stamps: layers.choice("stamps", &[("kernel", Stamps::Kernel), ("read", Stamps::Reads)])?,
        reuse: layers.choice(
            "connection",
            &[
                ("conversation", Reuse::Conversation),
                ("request", Reuse::Request),
                ("shared", Reuse::Shared),
            ],
        )?,
        protocol: if layers.switch("http2")? { Protocol::Http2 } else { Protocol::Http1 },
        ca_file: layers.text("ca_file").map(PathBuf::from),
        client_cert: layers.text("client_cert").map(PathBuf::from),
        insecure: layers.switch("insecure")?,
        preflight: layers.switch("preflight")?,
        selfcheck: layers.switch("selfcheck")?,
    })
}

/// What the system does not allow is known here, and not found in a run that was not as it should be.
fn priority(layers: &Layers) -> Result<Option<Nice>, ArgsError> {
    let Some(nice) = layers.nice("priority")? else { return Ok(None) };
    let refused = |error| {
        let text = layers.text("priority").unwrap_or_default();
        ArgsError::Conflict(format!(
            "priority={text} is not possible: {error}\n\
             hint: more urgent than 0 needs root, the capability CAP_SYS_NICE, or a limit that was raised \
             for this user (`ulimit -e` shows it: 30 allows -10)"
        ))
    };
    nice.check().map_err(refused)?;
    Ok(Some(nice))
}

pub(crate) fn output_options(layers: &Layers) -> Result<OutputOptions, ArgsError> {
    Ok(OutputOptions {
        dir: layers.text("output_dir").map(PathBuf::from),
        metrics_path: layers.text("output_metrics_path").map(PathBuf::from),
        chunks: layers.switch("chunks")?,
        ui: ui(layers)?,
        update_interval: layers.seconds("duration_update_interval")?,
        report: report_options(layers)?,
    })
}

/// How progress is shown.
pub(crate) fn ui(layers: &Layers) -> Result<Ui, ArgsError> {
    layers
        .choice("ui", &[("auto", Ui::Auto), ("bar", Ui::Bar), ("log", Ui::Log), ("none", Ui::None)])
}

/// What `compare` was asked to do.
#[derive(Clone, Debug)]
pub(crate) struct CompareOptions {
    pub(crate) format: Format,
    pub(crate) gates: Vec<Gate>,
    pub(crate) fail_if_unsure: bool,
}

/// Resolves the options of `compare`.
pub(crate) fn compare_options(layers: &Layers) -> Result<CompareOptions, ArgsError> {
    let format = layers.choice("format", Format::WORDS)?;
    let gate = |text: String| {
        text.parse().map_err(|error: GateError| layers.bad("fail_if", error.to_string()))
    };
    Ok(CompareOptions {
        format: if layers.switch("json")? { Format::Json } else { format },
        gates: layers.list("fail_if").into_iter().map(gate).collect::<Result<_, _>>()?,
        fail_if_unsure: layers.switch("fail_if_unsure")?,
    })
}

/// How a report is shown.
pub(crate) fn report_options(layers: &Layers) -> Result<ReportOptions, ArgsError> {
    Ok(ReportOptions {
        format: layers.choice("format", Format::WORDS)?,
        strict_percentiles: layers.switch("strict_percentiles")?,
        strict: layers.switch("strict")?,
    })
}

/// `api_key=` (`OPENAI_API_KEY` stands in for it), else the key in `api_key_file=`.
fn api_key(layers: &Layers) -> Result<Option<String>, ArgsError> {
    if let Some(key) = layers.text("api_key") {
        return Ok(Some(key));
    }
    if let Some(path) = layers.text("api_key_file") {
        let key = std::fs::read_to_string(&path).map_err(|error| {
            layers.bad("api_key_file", format!("a file that can be read ({error})"))
        })?;
        return Ok(Some(key.trim().to_owned()));
    }
    Ok(None)
}

pub(crate) fn salt(layers: &Layers) -> Result<Option<u64>, ArgsError> {
    let Some(text) = layers.text("salt") else { return Ok(None) };
    let wanted = || layers.bad("salt", "16 hexadecimal digits");
    if text.len() != 16 {
        return Err(wanted());
    }
    u64::from_str_radix(&text, 16).map(Some).map_err(|_| wanted())
}

fn sampling(layers: &Layers) -> Result<Map<String, Value>, ArgsError> {
    let Some(text) = layers.text("sampling") else { return Ok(Map::new()) };
    let bad = |why: String| layers.bad("sampling", why);
    let fields: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| bad(format!("a JSON object such as {{\"temperature\": 0}} ({error})")))?;
    match PLANNED_FIELDS.iter().find(|name| fields.contains_key(**name)) {
        Some(name) => Err(bad(format!("an object without `{name}`, which the plan sets"))),
        None => Ok(fields),
    }
}

/// A whole number that fits 32 bits.
pub(crate) fn small(
    layers: &Layers,
    name: &'static str,
    least: u64,
) -> Result<Option<u32>, ArgsError> {
    let value = layers.whole(name, least)?;
    let small = |value| u32::try_from(value).map_err(|_| layers.bad(name, "a number below 2^32"));
    value.map(small).transpose()
}
