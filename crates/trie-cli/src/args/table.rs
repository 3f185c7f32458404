//! Every command and option once. Help, man page, completions, reference and the parser read this.

/// A command of the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    /// Replay a workload against an endpoint.
    Run,
    /// Replay a workload against simulated engines in virtual time.
    Forecast,
    /// The preflight alone.
    Check,
    /// Recompute and print a run's report.
    Report,
    /// Two runs, paired.
    Compare,
    /// A workload or a foreign trace written anew.
    Convert,
    /// A workload without names.
    Anonymize,
    /// A workload looked at without a run.
    Inspect,
    /// A workload made.
    Generate,
    /// Embedded engine, bundled workload.
    Demo,
    /// The simulated engine on loopback.
    Serve,
    /// Shell completions.
    Completions,
    /// Manual page.
    Man,
    /// Version, also as JSON.
    Version,
    /// Overview.
    Help,
    /// Reference pages and schemas for the docs.
    Reference,
}

impl Command {
    /// The word that is typed.
    pub(crate) fn name(self) -> &'static str {
        COMMANDS.iter().find(|row| row.command == self).map_or("help", |row| row.name)
    }
}

/// One command of the table.
#[derive(Debug)]
pub(crate) struct CommandRow {
    pub(crate) command: Command,
    /// The word that is typed.
    pub(crate) name: &'static str,
    /// What stands after it.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) help: &'static str,
    /// Not shown in help and completions.
    pub(crate) hidden: bool,
}

const fn command(
    command: Command,
    name: &'static str,
    usage: &'static str,
    help: &'static str,
) -> CommandRow {
    CommandRow { command, name, usage, help, hidden: false }
}

/// All commands.
pub(crate) const COMMANDS: &[CommandRow] = &[
    command(
        Command::Run,
        "run",
        "workload_path=FILE endpoint=URL model=NAME concurrency=N [key=value ...]",
        "Replay a workload against an endpoint and print the report; the word `run` may be left out",
    ),
    command(
        Command::Forecast,
        "forecast",
        "workload_path=FILE engine=PRESET|FILE.toml concurrency=N [replicas=N] [sim.NAME=value ...] [key=value ...]",
        "Replay a workload against simulated engines in virtual time: minutes take milliseconds; takes the options of `run`",
    ),
    command(
        Command::Check,
        "check",
        "endpoint=URL model=NAME [workload_path=FILE] [format=text|json] [key=value ...]",
        "Try what a run needs of a server, and say what was found and what to do; takes the options of `run`",
    ),
    command(
        Command::Report,
        "report",
        "RUN [RUN ...] [format=text|json|csv|markdown]",
        "Recompute every number of a run directory from its records; shards of one plan are merged",
    ),
    command(
        Command::Compare,
        "compare",
        "A[,A ...] B[,B ...] [fail_if='ttft_s.p90 > +5%' ...] [format=text|json|csv|markdown]",
        "Compare run B with run A, request by request, with intervals; several runs a side are paired by seed",
    ),
    command(
        Command::Convert,
        "convert",
        "IN [IN ...] to=v2|seed|mooncake|weka|dynamo [from=FORMAT] [output=FILE]",
        "Make a workload of foreign traces, or write one anew in another format, and say what was lost",
    ),
    command(
        Command::Anonymize,
        "anonymize",
        "IN [IN ...] [from=FORMAT] [output=FILE]",
        "Write a workload without names and texts: lengths, waits and what is shared",
    ),
    command(
        Command::Inspect,
        "inspect",
        "FILE [concurrency=N] [block=N] [engine=PRESET|FILE.toml] [cache_tokens=N ...] [format=text|json] [key=value ...]",
        "Say what a workload's traces look like and what a KV cache of any size holds of them, without a run",
    ),
    command(
        Command::Generate,
        "generate",
        "preset=NAME|like=FILE [traces=N] [seed=N] [to=v2|seed] [output=FILE] [key=value ...]",
        "Make a workload: by tables of what real ones look like, or from the sessions of one that is there",
    ),
    command(
        Command::Demo,
        "demo",
        "[key=value ...]",
        "Replay a bundled workload against an embedded engine: no network, no GPU",
    ),
    command(
        Command::Serve,
        "serve",
        "[key=value ...]",
        "Serve the simulated engine on loopback until Ctrl-C",
    ),
    command(
        Command::Completions,
        "completions",
        "bash|elvish|fish|powershell|zsh",
        "Print completions for a shell",
    ),
    command(Command::Man, "man", "", "Print the manual page (roff)"),
    command(Command::Version, "version", "[--json]", "Print the version"),
    command(Command::Help, "help", "", "Print the overview"),
    CommandRow {
        command: Command::Reference,
        name: "reference",
        usage: "output=DIR",
        help: "Write the reference pages and schemas below a folder",
        hidden: true,
    },
];

