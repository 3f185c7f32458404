//! What is kept and shown.

use super::command::Command;
use super::option::{COMPARING, FORECAST, Group, Kind, OptionRow, RUN_DEMO, row, shared};

/// The options of this group.
pub(super) const ROWS: &[OptionRow] = &[
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
