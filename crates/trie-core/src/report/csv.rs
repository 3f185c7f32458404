//! One line per figure.

use ::csv::Writer;

use crate::metrics::{
    Bound, Bounds, Cell, Distribution, GoodShare, Goodput, Interval, MetricId, Stat, Summary,
    Throughput,
};

/// The long form: `table,metric,stat,value,bound,n,low,high`; `value` is empty where there is none, `bound`
/// is `at_least` or empty, `n` is empty where it is the whole run, `low` and `high` where no interval is
/// known.
#[must_use]
pub fn csv(summary: &Summary) -> String {
    let head = ["table", "metric", "stat", "value", "bound", "n", "low", "high"];
    let mut lines = vec![head.map(str::to_owned)];
    for (table, all) in [("per_trace", &summary.per_trace), ("per_request", &summary.per_request)] {
        lines.extend(all.iter().flat_map(|(id, all)| distribution(table, *id, all)));
    }
    lines.extend(summary.workload.iter().flat_map(|(id, rates)| throughput(*id, rates)));
    lines.extend(summary.goodput.iter().flat_map(goodput));
    for (key, value) in &summary.seed {
        let mut line: [String; 8] = Default::default();
        (line[0], line[1], line[3]) = ("seed".into(), key.clone(), value.to_string());
        lines.push(line);
    }
    written(&lines)
}

fn distribution(table: &str, metric: MetricId, all: &Distribution) -> Vec<[String; 8]> {
    let n = all.n.to_string();
    let line = |stat: Stat| line([table, stat.name(), &n], metric, all.cell(stat));
    Stat::ALL.map(line).to_vec()
}

fn throughput(metric: MetricId, rates: &Throughput) -> Vec<[String; 8]> {
    let columns = [
        ("overall", Some(&rates.overall)),
        ("last_30s", rates.last_30s.as_ref()),
        ("steady_state", rates.steady_state.as_ref()),
        ("steady_state_per_gpu", rates.steady_state_per_gpu.as_ref()),
    ];
    let one =
        |(stat, cell): (&str, Option<&Cell>)| Some(line(["workload", stat, ""], metric, cell?));
    columns.into_iter().filter_map(one).collect()
}

/// Shares and rates with their lower bounds as `value` and both as `low` and `high`.
fn goodput(good: &Goodput) -> Vec<[String; 8]> {
    let of = |stat: &str, n: String, bounds: &Bounds| {
        let text = |cell: &Cell| cell.value().map(|value| value.to_string()).unwrap_or_default();
        let (low, high) = (text(&bounds.low), text(&bounds.high));
        let [table, metric] = ["goodput", stat].map(str::to_owned);
        [table, metric, "good".into(), low.clone(), String::new(), n, low, high]
    };
    let share = |name: &str, share: &GoodShare| {
        let n = || share.n.to_string();
        [
            of(&format!("{name}_share_pct"), n(), &share.share_pct),
            of(&format!("{name}_per_s"), n(), &share.per_s),
        ]
    };
    let mut lines = [share("trace", &good.per_trace), share("request", &good.per_request)].concat();
    let whole = |metric: MetricId, bounds| of(metric.row().key, String::new(), bounds);
    lines.push(whole(MetricId::Completion, &good.completion_tok_per_s));
    lines.push(whole(MetricId::JobsPerUser, &good.jobs_per_h_user));
    lines.extend(good.jobs_per_h_gpu.iter().map(|bounds| whole(MetricId::JobsPerGpu, bounds)));
    lines
}

fn line([table, stat, n]: [&str; 3], metric: MetricId, cell: &Cell) -> [String; 8] {
    let (value, bound) = match cell {
        Cell::Missing(_) => (String::new(), ""),
        Cell::Measured(measured) => {
            let bound = match measured.bound {
                Bound::AtLeast => "at_least",
                Bound::Exact => "",
            };
            (measured.value.to_string(), bound)
        }
    };
    let ends = cell.interval().map(|Interval { low, high }| [low, high].map(|end| end.to_string()));
    let [low, high] = ends.unwrap_or_default();
    [table.into(), metric.to_string(), stat.into(), value, bound.into(), n.into(), low, high]
}

pub(super) fn written<Line: AsRef<[String]>>(lines: &[Line]) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    for line in lines {
        writer
            .write_record(line.as_ref())
            .expect("a vector takes every line, and all have as many fields");
    }
    let bytes = writer.into_inner().expect("a vector takes every byte");
    String::from_utf8(bytes).expect("only strings were written")
}
