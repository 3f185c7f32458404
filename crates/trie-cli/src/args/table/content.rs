//! What is sent.

use super::option::{Group, Kind, OptionRow, RUN_IMPORT, SCALE, row, shared};

/// The options of this group.
pub(super) const ROWS: &[OptionRow] = &[
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
];
