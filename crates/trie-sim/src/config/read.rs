//! How values of options are read.

use std::{num::NonZeroU64, str::FromStr, time::Duration};

use crate::server::Status;

pub(super) fn put<T>(place: &mut T, value: Result<T, &'static str>) -> Result<(), &'static str> {
    *place = value?;
    Ok(())
}

pub(super) fn number<T: FromStr>(text: &str, wanted: &'static str) -> Result<T, &'static str> {
    text.parse().map_err(|_| wanted)
}

pub(super) fn count(text: &str) -> Result<usize, &'static str> {
    number(text, "a whole number")
}

pub(super) fn every(text: &str) -> Result<Option<NonZeroU64>, &'static str> {
    number(text, "a whole number, 0 for none").map(NonZeroU64::new)
}

pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "True" | "true" => Ok(true),
        "False" | "false" => Ok(false),
        _ => Err("`True` or `False`"),
    }
}

pub(super) fn text(text: &str) -> Option<String> {
    (text != "None").then(|| text.to_owned())
}

pub(super) fn status(text: &str) -> Result<Option<Status>, &'static str> {
    const WANTED: &str = "an HTTP status from 400 to 599, 0 for none";
    match number(text, WANTED)? {
        0 => Ok(None),
        code => Status::new(code).map(Some).ok_or(WANTED),
    }
}

pub(super) fn millis(text: &str) -> Result<Duration, &'static str> {
    scaled(text, 1e3, "milliseconds, at least 0")
}

pub(super) fn micros(text: &str) -> Result<Duration, &'static str> {
    scaled(text, 1e6, "microseconds, at least 0")
}

pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    scaled(text, 1.0, "seconds, at least 0")
}

pub(super) fn scaled(
    text: &str,
    per_second: f64,
    wanted: &'static str,
) -> Result<Duration, &'static str> {
    let value: f64 = number(text, wanted)?;
    Duration::try_from_secs_f64(value / per_second).map_err(|_| wanted)
}

pub(super) fn some_time(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

/// A number of at least 0.
pub(super) fn factor(text: &str) -> Result<f64, &'static str> {
    const WANTED: &str = "a number of at least 0";
    let value: f64 = number(text, WANTED)?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(WANTED) }
}

/// A number over 0.
pub(super) fn positive(text: &str) -> Result<f64, &'static str> {
    const WANTED: &str = "a number over 0";
    let value: f64 = number(text, WANTED)?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(WANTED) }
}

/// A number from 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, &'static str> {
    const WANTED: &str = "a number from 0 to 1";
    let value: f64 = number(text, WANTED)?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(WANTED) }
}
