//! Tables in boxes, for a terminal.

use super::notes::{notes, trust, warnings};
use super::sheet::{Align, Column, Sheet, sheets};
use crate::metrics::Summary;

/// Headers longer than this break before their unit.
const HEADER_WIDTH: usize = 23;

/// Tables, notes and verdict for a terminal of `width` columns.
///
/// Cells never wrap: a table that is too wide is split, each part with the column of names.
#[must_use]
pub fn text(summary: &Summary, width: usize) -> String {
    page(sheets(summary), [notes(summary), warnings(summary), vec![trust(summary)]], width)
}

/// Tables with what is said under them.
pub(super) fn page(sheets: Vec<Sheet>, talk: [Vec<String>; 3], width: usize) -> String {
    let parts = sheets.into_iter().flat_map(|sheet| split(sheet, width));
    let mut blocks: Vec<Vec<String>> = parts.map(|part| boxed(&part)).collect();
    let wrapped = |lines: Vec<String>| lines.iter().flat_map(|line| wrap(line, width)).collect();
    blocks.extend(talk.map(wrapped));
    blocks.retain(|block| !block.is_empty());
    let blocks = blocks.into_iter().map(|block| format!("\n{}\n", block.join("\n")));
    blocks.collect()
}

/// Breaks a line of talk between words; what follows the first line is set in.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let longer = line.chars().count() + 1 + word.chars().count();
        if !line.trim().is_empty() && longer > width {
            lines.push(std::mem::replace(&mut line, "   ".to_owned()));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Halves a table until its parts fit, or hold one column beside the names.
fn split(sheet: Sheet, width: usize) -> Vec<Sheet> {
    let fits = width >= sheet.splits_below && full_width(&sheet.columns) <= width;
    if fits || sheet.columns.len() <= 2 {
        return vec![sheet];
    }
    let (names, values) = sheet.columns.split_at(1);
    let halves = values.split_at(values.len().div_ceil(2));
    [halves.0, halves.1]
        .into_iter()
        .map(|half| Sheet {
            title: sheet.title.clone(),
            columns: [names, half].concat(),
            splits_below: 0,
        })
        .flat_map(|half| split(half, width))
        .collect()
}

/// The lines of a table with a heavy head, in the look of the original's.
fn boxed(sheet: &Sheet) -> Vec<String> {
    let columns = &sheet.columns;
    let widths: Vec<usize> = columns.iter().map(column_width).collect();
    let headers: Vec<Vec<&str>> = columns.iter().map(|one| wrapped(&one.header)).collect();
    let height = headers.iter().map(Vec::len).max().unwrap_or(0);
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut lines: Vec<String> =
        sheet.title.iter().map(|line| centred(line, full_width(columns))).collect();
    lines.push(rule(&widths, ["┏", "━", "┳", "┓"]));
    lines.extend((0..height).map(|line| {
        // Headers stand at the bottom of their cell.
        let cells = headers.iter().map(|header| {
            (line + header.len()).checked_sub(height).map_or("", |index| header[index])
        });
        row(columns, &widths, cells, "┃")
    }));
    lines.push(rule(&widths, ["┡", "━", "╇", "┩"]));
    lines.extend((0..rows).map(|index| {
        row(columns, &widths, columns.iter().map(|column| column.cells[index].as_str()), "│")
    }));
    lines.push(rule(&widths, ["└", "─", "┴", "┘"]));
    lines
}

fn centred(line: &str, width: usize) -> String {
    let left = width.saturating_sub(length(line)).div_ceil(2);
    format!("{:left$}{line}", "")
}

fn rule(widths: &[usize], [left, line, between, right]: [&str; 4]) -> String {
    let parts: Vec<String> = widths.iter().map(|width| line.repeat(width + 2)).collect();
    format!("{left}{}{right}", parts.join(between))
}

fn row<'a>(
    columns: &[Column],
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
    wall: &str,
) -> String {
    let cell = |((column, &width), cell): ((&Column, &usize), &str)| match column.align {
        Align::Left => format!(" {cell:<width$} "),
        Align::Right => format!(" {cell:>width$} "),
    };
    let cells: Vec<String> = columns.iter().zip(widths).zip(cells).map(cell).collect();
    format!("{wall}{}{wall}", cells.join(wall))
}

fn full_width(columns: &[Column]) -> usize {
    columns.iter().map(|column| column_width(column) + 3).sum::<usize>() + 1
}

fn column_width(column: &Column) -> usize {
    let cells = column.cells.iter().map(|cell| length(cell));
    let header = wrapped(&column.header).into_iter().map(length);
    cells.chain(header).max().unwrap_or(0)
}

/// A header in one line, or in two where it is long.
fn wrapped(header: &str) -> Vec<&str> {
    match header.rsplit_once(' ') {
        Some((title, unit)) if length(header) > HEADER_WIDTH => vec![title, unit],
        Some(_) | None => vec![header],
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}
