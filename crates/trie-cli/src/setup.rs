//! What a run stands on: files, tokenizer, plan and endpoint, opened before anything is sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use nix::sys::utsname::{UtsName, uname};
use serde_json::{Map, Value};
use trie_core::plan::{History as Rung, Order, Plan, PlanError, PlanOptions};
use trie_core::record::{
    Capabilities, Clock, Host, IdsBack, KvCache, LengthFields, MANIFEST_SCHEMA, Manifest,
    OptionValue, Preflight, ReplicateOf, SelfCheck, ToldBy, Versions,
};
use trie_core::units::Nanos;
use trie_core::workload::{Encoding, ReadOptions, Source, Workload};
use trie_replay::clock::SystemClock;
use trie_replay::wire::{Api, Endpoint, NetConnector, Pool, ProxySettings, Scheme, Target};
use trie_replay::{BodyFields, Chat, History, StreamUsage};
use trie_tokens::{ChatOptions, ChatTemplate, Places, Source as TokenizerSource, Vocabulary};

use crate::args::{Environment, Layers, is_secret};
use crate::fault::{Fault, Topic};
use crate::preflight::server;
use crate::printer::Printer;
use crate::resolve::{Protocol, Stamps, WireOptions};

/// Longest time a connection may take to stand.
const CONNECT_TIMEOUT: Nanos = Nanos::from_secs(10);

/// Reads and checks a workload; `-` is standard input. `rows` stand in for a file: its text.
pub(crate) fn workload(
    path: &str,
    rows: Option<String>,
    options: ReadOptions,
) -> Result<Workload, Fault> {
    let source = match rows {
        Some(text) => Source::Seekable(Box::new(Cursor::new(text))),
        None => workload_source(path, "workload_path= names")?,
    };
    Workload::open(source, path, Encoding::of_name(path), &options)
        .map_err(|error| Fault::usage_of(Topic::Workload, error))
}

/// Opens a workload; `-` is standard input. `names` says in a hint where the path is given.
pub(crate) fn workload_source(path: &str, names: &str) -> Result<Source, Fault> {
    if path == "-" {
        return Ok(Source::Stream(Box::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| {
        Fault::usage_of(Topic::Workload, format!(
            "cannot open the workload {path}: {error}\nhint: {names} a JSONL file, one trace a line"
        ))
    })?;
    source(file, path, names)
}

/// A regular file can be read twice; a pipe or a device cannot.
fn source(file: File, path: &str, names: &str) -> Result<Source, Fault> {
    let meta = file
        .metadata()
        .map_err(|error| Fault::usage_of(Topic::Workload, format!("{path}: {error}")))?;
    if meta.is_dir() {
        return Err(Fault::usage_of(
            Topic::Workload,
            format!("the workload {path} is a folder\nhint: {names} one JSONL file"),
        ));
    }
    if meta.is_file() {
        Ok(Source::Seekable(Box::new(file)))
    } else {
        Ok(Source::Stream(Box::new(file) as Box<dyn Read + Send>))
    }
}

/// A workload that is part of the program.
pub(crate) fn bundled(name: &str, text: &'static str) -> Result<Workload, Fault> {
    let source = Source::Seekable(Box::new(Cursor::new(text)));
    Workload::open(source, name, Encoding::Plain, &ReadOptions::default()).map_err(Fault::failed)
}

/// Lets this process open as many files and sockets as the system lets it; how many that are, where
/// it says.
pub(crate) fn raise_descriptor_limit(printer: &Printer) -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        printer.warn(&format!("at most {soft} sockets can be open at a time ({error})"));
        return Some(soft);
    }
    Some(hard)
}

/// Files and sockets of a run beside one connection for each slot: records, timers, the terminal.
const OTHER_DESCRIPTORS: u64 = 128;

