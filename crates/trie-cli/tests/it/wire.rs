//! Each quirk and each fault of a server, through `trie run`: the record says what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::{fs, thread};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Engine, Said, folder, trie};

/// Runs at a time: enough to fill their waits, few enough for each to get on.
const AT_A_TIME: usize = 4;

/// One server, one run against it, and what its records must say.
struct Case {
    engine: &'static str,
    run: &'static str,
    /// How requests end, but for those that the deadline cut off; after `?` how some may.
    ends: &'static [&'static str],
    /// What more is to be seen.
    facts: fn(&Seen),
}

/// What a run left behind.
struct Seen {
    said: Said,
    rows: Vec<Value>,
    summary: Value,
}

impl Seen {
    /// The rows of first requests that ended in this way: 64 tokens in, 4 out.
    fn first(&self, end: &str) -> Vec<&Value> {
        let rows: Vec<_> =
            self.rows.iter().filter(|row| row["step"] == 0 && self::end(row) == end).collect();
        assert!(!rows.is_empty(), "no first request ended `{end}`: {}", self.said.out);
        rows
    }

    /// These fields of every first request that was answered.
    fn all<const N: usize>(&self, expected: &[(&str, Value); N]) {
        for (row, (name, value)) in
            self.first("ok").iter().flat_map(|row| expected.iter().map(move |fact| (row, fact)))
        {
            assert_eq!(row[*name], *value, "{name}: {row}");
        }
    }

    fn says(&self, text: &str) {
        assert!(self.said.out.contains(text), "`{text}`: {}", self.said.out);
    }
}

fn end(row: &Value) -> String {
    match row["outcome"].as_str().unwrap() {
        "failed" => {
            let error = &row["error"];
            let status = error["status"].as_u64().map_or(String::new(), |code| format!(" {code}"));
            match error["kind"].as_str().unwrap() {
                // Which of the two it is depends on what was still on its way.
                "reset" | "closed_early" => "broken".to_owned(),
                kind => format!("{kind}{status}"),
            }
        }
        outcome => outcome.to_owned(),
    }
}

fn ns(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}"))
}

/// How long runs are: the next one where one was too short.
const DURATIONS: [&str; 3] = ["duration=0.6", "duration=3", "duration=20"];

/// Runs every case, a few at a time.
fn check_all(cases: Vec<Case>) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| std::iter::from_fn(next).for_each(|case| check(&case)));
        }
    });
}

fn check(case: &Case) {
    // On a busy machine a short run ends before everything was seen.
    let durations = if case.run.contains("duration=") { &[""][..] } else { &DURATIONS };
    for (attempt, duration) in durations.iter().enumerate() {
        let folder = folder();
        let engine = Engine::start(case.engine);
        let line = engine.run().replace("duration=1", "output_dir=run");
        let said = trie(folder.path(), &format!("{line} {duration} {}", case.run));
        let seen = read(&folder, said, case);
        let ends: BTreeSet<_> = seen.rows.iter().map(end).filter(|end| end != "cut_off").collect();
        let may = |end: &str| case.ends.contains(&format!("?{end}").as_str());
        let ends: BTreeSet<_> = ends.into_iter().filter(|end| !may(end)).collect();
        let must = case.ends.iter().filter(|end| !end.starts_with('?'));
        let expected: BTreeSet<_> = must.map(|&end| end.to_owned()).collect();
        if ends.is_subset(&expected) && ends != expected && attempt + 1 < durations.len() {
            continue;
        }
        assert_eq!(ends, expected, "{} {}: {}", case.engine, case.run, seen.said.err);
        return (case.facts)(&seen);
    }
}

