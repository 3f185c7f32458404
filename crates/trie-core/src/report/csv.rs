//! One line per figure.

use ::csv::Writer;

use super::sheet::marks;
use crate::metrics::{
    Bound, Bounds, Cell, Distribution, GoodShare, Goodput, Interval, MetricId, Stat, Status,
    Summary, Throughput, Trust,
};

/// A line: its fields.
type Line = [String; 9];

/// The long form: `table,metric,stat,value,bound,n,low,high,marks`; `value` is empty where there is none,
/// `bound` is `at_least` or empty, `n` is empty where it is the whole run, `low` and `high` where no interval
/// is known, `marks` are those of the tables. Populations, the verdict and its checks come first; of a check
/// `stat` says how it stands.
#[must_use]
pub fn csv(summary: &Summary) -> String {
    let head = ["table", "metric", "stat", "value", "bound", "n", "low", "high", "marks"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(what_it_stands_on(summary));
    for (table, all) in [("per_trace", &summary.per_trace), ("per_request", &summary.per_request)] {
        lines.extend(all.iter().flat_map(|(id, all)| distribution(table, *id, all)));
    }
    lines.extend(summary.workload.iter().flat_map(|(id, rates)| throughput(*id, rates)));
    lines.extend(summary.goodput.iter().flat_map(goodput));
    for (key, value) in &summary.seed {
        lines.push(plain("seed", key, "", value.to_string()));
    }
    written(&lines)
}

/// What became of the traces, and whether the numbers can be believed.
fn what_it_stands_on(summary: &Summary) -> Vec<Line> {
    let all = &summary.populations;
    let counts = [
        ("admitted", all.admitted),
        ("completed", all.completed),
        ("failed", all.failed_total()),
        ("cut_off", all.cut_off),
        ("entered", all.entered),
    ];
    let count = |(name, count): (&str, u64)| plain("populations", name, "", count.to_string());
    let mut lines: Vec<Line> = counts.into_iter().map(count).collect();
    let trust = match summary.verdict.trust {
        Trust::Yes => "yes",
        Trust::Caveats => "caveats",
        Trust::No => "no",
    };
    lines.push(plain("verdict", "trust", "", trust.to_owned()));
    lines.extend(summary.verdict.checks.iter().map(|check| {
        let value = check.value.value().map(|value| value.to_string()).unwrap_or_default();
        let stands = match check.status {
            Status::Fail => "fail",
            Status::Warn => "warn",
            Status::Pass => "pass",
            Status::Unknown => "unknown",
        };
        plain("check", &check.id.to_string(), stands, value)
    }));
    lines
}

fn plain(table: &str, metric: &str, stat: &str, value: String) -> Line {
    let none = String::new;
    let names = [table, metric, stat].map(str::to_owned);
    let [table, metric, stat] = names;
    [table, metric, stat, value, none(), none(), none(), none(), none()]
}

fn distribution(table: &str, metric: MetricId, all: &Distribution) -> Vec<Line> {
    let n = all.n.to_string();
    let line = |stat: Stat| line([table, stat.name(), &n], metric, all.cell(stat));
    Stat::ALL.map(line).to_vec()
}

fn throughput(metric: MetricId, rates: &Throughput) -> Vec<Line> {
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
fn goodput(good: &Goodput) -> Vec<Line> {
    let of = |stat: &str, n: String, bounds: &Bounds| {
        let text = |cell: &Cell| cell.value().map(|value| value.to_string()).unwrap_or_default();
        let (low, high) = (text(&bounds.low), text(&bounds.high));
        let [table, metric] = ["goodput", stat].map(str::to_owned);
        [table, metric, "good".into(), low.clone(), String::new(), n, low, high, String::new()]
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

fn line([table, stat, n]: [&str; 3], metric: MetricId, cell: &Cell) -> Line {
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
    let names = [table.to_owned(), metric.to_string(), stat.to_owned()];
    let [table, metric, stat] = names;
    [table, metric, stat, value, bound.into(), n.into(), low, high, marks(cell)]
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
