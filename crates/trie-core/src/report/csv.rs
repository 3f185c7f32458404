//! One line per figure.

use ::csv::Writer;

use crate::metrics::{Bound, Cell, Distribution, MetricId, Stat, Summary, Throughput};

/// The long form: `table,metric,stat,value,bound,n`; `value` is empty where there is none, `bound`
/// is `at_least` or empty, `n` is empty where it is the whole run.
#[must_use]
pub fn csv(summary: &Summary) -> String {
    let mut lines = vec![["table", "metric", "stat", "value", "bound", "n"].map(str::to_owned)];
    for (table, all) in [("per_trace", &summary.per_trace), ("per_request", &summary.per_request)] {
        lines.extend(all.iter().flat_map(|(id, all)| distribution(table, *id, all)));
    }
    lines.extend(summary.workload.iter().flat_map(|(id, rates)| throughput(*id, rates)));
    for (key, value) in &summary.seed {
        let [empty, value] = [String::new(), value.to_string()];
        lines.push(["seed".into(), key.clone(), empty.clone(), value, empty.clone(), empty]);
    }
    written(&lines)
}

fn distribution(table: &str, metric: MetricId, all: &Distribution) -> Vec<[String; 6]> {
    let n = all.n.to_string();
    let line = |stat: Stat| line([table, stat.name(), &n], metric, all.cell(stat));
    Stat::ALL.map(line).to_vec()
}

fn throughput(metric: MetricId, rates: &Throughput) -> Vec<[String; 6]> {
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

fn line([table, stat, n]: [&str; 3], metric: MetricId, cell: &Cell) -> [String; 6] {
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
    [table.into(), metric.to_string(), stat.into(), value, bound.into(), n.into()]
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
