//! Values and arithmetic of trie: no socket, no clock, no thread, no environment, no print.
//!
//! # Layout
//!
//! Modules in the order data flows; each may name those above it, never those below.
//!
//! - [`units`]: nanoseconds and tokens.
//! - [`draw`]: random numbers that are a function of their place.
//! - [`workload`]: workload files, read and checked; every row becomes a graph of steps.
//! - [`plan`]: what will be replayed, complete before a socket opens.
//! - [`session`]: sans-I/O state machines: one trace, and the admission of traces to slots.
//! - [`record`]: what was seen, one row per attempt, trace and second.
//! - [`metrics`]: records in, summary out.
//! - [`inspect`]: a workload looked at without a run, and what a cache of any size holds of it.
//! - [`generate`]: workloads made, by tables of real ones or like one that is there.
//! - [`compare`]: records of two sides in, their differences out.
//! - [`report`]: summary or comparison in, bytes out.

pub mod compare;
pub mod draw;
pub mod generate;
pub mod inspect;
pub mod metrics;
pub mod plan;
pub mod record;
pub mod report;
pub mod session;
pub mod units;
pub mod workload;
