//! Sessions of a workload that is there.

use super::session::Session;
use crate::workload::{Workload, WorkloadError};

/// Rows that can be drawn again.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) sessions: Vec<Session>,
    /// Rows of several lanes, or of blocks, which cannot.
    pub(super) left_out: u64,
}

pub(super) fn pool(workload: &mut Workload) -> Result<Pool, WorkloadError> {
    let mut pool = Pool { sessions: Vec::new(), left_out: 0 };
    for row in 0..workload.rows() {
        match Session::of(&workload.trace(row)?) {
            Some(session) => pool.sessions.push(session),
            None => pool.left_out += 1,
        }
    }
    Ok(pool)
}
