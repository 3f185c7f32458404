//! Reports: a [`Summary`](crate::metrics::Summary), a [`Comparison`](crate::compare::Comparison) or an
//! [`Inspection`](crate::inspect::Inspection) in, text out. Pure: nothing is printed here.
//!
//! # Layout
//!
//! - `sheet`: what stands in which table, before any drawing.
//! - `notes`: what is said under the tables.
//! - `text`: [`text`], tables in boxes for a terminal.
//! - `markdown`, `csv`, `json`: [`markdown`], [`csv`], [`json`].
//! - `compared`: [`comparison_text`] and its kin, a comparison in the same formats.
//! - `inspected`: [`inspection_text`] and its kin, with `plot`, a cache's curve in characters.
//! - `log_lines`: [`log_line`], [`start_line`], [`complete_line`], the original's log lines.

mod compared;
mod csv;
mod inspected;
mod json;
mod log_lines;
mod markdown;
mod notes;
mod plot;
mod sheet;
mod text;

pub use compared::{comparison_csv, comparison_json, comparison_markdown, comparison_text};
pub use csv::csv;
pub use inspected::{inspection_json, inspection_text};
pub use json::json;
pub use log_lines::{Level, complete_line, log_line, python_float, start_line};
pub use markdown::markdown;
pub use text::text;
