//! The table of targets: what the whole client needs and how far its stamps are off, beside what was
//! aimed at.

use anyhow::Result;

use super::cell::{Cell, Measured};
use super::versus::percentile;
use crate::commands::setting;
use crate::measure::{float, say, say_head, say_row};
use crate::shapes::Shape;

/// Rounds of each measurement when nothing is said.
const ROUNDS: u64 = 5;

/// Shapes that every target is shown for.
const SHAPES: [Shape; 3] = [Shape::Plain, Shape::Ids, Shape::RunningUsage];

/// How long the kernel's share is looked at, s.
const FLOOR_SECONDS: u64 = 3;

/// Waits that something always ends before, and those of the client, whose timer looks for standstills, ms.
const LONG_WAIT_MS: u16 = 100;
const PROBE_MS: u16 = 5;

/// From chunk to chunk, ms.
const EVERY_MS: u64 = 20;

/// Measures everything and prints the table: `--rounds N`.
pub(crate) fn table(settings: &[&str]) -> Result<()> {
    let rounds = setting(settings, "--rounds")?.unwrap_or(ROUNDS).max(1);
    say(format_args!(
        "Medians of {rounds} rounds (least to most); load of the machine {}. Client and source are processes, \
         each on a core of its own; the client has one thread that sends and receives.\n",
        load(),
    ));
    say_head(&["", "target", "plain", "ids", "usage"]);
    rows_of(&flat(), rounds, &FLAT)?;
    rows_of(&paced(64), rounds, &PACED_64)?;
    floor_of(64, rounds, ("", LONG_WAIT_MS))?;
    floor_of(64, rounds, (" with a timer every 5 ms, as the client has one", PROBE_MS))?;
    rows_of(&paced(512), rounds, &PACED_512)?;
    floor_of(512, rounds, ("", LONG_WAIT_MS))?;
    rows_of(&Cell { options: vec!["stamps=read".to_owned()], ..paced(64) }, rounds, &BY_READS)?;
    say(format_args!("\nLoad at the end: {}", load()));
    Ok(())
}

/// A line of the table: what is looked at, what was aimed at, its value.
type Line = (&'static str, &'static str, fn(&Measured) -> f64);

const FLAT: [Line; 2] = [
    ("flat out: CPU of the receiving thread, ns a chunk", "<= 700", |all| all.client_ns),
    ("flat out: million chunks a CPU second", ">= 1.0", |all| 1_000.0 / all.client_ns),
];

const PACED_64: [Line; 9] = [
    ("64 streams: CPU of the receiving thread, us a chunk", "<= 10", |all| all.client_ns / 1e3),
    ("64 streams: CPU of the whole process, us a chunk", "", |all| all.process_ns / 1e3),
    ("64 streams: arrival error p50, us", "<= 5", |all| micros(&all.errors.arrival, 50)),
    ("64 streams: arrival error p99, us", "<= 25", |all| micros(&all.errors.arrival, 99)),
    ("64 streams: ITL error p50, us", "<= 1", |all| micros(&all.errors.gap, 50)),
    ("64 streams: ITL error p99, us", "<= 10", |all| micros(&all.errors.gap, 99)),
    ("burst of 64: TTFT error since the request was out p50, ms", "<= 0.1", |all| sent(all, 50)),
    ("burst of 64: TTFT error since the request was out p99, ms", "<= 2", |all| sent(all, 99)),
    ("start-up to the first request, ms", "<= 50", |all| all.start_ms),
];

const PACED_512: [Line; 8] = [
    ("512 streams: CPU of the receiving thread, us a chunk", "<= 10", |all| all.client_ns / 1e3),
    ("512 streams: arrival error p50, us", "<= 5", |all| micros(&all.errors.arrival, 50)),
    ("512 streams: arrival error p99, us", "<= 25", |all| micros(&all.errors.arrival, 99)),
    ("512 streams: ITL error p50, us", "<= 1", |all| micros(&all.errors.gap, 50)),
    ("512 streams: ITL error p99, us", "<= 10", |all| micros(&all.errors.gap, 99)),
    ("burst of 512: TTFT error since the request was out p50, ms", "<= 0.1", |all| sent(all, 50)),
    ("burst of 512: TTFT error since the request was out p99, ms", "<= 2", |all| sent(all, 99)),
    ("512 streams: resident memory, MB", "<= 40", |all| float(all.resident_kb.into()) / 1e3),
];

const BY_READS: [Line; 2] = [
    ("64 streams, `stamps=read`: arrival error p50, us", "<= 30", |all| {
        micros(&all.errors.arrival, 50)
    }),
    ("64 streams, `stamps=read`: arrival error p99, us", "<= 500", |all| {
        micros(&all.errors.arrival, 99)
    }),
];

fn flat() -> Cell {
    Cell::new(Shape::Plain, 4, 0, 4)
}

/// All streams begin at once.
fn paced(streams: usize) -> Cell {
    Cell::new(Shape::Plain, streams, EVERY_MS, 6)
}

/// Measures a cell for each shape, and prints these lines of it.
fn rows_of(cell: &Cell, rounds: u64, lines: &[Line]) -> Result<()> {
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); SHAPES.len()];
    // Round by round, so that what the machine does meanwhile strikes all shapes.
    for _ in 0..rounds {
        for (shape, measured) in SHAPES.into_iter().zip(&mut all) {
            measured.push(Cell { shape, ..cell.clone() }.measure()?);
        }
    }
    for (name, target, value) in lines {
        say_line(name, target, all.iter().map(|measured| measured.iter().map(value).collect()));
    }
    Ok(())
}

/// Prints what the kernel alone takes for these streams.
fn floor_of(streams: usize, rounds: u64, (with, wait_ms): (&str, u16)) -> Result<()> {
    let mut all: Vec<Vec<f64>> = vec![Vec::new(); SHAPES.len()];
    for _ in 0..rounds {
        for (shape, measured) in SHAPES.into_iter().zip(&mut all) {
            let cell = Cell { shape, seconds: FLOOR_SECONDS, ..paced(streams) };
            measured.push(cell.floor(wait_ms)? / 1e3);
        }
    }
    let name =
        format!("{streams} streams: CPU of `epoll_wait` and `recvmsg` alone{with}, us a read");
    say_line(&name, "", all);
    Ok(())
}

/// Prints a line: of each shape the median of its values, the least and the most.
fn say_line(name: &str, target: &str, shapes: impl IntoIterator<Item = Vec<f64>>) {
    let cells = shapes.into_iter().map(|mut values| {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        format!("{} ({} to {})", short(values[values.len() / 2]), short(least), short(most))
    });
    say_row(&[vec![name.to_owned(), target.to_owned()], cells.collect()].concat());
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn sent(all: &Measured, percent: usize) -> f64 {
    micros(&all.errors.first_token_of_sent, percent) / 1e3
}

fn micros(sorted: &[u64], percent: usize) -> f64 {
    percentile(sorted, percent).map_or(f64::NAN, |ns| float(ns.into())) / 1e3
}

fn load() -> String {
    let all = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split(' ').next().unwrap_or_default().to_owned()
}
