//! How the connections of a run are opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use trie_replay::clock::{Clock, PausedClock};
use trie_replay::wire::{ConnectError, Connector, PipeConnector, Tap};

use crate::driver::{CASE, Case, run_over};

/// Connects slowly, and counts how many connects are under way.
#[derive(Clone)]
struct Counted {
    pipe: PipeConnector,
    clock: PausedClock,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Connector<PausedClock> for Counted {
    type Io = <PipeConnector as Connector<PausedClock>>::Io;

    async fn connect(&self, tap: &Tap<PausedClock>) -> Result<Self::Io, ConnectError> {
        self.all.fetch_add(1, Ordering::Relaxed);
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(under_way, Ordering::Relaxed);
        self.clock.sleep_until(self.clock.now() + 1_000_000).await;
        let connected = self.pipe.connect(tap).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        connected
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_opened_before_the_start_and_few_at_a_time() {
    let (most, all) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (counted_most, counted_all) = (Arc::clone(&most), Arc::clone(&all));
    let over = move |pipe| Counted {
        pipe,
        clock: PausedClock::start(),
        under_way: Arc::default(),
        most: counted_most,
        all: counted_all,
    };
    let engine = &[("ttft_ms", "50"), ("itl_ms", "10")];
    let seen = run_over(Case { concurrency: 300, seconds: 1, engine, ..CASE }, over).await;
    // All 300 at once would overflow the queue in which common servers let connections wait.
    assert_eq!((most.load(Ordering::Relaxed), all.load(Ordering::Relaxed)), (64, 300));
    let first = seen.requests.iter().filter(|row| row.step == 0);
    let late = first.filter(|row| row.connect_ns.is_some()).count();
    assert_eq!((late, seen.requests.iter().filter(|row| row.step == 0).count()), (0, 300));
}
