//! What the client itself can take: a short run against a server of our own, before a run that counts.
//!
//! Both are processes of this program on loopback, so that the CPU time of the receiving threads is all
//! that is looked at, whatever the server costs. What is found holds for a day on the same machine, with
//! the same program and for runs of the same shape.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, TryLockError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use trie_core::record::{ClientRow, SelfCheck};

use crate::args::Environment;

/// How long the short run sends, seconds.
const SECONDS: u32 = 2;

/// The most streams that are tried: with more of them a chunk costs less, not more.
const MOST_STREAMS: u32 = 512;

/// Names in the environment the words that start this program, a line each, and last the file that
/// changes when it does; without it both are the executable. A Python process is no `trie`.
pub const PROGRAM: &str = "_TRIE_PROGRAM";

/// How often a wait looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(20);

/// Who has it tries what the client can take.
static ALONE: Mutex<()> = Mutex::new(());

/// How long a finding is used.
const KEPT: Duration = Duration::from_hours(24);

/// Of the server: from a request to its first chunk, and from chunk to chunk, ms.
const PACE: [&str; 2] = ["ttft_ms=50", "itl_ms=20"];

/// What is asked for, one row: two answers of 80 tokens.
const WORKLOAD: &str = r#"{"num_turns":1,"input_prompt_length":64,"assistant_response_length":[80],"tool_call_output_length":[16],"tool_call_latency":[0],"final_assistant_response_length":80}"#;

/// How a run receives, as far as its cost hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) concurrency: u32,
    pub(crate) threads: u32,
    /// Further options that the short run shares with the real one, as they are written.
    pub(crate) options: Vec<String>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) finding: SelfCheck,
    /// Why it could not be kept for the next run, where that is so.
    pub(crate) unkept: Option<String>,
}

/// Where it is tried, and where the findings are kept.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What starts this program: the first word is a file, the others come before all arguments.
    program: Vec<String>,
    /// The file that changes when the program does.
    file: PathBuf,
    cache: Option<PathBuf>,
    home: Option<String>,
}

