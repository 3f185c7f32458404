//! Duties that one file of a crate has alone: spawning tasks, reading the clock.

use super::source::Source;

/// A duty and the words by which a file that has it is known.
struct Duty {
    what: &'static str,
    words: &'static [&'static str],
}

const DUTIES: [Duty; 2] = [
    Duty {
        what: "reads the clock",
        words: &["Instant::now(", "SystemTime::now(", "clock_gettime("],
    },
    Duty {
        what: "spawns tasks",
        words: &[
            "tokio::spawn(",
            "task::spawn(",
            "thread::spawn(",
            "thread::scope(",
            "thread::Builder",
            "spawn_blocking(",
            "spawn_local(",
            ".spawn(",
            ".spawn_on(",
        ],
    },
];

/// Duties of the crate in `folder` that more than one file has.
pub(super) fn violations(folder: &str, sources: &[Source]) -> Vec<String> {
    DUTIES.iter().filter_map(|duty| violation(folder, duty, sources)).collect()
}

fn violation(folder: &str, duty: &Duty, sources: &[Source]) -> Option<String> {
    let has_it = |source: &&Source| duty.words.iter().any(|word| source.code.contains(word));
    let files: Vec<&str> = sources.iter().filter(has_it).map(|source| &*source.path).collect();
    (files.len() > 1)
        .then(|| format!("{folder}: more than one file {}: {}", duty.what, files.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let source = |(path, code): &(&str, &str)| Source {
            path: (*path).to_owned(),
            code: (*code).to_owned(),
        };
        let sources: Vec<Source> = files.iter().map(source).collect();
        assert_eq!(violations("crates/x/src", &sources), expected);
    }

    #[test]
    fn one_file_may_have_each_duty() {
        check(&[("clock.rs", "Instant::now(); Instant::now()"), ("run.rs", "set.spawn(f)")], &[]);
        check(&[("a.rs", "fn respawn() {}"), ("b.rs", "set.spawn(f)")], &[]);
    }

    #[test]
    fn a_second_file_is_named() {
        check(
            &[("clock.rs", "clock_gettime(M)"), ("wire.rs", "Instant::now()")],
            &["crates/x/src: more than one file reads the clock: clock.rs, wire.rs"],
        );
        check(
            &[("run.rs", "set.spawn(f)"), ("wire.rs", "tokio::spawn(f)")],
            &["crates/x/src: more than one file spawns tasks: run.rs, wire.rs"],
        );
    }
}
