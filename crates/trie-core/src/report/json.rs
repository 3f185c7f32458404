//! `summary.json`.

use crate::metrics::Summary;

/// The summary as indented JSON with a newline at its end.
#[must_use]
pub fn json(summary: &Summary) -> String {
    let text = serde_json::to_string_pretty(summary);
    text.expect("a summary holds only finite numbers, and its keys are strings") + "\n"
}
