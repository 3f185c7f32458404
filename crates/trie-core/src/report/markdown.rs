//! Tables in Markdown, for a pull request or a wiki.

use super::notes::{notes, trust, warnings};
use super::sheet::{Align, Sheet, sheets};
use crate::metrics::Summary;

/// Tables, notes and verdict in Markdown.
#[must_use]
pub fn markdown(summary: &Summary) -> String {
    page(&sheets(summary), &[notes(summary), warnings(summary)].concat(), &trust(summary))
}

/// Tables, remarks and a last line.
pub(super) fn page(sheets: &[Sheet], remarks: &[String], last: &str) -> String {
    let mut parts: Vec<String> = sheets.iter().map(table).collect();
    let remarks: Vec<String> = remarks.iter().map(|line| format!("- {}", escaped(line))).collect();
    parts.push(remarks.join("\n") + "\n");
    parts.push(format!("**{}**\n", escaped(last)));
    parts.join("\n")
}

fn table(sheet: &Sheet) -> String {
    let mut title = sheet.title.iter();
    let mut out = format!("### {}\n\n", title.next().map_or("", String::as_str));
    out.extend(title.map(|line| format!("`{line}`\n\n")));
    out += &row(sheet.columns.iter().map(|column| column.header.as_str()));
    out += &row(sheet.columns.iter().map(|column| match column.align {
        Align::Left => "---",
        Align::Right => "---:",
    }));
    for index in 0..sheet.columns.first().map_or(0, |column| column.cells.len()) {
        out += &row(sheet.columns.iter().map(|column| column.cells[index].as_str()));
    }
    out
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(|cell| escaped(cell.trim())).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;").replace(">=", "≥")
}
