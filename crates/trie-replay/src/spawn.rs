//! The one place where this crate starts tasks and threads. All of them are joined.

use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};

use tokio::task::JoinSet;

/// Starts a task on the current thread's `LocalSet`.
pub(crate) fn task<T: 'static>(tasks: &mut JoinSet<T>, work: impl Future<Output = T> + 'static) {
    tasks.spawn_local(work);
}

/// Starts a task on the current thread's runtime, beside the `LocalSet`, if there is one.
pub(crate) fn portable<T: Send + 'static>(
    tasks: &mut JoinSet<T>,
    work: impl Future<Output = T> + Send + 'static,
) {
    tasks.spawn(work);
}

/// Starts a named thread.
pub(crate) fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(format!("trie-{name}")).spawn(work)
}
