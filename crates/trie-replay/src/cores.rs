//! Which cores the threads that measure are kept on.

/// Cores that can be named.
const MOST: usize = 1024;

/// A set of cores, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores([u64; MOST / 64]);

impl Cores {
    /// From text as in `0,2-5`: numbers from 0, and ranges of them with both ends.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim().parse().ok().filter(|core| *core < MOST);
        let mut cores = Self([0; MOST / 64]);
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            for core in first..=last {
                cores.0[core / 64] |= 1 << (core % 64);
            }
        }
        Some(cores)
    }

    /// A single one, below 1,024.
    pub(crate) fn of(core: usize) -> Self {
        let mut cores = Self([0; MOST / 64]);
        cores.0[core / 64] |= 1 << (core % 64);
        cores
    }

    /// The core of thread `number`: one each, and again from the first where there are more threads.
    pub(crate) fn of_thread(&self, number: u32) -> usize {
        let all: Vec<usize> = self.iter().collect();
        all[number as usize % all.len()]
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MOST).filter(|core| self.0[core / 64] >> (core % 64) & 1 == 1)
    }

    /// Whether all of these are among the others.
    pub fn is_within(&self, others: &Self) -> bool {
        self.0.iter().zip(&others.0).all(|(these, those)| these & !those == 0)
    }

    /// Those on which this process may run; `None` where the system does not say.
    pub fn allowed() -> Option<Self> {
        let mut allowed = Self([0; MOST / 64]);
        for core in system::allowed()? {
            if core < MOST {
                allowed.0[core / 64] |= 1 << (core % 64);
            }
        }
        Some(allowed)
    }
}

/// Keeps the calling thread, and those it starts from now on, on these cores; whether that was possible.
pub fn stay_on(cores: &Cores) -> bool {
    system::stay_on(cores)
}

#[cfg(target_os = "linux")]
mod system {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::Cores;

    /// The calling thread, to the scheduler.
    const SELF: i32 = 0;

    pub(super) fn allowed() -> Option<Vec<usize>> {
        let set = sched_getaffinity(Pid::from_raw(SELF)).ok()?;
        Some((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect())
    }

    pub(super) fn stay_on(cores: &Cores) -> bool {
        let mut set = CpuSet::new();
        cores.iter().all(|core| set.set(core).is_ok())
            && sched_setaffinity(Pid::from_raw(SELF), &set).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn allowed() -> Option<Vec<usize>> {
        None
    }

    pub(super) fn stay_on(_cores: &super::Cores) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_numbers_and_ranges() {
        let check = |text: &str, expected: Option<&[usize]>| {
            let cores = Cores::parse(text).map(|cores| cores.iter().collect::<Vec<_>>());
            assert_eq!(cores.as_deref(), expected, "{text}");
        };
        check("0", Some(&[0]));
        check("2-4, 70,1023", Some(&[2, 3, 4, 70, 1023]));
        check("5,5,3-3", Some(&[3, 5]));
        for wrong in ["", "1,,2", "1-x", "-1", "1024", "4-2", "1-2-3"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_set_is_within_another_one() {
        let check = |these: &str, those: &str, expected: bool| {
            let (these, those) = (Cores::parse(these).unwrap(), Cores::parse(those).unwrap());
            assert_eq!(these.is_within(&those), expected);
        };
        check("1,3", "0-3", true);
        check("1,100", "0-3", false);
    }

    #[test]
    fn threads_take_turns() {
        let cores = Cores::parse("3,7-8").unwrap();
        assert_eq!([0, 1, 2, 3].map(|thread| cores.of_thread(thread)), [3, 7, 8, 3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_stays_where_it_was_put() {
        let core = Cores::of(Cores::allowed().unwrap().of_thread(0));
        let left = std::thread::scope(|scope| {
            let there = scope.spawn(move || stay_on(&core).then(Cores::allowed).flatten());
            there.join().unwrap()
        });
        assert_eq!(left, Some(core));
    }
}
