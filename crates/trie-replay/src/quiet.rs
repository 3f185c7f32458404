//! Fewer polls for each piece of an answer.
//!
//! A task that waits for bytes, for its deadline and for the end of the run would poll all of these
//! whenever bytes come, though only the first has moved.

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
    /// The task that is woken with it.
    task: Waker,
    /// Where the functions of the waker stand that this is a clone of: Tokio's own may have others than
    /// their clones, which [`Waker::will_wake`] takes for another task.
    functions: usize,
}

impl Bell {
    /// Whether it has not rung for this task, whose bell it is.
    fn is_silent(&self, task: &Waker) -> bool {
        !self.rung.load(Ordering::SeqCst) && self.is_of(task)
    }

    /// Whether it wakes this task. While a bell holds its waker, no other task has the same address.
    fn is_of(&self, task: &Waker) -> bool {
        self.task.data() == task.data() && self.functions == functions(task)
    }

    /// The bell of this task, made anew where `known` is that of another one or none. It has rung then.
    fn of(known: &mut Option<(Waker, Arc<Self>)>, task: &Waker) -> (Waker, Arc<Self>) {
        match known {
            Some((waker, bell)) if bell.is_of(task) => (waker.clone(), Arc::clone(bell)),
            Some(_) | None => {
                let bell = Arc::new(Self {
                    rung: AtomicBool::new(true),
                    task: task.clone(),
                    functions: functions(task),
                });
                known.insert((Waker::from(Arc::clone(&bell)), bell)).clone()
            }
        }
    }
}

fn functions(waker: &Waker) -> usize {
    std::ptr::from_ref(waker.vtable()).addr()
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
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

    /// The waker of a runtime's own future, too, is known again.
    #[test]
    fn the_future_of_a_runtime_is_not_polled_for_others() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let polls = Cell::new(0);
        let waiting = quiet(poll_fn(|_| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        }));
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = waiting => unreachable!("it has no end"),
                () = async { for _ in 0..5 { tokio::task::yield_now().await } } => {}
            }
        });
        assert_eq!(polls.get(), 1);
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
