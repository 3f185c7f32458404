//! `trie run`: replay a workload against an endpoint and print the report.

use std::fs;

use trie_core::workload::ReadOptions;
use trie_replay::wire::Api;

use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{RunOptions, run_options};
use crate::selfcheck::Place;
use crate::setup;

use super::replay::{Job, replay};

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    no_positional(words)?;
    let layers = layers(words, environment)?;
    match prepare(&layers, None, environment, printer)? {
        Prepared::Shown(text) => {
            printer.out(&text);
            Ok(Code::Ok)
        }
        Prepared::Job(job) => replay(*job, printer).map(|(code, _dir)| code),
    }
}

/// A command that was read and checked: text that is all there is to show, or something to carry out.
pub(crate) enum Prepared<J> {
    Shown(String),
    Job(Box<J>),
}

/// Opens and checks everything. `rows` stand in for the workload file: its text.
pub(crate) fn prepare(
    layers: &Layers,
    rows: Option<String>,
    environment: &Environment,
    printer: &Printer,
) -> Result<Prepared<Job>, Fault> {
    let mut options = run_options(layers, &mut random)?;
    let read = ReadOptions {
        strict: options.output.report.strict,
        max_workload_mb: options.max_workload_mb,
    };
    let mut workload = setup::workload(&options.workload_path, rows, read)?;
    let sampling = std::mem::take(&mut options.sampling);
    let (plan, notes) = setup::plan(options.plan.clone(), options.salt, &mut workload, printer)?;
    let wire = setup::wire(&options.endpoint, options.api, &options.wire, environment, printer)?;
    if options.dry_run {
        return Ok(Prepared::Shown(dry_run(layers, &plan)));
    }
    let vocabulary = setup::vocabulary(&options.tokenizer, environment)?;
    let template = options.chat_template.as_deref();
    let chat = (options.api == Api::Chat)
        .then(|| setup::chat(&vocabulary, template, &sampling))
        .transpose()?;
    let RunOptions { model, salt, num_gpus, wire: wire_options, output, .. } = options;
    let selfcheck = wire_options.selfcheck.then(|| Place::new(environment));
    Ok(Prepared::Job(Box::new(Job {
        plan,
        workload,
        vocabulary,
        chat,
        wire,
        sampling,
        options: setup::option_values(layers),
        model,
        salt,
        num_gpus,
        wire_options,
        output,
        simulated: None,
        selfcheck,
        notes,
    })))
}

/// Stacks the layers of a command, with the run file that `config=` names.
pub(super) fn layers(words: &Words, environment: &Environment) -> Result<Layers, Fault> {
    let typed = words.options.iter().rev().find(|typed| typed.name == "config");
    let path = typed.map(|typed| &typed.value).or_else(|| environment.get("TRIE_CONFIG"));
    let text = path
        .map(|path| {
            let text = fs::read_to_string(path);
            text.map_err(|error| Fault::usage(format!("cannot read the run file {path}: {error}")))
        })
        .transpose()?;
    let file = path.zip(text.as_ref()).map(|(path, text)| (path.as_str(), text.as_str()));
    Ok(Layers::stack(words.command, &words.options, environment, file)?)
}

/// Refuses words that are no options.
pub(super) fn no_positional(words: &Words) -> Result<(), ArgsError> {
    match words.positional.first() {
        Some(word) => Err(ArgsError::Stray { word: word.clone() }),
        None => Ok(()),
    }
}

/// 64 bits from the system's random source.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let read = fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    read.expect("every platform we build for has /dev/urandom");
    u64::from_ne_bytes(bytes)
}

/// Every option with its value and origin, then the plan.
pub(super) fn dry_run(layers: &Layers, plan: &trie_core::plan::Plan) -> String {
    let options = setup::option_values(layers);
    let name_width = options.keys().map(String::len).max().unwrap_or(0);
    let value_width = options.values().map(|option| option.value.len()).max().unwrap_or(0).min(48);
    let lines = options.iter().map(|(name, option)| {
        let (value, origin) = (&option.value, &option.origin);
        format!("  {name:name_width$}  {value:value_width$}  {origin}\n")
    });
    let facts = plan.facts();
    format!(
        "options\n{}\nplan\n  sha256 {}\n  seed {}\n  workload {} (sha256 {})\n  {} traces, {} \
         requests, {} prompt tokens, {} answer tokens in one pass\n  longest request {} tokens\n\
         nothing was sent\n",
        lines.collect::<String>(),
        plan.sha256(),
        plan.options().seed,
        facts.path,
        facts.sha256,
        facts.rows,
        facts.requests,
        facts.prompt_tokens,
        facts.completion_tokens,
        facts.max_context_tokens,
    )
}
