//! What stands in which table, before any drawing.

use crate::metrics::{
    Bound, Bounds, Cell, Distribution, Floor, GoodShare, Interval, MetricId, Needs, Origin, Side,
    Stat, Summary, Throughput, objective_side,
};

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// Lines of the title.
    pub(super) title: Vec<String>,
    /// The first column names the rows.
    pub(super) columns: Vec<Column>,
    /// Whether it splits where a terminal has fewer columns, even if it would fit.
    pub(super) splits_below: usize,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) header: String,
    pub(super) align: Align,
    pub(super) cells: Vec<String>,
}

/// Which side a column's text stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Columns of table 1.
pub(super) const TABLE_1: [MetricId; 6] = [
    MetricId::Latency,
    MetricId::Ttft,
    MetricId::Ttfat,
    MetricId::DecodeTps,
    MetricId::CacheHitRate,
    MetricId::EligibleCacheHitRate,
];

/// Rows of table 2.
const TABLE_2: [MetricId; 4] =
    [MetricId::TotalPrompt, MetricId::CachedPrompt, MetricId::UncachedPrompt, MetricId::Completion];

/// Figures in the title of table 3, in this order.
const FIGURES: [MetricId; 6] = [
    MetricId::AchievedConcurrency,
    MetricId::ThinkTime,
    MetricId::InFlightPrompt,
    MetricId::LittleTraces,
    MetricId::JobsPerUser,
    MetricId::JobsPerGpu,
];

/// Table 1 as users know it fits into this many columns.
const TABLE_1_WIDTH: usize = 120;

/// All tables that have something to show.
pub(super) fn sheets(summary: &Summary) -> Vec<Sheet> {
    let all = [per_trace(summary), workload(summary), goodput(summary), more(summary)];
    all.into_iter().flatten().collect()
}

/// Table 1: a column per metric.
fn per_trace(summary: &Summary) -> Option<Sheet> {
    let names = Stat::ALL.map(|stat| stat.name().to_owned()).to_vec();
    let mut columns = vec![Column { header: "Metric".into(), align: Align::Left, cells: names }];
    for metric in TABLE_1 {
        let Some(all) = summary.per_trace.get(&metric).filter(|all| all.n > 0) else { continue };
        let row = metric.row();
        let cells = Stat::ALL.map(|stat| (all.cell(stat), row.decimals));
        columns.push(Column {
            header: row.title.into(),
            align: Align::Right,
            cells: figures(&cells),
        });
    }
    let all = &summary.populations;
    let mut title = vec!["Per-trace metrics".to_owned()];
    // As the original has it where all that was begun was completed.
    let whole = all.failed_total() + all.cut_off + all.entered == 0;
    title.extend((!whole).then(|| counts(summary)));
    title.extend(replicates(summary));
    (columns.len() > 1).then_some(Sheet { title, columns, splits_below: TABLE_1_WIDTH })
}

/// What the figures are of, where several runs were pooled.
fn replicates(summary: &Summary) -> Option<String> {
    let used = summary.replicates.as_ref()?.used;
    (used > 1).then(|| format!("mean of {used} replicates ± half of its 95 % interval"))
}

/// Table 2: a row per metric, a column per window.
fn workload(summary: &Summary) -> Option<Sheet> {
    let rows: Vec<(MetricId, &Throughput)> =
        TABLE_2.iter().filter_map(|id| Some((*id, summary.workload.get(id)?))).collect();
    if rows.is_empty() {
        return None;
    }
    let absent = Cell::Missing(String::new());
    let column = |header: &str, cell: &dyn Fn(&Throughput) -> Cell| {
        let cells: Vec<(Cell, usize)> =
            rows.iter().map(|(id, rates)| (cell(rates), id.row().decimals)).collect();
        let cells: Vec<_> = cells.iter().map(|(cell, decimals)| (cell, *decimals)).collect();
        Column { header: header.into(), align: Align::Right, cells: figures(&cells) }
    };
    let or_absent = |cell: &Option<Cell>| cell.clone().unwrap_or_else(|| absent.clone());
    let mut columns = vec![
        titles(rows.iter().map(|(id, _)| *id)),
        column("Overall", &|rates| rates.overall.clone()),
        column("Last 30s Window", &|rates| or_absent(&rates.last_30s)),
        column("Steady State", &|rates| or_absent(&rates.steady_state)),
    ];
    if summary.run.num_gpus.is_some() {
        columns.push(column("Steady State / GPU", &|rates| or_absent(&rates.steady_state_per_gpu)));
    }
    let title = vec!["Workload metrics".to_owned(), population(summary)];
    Some(Sheet { title, columns, splits_below: 0 })
}

