//! The client's own account, one row a second.

use std::rc::Rc;

use trie_core::record::ClientRow;
use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::recorder::Row;
use crate::wire::Connector;

use super::run::Run;

/// Writes a row at every full second of the run, and the rest at its end.
pub(super) async fn run<C: Clock, N: Connector<C>>(run: Rc<Run<C, N>>) {
    let mut cpu = run.clock.thread_cpu();
    for second in 0.. {
        let due = run.start.plus(Nanos::from_secs(second + 1));
        let stopped = tokio::select! {
            biased;
            _ = run.stopped() => true,
            () = run.clock.sleep_until(due.0) => false,
        };
        let now = Nanos(run.clock.now());
        let mut row = run.account.take();
        if let Some(late) = now.since(due).filter(|_| !stopped) {
            row.timer_lag.add(late.0, 1);
        }
        let used = run.clock.thread_cpu();
        row.cpu_ns = used.zip(cpu).map(|(used, before)| Nanos(used.saturating_sub(before)));
        cpu = used;
        let (queue_depth, queue_full) = run.recorder.take_queue();
        let row =
            ClientRow { second, queue_depth, queue_full, in_flight: run.in_flight.get(), ..row };
        run.recorder.send(Row::Client(Box::new(row))).await;
        if stopped {
            return;
        }
    }
}
