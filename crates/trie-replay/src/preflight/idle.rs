//! Whether a server is still at work for somebody, waited for.

use trie_core::units::Nanos;

use crate::clock::Clock;
use crate::wire::{Connector, Pool, Target};

use super::facts;
use super::way::{Waiting, Way};

/// Between two looks.
const PAUSE: Nanos = Nanos::from_millis(250);

/// Waits until a server has no request in work, at most `limit` long; how many it has at the end. `None`
/// where it does not say, or does not answer.
pub async fn idle<C: Clock, N: Connector<C>>(
    pool: &Pool<C, N>,
    target: &Target,
    (timeout, limit): (Nanos, Nanos),
    waiting: Waiting<'_>,
) -> Option<u64> {
    let mut way = Way::new(pool, target, timeout, waiting);
    let end = pool.clock().now().saturating_add(limit.0);
    loop {
        way.open().await.ok()?;
        let busy = facts::gather(&mut way).await.busy?;
        if busy == 0 || pool.clock().now() >= end {
            return Some(busy);
        }
        pool.clock().nap(PAUSE.0).await;
    }
}
