//! The OpenAI-compatible HTTP around the engine, on any byte stream.
//!
//! Files in the order of a request's way: `serve` accepts and spawns, `route` decides what an address
//! means, `variant` which options hold for it, `ask` reads the body, `words` turns text into tokens and back, `answer` decides what will be
//! said, `desk` has the engine decide when, and `stream`, `whole` and `body` put it on the wire.

mod answer;
mod ask;
mod body;
mod clock;
mod desk;
mod faults;
mod fields;
mod listener;
mod metrics;
mod prompt;
mod quirks;
mod refusal;
mod route;
mod serve;
mod socket;
mod stream;
mod usage;
mod variant;
mod whole;
mod words;

pub use self::{
    faults::{Faults, Status},
    listener::{Listener, PipeConnector, PipeListener, pipe},
    quirks::{CachedTokens, Quirks},
    serve::{Ended, ServeError, bind, serve},
};
