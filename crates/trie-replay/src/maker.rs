//! Who makes bodies: two threads in a real run, the caller itself under a paused clock.

use std::collections::{BTreeMap, VecDeque};
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
/// Bytes of first bodies that are made before a run starts, at most; 256 MiB hold 400 prompts of
/// 100,000 tokens.
const PRIMED_BYTES: usize = 256 << 20;

/// A trace with its first bodies made.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) trace: Arc<PlannedTrace>,
    /// Bodies of the steps that start with the trace.
    pub(crate) first: BTreeMap<StepId, Bytes>,
    /// What stands in for answers, where it is entered in the middle of its life.
    pub(crate) answers: Answers,
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
    Thread {
        /// From the thread.
        ready: mpsc::Receiver<Result<Prepared, WorkloadError>>,
        /// Taken from it before the run starts, in order.
        primed: VecDeque<Prepared>,
        /// Whether somebody was told of an error, after which nothing comes.
        failed: bool,
    },
    /// Prepared when asked for.
    Inline(Box<Source>),
}

impl Feed {
    /// The next trace of the plan; `None` after an error, which only one caller is told.
    ///
    /// Panics when the feed thread did.
    pub(crate) async fn next(&mut self) -> Result<Option<Prepared>, WorkloadError> {
        match self {
            Self::Inline(source) => source.next().map(Some),
            Self::Thread { ready, primed, failed } => {
                if let Some(prepared) = primed.pop_front() {
                    return Ok(Some(prepared));
                }
                let next = ready.recv().await.transpose();
                assert!(!matches!(next, Ok(None)) || *failed, "the feed ends after an error only");
                *failed |= next.is_err();
                next
            }
        }
    }

    /// Waits until the first `traces` traces are prepared, so that none of them makes a request
    /// late; fewer where their bodies would take more than `PRIMED_BYTES`.
    pub(crate) async fn prime(&mut self, traces: u32) -> Result<(), WorkloadError> {
        self.prime_within(traces, PRIMED_BYTES).await
    }

    async fn prime_within(&mut self, traces: u32, bytes: usize) -> Result<(), WorkloadError> {
        // Under a paused clock making a body takes no time.
        let Self::Thread { ready, primed, failed: _ } = self else { return Ok(()) };
        let mut held = 0;
        while primed.len() < traces as usize && held < bytes {
            let Some(prepared) = ready.recv().await.transpose()? else { break };
            held += prepared.first.values().map(Bytes::len).sum::<usize>();
            primed.push_back(prepared);
        }
        Ok(())
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
        let answers = self.content.stand_ins(&trace);
        let body = |step| self.content.body(&trace, step, &answers);
        let first = trace.opening().into_iter().map(|step| (step, body(step))).collect();
        Ok(Prepared { trace, first, answers })
    }

    /// The traces that are entered in the middle of their life, one after another, with what stands in for
    /// their answers.
    pub(crate) fn entered(
        &mut self,
        number: u64,
    ) -> Result<(PlannedTrace, Answers), WorkloadError> {
        let trace = self.plan.trace(number, &mut self.workload)?;
        let answers = self.content.stand_ins(&trace);
        Ok((trace, answers))
    }
}

/// The threads that make bodies, to be joined.
pub(crate) struct MakerThreads(Vec<JoinHandle<()>>);

impl MakerThreads {
    /// Waits for both; whether one of them panicked. `Maker` and `Feed` must have been dropped.
    pub(crate) fn join(self) -> bool {
        let died = self.0.into_iter().map(|thread| thread.join().is_err());
        died.collect::<Vec<_>>().contains(&true)
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
    let feed = Feed::Thread { ready: feed, primed: VecDeque::new(), failed: false };
    Ok((Maker::Thread(jobs), feed, MakerThreads(vec![makes, feeds])))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde_json::Map;
    use trie_core::plan::{CacheScope, History as Rung, Order, PlanOptions, Scale};
    use trie_core::record::LengthFields;
    use trie_core::units::Nanos;
    use trie_core::workload::{Encoding, ReadOptions, Source as File};
    use trie_tokens::Vocabulary;

    use super::*;
    use crate::content::{BodyFields, History, StreamUsage};

    const ROW: &str = r#"{"num_turns":0,"input_prompt_length":64,"assistant_response_length":[],"tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":3}"#;

    fn source() -> Source {
        let file = File::Seekable(Box::new(Cursor::new(ROW)));
        let read = ReadOptions::default();
        let mut workload = Workload::open(file, "rows.jsonl", Encoding::Plain, &read).unwrap();
        let options = PlanOptions {
            concurrency: 8,
            duration: Nanos::from_secs(1),
            seed: 1,
            stream: true,
            history: Rung::Text,
            cache_scope: CacheScope::Run,
            ramp: Nanos::ZERO,
            order: Order::File,
            scale: Scale::default(),
        };
        let plan = Arc::new(Plan::new(options, 7, &mut workload).unwrap());
        let fields = BodyFields {
            model: "m".into(),
            stream: true,
            special_tokens: false,
            stream_usage: StreamUsage::Final,
            length: LengthFields::default(),
            sampling: Map::new(),
        };
        let content = Arc::new(Content::new(Vocabulary::builtin(), History::Text, fields));
        Source { plan, workload, content, next: 0 }
    }

    /// Traces held after priming with these bounds; all are then handed out in order.
    async fn primed(traces: u32, bytes: usize) -> usize {
        let (maker, mut feed, threads) = start(source(), traces).unwrap();
        feed.prime_within(traces, bytes).await.unwrap();
        let Feed::Thread { primed, .. } = &feed else { panic!("threads were asked for") };
        let held = primed.len();
        for number in 0..u64::from(traces) + 2 {
            let next = feed.next().await.unwrap().unwrap();
            assert_eq!(next.trace.instance.number, number);
        }
        drop((maker, feed));
        assert!(!threads.join());
        held
    }

    #[tokio::test]
    async fn whoever_waits_for_a_thread_that_died_is_not_left_waiting() {
        let (ready, feed) = mpsc::channel(1);
        drop(ready);
        let mut feed = Feed::Thread { ready: feed, primed: VecDeque::new(), failed: false };
        let died = async move { feed.next().await.map(drop) };
        assert!(tokio::task::LocalSet::new().run_until(caught(died)).await);

        let (jobs, todo) = mpsc::channel(1);
        drop(todo);
        let trace = Arc::new(source().next().unwrap().trace.as_ref().clone());
        let died = async move { Maker::Thread(jobs).body(&trace, 0, Answers::new()).await };
        assert!(tokio::task::LocalSet::new().run_until(caught(died)).await);
    }

    /// Whether it panics.
    async fn caught<T: 'static>(work: impl Future<Output = T> + 'static) -> bool {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_local(work);
        tasks.join_next().await.unwrap().is_err_and(|error| error.is_panic())
    }

    #[tokio::test]
    async fn first_bodies_are_made_before_the_run_starts_within_a_bound_of_memory() {
        assert_eq!(primed(8, usize::MAX).await, 8);
        assert_eq!(primed(200, usize::MAX).await, 200);
        assert_eq!(primed(8, 1).await, 1);
    }
}
