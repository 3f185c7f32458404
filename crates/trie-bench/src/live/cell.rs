//! One measurement of the whole client: `trie run` in a process of its own against the source in another,
//! each on a core of its own, and what the two say of the same chunks.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use trie_core::record::{ClientRow, Histogram, RequestRow};
use trie_replay::clock::{Clock as _, SystemClock};

use super::conversation::Served;
use super::staged::Hog;
use super::versus::{Errors, versus};
use crate::measure::{children, float};
use crate::shapes::Shape;

/// The core of the client, and that of the source, where there are two.
pub(crate) const CLIENT_CORE: usize = 0;
pub(crate) const SOURCE_CORE: usize = 1;

/// Between two looks at the client's memory, ms.
const LOOK_MS: u64 = 50;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) shape: Shape,
    pub(crate) streams: usize,
    /// Chunks of an answer.
    pub(crate) chunks: usize,
    /// From a request to its first chunk, and from chunk to chunk, ms; 0: as fast as they go.
    pub(crate) first_ms: u64,
    pub(crate) every_ms: u64,
    /// How long requests are sent, s.
    pub(crate) seconds: u64,
    /// Further options of `trie run`; without `ramp=` all streams begin at once.
    pub(crate) options: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Chunks with tokens that the client counted.
    pub(crate) chunks: u64,
    /// Requests that the source received, and that the client has a row of.
    pub(crate) received: usize,
    pub(crate) recorded: usize,
    /// Requests that failed by the client's account.
    pub(crate) failed: usize,
    /// CPU time of the threads that send and receive, ns a chunk, and chunks a second of it.
    pub(crate) client_ns: f64,
    /// CPU time of the whole process from start to end, ns a chunk.
    pub(crate) process_ns: f64,
    /// Chunks a second while requests were sent.
    pub(crate) rate: f64,
    /// Read minus kernel stamp, ns.
    pub(crate) lag: Histogram,
    /// The client's stamps against the source's.
    pub(crate) errors: Errors,
    /// Writes of the source that were not taken at once.
    pub(crate) blocked: u64,
    /// Largest resident memory of the client, kB.
    pub(crate) resident_kb: u64,
    /// From the start of the client's process to its first request, ms.
    pub(crate) start_ms: f64,
}

/// From a request to its first chunk where chunks are paced, ms.
const FIRST_MS: u64 = 50;

impl Cell {
    /// Streams whose chunks come every so many ms, 200 an answer; of 0 ms as fast as they go, 200,000 an answer.
    pub(crate) fn new(shape: Shape, streams: usize, every_ms: u64, seconds: u64) -> Self {
        let (chunks, first_ms) = if every_ms == 0 { (200_000, 0) } else { (200, FIRST_MS) };
        Self { shape, streams, chunks, first_ms, every_ms, seconds, options: Vec::new() }
    }

    /// Measures it once.
    pub(crate) fn measure(&self) -> Result<Measured> {
        self.measure_while(Meanwhile { started: &mut |_| Ok(None), ended: &mut |_| Ok(()) })
    }

    /// The same with something done meanwhile.
    pub(crate) fn measure_while(&self, mut meanwhile: Meanwhile<'_>) -> Result<Measured> {
        let folder = scratch()?;
        let measured = self.measure_in(&folder, &mut meanwhile);
        std::fs::remove_dir_all(&folder)?;
        measured
    }

    fn measure_in(&self, folder: &Path, meanwhile: &mut Meanwhile<'_>) -> Result<Measured> {
        let (log, run) = (folder.join("served.jsonl"), folder.join("run"));
        let mut source = Source::start(self, &log)?;
        std::fs::write(folder.join("workload.jsonl"), row(self.chunks))?;
        let before = children_cpu_ns()?;
        let spawned = SystemClock.now();
        let client = self.client(folder, &run, source.port)?;
        let _staged = (meanwhile.started)(client.id())?;
        let (resident_kb, said) = watch(client)?;
        let process = children_cpu_ns()? - before;
        source.stop()?;
        let requests: Vec<RequestRow> = rows(&run.join("requests.jsonl"))
            .with_context(|| format!("the client wrote no records: {said}"))?;
        let seconds: Vec<ClientRow> = rows(&run.join("client.jsonl"))?;
        let served: Vec<Served> = rows(&log)?;
        (meanwhile.ended)(&run)?;

        let chunks: u64 = requests.iter().map(|row| row.chunks).sum();
        let cpu: u64 = seconds.iter().filter_map(|row| row.cpu_ns).map(|cpu| cpu.0).sum();
        let mut lag = Histogram::default();
        for row in &seconds {
            lag.merge(&row.lag);
        }
        let first = served.iter().map(|answer| answer.received_ns).min().unwrap_or_default();
        Ok(Measured {
            chunks,
            received: served.len(),
            recorded: requests.len(),
            failed: requests.iter().filter(|row| row.error.is_some()).count(),
            client_ns: ratio(cpu, chunks),
            process_ns: ratio(process, chunks),
            rate: ratio(chunks, self.seconds),
            lag,
            errors: versus(&requests, &served),
            blocked: served.iter().map(|answer| answer.blocked).sum(),
            resident_kb,
            start_ms: ratio(first.saturating_sub(spawned), 1_000_000),
        })
    }

