//! `trie check`: the preflight alone.

use anyhow::Context;
use trie_core::plan::History as Rung;
use trie_core::record::Preflight;
use trie_core::units::Tokens;
use trie_core::workload::ReadOptions;
use trie_replay::wire::Api;

use crate::args::{Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::preflight::{self, Trial};
use crate::printer::Printer;
use crate::resolve::{CheckFormat, CheckOptions, check_options};
use crate::setup::{self, Wire};
use crate::signals::Interrupts;

use super::run::{layers, no_positional, random};

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    no_positional(words)?;
    let layers = layers(words, environment)?.or_defaults(&[("concurrency", "1")]);
    let options = check_options(&layers, &mut random)?;
    let interrupts = Interrupts::listen(printer).map_err(Fault::failed)?;
    let checked = attempt(&layers, options, (None, environment), (&interrupts, printer))?;
    printer.out(&match checked.format {
        CheckFormat::Text => preflight::table(&checked.found),
        CheckFormat::Json => format!("{:#}\n", checked.document()),
    });
    Ok(if checked.found.can_run() { Code::Ok } else { Code::Failed })
}

/// What was found, and where.
pub(crate) struct Checked {
    pub(crate) found: Preflight,
    wire: Wire,
    model: String,
    format: CheckFormat,
}

impl Checked {
    /// All of it, as JSON.
    pub(crate) fn document(&self) -> serde_json::Value {
        preflight::document(&self.found, &self.wire, &self.model)
    }
}

/// Tries the server. `rows` stand in for the workload file: its text.
pub(crate) fn attempt(
    layers: &Layers,
    options: CheckOptions,
    (rows, environment): (Option<String>, &Environment),
    (interrupts, printer): (&Interrupts, &Printer),
) -> Result<Checked, Fault> {
    let longest = longest(layers, &options, rows, printer)?;
    let wire = setup::wire(&options.endpoint, options.api, &options.wire, environment)?;
    setup::warn_of_key(&wire, &options.wire, printer);
    let vocabulary = setup::vocabulary(&options.tokenizer, environment)?;
    let template = options.chat_template.as_deref();
    let chat = (options.api == Api::Chat)
        .then(|| setup::chat(&vocabulary, template, &options.sampling))
        .transpose()?;
    let CheckOptions {
        api, model, stream, sampling, plan, salt, wire: wire_options, format, ..
    } = options;
    let trial = Trial {
        wire: &wire,
        vocabulary: &vocabulary,
        chat: chat.as_ref(),
        fields: setup::fields(&model, stream, (api, plan.history), sampling),
        timeout: wire_options.timeout,
        limits_output: plan.history == Rung::Stable,
        longest,
        timed: false,
        content: (plan.seed, salt),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime").map_err(Fault::Failed)?;
    let found = runtime.block_on(preflight::attempt(trial, interrupts.asked(), printer))?;
    Ok(Checked { found, wire, model, format })
}

/// The longest request of the workload, where one is named.
fn longest(
    layers: &Layers,
    options: &CheckOptions,
    rows: Option<String>,
    printer: &Printer,
) -> Result<Option<Tokens>, Fault> {
    let Some(path) = &options.workload_path else { return Ok(None) };
    let read =
        ReadOptions { strict: layers.switch("strict")?, max_workload_mb: options.max_workload_mb };
    let mut workload = setup::workload(path, rows, read)?;
    let (plan, notes) = setup::plan(options.plan.clone(), options.salt, &mut workload)?;
    setup::tell(&notes, printer);
    Ok(Some(plan.facts().max_context_tokens))
}
