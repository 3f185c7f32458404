//! Ctrl-C, SIGTERM and SIGHUP (the terminal is gone), heard on a thread of its own: also while the program computes or waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::fault::{Code, Fault};
use crate::printer::Printer;

/// Asks for the end once; a second signal ends the program on the spot.
pub(crate) struct Interrupts {
    asked: watch::Receiver<bool>,
    impatient: Arc<AtomicBool>,
}

impl Interrupts {
    /// Listens from here on. What the first signal ends says so itself.
    pub(crate) fn listen(printer: &Printer) -> io::Result<Self> {
        let (ask, asked) = watch::channel(false);
        let impatient = Arc::<AtomicBool>::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut ctrl_c, mut term, mut hangup) = {
            let _entered = runtime.enter();
            let listen = |kind: SignalKind| signal(kind);
            let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
            (listen(interrupt)?, listen(terminate)?, listen(SignalKind::hangup())?)
        };
        let (printer, abort_at_once) = (printer.clone(), Arc::clone(&impatient));
        // Not joined: it waits for a signal that may never come, and ends with the program.
        Builder::new().name("trie-signals".to_owned()).spawn(move || {
            loop {
                runtime.block_on(next([&mut ctrl_c, &mut term, &mut hangup]));
                if abort_at_once.load(Ordering::Relaxed) {
                    printer.line("interrupted: ending without a report");
                    abort();
                }
                if ask.send_replace(true) {
                    printer.line("interrupted again: ending without a report");
                    abort();
                }
            }
        })?;
        Ok(Self { asked, impatient })
    }

    /// Asked for by somebody else: no signal is listened to.
    pub(crate) fn asked_by(asked: watch::Receiver<bool>) -> Self {
        Self { asked, impatient: Arc::default() }
    }

    /// Turns `true` at the first signal.
    pub(crate) fn asked(&self) -> watch::Receiver<bool> {
        self.asked.clone()
    }

    /// Fails where the end was asked for: nothing new begins then.
    pub(crate) fn go_on(&self) -> Result<(), Fault> {
        if *self.asked.borrow() {
            return Err(Fault::Interrupted(anyhow::anyhow!("interrupted between two replicates")));
        }
        Ok(())
    }

    /// Nothing is left that could end early: the next signal, though it be the first, ends the
    /// program.
    pub(crate) fn end_at_once(&self) {
        self.impatient.store(true, Ordering::Relaxed);
    }
}

async fn next([ctrl_c, term, hangup]: [&mut Signal; 3]) {
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = term.recv() => {}
        _ = hangup.recv() => {}
    }
}

#[expect(clippy::exit, clippy::disallowed_methods, reason = "the user does not want to wait")]
fn abort() -> ! {
    std::process::exit(Code::Interrupted as i32)
}