    /// CPU time that the kernel takes for a read of the same answers, ns: the least any client can do with
    /// that waits for `wait_ms` at most.
    pub(crate) fn floor(&self, wait_ms: u16) -> Result<f64> {
        let folder = scratch()?;
        let log = folder.join("served.jsonl");
        let mut source = Source::start(self, &log)?;
        let mut reader = this_program()?;
        reader.args(["floor", &CLIENT_CORE.to_string(), &source.port.to_string()]);
        reader.args([self.streams.to_string(), self.seconds.to_string(), self.chunks.to_string()]);
        reader.arg(wait_ms.to_string());
        let output = reader.stderr(Stdio::inherit()).output().context("cannot start the reader")?;
        source.stop()?;
        std::fs::remove_dir_all(&folder)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers = said
            .trim()
            .split_once(' ')
            .and_then(|(reads, cpu)| Some((reads.parse().ok()?, cpu.parse().ok()?)));
        let (reads, cpu) = numbers.with_context(|| format!("the reader said: {said}"))?;
        Ok(ratio(cpu, reads))
    }

    fn client(&self, folder: &Path, run: &Path, port: u16) -> Result<Child> {
        let mut client = this_program()?;
        client.args(["client", &CLIENT_CORE.to_string(), "run", "model=tiny-qwen3"]);
        client.arg(format!("workload_path={}", folder.join("workload.jsonl").display()));
        client.arg(format!("endpoint=http://127.0.0.1:{port}/v1"));
        client.arg(format!("output_dir={}", run.display()));
        client.arg(format!("concurrency={}", self.streams));
        client.arg(format!("duration={}", self.seconds));
        client.args([
            "tokenizer_model=builtin",
            "history=ids",
            "preflight=False",
            "selfcheck=False",
        ]);
        client.args(["threads=1", "seed=1", "ui=none"]).args(&self.options);
        let given = |name: &str| self.options.iter().any(|option| option.starts_with(name));
        if !given("ramp=") {
            client.arg("ramp=0");
        }
        // Stamps that nobody reads would only take memory.
        if self.every_ms > 0 && !given("chunks=") {
            client.arg("chunks=True");
        }
        client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        client.spawn().context("cannot start the client")
    }
}

/// A folder of this process, for whoever makes it to take away.
pub(crate) fn scratch() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("trie-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("cannot make a folder")?;
    Ok(folder)
}

/// The workload: two steps that follow each other without a wait.
pub(crate) fn row(chunks: usize) -> String {
    format!(
        r#"{{"num_turns":1,"input_prompt_length":64,"assistant_response_length":[{chunks}],"tool_call_output_length":[16],"tool_call_latency":[0],"final_assistant_response_length":{chunks}}}"#
    ) + "\n"
}

/// What is done besides a measurement.
pub(crate) struct Meanwhile<'m> {
    /// Once the client, a process of this number, has started; what it returns goes when the client has ended.
    pub(crate) started: &'m mut dyn FnMut(u32) -> Result<Option<Hog>>,
    /// With the client's run directory, once it has ended.
    pub(crate) ended: &'m mut dyn FnMut(&Path) -> Result<()>,
}

/// A source in a process of its own.
struct Source {
    child: Child,
    /// Closed, it ends.
    input: Option<ChildStdin>,
    port: u16,
}

impl Source {
    fn start(cell: &Cell, log: &Path) -> Result<Self> {
        let mut source = this_program()?;
        source.args(["source", &SOURCE_CORE.to_string(), cell.shape.name()]);
        source.args([cell.first_ms.to_string(), cell.every_ms.to_string()]).arg(log);
        source.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = source.spawn().context("cannot start the source")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut line = String::new();
        BufReader::new(output.context("the source has no output")?).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("no port: {line}"))?;
        Ok(Self { child, input, port })
    }

    fn stop(&mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { bail!("the source failed: {status}") }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // It has ended by itself but where a measurement failed.
        drop(self.child.kill());
    }
}

fn this_program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("cannot find this program")?))
}

/// Waits for the client; its largest resident memory, kB, and what it said.
fn watch(mut client: Child) -> Result<(u64, String)> {
    let said = client.stderr.take().context("the client has no stderr")?;
    let said = std::thread::spawn(move || std::io::read_to_string(said));
    let path = format!("/proc/{}/status", client.id());
    let mut resident = 0;
    while client.try_wait()?.is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        resident = resident.max(now.unwrap_or_default());
        std::thread::sleep(std::time::Duration::from_millis(LOOK_MS));
    }
    let said = said.join().ok().context("the client's output cannot be read")??;
    Ok((resident, said))
}

/// CPU time of children that have ended and were waited for.
fn children_cpu_ns() -> Result<u64> {
    let usage = children()?;
    let nanos = [usage.user_time(), usage.system_time()]
        .map(|time| u64::try_from(time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000));
    Ok(nanos.into_iter().sum::<std::result::Result<u64, _>>()?)
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn ratio(part: u64, of: u64) -> f64 {
    float(part.into()) / float(of.into())
}
