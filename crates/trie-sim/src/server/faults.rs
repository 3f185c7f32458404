//! What goes wrong, and for which requests.

use std::{num::NonZeroU64, time::Duration};

/// The faults of a server; by default none.
///
/// `Some(n)` strikes every n-th: the n-th, the 2n-th and so on, so that `Some(1)` strikes all. Requests for
/// a completion are counted from 1 for as long as the server runs, whichever connection they came by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// This status instead of an answer.
    pub status: Option<Status>,
    /// `status` strikes every so-manieth request.
    pub status_every: NonZeroU64,
    /// Seconds in the `Retry-After` header of a 429.
    pub retry_after_s: u64,
    /// The connection is closed without an answer.
    pub reset_before_headers: Option<NonZeroU64>,
    /// The connection of a stream is closed after `fault_tokens`.
    pub reset_mid_stream: Option<NonZeroU64>,
    /// The request is never answered.
    pub stall_before_headers: Option<NonZeroU64>,
    /// A stream says nothing more after `fault_tokens`.
    pub stall_mid_stream: Option<NonZeroU64>,
    /// Tokens that a stream sends before it is struck.
    pub fault_tokens: usize,
    /// An HTML page with status 200, as a proxy or a wrong address gives.
    pub html_page: Option<NonZeroU64>,
    /// The answer ends in the middle of its JSON; a stream after `fault_tokens`.
    pub truncated_json: Option<NonZeroU64>,
    /// A stream sends the chunk after `fault_tokens` twice.
    pub duplicate_chunk: Option<NonZeroU64>,
    /// A stream pauses for `spike` after `fault_tokens`.
    pub spike_every: Option<NonZeroU64>,
    /// How long that is.
    pub spike: Duration,
    /// Usage counts one completion token too many.
    pub wrong_token_count: Option<NonZeroU64>,
    /// A connection is closed as soon as it is accepted; connections are counted from 1.
    pub accept_then_close: Option<NonZeroU64>,
    /// Time before the headers of every answer, with the engine already at work.
    pub slow_headers: Duration,
    /// When every connection is closed and no more are accepted, since the server's start.
    pub crash_at: Option<Duration>,
    /// When every connection is closed and the engine starts anew, its cache empty, since the server's
    /// start.
    pub restart_at: Option<Duration>,
}

/// An HTTP status from 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(u16);

impl Status {
    /// None when `code` is no error.
    pub fn new(code: u16) -> Option<Self> {
        (400..=599).contains(&code).then_some(Self(code))
    }

    /// The number.
    pub fn code(self) -> u16 {
        self.0
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            status: None,
            status_every: NonZeroU64::MIN,
            retry_after_s: 1,
            reset_before_headers: None,
            reset_mid_stream: None,
            stall_before_headers: None,
            stall_mid_stream: None,
            fault_tokens: 3,
            html_page: None,
            truncated_json: None,
            duplicate_chunk: None,
            spike_every: None,
            spike: Duration::from_secs(1),
            wrong_token_count: None,
            accept_then_close: None,
            slow_headers: Duration::ZERO,
            crash_at: None,
            restart_at: None,
        }
    }
}

/// Whether a fault strikes number `ordinal`, counted from 1.
pub(super) fn strikes(every: Option<NonZeroU64>, ordinal: u64) -> bool {
    every.is_some_and(|every| ordinal.is_multiple_of(every.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_is_the_third_and_the_sixth() {
        let struck: Vec<u64> = (1..=7).filter(|n| strikes(NonZeroU64::new(3), *n)).collect();
        assert_eq!(struck, [3, 6]);
        assert!(!strikes(None, 3));
    }
}