/// What a value looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// True or False; the name alone means True.
    Switch,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// Seconds.
    Seconds,
    /// Text.
    Text,
    /// A file or folder.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `option.NAME=VALUE`, any number of them.
    Map,
    /// Text that may be given several times; `;` separates several in one.
    List,
}

impl Kind {
    /// What would be right, in words.
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::Switch => "True or False".to_owned(),
            Self::Whole => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Seconds => "seconds".to_owned(),
            Self::Text | Self::List => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Map => "NAME=VALUE".to_owned(),
        }
    }

    /// The placeholder in help.
    pub(crate) fn placeholder(self) -> String {
        match self {
            Self::Switch => "True|False".to_owned(),
            Self::Whole => "N".to_owned(),
            Self::Number => "X".to_owned(),
            Self::Seconds => "SECONDS".to_owned(),
            Self::Text | Self::List => "TEXT".to_owned(),
            Self::Path => "PATH".to_owned(),
            Self::Choice(words) => words.join("|"),
            Self::Map => "VALUE".to_owned(),
        }
    }
}

/// Headings of help and reference.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Group {
    /// What is replayed, where, and for how long.
    Main,
    /// Changes to the workload before it is planned.
    Workload,
    /// What is sent.
    Content,
    /// How it is sent.
    Wire,
    /// What is kept and shown.
    Output,
}

impl Group {
    /// The heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Main => "What to replay",
            Self::Workload => "Workload",
            Self::Content => "Content of the requests",
            Self::Wire => "Connection",
            Self::Output => "Output",
        }
    }
}

/// One option of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionRow {
    /// Its name, with underscores; dashes are accepted too.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be typed; `None` where there is none.
    pub(crate) default: Option<&'static str>,
    /// One or two sentences.
    pub(crate) help: &'static str,
    pub(crate) group: Group,
    /// Which commands take it.
    pub(crate) commands: &'static [Command],
}

impl OptionRow {
    /// Whether a name, perhaps dotted, means this option.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match name.split_once('.') {
            Some((head, tail)) => self.kind == Kind::Map && head == self.name && !tail.is_empty(),
            None => self.kind != Kind::Map && name == self.name,
        }
    }
}

/// The options of a command, in table order.
pub(crate) fn options_of(command: Command) -> impl Iterator<Item = &'static OptionRow> {
    OPTIONS.iter().filter(move |row| row.commands.contains(&command))
}

/// The option of a command that a name, perhaps dotted, means.
pub(crate) fn find(command: Command, name: &str) -> Option<&'static OptionRow> {
    options_of(command).find(|row| row.matches(name))
}

/// The table's default of an option, whichever command asks.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|row| row.name == name).and_then(|row| row.default)
}

/// `check` and `forecast` take what `run` takes, so that a run's command line can be checked as it is, and
/// forecast with an engine for its endpoint.
const RUN: &[Command] = &[Command::Run, Command::Check, Command::Forecast];
const RUN_DEMO: &[Command] = &[Command::Run, Command::Check, Command::Forecast, Command::Demo];
const PLAN: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Demo, Command::Inspect];
const SCALE: &[Command] = &[Command::Run, Command::Check, Command::Forecast, Command::Inspect];
const WAITS: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Inspect, Command::Generate];
const GENERATE: &[Command] = &[Command::Generate];
const SIMULATED: &[Command] = &[Command::Forecast, Command::Inspect];
const ENDPOINT: &[Command] = &[Command::Run, Command::Check];
const FORECAST: &[Command] = &[Command::Forecast];
const CAPPED: &[Command] = &[
    Command::Run,
    Command::Check,
    Command::Forecast,
    Command::Inspect,
    Command::Convert,
    Command::Anonymize,
];
/// Commands that read foreign traces.
const IMPORT: &[Command] = &[Command::Convert, Command::Anonymize];
const RUN_IMPORT: &[Command] =
    &[Command::Run, Command::Check, Command::Forecast, Command::Convert, Command::Anonymize];
/// Commands that compare; `run` does with `against=`.
const COMPARING: &[Command] = &[Command::Run, Command::Check, Command::Compare];

