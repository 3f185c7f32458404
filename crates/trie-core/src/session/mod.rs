//! Sans-I/O state machines: events with their times in, actions out.
//!
//! Two drivers feed them: the real one (sockets, wall time) and a virtual one (an event heap). What
//! is sent when is decided here and nowhere else.
//!
//! # Layout
//!
//! - `trace`: [`Session`], one trace from its admission to its end.
//! - `perfect`: [`PerfectCache`], how much of a prompt a cache that forgets nothing holds;
//!   [`CacheBounds`], what it holds at least and at most.
//! - `admission`: [`Admission`], which trace starts in which slot and when; when to give up.
//! - `turns`: [`Turns`], rows of one session one after another.

mod admission;
mod perfect;
mod trace;
mod turns;

pub use admission::{Admission, AdmissionOptions, Admitted, StopReason};
pub use perfect::{CacheBounds, Held, PerfectCache};
pub use trace::{Action, RetryOptions, Session, StepEnd};
pub use turns::Turns;
