//! Imports as a user sees them: sources in, rows and numbers out.

#![expect(
    clippy::unwrap_used,
    reason = "clippy sees only test functions as tests, not what they share"
)]

mod agents;
mod damage;
mod formats;
mod import;
mod logs;
mod openhands;
mod privacy;
mod quirks;
mod targets;
