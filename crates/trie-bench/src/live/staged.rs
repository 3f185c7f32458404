//! Faults of the client's own machine, staged: what a run's report says of each.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::cell::{CLIENT_CORE, Cell, Meanwhile, row, scratch};
use crate::measure::{say_head, say_row};
use crate::shapes::Shape;

/// Streams of each run, and how long it sends, s.
const STREAMS: usize = 64;
const SECONDS: u64 = 6;

/// A fault, and which checks of the report name it: at least one of them has to speak.
struct Fault {
    name: &'static str,
    stage: fn(u32) -> Result<Option<Hog>>,
    named_by: &'static [&'static str],
}

const FAULTS: [Fault; 4] = [
    Fault { name: "none", stage: |_| Ok(None), named_by: &[] },
    Fault { name: "a stall of 20 ms", stage: stall, named_by: &["runtime_stall"] },
    Fault { name: "a process that takes the client's core", stage: hog, named_by: &["core_wait"] },
    Fault {
        name: "a client that reads slowly: 60 ms of standstill in every 100",
        stage: slow,
        named_by: &["client_lag", "coalescing"],
    },
];

/// A process that only takes a core.
pub(crate) struct Hog(Child);

impl Drop for Hog {
    fn drop(&mut self) {
        // Nothing is lost with it.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Stages every fault and prints what the report says; fails where a fault is not named.
pub(crate) fn table() -> Result<()> {
    say_head(&["fault", "TRUST", "checks that speak"]);
    let mut unnamed = Vec::new();
    for fault in FAULTS {
        let (trust, checks) = report_of(&fault)?;
        if !fault.named_by.is_empty() && !checks.iter().any(|check| names(&fault, check)) {
            unnamed.push(fault.name);
        }
        say_row(&[fault.name.to_owned(), trust, checks.join("; ")]);
    }
    let (refused, words) = refusal()?;
    say_row(&["50 files and sockets, 64 streams".to_owned(), "-".to_owned(), words]);
    if !refused {
        unnamed.push("few descriptors");
    }
    if unnamed.is_empty() { Ok(()) } else { bail!("not named: {}", unnamed.join(", ")) }
}

fn names(fault: &Fault, check: &str) -> bool {
    fault.named_by.iter().any(|name| check.starts_with(name))
}

fn report_of(fault: &Fault) -> Result<(String, Vec<String>)> {
    let cell =
        Cell { options: vec!["ramp=1".to_owned()], ..Cell::new(Shape::Ids, STREAMS, 20, SECONDS) };
    let mut summary = Value::Null;
    let meanwhile = Meanwhile {
        // The run is well under way.
        started: &mut |client| {
            std::thread::sleep(Duration::from_millis(2_500));
            (fault.stage)(client)
        },
        ended: &mut |run: &Path| {
            let text = std::fs::read_to_string(run.join("summary.json"))?;
            summary = serde_json::from_str(&text)?;
            Ok(())
        },
    };
    cell.measure_while(meanwhile)?;
    let checks = summary["verdict"]["checks"].as_array().context("the summary has no checks")?;
    let spoken =
        checks.iter().filter(|check| check["status"] == "fail" || check["status"] == "warn");
    let text = |check: &Value| {
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let value = check["value"].as_f64().unwrap_or(f64::NAN);
        format!("{} ({}, {value:.3})", text("id"), text("status"))
    };
    let trust = summary["verdict"]["trust"].as_str().unwrap_or_default().to_owned();
    Ok((trust, spoken.map(text).collect()))
}

/// Stops the client for 20 ms.
fn stall(client: u32) -> Result<Option<Hog>> {
    stop_for(client, 20)?;
    Ok(None)
}

/// Stops it again and again.
fn slow(client: u32) -> Result<Option<Hog>> {
    for _ in 0..20 {
        stop_for(client, 60)?;
        std::thread::sleep(Duration::from_millis(40));
    }
    Ok(None)
}

fn stop_for(client: u32, millis: u64) -> Result<()> {
    let client = Pid::from_raw(client.try_into()?);
    kill(client, Signal::SIGSTOP)?;
    std::thread::sleep(Duration::from_millis(millis));
    Ok(kill(client, Signal::SIGCONT)?)
}

/// A shell that counts for ever, on the client's core.
fn hog(_client: u32) -> Result<Option<Hog>> {
    let mut hog = Command::new("taskset");
    hog.args(["-c", &CLIENT_CORE.to_string(), "sh", "-c", "while :; do :; done"]);
    Ok(Some(Hog(hog.spawn().context("cannot start taskset")?)))
}

/// What `trie run` says where it may not open enough sockets.
fn refusal() -> Result<(bool, String)> {
    let program = std::env::current_exe()?;
    let folder = scratch()?;
    let workload = folder.join("workload.jsonl");
    std::fs::write(&workload, row(1))?;
    let line = format!(
        "ulimit -n 50; exec '{}' client {CLIENT_CORE} run model=m workload_path='{}' endpoint=http://127.0.0.1:9/v1 \
         tokenizer_model=builtin concurrency={STREAMS} selfcheck=False output_dir='{}'",
        program.display(),
        workload.display(),
        folder.join("run").display(),
    );
    let said = Command::new("sh").args(["-c", &line]).stdout(Stdio::null()).output();
    std::fs::remove_dir_all(&folder)?;
    let said = String::from_utf8_lossy(&said?.stderr).into_owned();
    let words = said.lines().find(|line| line.starts_with("error")).unwrap_or_default().to_owned();
    Ok((words.contains("open files and sockets"), words))
}
