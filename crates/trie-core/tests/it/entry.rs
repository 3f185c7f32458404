//! Entry points of a run that starts in equilibrium.

use std::io::Cursor;

use trie_core::{
    plan::{Dwell, Piece, Plan, PlanOptions, Scale, draw_entries},
    record::Entry,
    units::Nanos,
    workload::{Encoding, ReadOptions, Source, Workload},
};

use crate::plan::options;

/// A row of two requests 1 s apart, and one of a single request.
const ROWS: &str = concat!(
    r#"{"num_turns":1,"input_prompt_length":1000,"assistant_response_length":[100],"tool_call_output_length":[500],"tool_call_latency":[1.0],"final_assistant_response_length":300}"#,
    "\n",
    r#"{"num_turns":0,"input_prompt_length":2000,"assistant_response_length":[],"tool_call_output_length":[],"tool_call_latency":[],"final_assistant_response_length":100}"#,
    "\n",
);

/// 1 ms a prompt token, 10 ms an answer token: the requests take 2 s, 3.5 s and 3 s, the wait 1 s.
const DWELL: Dwell = Dwell { request: 0.0, prefill: 1e6, history: 0.0, decode: 10e6 };

fn drawn(slots: u32, seed: u64) -> (Plan, Workload, Vec<Entry>) {
    let source = Source::Seekable(Box::new(Cursor::new(ROWS)));
    let read = ReadOptions::default();
    let mut workload = Workload::open(source, "rows", Encoding::Plain, &read).unwrap();
    let options = PlanOptions { concurrency: slots, seed, ..options(Scale::default()) };
    let plan = Plan::new(options, 1, &mut workload).unwrap();
    let entries = draw_entries(&plan, &mut workload, &DWELL).unwrap();
    (plan, workload, entries)
}

#[test]
fn slots_are_found_where_they_dwell_longest() {
    let (_, _, entries) = drawn(20_000, 3);
    let share = |row, step| {
        let there = entries.iter().filter(|entry| (entry.row, entry.step) == (row, step));
        f64::from(u32::try_from(there.count()).unwrap()) / 20_000.0
    };
    let waiting = entries.iter().filter(|entry| entry.step == 1 && entry.waited_ns < Nanos::SECOND);
    let waiting = f64::from(u32::try_from(waiting.count()).unwrap()) / 20_000.0;
    // Of 9.5 s in all. Each slot draws from its own part, so that at most one is off at each border.
    for (found, expected) in
        [(share(0, 0), 2.0), (share(0, 1), 4.5), (share(1, 0), 3.0), (waiting, 1.0)]
    {
        assert!(
            (found - expected / 9.5).abs() < 2.5 / 20_000.0,
            "{found} instead of {expected}/9.5"
        );
    }
}

#[test]
fn a_history_that_is_not_kept_takes_its_time() {
    let source = Source::Seekable(Box::new(Cursor::new(ROWS)));
    let mut workload =
        Workload::open(source, "rows", Encoding::Plain, &ReadOptions::default()).unwrap();
    let options = PlanOptions { concurrency: 20_000, seed: 3, ..options(Scale::default()) };
    let plan = Plan::new(options, 1, &mut workload).unwrap();
    let dwell = Dwell { history: 1e6, ..DWELL };
    let entries = draw_entries(&plan, &mut workload, &dwell).unwrap();
    let later = entries.iter().filter(|entry| entry.step == 1).count();
    // Its 1,100 tokens make the second request 1.1 s longer: 5.6 s of 10.6.
    let share = f64::from(u32::try_from(later).unwrap()) / 20_000.0;
    assert!((share - 5.6 / 10.6).abs() < 2.5 / 20_000.0, "{share}");
}

#[test]
fn equal_plans_are_entered_alike_and_keep_their_bytes() {
    let (plan, _, entries) = drawn(50, 3);
    assert_eq!(entries, drawn(50, 3).2);
    assert_ne!(entries, drawn(50, 4).2);
    let before = plan.to_bytes();
    assert_eq!(plan.entering(entries).to_bytes(), before);
}

#[test]
fn entered_traces_come_before_those_of_the_plan() {
    let (plan, mut workload, entries) = drawn(3, 3);
    let plan = plan.entering(entries.clone());
    let found: Vec<_> = (0..6).map(|number| plan.instance(number)).collect();
    let rows: Vec<_> = found.iter().map(|of| (of.number, of.row, of.cycle)).collect();
    let entered = (0..).zip(&entries).map(|(number, entry)| (number, entry.row, 0));
    assert_eq!(rows[..3], entered.collect::<Vec<_>>());
    assert_eq!(rows[3..], [(3, 0, 1), (4, 1, 1), (5, 0, 2)]);
    for number in 0..3 {
        let planned = plan.trace(number, &mut workload).unwrap();
        let step = planned.entry.unwrap().step;
        assert_eq!(planned.opening(), [step]);
        let history: u64 = planned.history(step).iter().map(Piece::length).sum();
        assert_eq!(history, if step == 0 { 0 } else { 1100 });
    }
    assert_eq!(plan.trace(3, &mut workload).unwrap().entry, None);
}
