//! Every command once.

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
        "IN [from=FORMAT] [concurrency=N] [block=N] [engine=PRESET|FILE.toml] [cache_tokens=N ...] [format=text|json] [key=value ...]",
        "Say what a workload's traces look like and what a KV cache of any size holds of them, without a run",
    ),
    command(
        Command::Generate,
        "generate",
        "preset=NAME|like=IN [from=FORMAT] [traces=N] [seed=N] [to=v2|seed] [output=FILE] [key=value ...]",
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
