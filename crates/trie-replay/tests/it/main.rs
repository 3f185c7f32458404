//! Integration tests of the real driver.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod driver;
mod preflight;
mod wire;
mod wire_cuts;
mod wire_server;
#[cfg(feature = "tls")]
mod wire_tcp;
mod wire_transcripts;
