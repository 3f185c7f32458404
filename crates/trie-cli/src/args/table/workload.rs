//! Changes to the workload before it is planned, and workloads made.

use super::command::Command;
use super::option::{
    BLOCKS, CAPPED, GENERATE, Group, IMPORT, Kind, OptionRow, SCALE, WAITS, row, shared,
};

/// The options of this group.
pub(super) const ROWS: &[OptionRow] = &[
    row(
        Group::Workload,
        "order",
        Kind::Choice(&["auto", "file", "shuffle"]),
        Some("auto"),
        "In which order rows are replayed: as in the file, or drawn from the seed (a session's rows keep \
         theirs); auto is the file's, but with replicates= each shuffles anew",
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
        BLOCKS,
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
    shared(
        row(
            Group::Workload,
            "mooncake_join",
            Kind::Switch,
            Some("False"),
            "Requests without a session whose blocks go on with each other are one row, with waits from start to start",
        ),
        IMPORT,
    ),
    shared(
        row(
            Group::Workload,
            "mooncake_spread",
            Kind::Seconds,
            None,
            "Mooncake rows of one moment arrive at moments drawn from so many seconds after it (3 for the \
             conversation trace, which was recorded in bursts)",
        ),
        IMPORT,
    ),
    shared(
        row(
            Group::Workload,
            "answer_length",
            Kind::Whole,
            None,
            "Tokens of an answer where the source does not say how long it is to be; else its request is left out",
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
];
