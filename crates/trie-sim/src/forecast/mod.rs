//! Virtual time: the sessions of a run against simulated engines, from a heap of events instead of a clock.
//!
//! What is sent when is decided by the session and the admission that a real run uses, and what is written
//! are the rows of a real run, so that every number of a report is computed by the same code. Events of one
//! time are taken in the order in which they were planned: the same plan and options give the same bytes on
//! every machine and at every level of optimisation.
//!
//! # Layout
//!
//! - `options`: [`ForecastOptions`], and what may go wrong.
//! - `drive`: [`forecast`], from the first admission to the last row.
//! - `prime`: what the engines hold before the clock starts.
//! - `slot`: one trace in its slot.
//! - `flight`: one request from its sending to its row.
//! - `fleet`: the replicas, and [`Router`], which chooses one.
//! - `heap`: what happens next.
//! - `recorder`: rows to their files.

mod drive;
mod fleet;
mod flight;
mod heap;
mod options;
mod prime;
mod recorder;
mod slot;

pub use self::{
    drive::forecast,
    fleet::Router,
    options::{Files, ForecastError, ForecastOptions, Forecasted, Primed},
};
