//! `trie run`: replay a workload against an endpoint and print the report.

use std::collections::BTreeMap;
use std::fs;

use trie_core::plan::{Plan, PlanOptions};
use trie_core::record::{OptionValue, ReplicateOf};
use trie_core::workload::{ReadOptions, Workload};
use trie_replay::Chat;
use trie_replay::wire::Api;
use trie_tokens::Vocabulary;

use crate::args::{ArgsError, Environment, Layers, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;
use crate::resolve::{ReportOptions, RunOptions, run_options};
use crate::run_dir::RunDir;
use crate::selfcheck::Place;
use crate::setup::{self, Wire};
use crate::watch::{Done, Watch};

use super::replay::{self, Job};
use super::series::{self, Member, Side};

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
        Prepared::Job(work) => {
            let options = work.report_options();
            let done = carry_out(*work, &Watch::of_command(printer)?, printer)?;
            done.print(options, printer);
            Ok(done.code(options))
        }
    }
}

/// A command that was read and checked: text that is all there is to show, or something to carry out.
pub(crate) enum Prepared<J> {
    Shown(String),
    Job(Box<J>),
}

/// One run or several, read and checked.
pub(crate) struct Work {
    common: Common,
    /// Of the first run.
    planned: Planned,
    wire: Wire,
}

impl Work {
    pub(crate) fn report_options(&self) -> ReportOptions {
        self.common.options.output.report
    }
}

/// What all runs of the command have in common.
struct Common {
    options: RunOptions,
    /// As the manifest keeps them.
    values: BTreeMap<String, OptionValue>,
    /// Text of the workload, where there is no file.
    rows: Option<String>,
    vocabulary: Vocabulary,
    chat: Option<Chat>,
    environment: Environment,
}

/// A plan and what it was made of.
struct Planned {
    plan: Plan,
    workload: Workload,
    salt: u64,
    notes: Vec<String>,
}

/// Opens and checks everything. `rows` stand in for the workload file: its text.
pub(crate) fn prepare(
    layers: &Layers,
    rows: Option<String>,
    environment: &Environment,
    printer: &Printer,
) -> Result<Prepared<Work>, Fault> {
    let options = run_options(layers, &mut random)?;
    let planned = planned(&options, rows.clone(), [0, 0])?;
    setup::tell(&planned.notes, printer);
    let wire = setup::wire(&options.endpoint, options.api, &options.wire, environment)?;
    setup::warn_of_key(&wire, &options.wire, printer);
    if options.dry_run {
        return Ok(Prepared::Shown(dry_run(layers, &planned.plan)));
    }
    let vocabulary = setup::vocabulary(&options.tokenizer, environment)?;
    let template = options.chat_template.as_deref();
    let chat = (options.api == Api::Chat)
        .then(|| setup::chat(&vocabulary, template, &options.sampling))
        .transpose()?;
    let (values, environment) = (setup::option_values(layers), environment.clone());
    let common = Common { options, values, rows, vocabulary, chat, environment };
    Ok(Prepared::Job(Box::new(Work { common, planned, wire })))
}

/// Reads the workload and plans the run that is `seed` and `salt` behind the first: both are its own.
fn planned(
    options: &RunOptions,
    rows: Option<String>,
    [seed, salt]: [u32; 2],
) -> Result<Planned, Fault> {
    let read = ReadOptions {
        strict: options.output.report.strict,
        max_workload_mb: options.max_workload_mb,
    };
    let mut workload = setup::workload(&options.workload_path, rows, read)?;
    let seed = options.plan.seed + u64::from(seed);
    let salt = options.salt.wrapping_add(salt.into());
    let plan = PlanOptions { seed, ..options.plan.clone() };
    let (plan, notes) = setup::plan(plan, salt, &mut workload)?;
    Ok(Planned { plan, workload, salt, notes })
}

/// Carries out one run, or several: one after another, on one server or on two in turn.
pub(crate) fn carry_out(work: Work, watch: &Watch, printer: &Printer) -> Result<Done, Fault> {
    let Work { common, planned, wire } = work;
    let RunOptions { plan, output, replicates, against, .. } = &common.options;
    if *replicates == 1 && against.is_none() {
        return replay::carry_out(common.job(planned, wire, (None, false)), watch, printer);
    }
    let members = match against {
        None => series::members(*replicates, plan.seed),
        Some(_) => series::in_blocks(*replicates, plan.seed),
    };
    let home = watch.dir(output.dir.as_deref(), random())?;
    let mut follows = false;
    let mut one = |member: &Member, dir: RunDir| {
        let job = common.of_member(member, follows).inspect_err(|_| dir.remove_if_empty())?;
        follows = true;
        replay::carry_out_in(job, dir, watch, printer)
    };
    let series = series::in_turn(home, members, (watch, printer), &mut one)?;
    match against {
        None => series::pooled(series, printer),
        Some((_, compare)) => series::paired(series, compare.clone(), printer),
    }
}

impl Common {
    fn job(
        &self,
        planned: Planned,
        wire: Wire,
        (replicate, follows): (Option<ReplicateOf>, bool),
    ) -> Job {
        let Planned { plan, workload, salt, notes } = planned;
        let options = &self.options;
        Job {
            plan,
            workload,
            vocabulary: self.vocabulary.clone(),
            chat: self.chat.clone(),
            wire,
            sampling: options.sampling.clone(),
            options: self.values.clone(),
            model: options.model.clone(),
            salt,
            num_gpus: options.num_gpus,
            wire_options: options.wire.clone(),
            output: options.output.clone(),
            simulated: None,
            kv_cache: options.kv_cache,
            replicate,
            follows,
            start: options.start,
            prime_timeout: options.prime_timeout,
            drain: options.drain,
            selfcheck: options.wire.selfcheck.then(|| Place::new(&self.environment)),
            notes,
        }
    }

    /// Everything for one run of several. No two have a salt in common, whatever servers they are on.
    fn of_member(&self, member: &Member, follows: bool) -> Result<Job, Fault> {
        let RunOptions { endpoint, against, api, wire, replicates, .. } = &self.options;
        let number = member.replicate.number;
        let (endpoint, salt) = match (member.side, against) {
            (Side::A, _) | (Side::B, None) => (endpoint, number),
            (Side::B, Some((other, _))) => (other, replicates + number),
        };
        let planned = planned(&self.options, self.rows.clone(), [number, salt])?;
        let wire = setup::wire(endpoint, *api, wire, &self.environment)?;
        let mut job = self.job(planned, wire, (Some(member.replicate), follows));
        if let Some(option) = job.options.get_mut("endpoint") {
            option.value = setup::blank("endpoint", endpoint.clone());
        }
        Ok(job)
    }
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
pub(super) fn dry_run(layers: &Layers, plan: &Plan) -> String {
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
