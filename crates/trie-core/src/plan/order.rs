//! The order in which rows are replayed.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::workload::{Workload, WorkloadError};

/// All these rows in an order that is drawn from the seed: sorted by a hash of seed and row. Each of a
/// session's rows then takes the first of its session's places that is free, so that they come in the order
/// of the file.
///
/// Goes through all rows of the workload once, for their sessions.
pub(super) fn shuffled(
    seed: u64,
    rows: impl Iterator<Item = u64>,
    workload: &mut Workload,
) -> Result<Vec<u64>, WorkloadError> {
    let mut drawn: Vec<_> = rows.map(|row| (draw(seed, row), row)).collect();
    drawn.sort_unstable();
    let mut order: Vec<u64> = drawn.into_iter().map(|(_, row)| row).collect();
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, row) in order.iter().enumerate() {
        if let Some(session) = workload.trace(*row)?.about.session {
            places.entry(session).or_default().push(place);
        }
    }
    for places in places.values() {
        let mut rows: Vec<_> = places.iter().map(|place| order[*place]).collect();
        rows.sort_unstable();
        for (place, row) in places.iter().zip(rows) {
            order[*place] = row;
        }
    }
    Ok(order)
}

/// A stream of its own: what else is drawn from the seed stays as it is.
fn draw(seed: u64, row: u64) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"trie.order/1\0");
    hash.update(seed.to_be_bytes());
    hash.update(row.to_be_bytes());
    *hash.finalize().first_chunk().expect("sha256 has 32 bytes")
}
