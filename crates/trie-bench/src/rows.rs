//! A run directory of many rows, made without a server: a small forecast, repeated.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::measure::say;

/// The workload of the small forecast.
const WORKLOAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workloads/demo.jsonl");

/// What the small forecast is asked for: some 8,400 requests of 900 traces.
const FORECAST: [&str; 4] = ["engine=qwen3-32b-1xh200", "concurrency=64", "duration=300", "seed=1"];

/// How a row of a request or a trace begins.
const START: &str = "{\"trace\":";

/// Makes the run directory `dir` with at least `requests` rows of requests: the rows of a forecast, again
/// and again under other trace numbers. The forecast itself stays beside them, in `dir/forecast`.
pub(crate) fn make(dir: &Path, requests: u64) -> Result<()> {
    let small = dir.join("forecast");
    if dir.join("requests.jsonl").exists() {
        bail!("{} holds rows already: name another folder", dir.display());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    forecast(&small)?;
    let (rows, traces) = count(&small.join("requests.jsonl"))?;
    if rows == 0 {
        bail!("the forecast in {} holds no request", small.display());
    }
    let copies = requests.div_ceil(rows);
    for name in ["manifest.json", "client.jsonl"] {
        fs::copy(small.join(name), dir.join(name))
            .with_context(|| format!("cannot copy {name}"))?;
    }
    for name in ["requests.jsonl", "traces.jsonl"] {
        repeat(&small.join(name), &dir.join(name), copies, traces)?;
    }
    say(format_args!("{}: {} rows of requests", dir.display(), copies * rows));
    Ok(())
}

/// Runs the small forecast by the program's own command.
fn forecast(dir: &Path) -> Result<()> {
    let files = [format!("workload_path={WORKLOAD}"), format!("output_dir={}", dir.display())];
    let options = FORECAST.iter().map(|&word| word.to_owned());
    let words: Vec<String> =
        ["forecast".to_owned()].into_iter().chain(files).chain(options).collect();
    // Its exit code says whether the numbers can be trusted, which is of no matter here.
    let _code = trie_cli::run(&words, &BTreeMap::new());
    if dir.join("requests.jsonl").is_file() {
        return Ok(());
    }
    bail!("the forecast wrote no rows into {}", dir.display())
}

/// How many rows a file has, and one more than the highest number of a trace in it.
fn count(path: &Path) -> Result<(u64, u64)> {
    let (mut rows, mut traces) = (0, 0);
    for line in lines(path)? {
        let line = line?;
        rows += 1;
        traces = traces.max(split(&line)?.0 + 1);
    }
    Ok((rows, traces))
}

/// Writes `copies` of a file of rows, each under trace numbers `traces` higher than those before.
fn repeat(from: &Path, to: &Path, copies: u64, traces: u64) -> Result<()> {
    let rows = lines(from)?.collect::<std::io::Result<Vec<_>>>()?;
    let rows = rows.iter().map(|line| split(line)).collect::<Result<Vec<_>>>()?;
    let context = || format!("cannot write {}", to.display());
    let mut file = BufWriter::new(File::create_new(to).with_context(context)?);
    for copy in 0..copies {
        for (trace, rest) in &rows {
            writeln!(file, "{START}{}{rest}", trace + copy * traces).with_context(context)?;
        }
    }
    file.flush().with_context(context)
}

/// The lines of a file.
pub(crate) fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::new(file).lines())
}

/// A row's trace number, and what follows it.
fn split(line: &str) -> Result<(u64, &str)> {
    let rest = line.strip_prefix(START).with_context(|| format!("no row: {line}"))?;
    let (trace, _) = rest.split_once(',').with_context(|| format!("no row: {line}"))?;
    Ok((trace.parse()?, &rest[trace.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_split_behind_its_trace() {
        assert_eq!(split("{\"trace\":17,\"row\":3}").unwrap(), (17, ",\"row\":3}"));
        assert!(split("{\"row\":3}").is_err());
    }
}
