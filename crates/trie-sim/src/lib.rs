//! The simulated inference engine of trie.
//!
//! It lets a newcomer without a GPU run the harness, and gives tests an engine whose truth is known: time
//! to first token and inter-token latency on a schedule, exact prefix-cache accounting, and every quirk
//! and fault of real servers as a switch. It is an own reading of the API: nothing here is shared with the
//! driver that it tests.
//!
//! # Layout
//!
//! In the order of a request's way:
//!
//! - [`config`]: what can be set, one table for the command line and the documentation.
//! - [`engine`]: the core without clock or socket: admission, prefix cache, times of tokens, counters.
//! - [`truth`]: what it did with each request, as rows of a file.
//! - [`forecast`]: the core under the sessions of a run, in virtual time.
//! - [`server`]: the OpenAI-compatible HTTP around it, on any byte stream.

pub mod config;
pub mod engine;
pub mod forecast;
pub mod server;
pub mod truth;
