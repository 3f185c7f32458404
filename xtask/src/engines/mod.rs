//! Conformance: a real inference server on loopback, `trie run` against it, and what the run
//! directory must say afterwards.

mod server;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::repo::{Repo, shown, succeed};
use crate::talk::say;
use server::Server;

/// One conformance run, as asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Conformance {
    pub(crate) engine: Engine,
    /// Where the engine is set up; default `target/engines`.
    pub(crate) work: Option<PathBuf>,
    /// Keep the run directories.
    pub(crate) keep: bool,
}

/// A real inference server that `conformance/` can set up and serve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Engine {
    LlamaCpp,
    Vllm,
}

/// The two models, which differ in what they say: printable text only, or any token at all,
/// special ones and parts of UTF-8 sequences included.
const MODELS: [&str; 2] = ["text", "raw"];

/// What is sent: prompts as the preflight finds best, and chats.
const APIS: [Api; 2] = [Api::Completions, Api::Chat];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Api {
    Completions,
    Chat,
}

impl Api {
    /// The option of `trie run`.
    fn name(self) -> &'static str {
        match self {
            Self::Completions => "completions",
            Self::Chat => "chat",
        }
    }

    /// The example row leaves no room for what a chat's template puts around each message.
    fn workload(self) -> &'static str {
        match self {
            Self::Completions => "conformance/workloads/readme.jsonl",
            Self::Chat => "conformance/workloads/chat.jsonl",
        }
    }
}

/// Exit codes of a run with a report: 0, and 3 where the report itself says that its numbers are
/// not to be trusted. That is no fault of the wire: a busy machine sends late, and text that is fed
/// back to a model that says any token at all is counted differently.
const ENDINGS: [Option<i32>; 2] = [Some(0), Some(3)];

impl Conformance {
    /// From the words of the command line.
    pub(crate) fn parse(engine: &str, settings: &[&str]) -> Result<Self> {
        let engine = match engine {
            "llamacpp" => Engine::LlamaCpp,
            "vllm" => Engine::Vllm,
            other => bail!("no such engine: {other} (llamacpp or vllm)"),
        };
        let mut conformance = Self { engine, work: None, keep: false };
        let mut words = settings.iter();
        while let Some(word) = words.next() {
            match *word {
                "--work" => {
                    let folder = words.next().context("--work needs a folder")?;
                    conformance.work = Some(PathBuf::from(folder));
                }
                "--keep" => conformance.keep = true,
                other => bail!("no such setting of engines: {other}"),
            }
        }
        Ok(conformance)
    }

    /// llama.cpp in the default folder: the run that `ci` does.
    pub(crate) fn of_ci() -> Self {
        Self { engine: Engine::LlamaCpp, work: None, keep: true }
    }
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llamacpp",
            Self::Vllm => "vllm",
        }
    }

    /// How long the server may take until it is healthy: llama.cpp took 2 s on two cores, vLLM up
    /// to 5 minutes.
    fn start_limit(self) -> Duration {
        match self {
            Self::LlamaCpp => Duration::from_secs(90),
            Self::Vllm => Duration::from_mins(15),
        }
    }

    /// How long traces are admitted: a few dozen of the example's traces on two cores.
    fn duration_s(self) -> u32 {
        match self {
            Self::LlamaCpp => 5,
            Self::Vllm => 20,
        }
    }
}

/// Sets the engine up, then serves and measures each model in turn. The server is stopped
/// whatever happens.
pub(crate) fn run(repo: &Repo, asked: &Conformance) -> Result<()> {
    let work = match &asked.work {
        Some(folder) => std::path::absolute(folder).context("cannot find --work")?,
        None => repo.target.join("engines"),
    };
    let script = |verb: &str| {
        repo.root.join("conformance").join(format!("{verb}_{}.sh", asked.engine.name()))
    };
    succeed(repo.command("bash").arg(script("setup")).arg(&work))?;
    succeed(&mut repo.cargo(&["build", "--release", "--package", "trie-cli"]))?;
    for model in MODELS {
        let port = server::free_port()?;
        let mut serve = repo.command("bash");
        serve.arg(script("serve")).arg(&work).arg(model).arg(port.to_string());
        let log = work.join(format!("{}-{model}.log", asked.engine.name()));
        let server = Server::start(serve, port, &log, asked.engine.start_limit())?;
        for api in APIS {
            let name = format!("{}-{model}-{}", asked.engine.name(), api.name());
            let output = work.join("runs").join(&name);
            let mut trie = trie(repo, (asked.engine, api), &work, server.port(), &output);
            measure(&mut trie, api, &output).context(name)?;
            if !asked.keep {
                clear(&output)?;
            }
        }
    }
    Ok(())
}

/// `trie run` with the README's example row, or a conversation with tools.
fn trie(
    repo: &Repo,
    (engine, api): (Engine, Api),
    work: &Path,
    port: u16,
    output: &Path,
) -> Command {
    let mut trie = repo.command(repo.target.join("release/trie"));
    trie.args(["run", "model=tiny-qwen3"])
        .arg(format!("workload_path={}", api.workload()))
        .arg(format!("api={}", api.name()))
        .arg(format!("endpoint=http://127.0.0.1:{port}/v1"))
        .arg(format!("tokenizer_model={}", work.join("tok/qwen3").display()))
        .args(["concurrency=2", "stream=True", "seed=1"])
        .arg(format!("duration={}", engine.duration_s()))
        .arg(format!("output_dir={}", output.display()));
    trie
}

/// Runs `trie`, prints its tables and judges its run directory.
fn measure(trie: &mut Command, api: Api, output: &Path) -> Result<()> {
    clear(output)?;
    say(shown(trie));
    let ran = trie.stderr(Stdio::inherit()).output();
    let ran = ran.with_context(|| format!("cannot start {}", shown(trie)))?;
    say(String::from_utf8_lossy(&ran.stdout));
    if !ENDINGS.contains(&ran.status.code()) {
        bail!("trie run ended with {}", ran.status);
    }
    let exact = match api {
        Api::Completions => verdict::Exact::Openings,
        Api::Chat => verdict::Exact::AllPrompts,
    };
    let faults = verdict::faults(exact, &summary_in(output)?, &requests_in(output)?);
    for fault in &faults {
        say(format_args!("fault: {fault}"));
    }
    match faults.len() {
        0 => Ok(()),
        n => bail!("{n} faults in {}", output.display()),
    }
}

fn summary_in(output: &Path) -> Result<Value> {
    let text = read(&output.join("summary.json"))?;
    serde_json::from_str(&text).with_context(|| format!("summary.json of {}", output.display()))
}

fn requests_in(output: &Path) -> Result<Vec<Value>> {
    let text = read(&output.join("requests.jsonl"))?;
    let rows = text.lines().enumerate().map(|(number, line)| {
        serde_json::from_str(line).with_context(|| format!("requests.jsonl, line {}", number + 1))
    });
    rows.collect()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[&str], expected: Option<(Option<&str>, bool)>) {
        let found = Conformance::parse("vllm", settings).ok();
        let expected = expected.map(|(work, keep)| Conformance {
            engine: Engine::Vllm,
            work: work.map(PathBuf::from),
            keep,
        });
        assert_eq!(found, expected, "{settings:?}");
    }

    #[test]
    fn settings_come_in_any_order() {
        check(&[], Some((None, false)));
        check(&["--keep"], Some((None, true)));
        check(&["--keep", "--work", "x"], Some((Some("x"), true)));
        check(&["--work"], None);
        check(&["--kepe"], None);
    }
}