/// Refuses a run that cannot have a connection for each slot: what it measured would be its own
/// failures to connect.
pub(crate) fn check_sockets(concurrency: u32, limit: Option<u64>) -> Result<(), Fault> {
    let needed = u64::from(concurrency) + OTHER_DESCRIPTORS;
    match limit {
        Some(limit) if limit < needed => Err(Fault::usage(anyhow::anyhow!(
            "concurrency={concurrency} needs {needed} open files and sockets, and the system allows \
             {limit}\nhint: raise the limit (`ulimit -Hn` shows the most that it can be), or lower \
             concurrency="
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Makes the plan and says what reading and scaling did to the workload.
pub(crate) fn plan(
    options: PlanOptions,
    salt: u64,
    workload: &mut Workload,
) -> Result<(Plan, Vec<String>), Fault> {
    let mut notes: Vec<_> = workload.warnings().iter().map(ToString::to_string).collect();
    let plan = Plan::new(options, salt, workload).map_err(|error| match error {
        PlanError::Workload(_) => Fault::usage_of(Topic::Workload, error),
        PlanError::Option { .. } | PlanError::NothingLeft { .. } | PlanError::TooLong { .. } => {
            Fault::usage_of(Topic::Options, error)
        }
    })?;
    notes.extend(plan.counts().notes());
    if plan.options().ramp > plan.options().duration {
        notes.push("ramp= outlasts the run: slots that would open after its end never do".into());
    }
    Ok((plan, notes))
}

/// Tells the user what is worth knowing before the run.
pub(crate) fn tell(notes: &[String], printer: &Printer) {
    for note in notes {
        printer.warn(note);
    }
}

/// Loads a tokenizer from where the environment says tokenizers are.
pub(crate) fn vocabulary(name: &str, environment: &Environment) -> Result<Vocabulary, Fault> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let home = set("HOME").map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| home.as_ref().map(|home| home.join(".cache")));
    let hf_home = set("HF_HOME").map(PathBuf::from);
    let hf_home = hf_home.or_else(|| cache.as_ref().map(|cache| cache.join("huggingface")));
    let places = Places {
        hf_home,
        hf_hub_cache: set("HF_HUB_CACHE").map(PathBuf::from),
        offline: set("HF_HUB_OFFLINE").is_some_and(|value| value != "0"),
        hf_endpoint: set("HF_ENDPOINT"),
        hf_token: set("HF_TOKEN"),
        proxy: proxies(environment).https,
        cache_dir: cache.map(|cache| cache.join("trie")),
    };
    let vocabulary = Vocabulary::load(name, &places)
        .map_err(|error| Fault::usage_of(Topic::Tokenizer, error))?;
    // The encoder of a cached tokenizer is made at its first use: here, not in the run.
    vocabulary.encode("");
    Ok(vocabulary)
}

/// What makes the messages of chats, with the template of a file or of the tokenizer itself. A
/// template that prints the date gets today's, in UTC.
pub(crate) fn chat(
    vocabulary: &Vocabulary,
    file: Option<&Path>,
    sampling: &Map<String, Value>,
) -> Result<Chat, Fault> {
    let template = match file {
        Some(path) => {
            let path_shown = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                Fault::usage_of(Topic::Tokenizer, format!("cannot read the chat template {path_shown}: {error}"))
            })?;
            let tokens = vocabulary.special_tokens().map_err(|error| Fault::usage_of(Topic::Tokenizer, error))?;
            ChatTemplate::parse(&path_shown, &text, tokens).map_err(|error| Fault::usage_of(Topic::Tokenizer, error))?
        }
        None => vocabulary.chat_template().map_err(|error| Fault::usage_of(Topic::Tokenizer, error))?.ok_or_else(|| {
            Fault::usage_of(Topic::Tokenizer, format!(
                "no chat template lies beside the tokenizer {}\nhint: chat_template= names the \
                 Jinja file that the server uses",
                vocabulary.name()
            ))
        })?,
    };
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let variables = sampling.get("chat_template_kwargs").and_then(Value::as_object);
    let options = ChatOptions {
        now: template.prints_date().then_some(now),
        variables: variables.into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        ..ChatOptions::default()
    };
    Chat::new(vocabulary.clone(), template, options)
        .map_err(|error| Fault::usage_of(Topic::Tokenizer, error))
}

/// What a report says about the chats of its run.
pub(crate) fn chat_notes(chat: &Chat) -> Vec<String> {
    let date = chat.prints_date().then(|| {
        "the chat template prints today's date: prompts change at midnight, by the server's clock"
            .to_owned()
    });
    let file = format!("chat template: {}", chat.file());
    [file].into_iter().chain(chat.limits()).chain(date).collect()
}

/// The fields of every body, as long as no preflight says that the server takes others.
pub(crate) fn fields(
    model: &str,
    stream: bool,
    (api, rung): (Api, Rung),
    sampling: Map<String, Value>,
) -> BodyFields {
    BodyFields {
        model: model.to_owned(),
        stream,
        special_tokens: api != Api::Chat && matches!(rung, Rung::Auto | Rung::Text),
        stream_usage: StreamUsage::Final,
        length: LengthFields::default(),
        sampling,
    }
}

/// The best usage that a server reports in streams.
pub(crate) fn stream_usage(found: &Capabilities) -> StreamUsage {
    match (found.stream_options, found.running_usage) {
        (false, _) => StreamUsage::NotAsked,
        (true, false) => StreamUsage::Final,
        (true, true) => StreamUsage::Running,
    }
}

/// The rung of the history ladder that is used, given what the server can do.
pub(crate) fn rung(wanted: Rung, found: Option<&Capabilities>) -> Result<History, Fault> {
    let ids = match found {
        Some(Capabilities { ids_in: true, ids_back: Some(back), .. }) => Some(*back),
        Some(_) => None,
        // Nobody asked the server: the user's word stands.
        None => (wanted == Rung::Ids).then_some(IdsBack::ReturnTokenIds),
    };
    match (wanted, ids) {
        (Rung::Recorded, _) => Ok(History::Recorded),
        (Rung::Stable, _) => Ok(History::Stable),
        (Rung::Text, _) | (Rung::Auto, None) => Ok(History::Text),
        (Rung::Auto | Rung::Ids, Some(back)) => Ok(History::Ids(back)),
        (Rung::Ids, None) => Err(Fault::failed_of(
            Topic::Endpoint,
            "history=ids: this server does not take prompts of ids, or does not name the ids it \
             generates; see ids_in and ids_back of `trie check`\nhint: history=text",
        )),
    }
}

/// What the rung costs, in words.
pub(crate) fn price(history: History, found: Option<&Capabilities>) -> &'static str {
    let echoes = found.is_some_and(|found| found.echoes_prompt_ids);
    match history {
        History::Ids(IdsBack::ReturnTokenIds) if echoes => {
            "history=ids: the first chunk of each answer repeats the ids of its prompt, and the \
             server tokenizes nothing"
        }
        History::Ids(IdsBack::ReturnTokenIds) => {
            "history=ids: the server tokenizes nothing, which users of text do wait for"
        }
        History::Ids(IdsBack::Logprobs) => {
            "history=ids: the server makes a log probability of each token, and tokenizes nothing"
        }
        History::Ids(IdsBack::NativeCompletion) => {
            "history=ids: requests go to llama.cpp's own /completion, and the server tokenizes \
             nothing, which users of text do wait for"
        }
        History::Stable => {
            "history=stable: answers are limited to a part of the vocabulary, which changes what \
             sampling costs"
        }
        History::Recorded => {
            "history=recorded: no prompt holds what the server generated, so its cache is used \
             less than in production"
        }
        History::Chat => {
            "history=chat: the template's own tokens are part of each planned prompt, and its newest \
             text is so much shorter; an answer's text may make other tokens than the server \
             generated, whose cache is then lost behind them"
        }
        History::Text => {
            "history=text: an answer's text may make other tokens than the server generated; its \
             cache is lost behind them"
        }
    }
}

