//! Reading loosely typed JSON: numbers in strings, missing members, times in many notations.

use serde_json::{Map, Value};
use trie_core::units::Tokens;
use trie_core::workload::MAX_TOKENS;

use crate::model::Time;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// Microseconds of a second.
const MICROS: f64 = 1e6;

/// Seconds from which on a float no longer tells 15 nanoseconds apart: 3 years.
const COARSE: f64 = 1e8;

/// The farthest a time may be from zero, in seconds: 285 years.
const MOST_SECONDS: f64 = 9e9;

/// The member at a path of keys.
pub(crate) fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// The string at a path.
pub(crate) fn text<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    at(value, path)?.as_str()
}

/// The list at a path; empty where there is none.
pub(crate) fn list<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    at(value, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The elements of a list; of anything else, that alone.
pub(crate) fn each(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// The object at a path.
pub(crate) fn object<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Map<String, Value>> {
    at(value, path)?.as_object()
}

/// Whether the switch at a path is on.
pub(crate) fn on(value: &Value, path: &[&str]) -> bool {
    at(value, path).and_then(Value::as_bool) == Some(true)
}

/// Tokens at a path: a whole number that is not negative, perhaps written as a float or in quotes.
/// `None` where it is none, or more than any request may have.
pub(crate) fn tokens(value: &Value, path: &[&str]) -> Option<Tokens> {
    whole(at(value, path)?).filter(|tokens| *tokens <= MAX_TOKENS)
}

/// A whole number that is not negative.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let number = || value.as_u64().or_else(|| whole_float(value.as_f64()?));
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => number(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was checked to be whole and to lie inside the range just before"
)]
fn whole_float(number: f64) -> Option<u64> {
    let is_whole = number.fract().abs() <= 0.0 && (0.0..=1e15).contains(&number);
    is_whole.then_some(number as u64)
}

/// A number, perhaps in quotes.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite())
}

/// A time at a path, in units of `unit` seconds.
pub(crate) fn time(value: &Value, path: &[&str], unit: f64) -> Option<Time> {
    seconds(number(at(value, path)?)? * unit)
}

/// Seconds as a time; `None` where they are no time.
///
/// Of seconds since 1970 a float says no more than the microsecond: the digits behind it are noise.
#[expect(clippy::cast_possible_truncation, reason = "the value was checked to be small enough")]
pub(crate) fn seconds(seconds: f64) -> Option<Time> {
    let digits = if seconds.abs() < COARSE { SECOND } else { MICROS };
    let to_nanos = |time: Time| time * (SECOND / digits) as Time;
    (seconds.abs() <= MOST_SECONDS).then(|| to_nanos((seconds * digits).round() as Time))
}

/// A date and time of ISO 8601, with a zone or, for want of one, in UTC; or seconds since 1970.
pub(crate) fn moment(value: &Value) -> Option<Time> {
    match value.as_str() {
        Some(text) => iso(text),
        None => seconds(number(value)?),
    }
}

/// A date and time of ISO 8601.
pub(crate) fn iso(text: &str) -> Option<Time> {
    let text = text.trim();
    let zoned = || text.parse::<jiff::Timestamp>().ok();
    let in_utc = || {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    Time::try_from(zoned().or_else(in_utc)?.as_nanosecond()).ok()
}

/// Keys of a value and of what is in it, for a message: never a value.
pub(crate) fn described(value: &Value) -> String {
    match (value.as_object(), value.as_array()) {
        (Some(members), _) if members.is_empty() => "an empty object".to_owned(),
        (Some(members), _) => {
            let keys: Vec<String> = members.keys().take(8).map(|key| short(key)).collect();
            let more = if members.len() > 8 { ", ..." } else { "" };
            format!("an object with {}{more}", keys.join(", "))
        }
        (None, Some(items)) => match items.first() {
            Some(first) if !first.is_array() => format!("a list of {}", described(first)),
            Some(_) | None => "a list".to_owned(),
        },
        (None, None) => "a value that is no object".to_owned(),
    }
}

/// A key, cut to a readable length.
fn short(key: &str) -> String {
    match key.char_indices().nth(32) {
        Some((end, _)) => format!("{}...", &key[..end]),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_may_be_floats_or_in_quotes() {
        let check = |value: Value, expected: Option<u64>| {
            assert_eq!(whole(&value), expected, "{value}");
        };
        check(json!(7), Some(7));
        check(json!(7.0), Some(7));
        check(json!("7"), Some(7));
        check(json!(7.5), None);
        check(json!(-1), None);
        check(json!(null), None);
        assert_eq!(tokens(&json!({"n": u64::MAX}), &["n"]), None);
    }

    #[test]
    fn times_are_nanoseconds_with_a_zone_or_without() {
        let check = |text: &str, expected: Option<f64>| {
            assert_eq!(iso(text), expected.and_then(seconds), "{text}");
        };
        check("1970-01-01T00:00:01.500Z", Some(1.5));
        check("1970-01-01T01:00:01.5+01:00", Some(1.5));
        check("1970-01-01T00:00:01.500000", Some(1.5));
        check("1970-01-01 00:00:01", Some(1.0));
        check("yesterday", None);
        assert_eq!(time(&json!({"t": 3200}), &["t"], 1e-3), Some(3_200_000_000));
        assert_eq!(seconds(f64::NAN), None);
        assert_eq!(seconds(1_924_992_001.2), Some(1_924_992_001_200_000_000));
        assert_eq!(seconds(1e12), None);
    }

    #[test]
    fn messages_name_keys_only() {
        assert_eq!(described(&json!({"a": "secret"})), "an object with a");
        assert_eq!(described(&json!([{"b": "secret"}])), "a list of an object with b");
        assert_eq!(described(&json!("secret")), "a value that is no object");
    }
}