/// What met its objectives: a row for traces, one for requests.
fn goodput(summary: &Summary) -> Option<Sheet> {
    let good = summary.goodput.as_ref()?;
    let rows = [("Traces", &good.per_trace), ("Requests", &good.per_request)];
    let column = |header: &str, cell: &dyn Fn(&GoodShare) -> String| Column {
        header: header.to_owned(),
        align: Align::Right,
        cells: rows.iter().map(|(_, share)| cell(share)).collect(),
    };
    let names = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let columns = vec![
        Column { header: "Goodput".into(), align: Align::Left, cells: names },
        column("n", &|share| share.n.to_string()),
        column("good", &|share| share.good.to_string()),
        column("bad", &|share| share.bad.to_string()),
        column("failed", &|share| share.failed.to_string()),
        column("unknown", &|share| share.unknown.to_string()),
        column("good (%)", &|share| bounds(&share.share_pct, 1)),
        column("good/s", &|share| bounds(&share.per_s, 3)),
    ];
    let limits = good.objectives.iter().map(|(metric, limit)| {
        let sign = match objective_side(*metric) {
            Side::AtMost => "<=",
            Side::AtLeast => ">=",
        };
        format!("{metric} {sign} {limit}")
    });
    let figure = |metric: MetricId, of: &Bounds| {
        let row = metric.row();
        format!("{}={}", row.title, bounds(of, row.decimals))
    };
    let mut figures = vec![
        figure(MetricId::Completion, &good.completion_tok_per_s),
        figure(MetricId::JobsPerUser, &good.jobs_per_h_user),
    ];
    figures.extend(good.jobs_per_h_gpu.as_ref().map(|of| figure(MetricId::JobsPerGpu, of)));
    let limits = limits.collect::<Vec<_>>().join(", ");
    let title = vec![format!("Goodput: {limits}"), format!("good {}", figures.join("  "))];
    Some(Sheet { title, columns, splits_below: 0 })
}

