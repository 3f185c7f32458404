//! The client's own account, one row a second.

use std::rc::Rc;

use trie_core::record::ClientRow;
use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::recorder::Row;
use crate::wire::{Connector, ReadAccount};

use super::shard::Shard;

/// From one look at how late the thread is to the next: a thread that stood still for 20 ms is at least
/// 15 ms late.
const PROBE_NS: u64 = 5_000_000;

/// Writes a row at every full second of the run until it is stopped.
pub(super) async fn run<C: Clock, N: Connector<C>>(shard: Rc<Shard<C, N>>) {
    // What was read before, by the preflight for one, is not of the run.
    shard.steps_before.set(shard.pool.take_reads().clock_steps);
    let look = || (shard.shared.clock.thread_cpu(), shard.shared.clock.thread_waited());
    let mut before = look();
    loop {
        let due = shard.shared.start.plus(Nanos::from_secs(shard.seconds.get() + 1));
        tokio::select! {
            biased;
            _ = shard.shared.stopped() => return late(&shard),
            () = probe(&shard, due) => {}
        }
        let now = look();
        let since = |now: Option<u64>, before| {
            now.zip(before).map(|(now, before): (u64, u64)| Nanos(now.saturating_sub(before)))
        };
        shard.account.borrow_mut().cpu_ns = since(now.0, before.0);
        shard.account.borrow_mut().core_wait_ns = since(now.1, before.1);
        before = now;
        row(&shard).await;
    }
}

/// Waits, and looks all the while how late the thread's timer wakes: what keeps this task from its
/// turn keeps every stream from its own.
async fn probe<C: Clock, N: Connector<C>>(shard: &Shard<C, N>, until: Nanos) {
    let clock = &shard.shared.clock;
    loop {
        let before = clock.now();
        if before >= until.0 {
            return;
        }
        let nap = PROBE_NS.min(until.0 - before);
        shard.probe_due.set(Nanos(before + nap));
        clock.nap(nap).await;
        late(shard);
    }
}

/// Counts how late the timer woke, if it was to wake by now.
fn late<C: Clock, N: Connector<C>>(shard: &Shard<C, N>) {
    if let Some(late) = Nanos(shard.shared.clock.now()).since(shard.probe_due.get()) {
        shard.account.borrow_mut().timer_lag.add(late.0, 1);
    }
}

/// Writes what is left once every request has handed in its row. Its CPU time is not known: it is
/// that of a part of a second.
pub(super) async fn last_row<C: Clock, N: Connector<C>>(shard: &Shard<C, N>) {
    row(shard).await;
}

async fn row<C: Clock, N: Connector<C>>(shard: &Shard<C, N>) {
    let second = shard.seconds.replace(shard.seconds.get() + 1);
    let account = shard.account.take();
    // There is one queue for all threads.
    let first = shard.number == 0;
    let (queue_depth, queue_full) = if first { shard.shared.recorder.take_queue() } else { (0, 0) };
    let in_flight = shard.in_flight.get();
    let ReadAccount { lag, clock_steps, clock_offset_ns } = shard.pool.take_reads();
    let clock_steps = clock_steps - shard.steps_before.get();
    let row = ClientRow {
        second,
        thread: shard.number,
        lag,
        queue_depth,
        queue_full,
        in_flight,
        clock_offset_ns,
        clock_steps,
        ..account
    };
    shard.shared.recorder.send(Row::Client(Box::new(row))).await;
}
