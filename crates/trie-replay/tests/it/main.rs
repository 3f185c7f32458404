//! Integration tests of the real driver.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod driver;
mod driver_connects;
mod preflight;
mod wire;
mod wire_cuts;
mod wire_http2;
mod wire_server;
#[cfg(feature = "tls")]
mod wire_tcp;
#[cfg(feature = "tls")]
mod wire_tls;
mod wire_transcripts;
