//! The program as its users run it: real processes, loopback only.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod check;
mod compare;
mod convert;
mod demo;
mod documents;
mod ends;
mod forecast;
mod options;
mod program;
mod records;
mod replicates;
mod reports;
mod runs;
mod secrets;
mod servers;
mod starts;
#[cfg(feature = "tls")]
mod tls;
mod usage;
mod wire;
mod workloads;
