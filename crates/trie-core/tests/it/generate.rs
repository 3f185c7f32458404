//! Generated workloads: what is written, and what the knobs change of it.

use sha2::{Digest, Sha256};
use trie_core::generate::{GenerateError, GenerateOptions, Knobs, Origin, Preset, generate};
use trie_core::units::Tokens;
use trie_core::workload::{ReadOptions, Step, Trace};

use crate::workload::{ROW, open, open_with, traces};

fn made(origin: Origin<'_>, seed: u64, count: u64, knobs: Knobs) -> String {
    let command = "trie generate".to_owned();
    let options = GenerateOptions { seed, traces: count, knobs, command };
    let mut rows = Vec::new();
    generate(origin, &options, &mut rows).unwrap();
    String::from_utf8(rows).unwrap()
}

/// Read as a user's file is, every key of it known.
fn read(text: &str) -> Vec<Trace> {
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    traces(&mut open_with(text, &strict).unwrap())
}

fn preset(preset: Preset, knobs: Knobs) -> Vec<Trace> {
    read(&made(Origin::Preset(preset), 9, 150, knobs))
}

fn steps(traces: &[Trace]) -> impl Iterator<Item = &Step> {
    traces.iter().flat_map(|trace| &trace.steps)
}

/// Changes only with the version of what is drawn: a workload is remade by the command in its header.
#[test]
fn a_preset_is_the_same_bytes_everywhere() {
    let check = |preset: Preset, expected: &str| {
        let text = made(Origin::Preset(preset), 1, 40, Knobs::default());
        let rows = text.split_once('\n').unwrap().1;
        let sha256 = format!("{:x}", Sha256::digest(rows));
        assert_eq!(sha256[..16], *expected, "{preset:?}");
    };
    check(Preset::OfficeWork, "db2c83ad348655ba");
    check(Preset::AgenticCoding, "0077722ad1b55732");
    check(Preset::LongContextApp, "636a6dabfa26c3a9");
    check(Preset::ChatMooncake, "ba008b4f4eb0d086");
    check(Preset::SingleTurn, "441ace5afa629805");
}

#[test]
fn the_header_holds_the_command_and_fewer_rows_are_the_first_ones() {
    let text = |count| made(Origin::Preset(Preset::ChatMooncake), 3, count, Knobs::default());
    let (many, few) = (text(10), text(7));
    let header = many.lines().next().unwrap();
    let by = format!("\"created_by\":\"trie {}: trie generate\"", env!("CARGO_PKG_VERSION"));
    assert!(header.contains("\"name\":\"chat-mooncake\"") && header.contains(&by), "{header}");
    assert_eq!(many.lines().take(8).collect::<Vec<_>>(), few.lines().collect::<Vec<_>>());
    assert_ne!(made(Origin::Preset(Preset::ChatMooncake), 4, 7, Knobs::default()), few);
}

#[test]
fn every_preset_with_every_knob_is_a_workload() {
    let knobs = Knobs {
        turn_scale: 1.5,
        prompt_scale: 0.8,
        growth_scale: 0.5,
        output_scale: 0.7,
        tool_wait_scale: 2.0,
        user_wait_scale: 0.0,
        shared_prefix: Some(3_000),
        fan_out: Some(2),
        compact_at: Some(60_000),
    };
    for one in Preset::ALL {
        let few = Knobs { turn_scale: 0.02, ..Knobs::default() };
        for knobs in [Knobs::default(), knobs.clone(), few] {
            assert_eq!(preset(one, knobs).len(), 150, "{one:?}");
        }
    }
}

#[test]
fn agents_of_a_preset_are_changed_as_their_session_is() {
    let coding = |knobs| preset(Preset::AgenticCoding, knobs);
    let lanes = |traces: &[Trace]| steps(traces).filter(|step| step.lane > 0).count();
    let (plain, few) = (Knobs::default(), Knobs { turn_scale: 0.02, ..Knobs::default() });
    let (plain, few) = (lanes(&coding(plain)), lanes(&coding(few)));
    assert!(0 < few && few < plain, "{few} of {plain}");
}

