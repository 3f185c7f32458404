//! One measurement of the whole client, with all that came out.

use anyhow::{Context, Result};

use super::cell::{Cell, Measured};
use super::versus::percentile;
use crate::measure::say;
use crate::shapes::Shape;

/// Measures one cell and prints all that came out.
pub(crate) fn one(shape: &str, numbers: [&str; 3], options: &[&str]) -> Result<()> {
    let number =
        |text: &str| -> Result<u64> { text.parse().with_context(|| format!("no number: {text}")) };
    let [streams, every_ms, seconds] =
        [number(numbers[0])?, number(numbers[1])?, number(numbers[2])?];
    let shape = Shape::named(shape).with_context(|| format!("no such shape: {shape}"))?;
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    let cell = Cell { options, ..Cell::new(shape, usize::try_from(streams)?, every_ms, seconds) };
    tell(&cell.measure()?);
    Ok(())
}

fn tell(measured: &Measured) {
    let Measured { errors, lag, .. } = measured;
    let micros = |ns: Option<u64>| {
        ns.map_or("-".to_owned(), |ns| format!("{}.{:01}", ns / 1_000, ns % 1_000 / 100))
    };
    let both = |all: &[u64]| {
        let at = |percent| micros(percentile(all, percent));
        format!("p50 {} p99 {} max {} us", at(50), at(99), at(100))
    };
    say(format_args!(
        "chunks {}, {:.0} a second; requests {} received, {} recorded, {} failed, {} chunks miscounted; {} writes blocked",
        measured.chunks,
        measured.rate,
        measured.received,
        measured.recorded,
        measured.failed,
        errors.miscounted,
        measured.blocked,
    ));
    say(format_args!(
        "CPU a chunk: threads that receive {:.0} ns, whole process {:.0} ns; resident {} kB; first request after {:.1} ms",
        measured.client_ns, measured.process_ns, measured.resident_kb, measured.start_ms,
    ));
    say(format_args!("arrival error  {}", both(&errors.arrival)));
    say(format_args!("ITL error      {}", both(&errors.gap)));
    say(format_args!("TTFT error     {}", both(&errors.first_token)));
    say(format_args!("  since sent   {}", both(&errors.first_token_of_sent)));
    say(format_args!(
        "lag            p50 {} p99 {} max {} us",
        micros(lag.quantile(0.5)),
        micros(lag.quantile(0.99)),
        micros(lag.max())
    ));
}
