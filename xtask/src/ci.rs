//! Everything the repository checks, in one run, each step timed.
//!
//! Steps share what they build: clippy and the documentation use checked crates, the tests are one
//! build, and the release build serves the generated files, the demo and the engines. A step that
//! fails does not stop the others, and the tests come last, so that their lines end the output.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

use crate::engines::{self, Conformance};
use crate::generate::{self, Mode, Profile};
use crate::layers;
use crate::python;
use crate::repo::{Repo, shown, succeed};
use crate::talk::say;

/// One step by its name.
struct Step {
    name: &'static str,
    run: fn(&Repo) -> Result<()>,
}

const STEPS: [Step; 11] = [
    Step { name: "format", run: format },
    Step { name: "layers", run: layers::run },
    Step { name: "release build", run: build },
    Step { name: "demo", run: demo },
    Step { name: "generated files", run: generated },
    Step { name: "golden records", run: golden_records },
    Step { name: "llama.cpp", run: llamacpp },
    Step { name: "python", run: python::run },
    Step { name: "clippy", run: clippy },
    Step { name: "documentation", run: documentation },
    Step { name: "tests", run: tests },
];

/// How a step went.
struct Outcome {
    name: &'static str,
    result: Result<()>,
    wall: Duration,
    cpu: Duration,
}

/// Does every step; an error if one failed.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    let built_before = repo.target.join("release").exists();
    let outcomes: Vec<Outcome> = STEPS.iter().map(|step| timed(repo, step)).collect();
    say("");
    for outcome in &outcomes {
        say(line(outcome));
    }
    if let Some(build) = outcomes.iter().find(|outcome| outcome.name == "release build") {
        let kind = if built_before { "incremental" } else { "cold" };
        say(format_args!("{kind} build: {:.0} CPU seconds", build.cpu.as_secs_f64()));
    }
    match outcomes.iter().filter(|outcome| outcome.result.is_err()).count() {
        0 => Ok(()),
        n => bail!("{n} steps failed"),
    }
}

fn timed(repo: &Repo, step: &Step) -> Outcome {
    say(format_args!("\n== {}", step.name));
    let (start, cpu) = (now(), cpu_of_children());
    let result = (step.run)(repo);
    if let Err(error) = &result {
        say(format_args!("error: {error:#}"));
    }
    let cpu = cpu_of_children().saturating_sub(cpu);
    Outcome { name: step.name, result, wall: start.elapsed(), cpu }
}

fn line(outcome: &Outcome) -> String {
    let verdict = if outcome.result.is_ok() { "ok" } else { "FAILED" };
    let (wall, cpu) = (outcome.wall.as_secs_f64(), outcome.cpu.as_secs_f64());
    format!("{:<16} {verdict:<6} {wall:>7.1} s  {cpu:>7.1} CPU s", outcome.name)
}

#[expect(clippy::disallowed_methods, reason = "how long a step took is told, nothing hangs on it")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time of all processes that this one has started and that have ended.
fn cpu_of_children() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("children are a valid question");
    let times = [usage.user_time(), usage.system_time()];
    let parts = times.map(|time| {
        let seconds = u64::try_from(time.tv_sec()).expect("CPU time is not negative");
        let micros = u64::try_from(time.tv_usec()).expect("CPU time is not negative");
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    });
    parts.into_iter().sum()
}

fn format(repo: &Repo) -> Result<()> {
    succeed(&mut repo.cargo(&["fmt", "--all", "--check"]))
}

fn build(repo: &Repo) -> Result<()> {
    succeed(&mut repo.cargo(&["build", "--release"]))
}

fn demo(repo: &Repo) -> Result<()> {
    succeed(&mut repo.cargo(&["run", "--release", "--", "demo"]))
}

fn generated(repo: &Repo) -> Result<()> {
    generate::run(repo, Mode::Check, Profile::Release)
}

/// The golden records are worked out by a script that shares nothing with the crates.
fn golden_records(repo: &Repo) -> Result<()> {
    let script = "testdata/records/expected.py";
    succeed(repo.command("python3").args([script, "--check"]))
}

fn llamacpp(repo: &Repo) -> Result<()> {
    engines::run(repo, &Conformance::of_ci())
}

fn clippy(repo: &Repo) -> Result<()> {
    succeed(&mut repo.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn documentation(repo: &Repo) -> Result<()> {
    let mut doc = repo.cargo(&["doc", "--workspace", "--no-deps"]);
    succeed(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs the tests and counts them; their own lines are passed on as they come.
fn tests(repo: &Repo) -> Result<()> {
    let mut command = repo.cargo(&["test", "--workspace", "--no-fail-fast"]);
    let mut process = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = process.stdout.take().expect("it is piped");
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read what cargo test printed")?;
        if let Some((passed_here, failed_here)) = counts(&line) {
            passed += passed_here;
            failed += failed_here;
        }
        say(line);
    }
    let status = process.wait().context("cannot wait for cargo test")?;
    say(format_args!("tests: {passed} passed, {failed} failed"));
    if !status.success() {
        bail!("{} ended with {status}", shown(&command));
    }
    Ok(())
}

/// Tests passed and failed, from the last line of a test binary.
fn counts(line: &str) -> Option<(u32, u32)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split("; ").map(|count| count.split(' ').next()?.parse().ok());
    Some((counts.next()??, counts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(u32, u32)>) {
        assert_eq!(counts(line), expected, "{line}");
    }

    #[test]
    fn the_last_line_of_a_test_binary_is_counted() {
        check("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured", Some((12, 0)));
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured", Some((3, 2)));
        check("test layers::named ... ok", None);
    }
}
