//! Sources that are cut short, packed, damaged or of no format.

use std::io::Write;

use trie_import::{Damage, FORMATS, recognised};

use crate::import::{import, import_bytes, options, sample};

#[test]
fn what_stands_before_a_cut_is_kept() {
    let text = sample("mooncake.jsonl");
    let second = text.find('\n').unwrap() + 1;
    let found = import(&text[..second + 20]);
    assert_eq!(found.rows.len(), 1);
    let cut = Damage::Truncated { file: "source 0".to_owned(), offset: second as u64 };
    assert_eq!(found.fidelity.damage, [cut]);
    let text = sample("weka.json");
    let last = text.rfind("{\"t\"").unwrap();
    let found = import(&text[..last + 30]);
    assert_eq!(found.prompts(0), [1000, 1230]);
    assert_eq!(found.fidelity.damage.len(), 1);
}

/// A document of an agent is kept up to its last whole step, message or event.
#[test]
fn trajectories_that_are_cut_short_are_kept_up_to_their_last_step() {
    let check = |name: &str, cut: &str| {
        let text = sample(name);
        let found = import(&text[..text.rfind(cut).unwrap()]);
        assert_eq!(found.prompts(0), [1000, 1230], "{name}");
        assert_eq!(found.fidelity.damage.len(), 1, "{name}");
    };
    check("atif.json", "c40 c41");
    check("mini_swe_agent.traj.json", "c40 c41");
    check("openhands_v0.json", "\"finish\"");
    check("openhands.jsonl", "c40 c41");
    check("tracelab.jsonl", "\"round_index\": 2");
}

#[test]
fn packed_sources_are_known_by_their_first_bytes() {
    let text = sample("mooncake.jsonl");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let found = import_bytes(&[&packed], None, &options()).unwrap();
    assert_eq!(found.rows, import(&text).rows);
    let cut = import_bytes(&[&packed[..packed.len() - 20]], None, &options()).unwrap();
    assert_eq!(cut.fidelity.damage.len(), 1, "{:?}", cut.fidelity);
}

#[test]
fn an_empty_source_gives_nothing() {
    let found = import("");
    assert_eq!((found.rows.len(), found.fidelity.files), (0, 1));
}

#[test]
fn unknown_content_is_refused_by_its_keys() {
    let refused =
        import_bytes(&[br#"{"secret": "value"}"#], None, &options()).err().unwrap().to_string();
    assert!(refused.contains("an object with secret") && !refused.contains("value"), "{refused}");
    assert!(refused.contains("mooncake, "), "{refused}");
}

/// Every sample is of one format, and of none other.
#[test]
fn samples_are_recognised() {
    let check = |name: &str, expected: &str| {
        let found = recognised(sample(name).as_bytes()).map(|format| format.name);
        assert_eq!(found, Some(expected), "{name}");
    };
    check("trie_seed.jsonl", "trie");
    check("trie_v2_flat.jsonl", "trie");
    check("trie_v2_dag.jsonl", "trie");
    check("mooncake.jsonl", "mooncake");
    check("mooncake_aiperf_session.jsonl", "mooncake-sessions");
    check("weka.json", "weka");
    check("claude_code.jsonl", "claude-code");
    check("codex_rollout.jsonl", "codex");
    check("openai_chat_log.jsonl", "openai-log");
    check("messages_only.jsonl", "messages");
    check("upstream_make_workload_input.jsonl", "make-workload");
    check("otlp.json", "otlp");
    check("otel_flat_spans.json", "otel-spans");
    check("litellm.jsonl", "litellm");
    check("langfuse.json", "langfuse");
    check("openinference.jsonl", "openinference");
    check("aiperf_inputs.json", "aiperf-payloads");
    check("aiperf_raw_payload.jsonl", "aiperf-payloads");
    check("aiperf_multi_turn.jsonl", "aiperf-turns");
    check("aiperf_dag.jsonl", "aiperf-dag");
    check("dynamo_requests.jsonl", "dynamo-requests");
    check("bailian.jsonl", "bailian");
    check("dynamo.jsonl", "dynamo");
    check("azure.csv", "azure");
    check("burstgpt.csv", "burstgpt");
    check("atif.json", "atif");
    check("swe_agent.traj", "swe-agent");
    check("mini_swe_agent.traj.json", "mini-swe-agent");
    check("openhands.jsonl", "openhands");
    check("openhands_v0.json", "openhands-v0");
    check("tracelab.jsonl", "tracelab");
    check("lmcache.jsonl", "lmcache");
    assert_eq!(FORMATS.len(), 29, "a new format has a line here");
    // Of a long file only the beginning is looked at, where its format is not named yet.
    let text = sample("mini_swe_agent.traj.json");
    let found = recognised(&text.as_bytes()[..text.find("c40 c41").unwrap()]);
    assert_eq!(found.map(|format| format.name), Some("mini-swe-agent"));
}
