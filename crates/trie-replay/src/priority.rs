//! How urgent the threads that measure are to the scheduler, and where they run.

use std::io;

use crate::cores::{self, Cores};
use crate::spawn;

/// A nice value: from -20, the most urgent, to 19; 0 is that of any other process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nice(i8);

impl Nice {
    /// From -20 to 19.
    pub fn new(value: i8) -> Option<Self> {
        (-20..=19).contains(&value).then_some(Self(value))
    }

    /// Tries whether a thread of this process may have it.
    ///
    /// # Errors
    ///
    /// The system does not allow it, or it is not known how to ask it.
    pub fn check(self) -> io::Result<()> {
        let tried = spawn::thread("priority", move || system::set(self.0))?;
        tried.join().unwrap_or_else(|_| Err(io::Error::other("the thread that tried it panicked")))
    }
}

/// Where the calling thread ran, and how urgently, before it began to measure.
#[derive(Debug)]
pub(crate) struct Before {
    cores: Option<Cores>,
    nice: Option<i8>,
}

/// Puts the calling thread, number `thread` of those that measure, on its core and gives it its priority,
/// as far as these are set. Both were tried before: what is taken away in between is no reason to stop.
pub(crate) fn measure(thread: u32, cores: Option<Cores>, nice: Option<Nice>) -> Before {
    let before = Before {
        cores: cores.and_then(|_| Cores::allowed()),
        nice: nice.and_then(|_| system::get().ok()),
    };
    if let Some(cores) = cores {
        let _kept = cores::stay_on(&Cores::of(cores.of_thread(thread)));
    }
    if let Some(nice) = nice {
        drop(system::set(nice.0));
    }
    before
}

impl Before {
    /// Back to where the thread was, for what it does when the run is over and for the threads that it
    /// starts then. A priority that was raised can always be lowered, one that was lowered perhaps not be
    /// raised again: then it stays.
    pub(crate) fn restore(self) {
        if let Some(cores) = self.cores {
            let _back = cores::stay_on(&cores);
        }
        if let Some(nice) = self.nice {
            drop(system::set(nice));
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;

    use rustix::process::{getpriority_process, setpriority_process};

    /// Of the calling thread alone: that is how Linux takes the process of number 0.
    pub(super) fn set(nice: i8) -> io::Result<()> {
        Ok(setpriority_process(None, i32::from(nice))?)
    }

    pub(super) fn get() -> io::Result<i8> {
        i8::try_from(getpriority_process(None)?).map_err(io::Error::other)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;

    pub(super) fn set(_nice: i8) -> io::Result<()> {
        Err(unknown())
    }

    pub(super) fn get() -> io::Result<i8> {
        Err(unknown())
    }

    fn unknown() -> io::Error {
        io::Error::other("threads have no priority of their own on this system")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nice_values_end_at_twenty() {
        for (value, known) in [(-21, false), (-20, true), (0, true), (19, true), (20, false)] {
            assert_eq!(Nice::new(value).is_some(), known, "{value}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_measures_as_it_was_told_and_goes_back() {
        let seen = spawn::thread("test", || {
            let before = (system::get().unwrap(), Cores::allowed().unwrap());
            // Less urgent than now: anybody may.
            let nice = Nice::new((before.0 + 1).min(19)).unwrap();
            nice.check().unwrap();
            assert_eq!(system::get().unwrap(), before.0, "trying it changes nothing here");
            let core = Cores::of(before.1.of_thread(0));
            let standing = measure(0, Some(before.1), Some(nice));
            assert_eq!((system::get().unwrap(), Cores::allowed().unwrap()), (nice.0, core));
            standing.restore();
            assert_eq!(Cores::allowed().unwrap(), before.1);
        });
        seen.unwrap().join().unwrap();
    }
}
