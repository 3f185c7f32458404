//! Reports as a user sees them.

use std::collections::BTreeMap;

use trie_core::metrics::{Cell, Distribution, MetricId, Populations, Summary, Throughput};
use trie_core::report::{complete_line, csv, json, markdown, start_line, text};

use crate::metrics::{records, summary};

/// Both tables of the original's example, as published.
const ORIGINAL: &str = include_str!("../../../../testdata/report/original_tables.txt");

/// Mean, min, p50, p90, p95, p99, max of the example's columns.
const PER_TRACE: [(MetricId, [f64; 7]); 6] = [
    (MetricId::Latency, [74.572, 37.151, 77.915, 99.497, 103.044, 105.882, 106.592]),
    (MetricId::Ttft, [2.231, 2.105, 2.181, 2.450, 2.452, 2.454, 2.455]),
    (MetricId::Ttfat, [28.510, 4.666, 16.585, 63.775, 66.554, 68.778, 69.334]),
    (MetricId::DecodeTps, [23.69, 19.27, 20.71, 30.72, 32.30, 33.57, 33.89]),
    (MetricId::CacheHitRate, [53.0, 23.3, 43.9, 85.7, 85.8, 85.9, 86.0]),
    (MetricId::EligibleCacheHitRate, [96.6, 93.7, 96.9, 98.6, 98.7, 98.8, 98.8]),
];

/// Overall, last 30 s, steady state, steady state per GPU of the example's rows.
const WORKLOAD: [(MetricId, [f64; 4]); 4] = [
    (MetricId::TotalPrompt, [24952.61, 30315.66, 30263.17, 3782.90]),
    (MetricId::CachedPrompt, [19720.40, 25550.18, 24628.21, 3078.53]),
    (MetricId::UncachedPrompt, [5232.21, 4765.47, 5634.96, 704.37]),
    (MetricId::Completion, [278.97, 280.88, 281.12, 35.14]),
];

/// A summary that holds the example's numbers, without marks.
fn example() -> Summary {
    let mut summary = summary("plain");
    let completed = 8;
    summary.populations = Populations { admitted: 8, completed, ..Populations::default() };
    summary.run.num_gpus = Some(8);
    summary.run.wall_time_s = 109.25;
    summary.per_request = BTreeMap::new();
    summary.per_trace = PER_TRACE
        .into_iter()
        .map(|(id, [mean, min, p50, p90, p95, p99, max])| {
            let exact = Cell::exact;
            let all = Distribution {
                unit: id.row().unit.into(),
                n: 8,
                n_effective: 8.0,
                mean: exact(mean),
                min: exact(min),
                p50: exact(p50),
                p90: exact(p90),
                p95: exact(p95),
                p99: exact(p99),
                max: exact(max),
                failed_never_finish: None,
            };
            (id, all)
        })
        .collect();
    summary.workload = WORKLOAD
        .into_iter()
        .chain([(MetricId::Traces, [8.0 / 109.25; 4])])
        .map(|(id, [overall, last, steady, per_gpu])| {
            let rates = Throughput {
                unit: id.row().unit.into(),
                overall: Cell::exact(overall),
                last_30s: Some(Cell::exact(last)),
                steady_state: Some(Cell::exact(steady)),
                steady_state_per_gpu: Some(Cell::exact(per_gpu)),
            };
            (id, rates)
        })
        .collect();
    summary
}

#[test]
fn the_originals_example_renders_byte_for_byte() {
    let text = text(&example(), 120);
    let tables = text.strip_prefix('\n').unwrap().get(..ORIGINAL.len()).unwrap();
    assert_eq!(tables, ORIGINAL);
}

#[test]
fn a_note_of_several_cells_is_said_once() {
    let mut summary = example();
    let noted = |cell: &mut Cell, note: &str| {
        let Cell::Measured(measured) = cell else { panic!("the example has every figure") };
        measured.note = Some(note.to_owned());
    };
    for rates in summary.workload.values_mut() {
        noted(rates.last_30s.as_mut().unwrap(), "of a short window");
        noted(rates.steady_state.as_mut().unwrap(), "not steady");
    }
    let text = text(&summary, 120);
    for line in ["* of a short window\n", "* not steady\n"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
}

#[test]
fn under_120_columns_table_1_splits_and_keeps_the_names() {
    let text = text(&example(), 80);
    assert_eq!(text.matches("Per-trace metrics").count(), 2);
    assert_eq!(text.matches("│ p99    │").count(), 2);
    assert_eq!(text.matches("┃ Metric ┃").count(), 2);
}

#[test]
fn tables_fit_the_terminal_and_cells_never_wrap() {
    for case in ["plain", "cut_off", "failed_turn", "missing_usage"] {
        for width in [60, 80, 100, 120, 200] {
            let text = text(&summary(case), width);
            let table = text.lines().filter(|line| line.starts_with(['┏', '┃', '┡', '│', '└']));
            let longest = table.map(|line| line.chars().count()).max().unwrap();
            assert!(longest <= width, "{case} at {width}: {longest}\n{text}");
        }
    }
}

#[test]
fn reports_of_golden_records_look_as_reviewed() {
    let cases = ["plain", "cut_off", "failed_turn", "non_streamed", "second_attempt", "killed"];
    for case in cases.into_iter().chain(["missing_cached_tokens", "lanes"]) {
        insta::assert_snapshot!(format!("{case}.text"), text(&summary(case), 120));
    }
    insta::assert_snapshot!("cut_off.markdown", markdown(&summary("cut_off")));
    insta::assert_snapshot!("failed_turn.csv", csv(&summary("failed_turn")));
    insta::assert_snapshot!("cut_off.json", json(&summary("cut_off")));
}

#[test]
fn log_lines_look_like_the_originals() {
    let mut manifest = records("plain").manifest;
    manifest.concurrency = 24;
    manifest.duration_ns = trie_core::units::Nanos::from_secs(300);
    manifest.model = "/data/models/DeepSeek-R1".into();
    manifest.num_gpus = Some(8);
    manifest.workload.rows = 8192;
    assert_eq!(
        start_line(&manifest),
        "[info     ] starting benchmark             concurrency=24 duration=300.0 \
         model=/data/models/DeepSeek-R1 num_gpus=8 workload_templates=8192"
    );
    let line = complete_line(&example());
    assert!(
        line.starts_with("[info     ] benchmark complete             cache_hit_rate_pct_max=86.0 ")
    );
    assert!(line.contains(" completed_requests=8 "), "{line}");
    assert!(line.ends_with(" ttft_s_p99=2.454 wall_time_s=109.25"), "{line}");
    assert!(line.contains(" steady_state_new_prompt_tok_per_s=5634.96 "), "{line}");
}
