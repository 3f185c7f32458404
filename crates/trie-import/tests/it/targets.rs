//! Rows written in other formats, and read again.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use serde_json::{Value, json};
use trie_core::workload::Row;
use trie_import::{Target, Writer};

use crate::import::{Imported, import, import_bytes, options, sample};

/// Rows in a target, and what it could not say.
fn written(rows: &[String], target: Target) -> (String, Vec<String>) {
    let mut out = Vec::new();
    let mut writer = Writer::new(target, "words", &mut out);
    for (number, row) in (0..).zip(rows) {
        writer.row(&Row::read(row, "it", number).unwrap()).unwrap();
    }
    let (_, unsaid) = writer.finish().unwrap();
    (String::from_utf8(out).unwrap(), unsaid)
}

fn lengths(found: &Imported) -> Vec<(u64, u64)> {
    let traces = (0..found.rows.len()).map(|row| found.trace(row));
    let steps = traces.flat_map(|trace| trace.steps);
    steps.map(|step| (step.prompt_tokens, step.output.tokens)).collect()
}

#[test]
fn mooncake_comes_back_to_the_byte() {
    let text = sample("mooncake.jsonl");
    let (again, unsaid) = written(&import(&text).rows, Target::Mooncake);
    assert_eq!((again, unsaid), (text, vec![]));
}

#[test]
fn seed_rows_come_back() {
    let text = sample("trie_seed.jsonl");
    let (again, unsaid) = written(&import(&text).rows, Target::Seed);
    assert_eq!((again, unsaid), (text, vec![]));
}

/// Ids, lengths and waits of weka come back, also of agents; keys that a row has no place for do not.
#[test]
fn weka_comes_back_with_its_ids() {
    let check = |text: &str| {
        let found = import(text);
        let (again, _) = written(&found.rows, Target::Weka);
        let (before, after): (Value, Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&again).unwrap());
        let shown = |of: &Value| -> Vec<Value> {
            let mut rows = Vec::new();
            for entry in of["requests"].as_array().unwrap() {
                let inner =
                    entry["requests"].as_array().cloned().unwrap_or_else(|| vec![entry.clone()]);
                let keys = ["in", "out", "hash_ids", "t", "api_time"];
                rows.extend(
                    inner
                        .iter()
                        .map(|of| keys.map(|key| of[key].clone()).into_iter().collect::<Value>()),
                );
            }
            rows
        };
        assert_eq!(shown(&before), shown(&after), "{text}");
        assert_eq!(lengths(&import(&again)), lengths(&found));
    };
    check(&sample("weka.json"));
    let request = |t: f64, ids: &[u64]| {
        json!({"t": t, "type": "s", "in": ids.len() * 64 + 3, "out": 9, "hash_ids": ids,
            "input_types": ["tool_result"], "api_time": 1.0, "think_time": 2.0})
    };
    let agent = |t: f64, ids: &[u64], more: &[u64]| json!({"t": t, "type": "subagent", "agent_id": "a", "requests": [request(0.0, ids), request(2.0, more)]});
    let session = json!({"id": "S", "block_size": 64, "hash_id_scope": "local", "requests": [
        request(0.0, &[1, 2]),
        agent(2.0, &[1, 50], &[1, 50, 51]),
        request(8.0, &[1, 2, 3]),
        request(11.0, &[1, 2, 9, 10]),
        request(15.0, &[1, 7]),
    ]});
    check(&session.to_string());
}

/// Prompts without ids get some: equal beginnings have equal ids, and others none in common.
#[test]
fn ids_are_made_of_what_prompts_share() {
    let row = |id: &str, own: u64| {
        json!({"trace_id": id, "num_turns": 1, "input_prompt_length": 1024 + own,
            "assistant_response_length": [100], "tool_call_output_length": [500],
            "tool_call_latency": [2.5], "final_assistant_response_length": 7,
            "prefix": [{"id": "sys", "tokens": 1024}]})
        .to_string()
    };
    let (text, unsaid) = written(&[row("a", 600), row("b", 600)], Target::Mooncake);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |row: usize| rows[row]["hash_ids"].clone();
    // Block 3 of the first prompt is cut short, and goes on in the second.
    assert_eq!(ids(0), json!([0, 1, 2, 3]));
    assert_eq!(ids(1), json!([0, 1, 2, 4, 5]));
    assert_eq!(ids(2), json!([0, 1, 6, 7]));
    assert_eq!(rows[1]["timestamp"], 2500);
    assert!(unsaid.iter().any(|note| note.contains("requests wait for others")), "{unsaid:?}");
}

