//! Values and arithmetic of trie: no socket, no clock, no thread, no environment, no print.
//!
//! # Layout
//!
//! Modules in the order data flows; each may name those above it, never those below.
//!
//! - [`units`]: nanoseconds and tokens.
//! - [`workload`]: workload files, read and checked; every row becomes a graph of steps.
//! - [`plan`]: what will be replayed, complete before a socket opens.
//! - [`session`]: sans-I/O state machines: one trace, and the admission of traces to slots.
//! - [`record`]: what was seen, one row per attempt, trace and second.
//! - [`metrics`]: records in, summary out.
//! - [`compare`]: records of two sides in, their differences out.
//! - [`report`]: summary or comparison in, bytes out.

pub mod compare;
pub mod metrics;
pub mod plan;
pub mod record;
pub mod report;
pub mod session;
pub mod units;
pub mod workload;
