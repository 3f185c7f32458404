//! The client's own account, one row a second.

use std::rc::Rc;

use trie_core::record::ClientRow;
use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::recorder::Row;
use crate::wire::{Connector, ReadAccount};

use super::run::Run;

/// Writes a row at every full second of the run until it is stopped.
pub(super) async fn run<C: Clock, N: Connector<C>>(run: Rc<Run<C, N>>) {
    let mut cpu = run.clock.thread_cpu();
    loop {
        let due = run.start.plus(Nanos::from_secs(run.seconds.get() + 1));
        tokio::select! {
            biased;
            _ = run.stopped() => return,
            () = run.clock.sleep_until(due.0) => {}
        }
        if let Some(late) = Nanos(run.clock.now()).since(due) {
            run.account.borrow_mut().timer_lag.add(late.0, 1);
        }
        let used = run.clock.thread_cpu();
        let cpu_ns = used.zip(cpu).map(|(used, before)| Nanos(used.saturating_sub(before)));
        run.account.borrow_mut().cpu_ns = cpu_ns;
        cpu = used;
        row(&run).await;
    }
}

/// Writes what is left once every request has handed in its row. Its CPU time is not known: it is
/// that of a part of a second.
pub(super) async fn last_row<C: Clock, N: Connector<C>>(run: &Run<C, N>) {
    row(run).await;
}

async fn row<C: Clock, N: Connector<C>>(run: &Run<C, N>) {
    let second = run.seconds.replace(run.seconds.get() + 1);
    let account = run.account.take();
    let (queue_depth, queue_full) = run.recorder.take_queue();
    let in_flight = run.in_flight.get();
    let ReadAccount { lag, clock_steps, clock_offset_ns } = run.pool.take_reads();
    let row = ClientRow {
        second,
        lag,
        queue_depth,
        queue_full,
        in_flight,
        clock_offset_ns,
        clock_steps,
        ..account
    };
    run.recorder.send(Row::Client(Box::new(row))).await;
}
