//! The program as its users run it: real processes, loopback only.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod program;
mod runs;
mod usage;
