//! The one file of this crate that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Time since the server's start, by Tokio's clock, so that a test which pauses that clock pauses this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
    unix_origin: Duration,
}

impl Clock {
    /// A clock at 0.
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]
    pub(super) fn start() -> Self {
        let unix_origin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), unix_origin }
    }

    /// Time since the start.
    pub(super) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Seconds since 1970, for `created`.
    pub(super) fn unix_seconds(&self) -> u64 {
        (self.unix_origin + self.now()).as_secs()
    }

    /// Returns at `time` since the start, or later by what Tokio's timer rounds up to: under 1 ms.
    pub(super) async fn sleep_until(&self, time: Duration) {
        tokio::time::sleep_until(self.origin + time).await;
    }
}
