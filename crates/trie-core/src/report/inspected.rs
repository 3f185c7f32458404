//! An inspection for a terminal of 80 columns.

use super::plot::plot;
use crate::inspect::{CacheCurve, Figure, Inspection, Shape};

/// Columns of the figures.
const HEADS: [&str; 6] = ["mean", "p10", "p50", "p90", "p99", "max"];

/// The inspection as text, no line wider than 80 columns but for names that are.
#[must_use]
pub fn inspection_text(inspection: &Inspection) -> String {
    let mut lines = head(inspection);
    lines.push(String::new());
    lines.extend(table(&inspection.shape));
    lines.push(String::new());
    lines.extend(structure(&inspection.shape));
    if let Some(cache) = &inspection.cache {
        lines.push(String::new());
        lines.extend(curve(cache));
    }
    lines.extend(inspection.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n") + "\n"
}

/// The inspection as indented JSON with a newline at its end.
#[must_use]
pub fn inspection_json(inspection: &Inspection) -> String {
    let text = serde_json::to_string_pretty(inspection);
    text.expect("an inspection holds only finite numbers, and its keys are strings") + "\n"
}

fn head(inspection: &Inspection) -> Vec<String> {
    let Shape { traces, sessions, requests, prompt_tokens, completion_tokens, .. } =
        inspection.shape;
    let several =
        if sessions > 0 { format!(", {} sessions", grouped(sessions)) } else { String::new() };
    let counts = format!("{} traces, {} requests{several}", grouped(traces), grouped(requests));
    let tokens = format!(
        "{} prompt tokens, {} answer tokens",
        grouped(prompt_tokens),
        grouped(completion_tokens)
    );
    vec![inspection.path.clone(), counts, tokens]
}

fn table(shape: &Shape) -> Vec<String> {
    let line = |name: &str, cells: [String; 6]| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>8}")).collect();
        format!("{name:<31}{}", cells.join("")).trim_end().to_owned()
    };
    let row = |figure: &Figure| {
        let unit = if figure.unit.is_empty() { "" } else { " " };
        let spread = &figure.spread;
        let cells =
            [spread.mean, spread.p10, spread.p50, spread.p90, spread.p99, spread.max].map(short);
        line(&format!("{}{unit}{}", figure.title, bracketed(&figure.unit)), cells)
    };
    let heads = line("", HEADS.map(str::to_owned));
    std::iter::once(heads).chain(shape.spreads.iter().map(row)).collect()
}

fn bracketed(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!("({unit})") }
}

fn structure(shape: &Shape) -> Vec<String> {
    let Shape { sharing, lanes, breaks, answers_cut, requests, traces, .. } = shape;
    let of = |part: u64, whole: u64| format!("{} of {}", grouped(part), grouped(whole));
    let mut lines = Vec::new();
    if let Some(own) = sharing.own_pct {
        lines.push(format!("of all prompt tokens an earlier request of the trace had {own:.1} %"));
    }
    if sharing.prefixes > 0 {
        lines.push(format!("shared prefixes: {}", grouped(sharing.prefixes)));
    }
    for prefix in &sharing.most_shared {
        lines.push(format!(
            "    {:<24} {:>8} tokens in {} traces",
            prefix.id,
            grouped(prefix.tokens),
            of(prefix.traces, *traces)
        ));
    }
    if sharing.traces_of_blocks > 0 {
        lines.push(format!(
            "prompts in shared blocks: {} traces",
            of(sharing.traces_of_blocks, *traces)
        ));
    }
    if lanes.traces > 0 {
        lines.push(format!(
            "several lanes: {} traces; {} forks, {} spawns, {} joins, {} pipelined",
            of(lanes.traces, *traces),
            lanes.forks,
            lanes.spawns,
            lanes.joins,
            lanes.pipelined
        ));
    }
    if breaks.requests > 0 {
        lines.push(format!(
            "history cut: {} requests in {} traces, {} of them by 30 % or more",
            of(breaks.requests, *requests),
            grouped(breaks.traces),
            grouped(breaks.compactions)
        ));
    }
    if *answers_cut > 0 {
        lines.push(format!("answers not carried on whole: {}", of(*answers_cut, *requests)));
    }
    lines
}

fn curve(cache: &CacheCurve) -> Vec<String> {
    let mut lines = vec![format!(
        "KV cache hit rate by capacity, {} traces at a time, blocks of {} tokens",
        grouped(cache.concurrency.into()),
        cache.block_tokens
    )];
    lines.extend(plot(cache));
    lines.push(String::new());
    lines.push(format!(
        "ceiling {:.1} %: no cache gives more of these {} prompt tokens",
        cache.ceiling_pct,
        grouped(cache.prompt_tokens)
    ));
    for needed in &cache.needed {
        lines.push(format!(
            "{:>4} % of it ({:>4.1} %) needs {:>14} tokens",
            needed.share_pct,
            cache.ceiling_pct * f64::from(needed.share_pct) / 100.0,
            grouped(needed.cache_tokens)
        ));
    }
    for point in &cache.asked {
        lines.push(format!(
            "a cache of {:>14} tokens holds {:>5.2} %",
            grouped(point.cache_tokens),
            point.hit_pct
        ));
    }
    lines.push(format!(
        "running requests use up to {} tokens: with less, some wait (shaded)",
        grouped(cache.running_tokens)
    ));
    lines.push(format!(
        "assumes LRU and the pace of engine={}: {:.0} ms a request, {:.0} us a new",
        cache.engine,
        cache.request_ns / 1e6,
        cache.prefill_ns / 1e3
    ));
    let alone = if cache.in_steps {
        format!("{:.1} to ", cache.decode_alone_ns / 1e6)
    } else {
        String::new()
    };
    lines.push(format!(
        "token, {alone}{:.1} ms an answer token; {} requests in {:.0} s",
        cache.decode_ns / 1e6,
        grouped(cache.requests),
        cache.length_s
    ));
    if cache.in_steps {
        let more = cache.attention_ns;
        lines.push(format!(
            "{more:.1} us more a new token for each 1,000 before it; prompts one by one"
        ));
    }
    if cache.each_played {
        let points = grouped(cache.points.len() as u64);
        lines
            .push(format!("each of {points} capacities is played: what is lost is computed again"));
    }
    lines
}

/// A count with commas between thousands.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (index, digit) in digits[first..].char_indices() {
        if index % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number in at most seven characters, where it is below ten million.
fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 1e7 {
        format!("{:.0}k", number / 1e3)
    } else if size >= 1_000.0 || number.fract().abs() < 1e-9 {
        grouped_float(number)
    } else if size >= 100.0 {
        format!("{number:.0}")
    } else if size >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// Rounded to the nearest whole number.
fn grouped_float(number: f64) -> String {
    let digits = format!("{number:.0}");
    digits.parse().map_or(digits, grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (count, expected) in counts {
            assert_eq!(grouped(count), expected);
        }
        let numbers = [(0.25, "0.25"), (2.0, "2"), (12.34, "12.3"), (123.4, "123")];
        for (number, expected) in numbers {
            assert_eq!(short(number), expected);
        }
        assert_eq!(
            [short(9_269.0), short(635_500.4), short(12_345_678.0)],
            ["9,269", "635,500", "12346k"]
        );
    }
}