/// The way to the endpoint.
pub(crate) struct Wire {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    pub(crate) pool: Pool<SystemClock, NetConnector>,
}

/// Prepares connections and headers; reads certificates, sends nothing.
pub(crate) fn wire(
    url: &str,
    api: Api,
    options: &WireOptions,
    environment: &Environment,
) -> Result<Wire, Fault> {
    let endpoint = Endpoint::parse(url).map_err(|error| Fault::usage_of(Topic::Endpoint, error))?;
    let proxy = proxies(environment)
        .proxy_for(&endpoint)
        .map_err(|error| Fault::usage_of(Topic::Endpoint, error))?;
    if let Some(proxy) = proxy
        .as_ref()
        .filter(|_| options.protocol == Protocol::Http2 && endpoint.scheme == Scheme::Http)
    {
        return Err(Fault::usage_of(
            Topic::Endpoint,
            format!(
                "http2=True does not go through the proxy {proxy} to an http:// endpoint\n\
                 hint: name the host in no_proxy, or use https://"
            ),
        ));
    }
    let key = options.api_key.as_deref();
    let target = Target::new(&endpoint, proxy.as_ref(), api, key, &options.headers)
        .map_err(|error| Fault::usage_of(Topic::Endpoint, error))?;
    let connector = connector(endpoint.clone(), proxy, options)?;
    let connector = match options.stamps {
        Stamps::Kernel => connector,
        Stamps::Reads => connector.stamped_at_reads(),
    };
    let pool = Pool::new(connector, SystemClock, options.reuse, CONNECT_TIMEOUT.0);
    let pool = match options.protocol {
        Protocol::Http1 => pool,
        Protocol::Http2 => pool.http2(endpoint.scheme),
    };
    Ok(Wire { endpoint, target, pool })
}