const fn row(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> OptionRow {
    OptionRow { name, kind, default, help, group, commands: RUN }
}

const fn shared(row: OptionRow, commands: &'static [Command]) -> OptionRow {
    OptionRow { commands, ..row }
}

/// All options of all commands but `serve`'s engine settings, which trie-sim lists itself.
pub(crate) const OPTIONS: &[OptionRow] = &[
    row(
        Group::Main,
        "workload_path",
        Kind::Path,
        None,
        "Workload file: JSONL, one trace a line; .gz and .zst are read too, - is standard input",
    ),
    shared(
        row(
            Group::Main,
            "endpoint",
            Kind::Text,
            None,
            "Base URL of the server, such as http://localhost:8000/v1",
        ),
        ENDPOINT,
    ),
    shared(
        row(
            Group::Main,
            "engine",
            Kind::Text,
            None,
            "Engine to simulate: a preset such as llama-3.1-70b-4xh100, or a TOML file of its settings",
        ),
        SIMULATED,
    ),
    shared(
        row(
            Group::Main,
            "sim",
            Kind::Map,
            None,
            "sim.NAME=VALUE: one setting of the engine, over what engine= says",
        ),
        SIMULATED,
    ),
    shared(
        row(Group::Main, "replicas", Kind::Whole, Some("1"), "Engines behind the router"),
        FORECAST,
    ),
    shared(
        row(
            Group::Main,
            "router",
            Kind::Choice(&["round_robin", "session", "least_loaded"]),
            Some("round_robin"),
            "Which engine gets a request: the next one, always the same one of a trace, or the one with the \
             fewest requests",
        ),
        FORECAST,
    ),
    row(Group::Main, "model", Kind::Text, None, "Model name sent with every request"),
    row(
        Group::Main,
        "tokenizer_model",
        Kind::Text,
        None,
        "Tokenizer: a tokenizer.json or its folder, a hub model, or `builtin`; the model's name where not given",
    ),
    shared(row(Group::Main, "concurrency", Kind::Whole, None, "Traces kept alive at a time"), PLAN),
    shared(
        row(
            Group::Main,
            "duration",
            Kind::Seconds,
            Some("300"),
            "Seconds in which traces are admitted; what is alive at the end is cut off and counted",
        ),
        PLAN,
    ),
    shared(
        row(
            Group::Main,
            "seed",
            Kind::Whole,
            None,
            "Seed of plan and content; drawn and recorded where not given",
        ),
        &[Command::Run, Command::Check, Command::Forecast, Command::Demo, Command::Generate],
    ),
    row(
        Group::Main,
        "num_gpus",
        Kind::Whole,
        None,
        "GPUs behind the endpoint; adds the last column of table 2",
    ),
    row(
        Group::Main,
        "stream",
        Kind::Switch,
        Some("True"),
        "Stream the answers; without it there is no first token to time",
    ),
    row(
        Group::Main,
        "arrival_rate",
        Kind::Number,
        None,
        "Traces per second (open loop); this version has the closed loop only",
    ),
    row(
        Group::Main,
        "ramp",
        Kind::Seconds,
        Some("0"),
        "Open the slots evenly over this many seconds",
    ),
    row(
        Group::Main,
        "start",
        Kind::Choice(&["cold", "equilibrium"]),
        Some("cold"),
        "How the run starts: all traces at their first request, or each slot in the middle of a trace, as a \
         clock finds it that looks at any time, with its history in the server's cache",
    ),
    row(
        Group::Main,
        "prime_timeout",
        Kind::Seconds,
        Some("600"),
        "Seconds that the server may take for the histories of start=equilibrium, before the clock starts",
    ),
    row(
        Group::Main,
        "drain",
        Kind::Seconds,
        Some("0"),
        "Seconds that traces alive at the end may go on; no trace starts in them, and rates end before them",
    ),
    row(
        Group::Main,
        "replicates",
        Kind::Whole,
        Some("1"),
        "Runs, one after another, each with the next seed and a salt of its own; figures are then means \
         over them, with intervals",
    ),
    shared(
        row(
            Group::Main,
            "against",
            Kind::Text,
            None,
            "Base URL of a second server: both are measured in turn (A, B, B, A, ...), never at once, and \
             compared",
        ),
        ENDPOINT,
    ),
    row(Group::Main, "config", Kind::Path, None, "Run file (TOML) with any of these options"),
    row(
        Group::Main,
        "dry_run",
        Kind::Switch,
        Some("False"),
        "Show every option with its origin, and the plan; send nothing",
    ),
    shared(
        row(Group::Workload, "token_scale", Kind::Number, Some("1"), "Multiply all token lengths"),
        SCALE,
    ),
    shared(
        row(
            Group::Workload,
            "tool_wait_scale",
            Kind::Number,
            Some("1"),
            "Multiply waits for tools",
        ),
        WAITS,
    ),
    shared(
        row(
            Group::Workload,
            "user_wait_scale",
            Kind::Number,
            Some("1"),
            "Multiply waits for people",
        ),
        WAITS,
    ),
    shared(
        row(Group::Workload, "wait_cap", Kind::Seconds, None, "Longest wait, after scaling"),
        CAPPED,
    ),
    shared(
        row(
            Group::Workload,
            "max_turns",
            Kind::Whole,
            None,
            "Keep this many tool turns of each trace",
        ),
        SCALE,
    ),
    shared(
        row(
            Group::Workload,
            "max_context",
            Kind::Whole,
            None,
            "Drop requests whose prompt and answer together are longer",
        ),
        SCALE,
    ),
    shared(
        row(
            Group::Workload,
            "block",
            Kind::Whole,
            None,
            "Tokens that the cache keeps or drops together; those of engine= where not given",
        ),
        &[Command::Inspect],
    ),
    shared(
        row(
            Group::Workload,
            "cache_tokens",
            Kind::List,
            None,
            "Capacity of a KV cache, in tokens. `inspect`: to read the curve at, any number of them. `run`: that of \
             the server, all its replicas together; where it does not say it itself",
        ),
        &[Command::Run, Command::Check, Command::Inspect],
    ),
    shared(
        row(
            Group::Workload,
            "curve",
            Kind::Switch,
            Some("True"),
            "Work out what a cache of any size holds; without it, only what traces look like",
        ),
        &[Command::Inspect],
    ),
    shared(
        row(
            Group::Workload,
            "max_workload_mb",
            Kind::Whole,
            Some("1024"),
            "Memory for workloads that cannot be read twice (standard input, .gz, .zst)",
        ),
        &[
            Command::Run,
            Command::Forecast,
            Command::Convert,
            Command::Anonymize,
            Command::Inspect,
            Command::Generate,
        ],
    ),
    shared(
        row(
            Group::Workload,
            "to",
            Kind::Choice(&["v2", "seed", "mooncake", "weka", "dynamo"]),
            None,
            "Form to write: version 2, the original's six fields, or a format of others",
        ),
        &[Command::Convert, Command::Generate],
    ),
    shared(
        row(
            Group::Workload,
            "preset",
            Kind::Choice(&[
                "office-work",
                "agentic-coding",
                "long-context-app",
                "chat-mooncake",
                "single-turn-8k-1k",
            ]),
            None,
            "Kind of work to make",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "like",
            Kind::Path,
            None,
            "Workload whose sessions are drawn again, with replacement",
        ),
        GENERATE,
    ),
    shared(row(Group::Workload, "traces", Kind::Whole, Some("100"), "Rows to write"), GENERATE),
    shared(
        row(
            Group::Workload,
            "turn_scale",
            Kind::Number,
            Some("1"),
            "Multiply the turns of each session; further ones are drawn from its own",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "prompt_scale",
            Kind::Number,
            Some("1"),
            "Multiply first prompts, behind what is shared",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "growth_scale",
            Kind::Number,
            Some("1"),
            "Multiply what comes back in each turn",
        ),
        GENERATE,
    ),
    shared(
        row(Group::Workload, "output_scale", Kind::Number, Some("1"), "Multiply answers"),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "shared_prefix",
            Kind::Whole,
            None,
            "Tokens that open every first prompt, in place of what opens it now",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "fan_out",
            Kind::Whole,
            None,
            "Agents that work beside each session for a while",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "compact_at",
            Kind::Whole,
            None,
            "Longest prompt and answer: before a longer one the history is cut to what is shared and a summary",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "check",
            Kind::Switch,
            Some("False"),
            "Compare what the preset makes with its tables instead of writing it",
        ),
        GENERATE,
    ),
    shared(
        row(
            Group::Workload,
            "from",
            Kind::Choice(trie_import::NAMES),
            None,
            "Format of what is read; by its content where not given",
        ),
        IMPORT,
    ),
    shared(
        row(
            Group::Workload,
            "count",
            Kind::Text,
            Some("estimate"),
            "What counts texts whose length is not recorded: `estimate` (4 bytes a token), `words`, or a tokenizer \
             as tokenizer_model= of a run names it",
        ),
        IMPORT,
    ),
    shared(
        row(
            Group::Workload,
            "keep_names",
            Kind::Switch,
            Some("False"),
            "Keep the names that a foreign source gives its sessions, instead of salted hashes",
        ),
        &[Command::Convert],
    ),
    shared(
        row(
            Group::Workload,
            "blocks",
            Kind::Switch,
            Some("True"),
            "Keep prompts as ids of blocks where the source names them; False: their lengths, and where they break",
        ),
        IMPORT,
    ),
    shared(
        row(
            Group::Workload,
            "mooncake_lengths",
            Kind::Choice(&["auto", "delta", "cumulative"]),
            Some("auto"),
            "What input_length of Mooncake rows with a session is: what the request adds, or the whole prompt",
        ),
        IMPORT,
    ),
    row(
        Group::Workload,
        "strict",
        Kind::Switch,
        Some("False"),
        "Refuse unknown workload keys; exit 3 on a report with caveats",
    ),
    row(
        Group::Content,
        "history",
        Kind::Choice(&["auto", "ids", "stable", "text", "recorded"]),
        Some("auto"),
        "What later prompts hold for an answer: its token ids (exact), its text (stable: limited to \
         tokens that survive re-tokenizing), or our own text; auto: ids where the server can",
    ),
    shared(
        row(
            Group::Content,
            "cache_scope",
            Kind::Choice(&["run", "seed", "none"]),
            Some("run"),
            "Who may share cached content: traces of this run, all runs with this seed, or nobody",
        ),
        SCALE,
    ),
    shared(
        row(
            Group::Content,
            "salt",
            Kind::Text,
            None,
            "16 hexadecimal digits mixed into all content; drawn and recorded where not given",
        ),
        RUN_IMPORT,
    ),
    row(
        Group::Content,
        "sampling",
        Kind::Text,
        None,
        "JSON object merged into every request body, such as {\"temperature\": 0}",
    ),
    row(
        Group::Content,
        "api",
        Kind::Choice(&["completions", "chat"]),
        Some("completions"),
        "Which API to call; chat: prompts are messages, each as long as planned with what the model's \
         chat template puts around it",
    ),
    row(
        Group::Content,
        "chat_template",
        Kind::Path,
        None,
        "Jinja file of the chat template that the server uses; the tokenizer's own where not given",
    ),
    row(Group::Wire, "api_key", Kind::Text, None, "Bearer token; OPENAI_API_KEY where not given"),
    row(Group::Wire, "api_key_file", Kind::Path, None, "File that holds the bearer token"),
    row(
        Group::Wire,
        "headers",
        Kind::Map,
        None,
        "headers.NAME=VALUE: an extra header on every request",
    ),
    row(
        Group::Wire,
        "max_retries",
        Kind::Whole,
        Some("0"),
        "Further attempts at a failed request; every attempt is a record",
    ),
    row(Group::Wire, "timeout", Kind::Seconds, Some("600"), "Seconds a whole request may take"),
    row(
        Group::Wire,
        "max_failures",
        Kind::Whole,
        Some("50"),
        "Failed requests in a row that end the run",
    ),
    row(
        Group::Wire,
        "threads",
        Kind::Whole,
        None,
        "Threads that send and receive; without it one for each core but one, and at most one for 64 slots",
    ),
    row(
        Group::Wire,
        "pin",
        Kind::Text,
        None,
        "Cores that these threads are kept on, one each in turn, as in 0,2-5",
    ),
    row(
        Group::Wire,
        "priority",
        Kind::Text,
        None,
        "Nice value of these threads, from -20, the most urgent, to 19",
    ),
    row(
        Group::Wire,
        "stamps",
        Kind::Choice(&["kernel", "read"]),
        Some("kernel"),
        "When an answer's bytes came: when the kernel received them (Linux), or when they were read",
    ),
    row(
        Group::Wire,
        "connection",
        Kind::Choice(&["conversation", "request", "shared"]),
        Some("conversation"),
        "Who keeps a connection: each slot, nobody, or all slots of a thread together",
    ),
    row(
        Group::Wire,
        "ca_file",
        Kind::Path,
        None,
        "PEM file of certificate authorities to trust besides the system's",
    ),
    row(Group::Wire, "client_cert", Kind::Path, None, "PEM file with client certificate and key"),
    row(
        Group::Wire,
        "insecure",
        Kind::Switch,
        Some("False"),
        "Do not verify the server's certificate",
    ),
    row(
        Group::Wire,
        "preflight",
        Kind::Switch,
        Some("True"),
        "Try before the clock starts what the run needs of the server, with a few short requests",
    ),
    row(
        Group::Wire,
        "selfcheck",
        Kind::Switch,
        Some("True"),
        "Try, once a day, how much this machine's client can receive; a run that comes near it is told so",
    ),
    shared(
        row(
            Group::Output,
            "output_dir",
            Kind::Path,
            None,
            "Run directory to make; trie-runs/<time>-<4 hex digits> where not given",
        ),
        RUN_DEMO,
    ),
    row(
        Group::Output,
        "output_metrics_path",
        Kind::Path,
        None,
        "JSONL file with a row per completed trace, as the original writes it",
    ),
    row(
        Group::Output,
        "chunks",
        Kind::Switch,
        Some("False"),
        "Keep the stamp and the tokens of every chunk",
    ),
    shared(
        row(
            Group::Output,
            "truth_log",
            Kind::Path,
            None,
            "JSONL file of what the engines did with each request, as `trie serve truth_log=` writes it",
        ),
        FORECAST,
    ),
    OptionRow {
        name: "format",
        kind: Kind::Choice(&["text", "json", "csv", "markdown"]),
        default: Some("text"),
        help: "Format of the report on standard output; `check` has text and json",
        group: Group::Output,
        commands: &[
            Command::Run,
            Command::Check,
            Command::Forecast,
            Command::Demo,
            Command::Report,
            Command::Compare,
            Command::Inspect,
        ],
    },
    shared(
        row(
            Group::Output,
            "ui",
            Kind::Choice(&["auto", "bar", "log", "none"]),
            Some("auto"),
            "Progress: a live line on a terminal, log lines elsewhere, or nothing",
        ),
        RUN_DEMO,
    ),
    row(
        Group::Output,
        "duration_update_interval",
        Kind::Seconds,
        None,
        "Seconds between `benchmark in progress` lines",
    ),
    OptionRow {
        name: "strict_percentiles",
        kind: Kind::Switch,
        default: Some("False"),
        help: "Print - for a percentile with too few samples instead of marking it with ?",
        group: Group::Output,
        commands: &[
            Command::Run,
            Command::Check,
            Command::Forecast,
            Command::Demo,
            Command::Report,
        ],
    },
    OptionRow {
        name: "json",
        kind: Kind::Switch,
        default: Some("False"),
        help: "Print JSON; of `compare` the same as format=json",
        group: Group::Output,
        commands: &[Command::Version, Command::Compare],
    },
    OptionRow {
        name: "slo",
        kind: Kind::Map,
        default: None,
        help: "slo.METRIC=LIMIT: an objective, at most LIMIT for ttft_s, ttft_later_turns_s, tpot_ms, stall_ms \
               (every request), latency_s, ttfat_s, critical_path_s (traces), at least for decode_tps, \
               cache_hit_rate_pct, eligible_cache_hit_rate_pct (traces); the report counts what met all",
        group: Group::Output,
        commands: &[Command::Run, Command::Check, Command::Forecast, Command::Report],
    },
    OptionRow {
        name: "fail_if",
        kind: Kind::List,
        default: None,
        help: "METRIC[.STAT] > LIMIT[%] or < LIMIT[%]: exit 4 where the whole 95 % interval of the change \
               is beyond; any number of them; `run` needs against= for it",
        group: Group::Output,
        commands: COMPARING,
    },
    OptionRow {
        name: "fail_if_unsure",
        kind: Kind::Switch,
        default: Some("False"),
        help: "Exit 5 where no fail_if= fired and the interval of one straddles its limit",
        group: Group::Output,
        commands: COMPARING,
    },
    OptionRow {
        name: "output",
        kind: Kind::Path,
        default: None,
        help: "File to write; standard output where not given",
        group: Group::Output,
        commands: &[Command::Convert, Command::Anonymize, Command::Generate, Command::Reference],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_choices_hold_their_default() {
        for (at, row) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[..at].iter().all(|other| other.name != row.name), "{}", row.name);
            if let (Kind::Choice(words), Some(default)) = (row.kind, row.default) {
                assert!(words.contains(&default), "{}", row.name);
            }
        }
    }
}
