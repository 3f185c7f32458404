//! The original's log lines: `[level    ] event  key=value ...`, keys in order.

use std::collections::BTreeMap;

use crate::metrics::{Bound, Cell, Measured, MetricId, Stat, Summary};
use crate::record::Manifest;

/// How loud a line is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// For the record.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// A log line, without the newline.
#[must_use]
pub fn log_line(level: Level, event: &str, values: &BTreeMap<String, String>) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let values: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{level:<9}] {event:<30} {}", values.join(" ")).trim_end().to_owned()
}

/// `starting benchmark`, from the manifest as it is before the first request.
#[must_use]
pub fn start_line(manifest: &Manifest) -> String {
    let gpus = manifest.num_gpus.map_or_else(|| "None".to_owned(), |gpus| gpus.to_string());
    let values = [
        ("model", manifest.model.clone()),
        ("workload_templates", manifest.workload.rows.to_string()),
        ("duration", python_float(manifest.duration_ns.as_secs_f64())),
        ("num_gpus", gpus),
        ("concurrency", manifest.concurrency.to_string()),
    ];
    let values = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    log_line(Level::Info, "starting benchmark", &values)
}

/// `benchmark complete`, with the headline values; what has none is left out, and so is a lower
/// bound, since a bare number here reads as the value itself.
#[must_use]
pub fn complete_line(summary: &Summary) -> String {
    let mut values = BTreeMap::from([
        ("wall_time_s".to_owned(), python_float(summary.run.wall_time_s)),
        ("completed_requests".to_owned(), summary.populations.completed.to_string()),
        ("failed_requests".to_owned(), summary.populations.failed_total().to_string()),
    ]);
    let mut put = |key: String, cell: Option<&Cell>| {
        if let Some(value) = cell.and_then(exact) {
            values.insert(key, python_float(to_micros(value)));
        }
    };
    for metric in RATES {
        let Some(rates) = summary.workload.get(&metric) else { continue };
        let key = metric.row().log_key;
        put(key.to_owned(), Some(&rates.overall));
        if metric != MetricId::Traces {
            put(format!("steady_state_{key}"), rates.steady_state.as_ref());
            put(format!("last_30s_window_{key}"), rates.last_30s.as_ref());
        }
    }
    for metric in DISTRIBUTIONS {
        let all = summary.per_trace.get(&metric).or_else(|| summary.per_request.get(&metric));
        for stat in Stat::ALL {
            let key = format!("{}_{}", metric.row().log_key, stat.name());
            put(key, all.map(|all| all.cell(stat)));
        }
    }
    log_line(Level::Info, "benchmark complete", &values)
}

/// Six decimals: a microsecond of a second. More would be noise in a line of log.
fn to_micros(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// The value of a cell that stands for itself.
fn exact(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Measured(Measured { value, bound: Bound::Exact, .. }) => Some(*value),
        Cell::Measured(Measured { bound: Bound::AtLeast, .. }) | Cell::Missing(_) => None,
    }
}

const RATES: [MetricId; 5] = [
    MetricId::Traces,
    MetricId::TotalPrompt,
    MetricId::CachedPrompt,
    MetricId::UncachedPrompt,
    MetricId::Completion,
];

const DISTRIBUTIONS: [MetricId; 9] = [
    MetricId::Latency,
    MetricId::Ttft,
    MetricId::Ttfat,
    MetricId::Tpot,
    MetricId::Itl,
    MetricId::OutputTokensPerTurn,
    MetricId::OutputTokensPerTrace,
    MetricId::CacheHitRate,
    MetricId::EligibleCacheHitRate,
];

/// A float as Python's `repr` writes it: shortest digits that read back, exponents of two digits.
#[must_use]
pub fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            let digits = digits.strip_suffix(".0").unwrap_or(digits);
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_is_no_value_of_a_log_line() {
        let Cell::Measured(measured) = Cell::exact(2.5) else { panic!("2.5 is finite") };
        assert_eq!(exact(&Cell::Measured(measured.clone())), Some(2.5));
        let bounded = Measured { bound: Bound::AtLeast, ..measured };
        assert_eq!(exact(&Cell::Measured(bounded)), None);
        assert_eq!(exact(&Cell::Missing("why".into())), None);
    }

    #[test]
    fn floats_read_as_in_python() {
        let check = |value: f64, expected: &str| assert_eq!(python_float(value), expected);
        check(300.0, "300.0");
        check(109.25, "109.25");
        check(0.1 + 0.2, "0.30000000000000004");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(1.5e-7, "1.5e-07");
        check(1e15, "1000000000000000.0");
        check(1e16, "1e+16");
        check(-2.5, "-2.5");
    }

    #[test]
    fn a_line_without_values_has_no_spaces_at_its_end() {
        let line = log_line(Level::Warning, "benchmark interrupted", &BTreeMap::new());
        assert_eq!(line, "[warning  ] benchmark interrupted");
    }
}