/// Reads the records, and looks at what holds for every run.
fn read(folder: &TempDir, said: Said, case: &Case) -> Seen {
    let name = format!("{} {}", case.engine, case.run);
    assert!(said.out.contains("TRUST: "), "{name} has a report: {}", said.err);
    let file = |file: &str| fs::read_to_string(folder.path().join("run").join(file)).unwrap();
    let rows = file("requests.jsonl");
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary: Value = serde_json::from_str(&file("summary.json")).unwrap();
    let mut attempts = BTreeMap::<_, Vec<u64>>::new();
    for row in &rows {
        attempts.entry((ns(row, "trace"), ns(row, "step"))).or_default().push(ns(row, "attempt"));
    }
    let retries = u64::from(case.run.contains("max_retries=1"));
    for (step, attempts) in attempts {
        let numbered = attempts.iter().zip(0..).all(|(attempt, number)| *attempt == number);
        assert!(numbered && attempts.len() as u64 <= 1 + retries, "{name} {step:?}: {attempts:?}");
    }
    let populations = &summary["populations"];
    let failed = populations["failed"].as_object().unwrap().values();
    let failed: u64 = failed.map(|count| count.as_u64().unwrap()).sum();
    let count = |name: &str| populations[name].as_u64().unwrap();
    assert_eq!(count("admitted"), count("completed") + failed + count("cut_off"), "{name}");
    let lost = rows.iter().filter(|row| end(row) != "ok" && end(row) != "cut_off").count() as u64;
    assert!(failed == lost || retries > 0, "{name}: a request that fails, fails its trace");
    Seen { said, rows, summary }
}

const OK: &[&str] = &["ok"];

fn case(
    engine: &'static str,
    run: &'static str,
    ends: &'static [&'static str],
    facts: fn(&Seen),
) -> Case {
    Case { engine, run, ends, facts }
}

#[test]
fn quirks_of_usage_leave_what_is_missing_empty() {
    let no_cached: fn(&Seen) = |seen| {
        seen.all(&[("cached_tokens", Value::Null), ("completion_tokens", 4.into())]);
        seen.says("FAIL cache_field");
    };
    check_all(vec![
        case("", "", OK, |seen| {
            let ids = ("token_source", "token_ids".into());
            let seen_at_once = |row: &&Value| row["first_token_ns"] == row["first_visible_ns"];
            assert!(seen.first("ok").iter().all(seen_at_once));
            seen.all(&[("chunks", 4.into()), ("cached_tokens", 0.into()), ids]);
        }),
        case("cached_tokens=absent", "", OK, no_cached),
        case("cached_tokens=null", "", OK, no_cached),
        case("cached_tokens=absent_in_streams", "", OK, no_cached),
        case("cached_tokens=omitted_at_zero", "", OK, |seen| {
            seen.all(&[("cached_tokens", Value::Null)]);
            let later = seen.rows.iter().find(|row| row["step"] == 1 && end(row) == "ok").unwrap();
            assert_eq!(later["cached_tokens"], 64);
        }),
        case("no_usage=True", "", OK, |seen| {
            let usage = [("prompt_tokens", Value::Null), ("completion_tokens", Value::Null)];
            seen.all(&usage);
            seen.all(&[("chunks", 4.into()), ("first_chunk_tokens", 1.into())]);
        }),
        case("usage_with_choices=True", "", OK, |seen| {
            seen.all(&[("chunks", 4.into()), ("completion_tokens", 4.into())]);
        }),
        case("timings=True no_usage=True no_token_ids=True chunk_tokens=3", "", OK, |seen| {
            let timings = ("token_source", "timings".into());
            seen.all(&[timings, ("chunks", 2.into()), ("first_chunk_tokens", 3.into())]);
        }),
        case("chunk_tokens=3 no_token_ids=True", "", OK, |seen| {
            let running = ("token_source", "running_usage".into());
            seen.all(&[running, ("chunks", 2.into()), ("first_chunk_tokens", 3.into())]);
        }),
    ]);
}

