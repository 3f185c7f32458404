//! Before the clock starts: what the engines hold of the traces that are entered in the middle of their life.

use trie_core::{
    plan::Plan,
    session::CacheBounds,
    units::Tokens,
    workload::{Workload, WorkloadError},
};

use super::{fleet::Fleet, flight, options::Primed};

/// Gives the engines the history of each request with which an entered trace goes on.
pub(super) fn prime(
    plan: &Plan,
    workload: &mut Workload,
    fleet: &mut Fleet,
    cache: &mut CacheBounds,
) -> Result<Primed, WorkloadError> {
    let mut given = Vec::new();
    for number in (0..).take(plan.entries().len()) {
        let planned = plan.trace(number, workload)?;
        for step in planned.opening() {
            let history = flight::text(&planned, planned.history(step));
            if !history.is_empty() {
                given.push(fleet.prime(planned.routing_key(), given.len(), history));
                cache.prime(&planned, step);
            }
        }
    }
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.map(tokens).sum();
    Ok(Primed {
        requests: tokens(given.len()),
        tokens: sum(&mut given.iter().map(|one| one.content.len())),
        lost: sum(&mut given.iter().map(|one| fleet.lost(one))),
    })
}

fn tokens(size: usize) -> Tokens {
    Tokens::try_from(size).expect("a length in memory fits in 64 bits")
}
