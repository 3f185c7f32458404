//! What both sides must have in common, and what may differ but is said.

use std::collections::BTreeSet;

use super::Difference;
use crate::metrics::SummaryError;
use crate::record::Manifest;

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A side without a run.
    #[error("side {side} has no run\nhint: trie compare A B, two run directories")]
    NoRuns {
        /// `A` or `B`.
        side: &'static str,
    },
    /// Runs that have no partner.
    #[error(
        "the runs cannot be paired: their seeds differ: A has {a:?}, B has {b:?}\n\
         hint: run both sides with the same seed=, and with as many replicates"
    )]
    Seeds {
        /// Seeds of A, ascending.
        a: Vec<u64>,
        /// Seeds of B, ascending.
        b: Vec<u64>,
    },
    /// Runs that did not replay the same requests.
    #[error(
        "{a} and {b} did not replay the same requests, so that nothing can be paired: {}\n\
         hint: run both sides on the same workload with the same options",
        list(different)
    )]
    Different {
        /// Name of the run of A.
        a: String,
        /// Name of the run of B.
        b: String,
        /// What differs.
        different: Vec<Difference>,
    },
    /// A run cannot be summed up.
    #[error(transparent)]
    Summary(#[from] SummaryError),
}

fn list(different: &[Difference]) -> String {
    let one = |Difference { what, a, b }: &Difference| format!("{what} ({a} against {b})");
    different.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Options that change what is asked for: they must be equal.
const SAME: [&str; 7] = [
    "order",
    "token_scale",
    "tool_wait_scale",
    "user_wait_scale",
    "wait_cap",
    "max_turns",
    "max_context",
];

/// Options that need not be mentioned where they differ: who ran it, and what was kept and shown.
const QUIET: [&str; 12] = [
    "output_dir",
    "output_metrics_path",
    "duration_update_interval",
    "ui",
    "format",
    "salt",
    "api_key",
    "api_key_file",
    "config",
    "strict",
    "strict_percentiles",
    "workload_path",
];

/// What differs although it must not: then the same (instance, step) is not the same request.
pub(super) fn unlike(a: &Manifest, b: &Manifest) -> Vec<Difference> {
    let work = |manifest: &Manifest| {
        let facts = &manifest.workload;
        [facts.requests, facts.prompt_tokens, facts.completion_tokens].map(|n| n.to_string())
    };
    let ([requests_a, prompt_a, answer_a], [requests_b, prompt_b, answer_b]) = (work(a), work(b));
    let text = |number: u64| number.to_string();
    let version = |manifest: &Manifest| manifest.content_version.to_string();
    let must = [
        ("workload sha256", a.workload.sha256.clone(), b.workload.sha256.clone()),
        ("requests of one pass", requests_a, requests_b),
        ("prompt tokens of one pass", prompt_a, prompt_b),
        ("answer tokens of one pass", answer_a, answer_b),
        ("seed", text(a.seed), text(b.seed)),
        ("content version", version(a), version(b)),
        ("history", a.history.clone(), b.history.clone()),
    ];
    // An option that one of the versions did not have was at its default, whatever it wrote.
    let known = |name: &&str| a.options.contains_key(*name) && b.options.contains_key(*name);
    let options = SAME.into_iter().filter(known);
    let options = options.map(|name| (name, option(a, name), option(b, name)));
    differing(must.into_iter().chain(options))
}

/// What differs and may.
pub(super) fn allowed(a: &Manifest, b: &Manifest) -> Vec<Difference> {
    let seconds = |manifest: &Manifest| format!("{} s", manifest.duration_ns.as_secs_f64());
    let none = || "none".to_owned();
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(none);
    let facts = [
        ("model", a.model.clone(), b.model.clone()),
        ("server", or_none(&a.server), or_none(&b.server)),
        ("simulated engine", or_none(&a.simulated), or_none(&b.simulated)),
        ("concurrency", a.concurrency.to_string(), b.concurrency.to_string()),
        ("duration", seconds(a), seconds(b)),
        ("trie", a.versions.trie.clone(), b.versions.trie.clone()),
        ("client", a.host.name.clone(), b.host.name.clone()),
    ];
    let said = ["model", "concurrency", "duration", "seed", "history"];
    let names: BTreeSet<&String> = a.options.keys().chain(b.options.keys()).collect();
    // What a run is held against changes nothing of it.
    let left_out = |name: &str| {
        name.starts_with("slo.") || [&SAME[..], &QUIET, &said].concat().contains(&name)
    };
    let names = names.into_iter().map(String::as_str).filter(|name| !left_out(name));
    let options = names.map(|name| (name, option(a, name), option(b, name)));
    differing(facts.into_iter().chain(options))
}

fn option(manifest: &Manifest, name: &str) -> String {
    let value = manifest.options.get(name).map(|option| option.value.clone());
    value.unwrap_or_else(|| "not given".to_owned())
}

fn differing<'n>(all: impl Iterator<Item = (&'n str, String, String)>) -> Vec<Difference> {
    let apart = all.filter(|(_, a, b)| a != b);
    apart.map(|(what, a, b)| Difference { what: what.to_owned(), a, b }).collect()
}