#[test]
fn knobs_change_what_they_name() {
    let office = |knobs| preset(Preset::OfficeWork, knobs);
    let plain = office(Knobs::default());
    let turns = |traces: &[Trace]| steps(traces).count() - traces.len();
    let longer = office(Knobs { turn_scale: 2.0, ..Knobs::default() });
    assert_eq!(turns(&longer), 2 * turns(&plain));
    let input = |traces: &[Trace]| steps(traces).skip(1).map(Step::new_tokens).sum::<Tokens>();
    let faster = office(Knobs { growth_scale: 3.0, ..Knobs::default() });
    let firsts: Tokens = plain.iter().skip(1).map(|trace| trace.steps[0].new_tokens()).sum();
    assert_eq!(input(&faster) - firsts, 3 * (input(&plain) - firsts));
    let waits = |traces: &[Trace]| {
        steps(traces).flat_map(|step| &step.after).map(|edge| edge.delay.0).sum::<u64>()
    };
    let slower = office(Knobs { tool_wait_scale: 2.0, user_wait_scale: 9.0, ..Knobs::default() });
    assert_eq!(waits(&slower), 2 * waits(&plain));
}

#[test]
fn a_shared_prefix_opens_every_first_prompt() {
    for one in Preset::ALL {
        let plain = preset(one, Knobs::default());
        let shared = preset(one, Knobs { shared_prefix: Some(2_000), ..Knobs::default() });
        for (plain, shared) in plain.iter().zip(&shared) {
            let (before, after) = (&plain.steps[0], &shared.steps[0]);
            let own = |step: &Step| step.new.last().unwrap().tokens;
            assert_eq!(own(before), own(after), "{one:?}: what is its own stays");
            assert_eq!(after.new[0].tokens, 2_000);
            assert_eq!(after.new.len(), 2);
        }
    }
}

#[test]
fn a_compaction_keeps_requests_under_its_threshold() {
    let knobs = Knobs { compact_at: Some(50_000), ..Knobs::default() };
    for one in [Preset::OfficeWork, Preset::AgenticCoding] {
        let traces = preset(one, knobs.clone());
        let longest = steps(&traces).map(|step| step.prompt_tokens + step.output.tokens).max();
        assert!(longest.unwrap() <= 50_000, "{one:?}: {longest:?}");
        assert!(steps(&traces).any(|step| step.context.keep.is_some()), "{one:?}");
    }
}

#[test]
fn agents_start_together_and_are_waited_for() {
    let plain = preset(Preset::OfficeWork, Knobs::default());
    let fanned = preset(Preset::OfficeWork, Knobs { fan_out: Some(3), ..Knobs::default() });
    for (plain, fanned) in plain.iter().zip(&fanned) {
        let lanes: std::collections::BTreeSet<_> =
            fanned.steps.iter().map(|step| step.lane).collect();
        assert_eq!(lanes.len(), 4);
        let join: Vec<_> = fanned.steps.iter().filter(|step| step.after.len() == 4).collect();
        assert_eq!(join.len(), 1, "one request waits for its tool and three agents");
        assert_eq!(join[0].lane, 0);
        let root = |trace: &Trace| {
            let root = trace.steps.iter().filter(|step| step.lane == 0);
            root.map(|step| (step.prompt_tokens, step.output.tokens)).collect::<Vec<_>>()
        };
        assert_eq!(root(plain), root(fanned), "the session itself stays what it was");
    }
}

#[test]
fn sessions_like_those_of_a_file_are_its_own() {
    let coding = made(Origin::Preset(Preset::AgenticCoding), 2, 30, Knobs::default());
    let mut workload = open(coding).unwrap();
    let of = |trace: &Trace| trace.steps.clone();
    let linear = |trace: &Trace| trace.steps.iter().all(|step| step.lane == 0);
    let source: Vec<_> = traces(&mut workload).iter().filter(|t| linear(t)).map(of).collect();
    let like = read(&made(Origin::Like(&mut workload), 1, 100, Knobs::default()));
    assert!(like.iter().all(|trace| source.contains(&trace.steps)));
    let drawn = source.iter().filter(|steps| like.iter().any(|trace| trace.steps == **steps));
    assert!(drawn.count() > source.len() / 2, "they are drawn, not taken in order");
}

#[test]
fn a_file_of_graphs_alone_cannot_be_drawn_from() {
    let graph = r#"{"steps":[{"id":"a","lane":"m","new":[{"role":"user","tokens":9}],"output":{"tokens":1}},{"id":"b","lane":"n","after":[],"context":{"from":null},"new":[{"role":"user","tokens":9}],"output":{"tokens":1}}]}"#;
    let mut workload = open(graph).unwrap();
    let command = String::new();
    let options = GenerateOptions { seed: 1, traces: 1, knobs: Knobs::default(), command };
    let error = generate(Origin::Like(&mut workload), &options, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, GenerateError::NothingLeft { rows: 1, .. }), "{error}");
    let mut workload = open(format!("{graph}\n{ROW}")).unwrap();
    let made = generate(Origin::Like(&mut workload), &options, &mut Vec::new()).unwrap();
    assert_eq!(made.left_out, 1);
}