#[test]
fn a_graph_is_written_for_dynamo() {
    let (text, _) = written(&[sample("trie_v2_dag.jsonl")], Target::Dynamo);
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), rows[0]["schema"].as_str()), (6, Some("dynamo.agentic_mooncake")));
    let join = rows
        .iter()
        .find(|row| row["dependencies"].as_array().is_some_and(|of| of.len() == 2))
        .unwrap();
    let relations: Vec<&str> = join["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["relation"].as_str().unwrap())
        .collect();
    assert_eq!(relations, ["join", "join"]);
    let inputs: Vec<u64> =
        rows[1..].iter().map(|row| row["input_length"].as_u64().unwrap()).collect();
    assert_eq!(inputs, [1000, 390, 1100, 1380, 550]);
}

/// A row of steps in which each goes on with, forks from, or is apart from an earlier one.
fn graphs() -> impl Strategy<Value = String> {
    let step =
        (any::<prop::sample::Index>(), 0..4_u8, 0..1500_u64, 1..400_u64, 0..300_u64, any::<bool>());
    vec(step, 1..12).prop_map(|steps| {
        let mut prompts: Vec<u64> = Vec::new();
        let mut made = Vec::new();
        for (at, (parent, way, new, answer, cut, blocks)) in steps.into_iter().enumerate() {
            let parent = (at > 0).then(|| parent.index(at.max(1)));
            let (context, base) = match (parent, way) {
                (Some(parent), 0 | 1) => (json!({"from": parent.to_string()}), parent),
                (Some(parent), 2) => {
                    let keep = prompts[parent].saturating_sub(cut);
                    (json!({"from": parent.to_string(), "keep": keep}), parent)
                }
                _ => (json!({"from": null, "prefix": [{"id": "sys", "tokens": 700}]}), at),
            };
            let kept = match (&context["keep"], parent) {
                (Value::Number(keep), _) => keep.as_u64().unwrap(),
                (_, Some(_)) if base != at => prompts[base] + made_answer(&made, base),
                _ => 700,
            };
            let new = new.max(1);
            let mut segment = json!({"role": "user", "tokens": new});
            if blocks {
                segment["blocks"] = json!({"size": 128, "scope": "all", "first": cut});
            }
            let after: Vec<Value> = parent
                .iter()
                .map(|parent| json!({"id": parent.to_string(), "delay": 0.25}))
                .collect();
            made.push(json!({"id": at.to_string(), "lane": way.to_string(), "after": after,
                "context": context, "new": [segment], "output": {"tokens": answer}}));
            prompts.push(kept + new);
        }
        json!({"trace_id": "t", "arrival": 1.5, "steps": made}).to_string()
    })
}

fn made_answer(made: &[Value], at: usize) -> u64 {
    made[at]["output"]["tokens"].as_u64().unwrap()
}

proptest! {
    /// Whatever the graph: as Mooncake it has the same prompts and answers, and comes back to the
    /// byte; as our own it is the same JSON.
    #[test]
    fn graphs_come_back(row in graphs()) {
        let text = format!("{row}\n");
        let found = import(&text);
        prop_assert_eq!(found.row(0), serde_json::from_str::<Value>(&row).unwrap());
        let (mooncake, _) = written(&found.rows, Target::Mooncake);
        let again = import_bytes(&[mooncake.as_bytes()], Some("mooncake"), &options()).unwrap();
        prop_assert_eq!(lengths(&again), lengths(&found));
        prop_assert_eq!(written(&again.rows, Target::Mooncake).0, mooncake);
        let (weka, _) = written(&found.rows, Target::Weka);
        let mut sizes = lengths(&import(&weka));
        let mut wanted = lengths(&found);
        sizes.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(sizes, wanted);
    }
}
