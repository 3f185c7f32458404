//! The preflight as `run` and `check` carry it out, and how its findings are shown.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use tokio::sync::watch;
use trie_core::plan::{CacheScope, ContentRule, Stretch, content_key};
use trie_core::record::{Capabilities, EngineKind, Finding, FindingStatus, Preflight};
use trie_core::report::{Level, log_line};
use trie_core::units::{Nanos, Tokens};
use trie_replay::{BodyFields, Chat, PreflightOptions, idle, preflight};
use trie_tokens::Vocabulary;

use crate::fault::{Fault, Topic};
use crate::printer::Printer;
use crate::setup::Wire;

/// Instance whose content no run replays: the preflight's.
const INSTANCE: u64 = u64::MAX;

/// Name and version of `trie check`'s JSON.
const SCHEMA: &str = "trie.check/1";

/// What is to be tried, and with what.
pub(crate) struct Trial<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) vocabulary: &'a Vocabulary,
    pub(crate) chat: Option<&'a Chat>,
    pub(crate) fields: BodyFields,
    pub(crate) timeout: Nanos,
    /// Whether the run limits answers to the stable subset.
    pub(crate) limits_output: bool,
    pub(crate) longest: Option<Tokens>,
    /// Whether to find out how long the server takes for a request.
    pub(crate) timed: bool,
    /// Seed and salt of the content.
    pub(crate) content: (u64, u64),
}

/// Tries the server; Ctrl-C ends it.
pub(crate) async fn attempt(
    trial: Trial<'_>,
    mut asked: watch::Receiver<bool>,
    printer: &Printer,
) -> Result<Preflight, Fault> {
    let Trial { wire, vocabulary, chat, fields, timeout, limits_output, longest, timed, content } =
        trial;
    let (seed, salt) = content;
    let rule = ContentRule::new(seed, salt, CacheScope::Run);
    let key = content_key(&rule, INSTANCE, Stretch::Own { step: 0, segment: 0 }).0;
    let options =
        PreflightOptions { fields, vocabulary, chat, limits_output, timeout, key, longest, timed };
    let waiting = |what: &str| {
        printer.line(&format!("preflight: still waiting for {what} from {}", wire.endpoint));
    };
    tokio::select! {
        found = preflight(&wire.pool, &wire.target, options, &waiting) => Ok(found),
        Ok(_) = asked.wait_for(|asked| *asked) => {
            let what = "interrupted during the preflight: nothing was replayed";
            Err(Fault::Interrupted(anyhow::anyhow!(what)))
        }
    }
}

/// How long a server may still be at work on what another replicate was cut off in.
const SETTLING: Nanos = Nanos::from_secs(60);

/// Waits until the server has nothing to do, where it says so; Ctrl-C ends it. What it is still at
/// work on later is a finding of the preflight.
pub(crate) async fn settle(
    wire: &Wire,
    timeout: Nanos,
    mut asked: watch::Receiver<bool>,
    printer: &Printer,
) -> Result<(), Fault> {
    let waiting = |what: &str| {
        printer.line(&format!("still waiting for {what} from {}", wire.endpoint));
    };
    tokio::select! {
        _busy = idle(&wire.pool, &wire.target, (timeout, SETTLING), &waiting) => Ok(()),
        Ok(_) = asked.wait_for(|asked| *asked) => {
            Err(Fault::Interrupted(anyhow::anyhow!("interrupted between two replicates")))
        }
    }
}

/// What a run says: warnings, and one line for all the rest.
pub(crate) fn tell(found: &Preflight, printer: &Printer) {
    for finding in found.findings.iter().filter(|finding| finding.status == FindingStatus::Warn) {
        printer.warn(&sentence(finding, "\nhint: "));
    }
    let values = values(found).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    printer.line(&log_line(Level::Info, "preflight passed", &values));
}

/// What a run's report repeats.
pub(crate) fn remarks(found: &Preflight) -> Vec<String> {
    let warnings = found.findings.iter().filter(|finding| finding.status == FindingStatus::Warn);
    warnings.map(|finding| sentence(finding, "; ")).collect()
}

/// The error that ends a run which cannot go ahead.
pub(crate) fn refused(found: &Preflight, wire: &Wire) -> Fault {
    let fails = found.findings.iter().filter(|finding| finding.status == FindingStatus::Fail);
    let lines: Vec<_> = fails.map(|finding| sentence(finding, "\nhint: ")).collect();
    Fault::failed_of(
        Topic::Endpoint,
        format!(
            "{} cannot serve this run\n{}\nnothing was replayed; `trie check` tries everything \
         again, preflight=False skips it",
            wire.endpoint,
            lines.join("\n"),
        ),
    )
}

/// What the server is, in words, where it says so.
pub(crate) fn server(capabilities: &Capabilities) -> Option<String> {
    let version = capabilities.engine_version.as_ref();
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    match capabilities.engine {
        EngineKind::Unknown => None,
        EngineKind::Vllm
        | EngineKind::Sglang
        | EngineKind::TensorrtLlm
        | EngineKind::LlamaCpp
        | EngineKind::Simulated => Some(format!("{}{version}", capabilities.engine.title())),
    }
}

/// A finding per line, what to do about it below.
pub(crate) fn table(found: &Preflight) -> String {
    let mut text = String::new();
    for Finding { check, status, found, advice } in &found.findings {
        add(&mut text, format_args!("{:<6}{:<15}{found}\n", status.as_str(), check.as_str()));
        if let Some(advice) = advice {
            add(&mut text, format_args!("{:21}-> {advice}\n", ""));
        }
    }
    let verdict = if found.can_run() { "a run can go ahead" } else { "no run can go ahead" };
    let count = |status| found.count(status);
    add(
        &mut text,
        format_args!(
            "\n{verdict}: {} ok, {} to note, {} to warn of, {} failed\n",
            count(FindingStatus::Ok),
            count(FindingStatus::Note),
            count(FindingStatus::Warn),
            count(FindingStatus::Fail),
        ),
    );
    text
}

/// The same as JSON, with what the findings come to.
pub(crate) fn document(found: &Preflight, wire: &Wire, model: &str) -> Value {
    json!({
        "schema": SCHEMA,
        "endpoint": wire.endpoint.to_string(),
        "model": model,
        "can_run": found.can_run(),
        "findings": found.findings,
        "capabilities": found.capabilities,
    })
}

fn sentence(finding: &Finding, joint: &str) -> String {
    let advice = finding.advice.as_ref().map(|advice| format!("{joint}{advice}"));
    format!("{}: {}{}", finding.check.as_str(), finding.found, advice.unwrap_or_default())
}

/// What is worth a place in the one line.
fn values(found: &Preflight) -> BTreeMap<&'static str, String> {
    let Capabilities { ids_in, ids_back, block_size, context_limit, .. } = found.capabilities;
    let known = |value: Option<Tokens>| value.map_or_else(|| "None".to_owned(), |v| v.to_string());
    let switch = |on: bool| if on { "True" } else { "False" }.to_owned();
    let server = server(&found.capabilities);
    BTreeMap::from([
        ("engine", server.map_or_else(|| "None".to_owned(), |server| format!("'{server}'"))),
        ("ids_in", switch(ids_in)),
        ("ids_back", switch(ids_back.is_some())),
        ("block_size", known(block_size)),
        ("context_limit", known(context_limit)),
        ("warnings", found.count(FindingStatus::Warn).to_string()),
    ])
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a string does not fail");
}
