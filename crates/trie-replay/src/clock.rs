//! Monotonic nanoseconds and exact sleeping, as an argument.
//!
//! The only file of this crate that reads a clock. Two clocks exist: the machine's, and Tokio's
//! paused one, under which a scripted exchange is exact.

use std::future::Future;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_getres, clock_gettime};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Tokio's timer wheel turns in steps of 1 ms and its park rounds up to a whole one: sleeps ended
/// 1.2 ms late at the median and 2.0 ms at the ninth decile on a busy machine. What is left after
/// this margin is waited for by a timer of the kernel.
const WHEEL_MARGIN_NS: u64 = 2_500_000;

/// A thread that is woken by such a timer runs 50 to 80 us later on a virtual machine. What is left after
/// this is waited for by yielding, which ended 0.6 us late at the median.
const WAKE_MARGIN_NS: u64 = 60_000;

/// A source of monotonic time that can also wait.
pub trait Clock: Clone + Send + Sync + Unpin + 'static {
    /// Nanoseconds since a fixed point in the past; never goes back.
    fn now(&self) -> u64;

    /// Returns at the first moment at which [`Clock::now`] is `deadline_ns` or later.
    fn sleep_until(&self, deadline_ns: u64) -> impl Future<Output = ()> + Send;

    /// Returns after about `nanos`, a few milliseconds late: for waits that nobody measures.
    fn nap(&self, nanos: u64) -> impl Future<Output = ()> + Send;

    /// Nanoseconds since 1970 by the clock of the kernel's stamps; `None` where time is not the
    /// machine's.
    fn real(&self) -> Option<u64>;

    /// CPU time of the calling thread, ns; `None` where it means nothing.
    fn thread_cpu(&self) -> Option<u64>;

    /// How long the calling thread could have run and had no core, ns; `None` where that is not known.
    fn thread_waited(&self) -> Option<u64>;
}

/// `CLOCK_MONOTONIC` of this machine, the clock whose values stand in record files.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The smallest step of the clock, ns.
    pub fn resolution() -> u64 {
        clock_getres(ClockId::CLOCK_MONOTONIC).map_or(0, nanos)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC);
        nanos(time.expect("every supported platform has CLOCK_MONOTONIC"))
    }

    fn real(&self) -> Option<u64> {
        clock_gettime(ClockId::CLOCK_REALTIME).ok().map(nanos)
    }

    fn thread_cpu(&self) -> Option<u64> {
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(nanos)
    }

    /// By Linux, which counts it for each thread.
    fn thread_waited(&self) -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().nth(1)?.parse().ok()
    }

    /// Sleeps on the wheel until 2.5 ms before the deadline, then on a timer of the kernel that is
    /// made for it, so that there are only as many of these as waits end within 2.5 ms. The last
    /// 60 us, or all of that where there is no such timer, it yields: other tasks run in between.
    async fn sleep_until(&self, deadline_ns: u64) {
        let left = deadline_ns.saturating_sub(self.now());
        if left > WHEEL_MARGIN_NS {
            sleep(Duration::from_nanos(left - WHEEL_MARGIN_NS)).await;
        }
        if self.now() + WAKE_MARGIN_NS < deadline_ns {
            precise::sleep_until(deadline_ns - WAKE_MARGIN_NS).await;
        }
        while self.now() < deadline_ns {
            yield_now().await;
        }
    }

    async fn nap(&self, nanos: u64) {
        sleep(Duration::from_nanos(nanos)).await;
    }
}

/// Timers of the kernel, which wake within microseconds of their time.
#[cfg(target_os = "linux")]
mod precise {
    use std::os::fd::OwnedFd;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Timers at a time, of all threads: they take descriptors that connections need. A burst that
    /// waits for one moment has no use for more.
    const MOST: usize = 64;

    /// Timers there are.
    static LIVE: AtomicUsize = AtomicUsize::new(0);

    /// One of them.
    struct Share;

    impl Share {
        fn take() -> Option<Self> {
            // Given back by its drop, also where there are too many.
            let share = Self;
            (LIVE.fetch_add(1, Ordering::Relaxed) < MOST).then_some(share)
        }
    }

    impl Drop for Share {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns when `CLOCK_MONOTONIC` reaches `deadline_ns`, or at once where no timer is to be had.
    pub(super) async fn sleep_until(deadline_ns: u64) {
        let Some(_share) = Share::take() else { return };
        if let Some(timer) = timer(deadline_ns) {
            // A timer that cannot be waited for is one that is not to be had.
            drop(timer.readable().await);
        }
    }

    #[expect(unsafe_code, reason = "Tokio's only way to wait for a descriptor of another library")]
    fn timer(deadline_ns: u64) -> Option<AsyncFd<OwnedFd>> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
        let at = TimeSpec::from_duration(Duration::from_nanos(deadline_ns));
        timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME).ok()?;
        let timer = OwnedFd::from(timer);
        // SAFETY: the descriptor is open and its owner moves into what is returned, which never
        // lends it mutably: it stays open, and the same, until that is dropped.
        unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) }.ok()
    }
}

/// No such timers here.
#[cfg(not(target_os = "linux"))]
mod precise {
    pub(super) async fn sleep_until(_deadline_ns: u64) {}
}

fn nanos(time: TimeSpec) -> u64 {
    let seconds = u64::try_from(time.tv_sec()).expect("these clocks are not negative");
    let nanos = u64::try_from(time.tv_nsec()).expect("tv_nsec lies in 0..10^9");
    seconds * 1_000_000_000 + nanos
}

/// Tokio's clock, counted from the moment of [`PausedClock::start`].
///
/// For tests under `start_paused`: no spinning, which would never end there. Waits end on whole
/// milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct PausedClock {
    origin: Instant,
}

impl PausedClock {
    /// A clock that reads 0 now. Needs a Tokio runtime.
    #[expect(clippy::disallowed_methods, reason = "this file is where time is read")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for PausedClock {
    #[expect(clippy::disallowed_methods, reason = "this file is where time is read")]
    fn now(&self) -> u64 {
        let elapsed = Instant::now().duration_since(self.origin);
        u64::try_from(elapsed.as_nanos()).expect("a run is shorter than 584 years")
    }

    fn real(&self) -> Option<u64> {
        None
    }

    fn thread_cpu(&self) -> Option<u64> {
        None
    }

    fn thread_waited(&self) -> Option<u64> {
        None
    }

    async fn nap(&self, nanos: u64) {
        sleep(Duration::from_nanos(nanos)).await;
    }

    async fn sleep_until(&self, deadline_ns: u64) {
        tokio::time::sleep_until(self.origin + Duration::from_nanos(deadline_ns)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_clock_never_wakes_early() {
        let clock = SystemClock;
        for left in [0, 1, 300_000, 2_500_000] {
            let deadline = clock.now() + left;
            clock.sleep_until(deadline).await;
            assert!(clock.now() >= deadline);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_paused_clock_is_exact_to_the_millisecond() {
        let clock = PausedClock::start();
        clock.sleep_until(250_000_000).await;
        assert_eq!(clock.now(), 250_000_000);
        clock.sleep_until(1).await;
        assert_eq!(clock.now(), 250_000_000);
    }
}