#[test]
fn quirks_of_streams_change_no_count() {
    let four: fn(&Seen) = |seen| {
        let counts = [("chunks", 4.into()), ("completion_tokens", 4.into())];
        seen.all(&counts);
        seen.all(&[("uncounted_tokens", 0.into()), ("excess_tokens", 0.into())]);
    };
    check_all(vec![
        case("", "api=chat", OK, four),
        case("early_role=True", "api=chat", OK, |seen| {
            // A client that did not run for 10 ms reads both at once.
            let apart = |row: &&Value| ns(row, "first_event_ns") < ns(row, "first_token_ns");
            assert!(seen.first("ok").iter().any(apart), "the role is no token");
            let order = |row: &&Value| ns(row, "first_event_ns") <= ns(row, "first_token_ns");
            assert!(seen.first("ok").iter().all(order), "the role comes first");
            seen.all(&[("chunks", 4.into())]);
        }),
        case("empty_first_chunk=True", "", OK, |seen| {
            let held = |row: &&Value| ns(row, "first_token_ns") < ns(row, "first_visible_ns");
            assert!(seen.first("ok").iter().any(held), "a token may show nothing");
            seen.all(&[("chunks", 4.into())]);
        }),
        case("output=raw", "", OK, four),
        case("chunk_tokens=3", "", OK, |seen| {
            seen.all(&[("chunks", 2.into()), ("first_chunk_tokens", 3.into())]);
        }),
        case("textless_end=True", "", OK, four),
        case("no_done=True", "", OK, four),
        case("comments_ms=3", "", OK, four),
        case("crlf=True", "", OK, four),
        case("segment_bytes=1", "", OK, four),
        case("segment_bytes=7", "", OK, four),
        case("late_headers=True", "", OK, four),
        case("events_per_write=2", "", OK, |seen| {
            let paired = |row: &&Value| ns(row, "late_chunks") == 2;
            assert!(seen.first("ok").iter().any(paired), "two reads of two tokens");
            seen.all(&[("chunks", 4.into())]);
        }),
        case("buffer_bytes=16384", "", OK, |seen| {
            seen.all(&[("chunks", 4.into()), ("late_chunks", 3.into())]);
        }),
        case("gzip=True", "preflight=False", &["encoded_body 200"], |seen| {
            seen.says("failed traces by kind: encoded_body");
        }),
    ]);
}

#[test]
fn quirks_of_connections_and_fields_are_lived_with() {
    let length: fn(&Seen) = |seen| seen.all(&[("completion_tokens", 4.into())]);
    check_all(vec![
        case("refuse_ignore_eos=True", "", OK, length),
        case("strict_fields=True", "", OK, length),
        case("keep_alive_s=0.1", "tool_wait_scale=30", OK, |seen| {
            let connections: BTreeSet<_> =
                seen.rows.iter().filter_map(|row| row["connection"].as_u64()).collect();
            assert!(connections.len() > 2, "a tool's wait is longer than a connection lives");
        }),
        case("keep_alive_requests=1", "", OK, |seen| {
            let connections = seen.rows.iter().filter_map(|row| row["connection"].as_u64());
            let connections: BTreeSet<_> = connections.collect();
            assert!(connections.len() + 1 >= seen.rows.len(), "one request each: {connections:?}");
        }),
        case("keep_alive_requests=3", "", OK, length),
        case("", "connection=shared priority=19", OK, |seen| {
            let connections = seen.rows.iter().filter_map(|row| row["connection"].as_u64());
            assert!(connections.collect::<BTreeSet<_>>().len() <= 2, "those it began with");
        }),
    ]);
}

#[test]
fn statuses_are_recorded_and_never_retried_unasked() {
    let mixed = |engine: &'static str, ends: &'static [&'static str]| {
        case(engine, "preflight=False", ends, |seen| seen.says("failed traces by kind: status"))
    };
    check_all(vec![
        mixed("status=400 status_every=3", &["ok", "status 400"]),
        mixed("status=401 status_every=3", &["ok", "status 401"]),
        mixed("status=404 status_every=3", &["ok", "status 404"]),
        mixed("status=408 status_every=3", &["ok", "status 408"]),
        mixed("status=429 status_every=3", &["ok", "status 429"]),
        mixed("status=500 status_every=3", &["ok", "status 500"]),
        mixed("status=503 status_every=3", &["ok", "status 503"]),
        case("status=400", "preflight=False max_failures=5", &["status 400"], |seen| {
            assert_eq!(seen.said.code, 1, "{}", seen.said.err);
            assert!(seen.said.err.contains("stopped by max_failures"), "{}", seen.said.err);
        }),
        case(
            "status=429 status_every=2 retry_after_s=1",
            "preflight=False max_retries=1 duration=2",
            &["ok", "status 429"],
            |seen| {
                let again: Vec<_> = seen.rows.iter().filter(|row| row["attempt"] == 1).collect();
                assert!(!again.is_empty(), "a request that was told to wait goes out again");
                for row in again {
                    let same = |one: &&Value| {
                        ["trace", "step"].map(|id| &one[id]) == ["trace", "step"].map(|id| &row[id])
                    };
                    let first = seen.rows.iter().find(same).unwrap();
                    assert_eq!((end(first).as_str(), ns(first, "attempt")), ("status 429", 0));
                    let waited = ns(row, "intent_ns") - ns(first, "end_ns");
                    assert_eq!(waited, 1_000_000_000, "as long as the server asked for");
                }
            },
        ),
    ]);
}

