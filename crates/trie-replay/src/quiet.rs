//! Fewer polls for each piece of an answer.
//!
//! A task that waits for bytes, for its deadline and for the end of the run would poll all of these
//! whenever bytes come, though only the first has moved ([`Quiet`]), and it would be woken once more by the
//! two halves of a connection that it has itself just polled ([`Attention`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled when it was woken itself, and not when something beside it was.
pub(crate) struct Quiet<F> {
    future: Pin<Box<F>>,
    /// What wakes it, and whom that wakes; none before the first poll.
    bell: Option<(Waker, Arc<Bell>)>,
}

/// See [`Quiet`].
pub(crate) fn quiet<F: Future>(future: F) -> Quiet<F> {
    Quiet { future: Box::pin(future), bell: None }
}

/// A waker that remembers that it was woken.
struct Bell {
    rung: AtomicBool,
    /// Whoever hears it looks at `rung` next and need not be woken.
    attended: AtomicBool,
    /// The task that is woken otherwise.
    task: Waker,
}

impl Bell {
    /// Whether it has not rung for this task, whose bell it is.
    fn is_silent(&self, task: &Waker) -> bool {
        !self.rung.load(Ordering::SeqCst) && self.task.will_wake(task)
    }

    /// The bell of this task, made anew where `known` is that of another one or none. It has rung then.
    fn of(known: &mut Option<(Waker, Arc<Self>)>, task: &Waker) -> (Waker, Arc<Self>) {
        match known {
            Some((waker, bell)) if bell.task.will_wake(task) => (waker.clone(), Arc::clone(bell)),
            Some(_) | None => {
                let bell = Arc::new(Self {
                    rung: AtomicBool::new(true),
                    attended: AtomicBool::new(false),
                    task: task.clone(),
                });
                known.insert((Waker::from(Arc::clone(&bell)), bell)).clone()
            }
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        if !self.attended.load(Ordering::SeqCst) {
            self.task.wake_by_ref();
        }
    }
}

impl<F: Future> Future for Quiet<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, bell } = &mut *self;
        match bell {
            Some((_, bell)) if bell.is_silent(cx.waker()) => Poll::Pending,
            known => {
                let (waker, bell) = Bell::of(known, cx.waker());
                // Before the poll: what rings during it is heard by the next one.
                bell.rung.store(false, Ordering::SeqCst);
                future.as_mut().poll(&mut Context::from_waker(&waker))
            }
        }
    }
}

/// Polls work that wakes itself while it is polled, without having its task woken for that.
#[derive(Default)]
pub(crate) struct Attention {
    bell: Option<(Waker, Arc<Bell>)>,
}

impl Attention {
    /// How often work that wakes itself again and again is polled before other tasks get a turn.
    const ROUNDS: u32 = 2;

    /// Polls the work until it is done, or pending without having woken itself. Work that was done must be
    /// polled again before anybody waits for it: what it was woken by in its last poll is forgotten.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (waker, bell) = Bell::of(&mut self.bell, cx.waker());
        for _ in 0..Self::ROUNDS {
            bell.rung.store(false, Ordering::SeqCst);
            bell.attended.store(true, Ordering::SeqCst);
            let polled = work(&mut Context::from_waker(&waker));
            bell.attended.store(false, Ordering::SeqCst);
            // In this order: what rings in between wakes the task.
            if polled.is_ready() || !bell.rung.load(Ordering::SeqCst) {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_was_woken_and_not_when_others_were() {
        let (tell, told) = oneshot::channel();
        let (polls, rounds) = (Cell::new(0), Cell::new(0));
        let mut told = std::pin::pin!(told);
        let mut tell = Some(tell);
        let waiting = quiet(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            told.as_mut().poll(cx)
        }));
        let busy = poll_fn(|cx: &mut Context<'_>| {
            rounds.set(rounds.get() + 1);
            if rounds.get() == 5 {
                tell.take().expect("once").send(7).expect("somebody listens");
            }
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let heard = tokio::select! {
            biased;
            heard = waiting => heard,
            () = busy => unreachable!("it has no end"),
        };
        assert_eq!((heard, polls.get(), rounds.get()), (Ok(7), 2, 5));
    }

    #[tokio::test]
    async fn work_that_wakes_itself_is_polled_again_and_its_task_is_not() {
        let (polls, turns) = (Cell::new(0), Cell::new(0));
        let (tell, told) = oneshot::channel();
        let mut told = std::pin::pin!(told);
        let mut tell = Some(tell);
        let mut attention = Attention::default();
        let work = poll_fn(|cx| {
            turns.set(turns.get() + 1);
            attention.poll(cx, |cx| {
                polls.set(polls.get() + 1);
                let heard = told.as_mut().poll(cx);
                // Woken inside its own poll, as a channel between two halves of one task does.
                if let Some(tell) = tell.take() {
                    tell.send(5).expect("somebody listens");
                }
                heard
            })
        });
        assert_eq!((work.await, turns.get(), polls.get()), (Ok(5), 1, 2));
    }

    #[tokio::test]
    async fn work_that_never_rests_leaves_turns_to_others() {
        let mut attention = Attention::default();
        let restless = poll_fn(|cx| {
            attention.poll(cx, |cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        });
        tokio::select! {
            biased;
            () = restless => unreachable!("it has no end"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[tokio::test]
    async fn a_task_that_takes_it_over_is_woken() {
        let (tell, told) = oneshot::channel();
        let mut waiting = quiet(told);
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut waiting).poll(&mut nobody).is_pending());
        let (heard, ()) = tokio::join!(waiting, async {
            tokio::task::yield_now().await;
            tell.send(3).expect("somebody listens");
        });
        assert_eq!(heard, Ok(3));
    }
}
