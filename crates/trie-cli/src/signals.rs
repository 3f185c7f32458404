//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from the moment it is made: none of them ends the program by itself any more.
pub(crate) struct Signals {
    ctrl_c: Signal,
    term: Signal,
}

impl Signals {
    /// Needs a Tokio runtime.
    pub(crate) fn listen() -> Self {
        let listen =
            |kind| signal(kind).expect("signals can be listened to on every platform we build for");
        Self { ctrl_c: listen(SignalKind::interrupt()), term: listen(SignalKind::terminate()) }
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
