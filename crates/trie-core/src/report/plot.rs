//! The curve of a cache, drawn in characters.

use crate::inspect::CacheCurve;

/// Rows of ten percent each.
const ROWS: u32 = 10;
/// What fills a cell from below, in eighths.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where running requests have no room.
const SHADE: char = '░';
/// Columns before the plot.
const MARGIN: usize = 7;
/// Columns of the plot, at most.
const COLUMNS: usize = 72;
/// Columns between two labels of the capacity.
const LABELS: usize = 18;

/// Lines with a column for each point of the curve, or several where it has few: at most 80 columns wide.
pub(super) fn plot(cache: &CacheCurve) -> Vec<String> {
    let points = &cache.points;
    if points.is_empty() {
        return Vec::new();
    }
    let wide = (COLUMNS / points.len()).max(1);
    let columns = points.len() * wide;
    let mut lines = Vec::new();
    for row in (0..ROWS).rev() {
        let label = format!("{:>4} % ", (row + 1) * 100 / ROWS);
        let cells = points
            .iter()
            .map(|point| cell(point.hit_pct, row, point.cache_tokens < cache.running_tokens));
        let cells = cells.flat_map(|cell| std::iter::repeat_n(cell, wide));
        lines.push(format!("{label}{}", cells.collect::<String>().trim_end()));
    }
    lines.push(format!("   0 % {}", "─".repeat(columns)));
    let mut ticks = String::new();
    let last = columns - 1;
    for column in (0..last).step_by(LABELS).chain([last]) {
        let label = short(float(points[column / wide].cache_tokens));
        let start = (MARGIN + column).min(MARGIN + columns - label.len());
        if start > ticks.len() {
            ticks = format!("{ticks:<start$}{label}");
        }
    }
    lines.push(ticks);
    lines
}

/// The character of a column of a height in percent in a row from below.
fn cell(height: f64, row: u32, shaded: bool) -> char {
    let filled = height / 100.0 * f64::from(ROWS) - f64::from(row);
    let eighths = (filled.clamp(0.0, 1.0) * 8.0).round();
    let filled = (0..=8_u32).find(|eighth| f64::from(*eighth) >= eighths).unwrap_or(8);
    match EIGHTHS[filled as usize] {
        ' ' if shaded => SHADE,
        character => character,
    }
}

/// A capacity in tokens, in at most five characters.
fn short(tokens: f64) -> String {
    let (number, unit) = match tokens {
        tokens if tokens >= 1e9 => (tokens / 1e9, "G"),
        tokens if tokens >= 1e6 => (tokens / 1e6, "M"),
        tokens if tokens >= 1e3 => (tokens / 1e3, "k"),
        tokens => (tokens, ""),
    };
    let decimals = usize::from(number < 10.0 && !unit.is_empty());
    format!("{number:.decimals$}{unit}")
}

#[expect(clippy::cast_precision_loss, reason = "capacities in tokens, for display")]
fn float(tokens: u64) -> f64 {
    tokens as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::Point;

    #[test]
    fn a_curve_is_drawn_from_left_to_right_in_80_columns() {
        let point = |cache_tokens, hit_pct| Point { cache_tokens, hit_pct };
        let cache = CacheCurve {
            concurrency: 4,
            block_tokens: 16,
            engine: "fixed".into(),
            request_ns: 0.0,
            prefill_ns: 0.0,
            decode_ns: 0.0,
            decode_alone_ns: 0.0,
            attention_ns: 0.0,
            in_steps: false,
            each_played: false,
            traces: 1,
            requests: 1,
            prompt_tokens: 1,
            length_s: 1.0,
            ceiling_pct: 95.0,
            enough_tokens: 1_000_000,
            running_tokens: 3_000,
            needed: vec![],
            points: (0..72_u32)
                .map(|x| point(1_000 * u64::from(x + 1), f64::from(x) * 1.34))
                .collect(),
            asked: vec![],
        };
        let lines = plot(&cache);
        let text = lines.join("\n");
        assert_eq!(lines.len(), 12, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(lines[0].ends_with('▄'), "95 % is half of the upper row: {text}");
        assert!(lines[8].starts_with("  20 % ░░ "), "running requests need 3,000: {text}");
        let labels: Vec<_> = lines[11].split_whitespace().collect();
        assert_eq!(labels, ["1.0k", "19k", "37k", "55k", "72k"]);
    }
}