/// Warns of a key that everybody on the way can read.
pub(crate) fn warn_of_key(wire: &Wire, options: &WireOptions, printer: &Printer) {
    let endpoint = &wire.endpoint;
    if options.api_key.is_some() && endpoint.scheme == Scheme::Http && !endpoint.is_loopback() {
        printer.warn(&format!(
            "the API key goes to {endpoint} unencrypted\nhint: use https, or unset OPENAI_API_KEY"
        ));
    }
}

#[cfg(feature = "tls")]
fn connector(
    endpoint: Endpoint,
    proxy: Option<Endpoint>,
    options: &WireOptions,
) -> Result<NetConnector, Fault> {
    let tls = trie_replay::wire::TlsSettings {
        ca_file: options.ca_file.clone(),
        client_cert: options.client_cert.clone(),
        insecure: options.insecure,
        http2: options.protocol == Protocol::Http2,
    };
    NetConnector::new(endpoint, proxy, &tls)
        .map_err(|error| Fault::usage_of(Topic::Endpoint, error))
}

#[cfg(not(feature = "tls"))]
fn connector(
    endpoint: Endpoint,
    proxy: Option<Endpoint>,
    _options: &WireOptions,
) -> Result<NetConnector, Fault> {
    if endpoint.scheme == Scheme::Https {
        return Err(Fault::usage_of(
            Topic::Endpoint,
            "this build has no TLS\nhint: build with the `tls` feature",
        ));
    }
    Ok(NetConnector::new(endpoint, proxy))
}

/// Both spellings are in use; the lower-case one wins, as with curl.
fn proxies(environment: &Environment) -> ProxySettings {
    let either = |name: &str| {
        environment.get(name).or_else(|| environment.get(&name.to_uppercase())).cloned()
    };
    ProxySettings {
        http: either("http_proxy"),
        https: either("https_proxy"),
        no_proxy: either("no_proxy"),
    }
}

/// The options as the manifest keeps them: value, origin, secrets blanked.
pub(crate) fn option_values(layers: &Layers) -> BTreeMap<String, OptionValue> {
    let shown = layers.all().into_iter().map(|(name, given)| {
        let value = blank(&name, given.text);
        (name, OptionValue { value, origin: given.origin.label() })
    });
    shown.collect()
}

/// Blanks values whose name says that they are secret, and credentials in URLs.
pub(crate) fn blank(name: &str, value: String) -> String {
    match name {
        _ if value == "None" => value,
        "endpoint" | "against" => {
            Endpoint::parse(&value).map_or_else(|_| "***".to_owned(), |url| url.to_string())
        }
        _ if is_secret(name) => "***".to_owned(),
        _ => value,
    }
}