impl Place {
    /// This program, and the user's cache.
    pub(crate) fn new(environment: &Environment) -> anyhow::Result<Self> {
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let home = set("HOME");
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| home.as_ref().map(|home| Path::new(home).join(".cache")));
        let (program, file) = if let Some(words) = set(PROGRAM) {
            let mut words: Vec<_> = words.lines().map(str::to_owned).collect();
            let file = words.pop().context("the words of this program end with its file")?;
            (words, PathBuf::from(file))
        } else {
            let file = std::env::current_exe().context("cannot find this program's file")?;
            (vec![file.to_string_lossy().into_owned()], file)
        };
        Ok(Self {
            program,
            file,
            cache: cache.map(|cache| cache.join("trie/selfcheck.json")),
            home,
        })
    }

    /// What was found within the last day, or is found now; `None` where `asked` said to end first.
    ///
    /// One at a time in a process: two of them would measure each other.
    pub(crate) fn find(
        &self,
        shape: &Shape,
        asked: &dyn Fn() -> bool,
    ) -> anyhow::Result<Option<Found>> {
        let _alone = loop {
            match ALONE.try_lock() {
                Err(TryLockError::WouldBlock) if asked() => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(GLANCE),
                Ok(alone) => break alone,
                Err(TryLockError::Poisoned(alone)) => break alone.into_inner(),
            }
        };
        let streams = shape.concurrency.next_power_of_two().min(MOST_STREAMS);
        let shape = Shape { concurrency: streams, ..shape.clone() };
        let key = self.key(&shape)?;
        let mut kept = self.kept();
        if let Some(finding) = kept.remove(&key) {
            return Ok(Some(Found { finding, unkept: None }));
        }
        let Some(finding) = self.measure(&shape, asked)? else { return Ok(None) };
        kept.insert(key, finding.clone());
        let unkept = self.keep(&kept).err().map(|error| format!("{error:#}"));
        Ok(Some(Found { finding, unkept }))
    }

    /// The machine, the program and the shape.
    fn key(&self, shape: &Shape) -> anyhow::Result<String> {
        let file = fs::metadata(&self.file).context("cannot look at this program's file")?;
        let built = file.modified().ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
        let host = crate::setup::host();
        Ok(format!(
            "{} {} {} {} {} {} {shape:?}",
            host.name,
            host.kernel,
            host.cpus,
            self.file.display(),
            file.len(),
            built.unwrap_or_default(),
        ))
    }

    /// Findings that still hold. A file that cannot be read holds none.
    fn kept(&self) -> BTreeMap<String, SelfCheck> {
        let text = self.cache.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let kept = text.and_then(|text| serde_json::from_str(&text).ok());
        let mut kept: BTreeMap<String, SelfCheck> = kept.unwrap_or_default();
        let now = jiff::Timestamp::now();
        kept.retain(|_, found| {
            let made: Option<jiff::Timestamp> = found.made_at.parse().ok();
            made.is_some_and(|made| {
                let age = Duration::try_from(now.duration_since(made));
                age.is_ok_and(|age| age < KEPT)
            })
        });
        kept
    }

    /// Without a place to keep them, they are found again next time.
    fn keep(&self, kept: &BTreeMap<String, SelfCheck>) -> anyhow::Result<()> {
        let Some(path) = &self.cache else { return Ok(()) };
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, serde_json::to_string_pretty(kept)?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    fn measure(
        &self,
        shape: &Shape,
        asked: &dyn Fn() -> bool,
    ) -> anyhow::Result<Option<SelfCheck>> {
        let folder = Folder::make()?;
        let (_server, url) = self.serve()?;
        fs::write(folder.0.join("workload.jsonl"), WORKLOAD)?;
        let mut run = self.command();
        run.current_dir(&folder.0).arg("run").arg(format!("endpoint={url}"));
        run.args(["workload_path=workload.jsonl", "model=m", "tokenizer_model=builtin"]);
        run.args(["history=ids", "preflight=False", "selfcheck=False", "seed=1", "ui=none"]);
        run.args([format!("concurrency={}", shape.concurrency), format!("duration={SECONDS}")]);
        run.arg(format!("threads={}", shape.threads)).args(&shape.options);
        run.arg("output_dir=run").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut client = Running(run.spawn().context("cannot start the client")?);
        while client.0.try_wait().context("cannot wait for the client")?.is_none() {
            if asked() {
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
        let rows = fs::read_to_string(folder.0.join("run/client.jsonl")).with_context(|| {
            let mut said = String::new();
            let read = client.0.stderr.as_mut().map(|stderr| stderr.read_to_string(&mut said));
            drop(read);
            format!("the client wrote no records: {}", said.lines().next().unwrap_or_default())
        })?;
        let (mut reads, mut cpu) = (0, 0);
        for row in rows.lines() {
            let row: ClientRow = serde_json::from_str(row)?;
            reads += row.reads;
            cpu += row.cpu_ns.map_or(0, |cpu| cpu.0);
        }
        if reads == 0 || cpu == 0 {
            bail!("the client received nothing, or its threads do not know their CPU time");
        }
        Ok(Some(SelfCheck {
            streams: shape.concurrency,
            threads: shape.threads,
            reads,
            cpu_ns_per_read: cpu / reads,
            made_at: jiff::Timestamp::now().to_string(),
        }))
    }

    fn serve(&self) -> anyhow::Result<(Running, String)> {
        let mut server = self.command();
        server.args(["serve", "port=0", "policy=fixed"]).args(PACE);
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = server.spawn().context("cannot start a server")?;
        let said = child.stderr.take().map(BufReader::new);
        // Dropped, it ends.
        let server = Running(child);
        let mut line = String::new();
        said.context("the server has no stderr")?.read_line(&mut line)?;
        let url = line.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.with_context(|| format!("the server does not serve: {line}"))?.to_owned();
        Ok((server, url))
    }

    /// This program with nothing of the user's options, keys and proxies in its environment.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .env_clear()
            .envs(self.home.as_ref().map(|home| ("HOME", home)));
        command
    }
}

/// A child that ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is none the worse for it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder that goes when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let name = format!("trie-selfcheck-{:016x}", crate::commands::random());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).with_context(|| format!("cannot make {}", folder.0.display()))?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