#[test]
fn broken_answers_keep_what_had_come() {
    let two: fn(&Seen) = |seen| {
        let broken = seen.rows.iter().filter(|row| row["outcome"] == "failed");
        let chunks: Vec<_> = broken.map(|row| (end(row), ns(row, "chunks"))).collect();
        assert!(!chunks.is_empty() && chunks.iter().all(|(_, chunks)| *chunks == 2), "{chunks:?}");
    };
    let nothing: fn(&Seen) = |seen| assert_eq!(seen.summary["populations"]["completed"], 0);
    let plain: fn(&Seen) = |seen| seen.says("TRUST: no");
    check_all(vec![
        case("reset_before_headers=1", "preflight=False", &["broken"], nothing),
        case("reset_mid_stream=2 fault_tokens=2", "preflight=False", &["ok", "broken"], two),
        case(
            "stall_before_headers=1",
            "preflight=False timeout=0.5 duration=1.2",
            &["timeout"],
            nothing,
        ),
        case(
            "stall_mid_stream=2 fault_tokens=2",
            "preflight=False timeout=0.5 duration=1.2",
            &["ok", "timeout"],
            two,
        ),
        case("truncated_json=2 fault_tokens=2", "preflight=False", &["ok", "bad_json"], two),
        case("html_page=3", "preflight=False", &["ok", "not_sse 200"], plain),
        case("accept_then_close=1", "preflight=False", &["broken"], nothing),
        case("slow_headers_ms=100", "preflight=False", OK, |seen| {
            let late = |row: &&Value| ns(row, "headers_ns") - ns(row, "sent_ns") > 99_000_000;
            assert!(seen.first("ok").iter().all(late));
        }),
        case("spike_every=2 spike_ms=150 fault_tokens=2", "preflight=False", OK, |seen| {
            let stalls = seen.rows.iter().filter_map(|row| row["stall_ns"].as_u64());
            assert!(stalls.max().unwrap() > 140_000_000, "{}", seen.said.out);
        }),
        case("wrong_token_count=1", "preflight=False", OK, |seen| {
            seen.all(&[("completion_tokens", 5.into()), ("chunks", 4.into())]);
            seen.all(&[("uncounted_tokens", 1.into())]);
        }),
        case("duplicate_chunk=1 fault_tokens=1", "preflight=False", OK, |seen| {
            seen.all(&[("completion_tokens", 4.into()), ("excess_tokens", 1.into())]);
            seen.says("chunk_counts");
        }),
    ]);
}

#[test]
fn a_server_that_dies_or_starts_anew_is_told_from_one_that_serves() {
    check_all(vec![
        case(
            "crash_at_s=0.5",
            "preflight=False duration=600 max_failures=3",
            &["ok", "refused", "?broken"],
            |seen| {
                assert_eq!(seen.said.code, 1, "{}", seen.said.err);
                assert!(seen.said.err.contains("stopped by max_failures"), "{}", seen.said.err);
            },
        ),
        case("restart_at_s=0.5", "preflight=False duration=2.5", &["ok", "?broken"], |seen| {
            // The run began with a connection for each of its two slots.
            let anew = |row: &&Value| row["connection"].as_u64().is_some_and(|number| number >= 2);
            assert!(seen.first("ok").iter().any(anew), "it serves again");
        }),
    ]);
}