/// The header of the run directory, before the clock starts.
pub(crate) struct ManifestParts<'p> {
    pub(crate) options: BTreeMap<String, OptionValue>,
    pub(crate) plan: &'p Plan,
    pub(crate) history: History,
    pub(crate) vocabulary: &'p Vocabulary,
    pub(crate) model: &'p str,
    pub(crate) num_gpus: Option<u32>,
    pub(crate) preflight: Option<Preflight>,
    pub(crate) self_check: Option<SelfCheck>,
    pub(crate) simulated: Option<String>,
    /// The size of the KV cache, where the user or the engine says it.
    pub(crate) kv_cache: Option<KvCache>,
    pub(crate) replicate: Option<ReplicateOf>,
    pub(crate) notes: Vec<String>,
}

/// What replicates say that begin with the same row.
const SAME_ROWS: &str = "order=file: replicates replay the same rows from the first one on, so that \u{b1} is \
                         of repeating these, not of other rows of the workload";

/// Fills in the manifest; `start_ns` and `started_at` are set when the clock starts.
pub(crate) fn manifest(parts: ManifestParts<'_>) -> Manifest {
    let ManifestParts {
        mut options,
        plan,
        history,
        vocabulary,
        model,
        num_gpus,
        preflight,
        self_check,
        simulated,
        kv_cache,
        replicate,
        mut notes,
    } = parts;
    let told = preflight.as_ref().and_then(|found| found.capabilities.cache_tokens);
    let told = told.map(|tokens| KvCache { tokens, block_size: None, told_by: ToldBy::Server });
    let order = plan.options().order;
    if let Some(shown) = options.get_mut("order") {
        // What `auto` has come to.
        order.name().clone_into(&mut shown.value);
    }
    if replicate.is_some_and(|of| of.of > 1) && order == Order::File && plan.entries().is_empty() {
        notes.push(SAME_ROWS.to_owned());
    }
    Manifest {
        schema: MANIFEST_SCHEMA.to_owned(),
        options,
        workload: plan.facts().clone(),
        plan_sha256: plan.sha256(),
        seed: plan.options().seed,
        salt: format!("{:016x}", plan.salt()),
        content_version: trie_core::plan::CONTENT_VERSION,
        history: history.name().to_owned(),
        model: model.to_owned(),
        concurrency: plan.options().concurrency,
        duration_ns: plan.options().duration,
        num_gpus,
        stream: plan.options().stream,
        start_ns: Nanos::ZERO,
        started_at: String::new(),
        simulated,
        versions: Versions {
            trie: env!("CARGO_PKG_VERSION").to_owned(),
            tokenizer: origin(vocabulary.source()),
            tokenizer_sha256: vocabulary.sha256().to_owned(),
        },
        host: host(),
        clock: Clock {
            monotonic: "CLOCK_MONOTONIC".to_owned(),
            stamps: "user".to_owned(),
            resolution_ns: Nanos(SystemClock::resolution()),
        },
        server: preflight.as_ref().and_then(|found| server(&found.capabilities)),
        preflight,
        self_check,
        entries: plan.entries().to_vec(),
        priming: None,
        kv_cache: kv_cache.or(told),
        replicate,
        notes,
        ending: None,
    }
}

/// Where a tokenizer came from, in words.
fn origin(source: &TokenizerSource) -> String {
    match source {
        TokenizerSource::Builtin => "builtin".to_owned(),
        TokenizerSource::Memory => "memory".to_owned(),
        TokenizerSource::File(path) => path.display().to_string(),
        TokenizerSource::HubCache(path) => format!("hub cache: {}", path.display()),
        TokenizerSource::Hub(address) => format!("hub: {address}"),
    }
}

pub(crate) fn host() -> Host {
    let uname = uname().ok();
    let text = |part: Option<&std::ffi::OsStr>| {
        part.map(|part| part.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Host {
        name: text(uname.as_ref().map(UtsName::nodename)),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        kernel: text(uname.as_ref().map(UtsName::release)),
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
    }
}
