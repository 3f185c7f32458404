//! How findings are put.

use trie_core::record::{Finding, FindingStatus, PreflightCheck};

/// As it should be.
pub(super) fn ok(check: PreflightCheck, found: impl Into<String>) -> Finding {
    Finding { check, status: FindingStatus::Ok, found: found.into(), advice: None }
}

/// Good to know.
pub(super) fn note(check: PreflightCheck, found: impl Into<String>) -> Finding {
    Finding { check, status: FindingStatus::Note, found: found.into(), advice: None }
}

/// Some number will be missing or in doubt.
pub(super) fn warn(
    check: PreflightCheck,
    found: impl Into<String>,
    advice: impl Into<String>,
) -> Finding {
    let advice = Some(advice.into());
    Finding { check, status: FindingStatus::Warn, found: found.into(), advice }
}

/// No run can go ahead.
pub(super) fn fail(
    check: PreflightCheck,
    found: impl Into<String>,
    advice: Option<String>,
) -> Finding {
    Finding { check, status: FindingStatus::Fail, found: found.into(), advice }
}

/// `1 token`, `2 tokens`.
pub(super) fn tokens(count: u64) -> String {
    format!("{count} token{}", if count == 1 { "" } else { "s" })
}
