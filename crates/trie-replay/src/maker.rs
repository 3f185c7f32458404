//! Who makes bodies: two threads in a real run, the caller itself under a paused clock.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use trie_core::plan::{Plan, PlannedTrace};
use trie_core::workload::{StepId, Workload, WorkloadError};

use crate::content::{Answers, Content};
use crate::spawn;

/// Bodies that may wait for the content thread.
const JOBS: usize = 1024;
/// Traces whose first body is made ahead of their admission, at most.
const AHEAD: usize = 64;

/// A trace with its first bodies made.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) trace: Arc<PlannedTrace>,
    /// Bodies of the steps that start with the trace.
    pub(crate) first: Bytes,
}

/// A body to be made.
pub(crate) struct Job {
    trace: Arc<PlannedTrace>,
    step: StepId,
    answers: Answers,
    reply: oneshot::Sender<Bytes>,
}

/// Makes later bodies on demand.
#[derive(Clone, Debug)]
pub(crate) enum Maker {
    /// On the content thread.
    Thread(mpsc::Sender<Job>),
    /// Right here: for a paused clock, which does not wait for other threads.
    Inline(Arc<Content>),
}

impl Maker {
    /// The body of a step, given the answers before it.
    pub(crate) async fn body(
        &self,
        trace: &Arc<PlannedTrace>,
        step: StepId,
        answers: Answers,
    ) -> Bytes {
        match self {
            Self::Inline(content) => content.body(trace, step, &answers),
            Self::Thread(jobs) => {
                let (reply, made) = oneshot::channel();
                let job = Job { trace: Arc::clone(trace), step, answers, reply };
                let sent = jobs.send(job).await;
                sent.unwrap_or_else(|_gone| panic!("the content thread lives as long as its jobs"));
                made.await.expect("the content thread answers every job")
            }
        }
    }
}

/// Hands out traces in the order of the plan.
#[derive(Debug)]
pub(crate) enum Feed {
    /// Prepared ahead by the feed thread.
    Thread(mpsc::Receiver<Result<Prepared, WorkloadError>>),
    /// Prepared when asked for.
    Inline(Box<Source>),
}

impl Feed {
    /// The next trace of the plan.
    pub(crate) async fn next(&mut self) -> Result<Prepared, WorkloadError> {
        match self {
            Self::Inline(source) => source.next(),
            Self::Thread(ready) => {
                ready.recv().await.expect("the feed ends with an error or not at all")
            }
        }
    }
}

/// The plan and the file it reads rows from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) plan: Arc<Plan>,
    pub(crate) workload: Workload,
    pub(crate) content: Arc<Content>,
    pub(crate) next: u64,
}

impl Source {
    fn next(&mut self) -> Result<Prepared, WorkloadError> {
        let trace = Arc::new(self.plan.trace(self.next, &mut self.workload)?);
        self.next += 1;
        let first = self.content.body(&trace, 0, &Answers::new());
        Ok(Prepared { trace, first })
    }
}

/// The threads that make bodies, to be joined.
pub(crate) struct MakerThreads(Vec<JoinHandle<()>>);

impl MakerThreads {
    /// Waits for both; `Maker` and `Feed` must have been dropped.
    pub(crate) fn join(self) {
        for thread in self.0 {
            thread.join().expect("making a body does not panic");
        }
    }
}

/// Starts the content thread and the feed thread.
pub(crate) fn start(source: Source, concurrency: u32) -> io::Result<(Maker, Feed, MakerThreads)> {
    let (jobs, mut todo) = mpsc::channel::<Job>(JOBS);
    let content = Arc::clone(&source.content);
    let makes = spawn::thread("content", move || {
        while let Some(job) = todo.blocking_recv() {
            let body = content.body(&job.trace, job.step, &job.answers);
            // A request that was cut off no longer waits for its body.
            drop(job.reply.send(body));
        }
    })?;
    let ahead = AHEAD.min(concurrency as usize).max(1);
    let (ready, feed) = mpsc::channel(ahead);
    let feeds = spawn::thread("feed", move || {
        let mut source = source;
        loop {
            let next = source.next();
            let last = next.is_err();
            if ready.blocking_send(next).is_err() || last {
                return;
            }
        }
    })?;
    Ok((Maker::Thread(jobs), Feed::Thread(feed), MakerThreads(vec![makes, feeds])))
}