/// One figure where both bounds are the same, else both.
fn bounds(of: &Bounds, decimals: usize) -> String {
    let text = |cell: &Cell| format!("{}{}", digits(cell, decimals), spread(cell, decimals));
    let (low, high) = (text(&of.low), text(&of.high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// What became of the traces, as under table 2's title.
pub(super) fn population(summary: &Summary) -> String {
    let parts = [Some(counts(summary)), named(summary, MetricId::Traces)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// What became of the traces.
fn counts(summary: &Summary) -> String {
    let all = &summary.populations;
    let mut parts = vec![format!("completed={}/{}", all.completed, all.admitted)];
    if all.failed_total() + all.cut_off > 0 {
        parts.push(format!("failed={}", all.failed_total()));
        parts.push(format!("cut_off={}", all.cut_off));
    }
    if all.entered > 0 {
        parts.push(format!("entered={}", all.entered));
    }
    parts.join("  ")
}

/// Whether a metric is no breakdown with all its requests in one row.
fn says_more(summary: &Summary, metric: MetricId) -> bool {
    let Some(by) = metric.breakdown() else { return true };
    let all = summary.per_request.iter();
    all.filter(|(id, all)| id.breakdown() == Some(by) && all.n > 0).count() > 1
}

/// Table 3: a row per metric that the original does not have, a column per statistic.
fn more(summary: &Summary) -> Option<Sheet> {
    let new = |(id, _): &(&MetricId, &Distribution)| !TABLE_1.contains(id);
    let all = summary.per_trace.iter().filter(new).chain(summary.per_request.iter());
    let rows: Vec<(MetricId, &Distribution)> = all
        .filter(|(id, all)| all.n > 0 && says_more(summary, **id))
        .map(|(id, all)| (*id, all))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let worth = rows.iter().map(|(_, all)| format!("{:.1}", all.n_effective)).collect();
    let counts = rows.iter().map(|(_, all)| all.n.to_string()).collect();
    let mut columns = vec![
        titles(rows.iter().map(|(id, _)| *id)),
        Column { header: "n".into(), align: Align::Right, cells: counts },
        Column { header: "n eff.".into(), align: Align::Right, cells: worth },
    ];
    for stat in Stat::ALL {
        let cells: Vec<_> =
            rows.iter().map(|(id, all)| (all.cell(stat), id.row().decimals)).collect();
        let header = stat.name().to_owned();
        columns.push(Column { header, align: Align::Right, cells: figures(&cells) });
    }
    let figures: Vec<String> = FIGURES.iter().filter_map(|id| named(summary, *id)).collect();
    let mut title = vec!["More metrics".to_owned()];
    title.extend(figures.chunks(3).map(|line| line.join("  ")));
    Some(Sheet { title, columns, splits_below: 0 })
}

/// `title=value` of a metric of the whole window; none where it has no value.
fn named(summary: &Summary, metric: MetricId) -> Option<String> {
    let row = metric.row();
    let cell = &summary.workload.get(&metric)?.overall;
    cell.value()?;
    if row.needs == Needs::NumGpus && summary.run.num_gpus.is_none() {
        return None;
    }
    let [figure] = &figures(&[(cell, row.decimals)])[..] else { return None };
    Some(format!("{}={figure}", row.title))
}

fn titles(metrics: impl Iterator<Item = MetricId>) -> Column {
    let cells = metrics.map(|id| id.row().title.to_owned()).collect();
    Column { header: "Metric".into(), align: Align::Left, cells }
}

/// Cells of one column as text: bound before, marks and half an interval behind, so padded that digits
/// stand in line.
pub(super) fn figures(cells: &[(&Cell, usize)]) -> Vec<String> {
    let width = cells.iter().map(|(cell, _)| marks(cell).len()).max().unwrap_or(0);
    let spreads: Vec<String> =
        cells.iter().map(|(cell, decimals)| spread(cell, *decimals)).collect();
    let room = spreads.iter().map(|spread| spread.chars().count()).max().unwrap_or(0);
    let text = |(&(cell, decimals), spread): (&(&Cell, usize), &String)| {
        format!("{}{:width$}{spread:>room$}", digits(cell, decimals), marks(cell))
    };
    cells.iter().zip(&spreads).map(text).collect()
}

/// Half of a cell's interval, as ` ±x`; nothing where it has none.
fn spread(cell: &Cell, decimals: usize) -> String {
    let half = |interval: Interval| (interval.high - interval.low) / 2.0;
    let half = cell.interval().map(half);
    half.map_or_else(String::new, |half| format!(" ±{half:.decimals$}"))
}

/// A cell's number with its bound; `-` where there is none.
fn digits(cell: &Cell, decimals: usize) -> String {
    match cell {
        Cell::Missing(_) => "-".to_owned(),
        Cell::Measured(measured) => {
            let bound = match measured.bound {
                Bound::AtLeast => ">= ",
                Bound::Exact => "",
            };
            format!("{bound}{:.decimals$}", measured.value)
        }
    }
}

/// A cell's marks: `?` too few samples, `e` expected, `*` a note.
pub(super) fn marks(cell: &Cell) -> String {
    let Cell::Measured(measured) = cell else { return String::new() };
    let mut marks = String::new();
    if measured.floor == Floor::Below {
        marks.push('?');
    }
    if measured.origin == Origin::Expected {
        marks.push('e');
    }
    if measured.note.is_some() {
        marks.push('*');
    }
    marks
}
