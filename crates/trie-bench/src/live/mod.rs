//! The whole client, as a process, against a source in another one: Linux only.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use trie_replay::{Cores, stay_on};

use crate::shapes::Shape;
use source::Schedule;

mod cell;
mod conversation;
mod floor;
mod source;
mod staged;
mod streams;
mod targets;
mod versus;

/// The client's process of a measurement, if these are its words: `client CORE`, then those of `trie`.
pub(crate) fn client(args: &[String]) -> Option<ExitCode> {
    let [first, core, words @ ..] = args else { return None };
    (first == "client" && pin(core).is_ok()).then(|| {
        let text = |os: OsString| os.to_string_lossy().into_owned();
        let environment =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        trie_cli::run(words, &environment)
    })
}

/// Does what these words ask for, if they ask for one of these measurements.
pub(crate) fn perform(words: &[&str]) -> Result<()> {
    match words {
        ["cell", shape, streams, every, seconds, options @ ..] => {
            streams::one(shape, [streams, every, seconds], options)
        }
        ["staged"] => staged::table(),
        ["targets", settings @ ..] => targets::table(settings),
        // The server's process of a measurement.
        ["source", core, shape, first, every, log] => {
            pin(core)?;
            let shape = Shape::named(shape).context("no such shape")?;
            let (first, every): (u64, u64) = (first.parse()?, every.parse()?);
            let schedule =
                Schedule { shape, first_ns: 1_000_000 * first, every_ns: 1_000_000 * every };
            source::serve(schedule, Path::new(log))
        }
        // The process that only reads.
        ["floor", core, port, streams, seconds, chunks, wait_ms] => {
            pin(core)?;
            floor::read_only(&floor::Reading {
                port: port.parse()?,
                streams: streams.parse()?,
                seconds: seconds.parse()?,
                chunks: chunks.parse()?,
                wait_ms: wait_ms.parse()?,
            })
        }
        other => bail!("no such command: {}", other.join(" ")),
    }
}

/// Keeps this process on a core, where there is more than one.
fn pin(core: &str) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 && !Cores::parse(core).is_some_and(|core| stay_on(&core)) {
        bail!("cannot stay on core {core}");
    }
    Ok(())
}
