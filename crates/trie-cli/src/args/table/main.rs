//! What is replayed, where, and for how long.

use super::command::Command;
use super::option::{ENDPOINT, FORECAST, Group, Kind, OptionRow, PLAN, SIMULATED, row, shared};

/// The options of this group.
pub(super) const ROWS: &[OptionRow] = &[
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
];
