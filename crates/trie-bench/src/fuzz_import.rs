//! Fuzz target `import`: mutated traces of every format, for as long as asked.
//!
//! No input may panic, and none may make the importer hold or write much more than it is long. Rows
//! that come out are read again, renamed and written in every target.

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use trie_core::units::Nanos;
use trie_core::workload::Row;
use trie_import::{
    Anonymizer, Count, FORMATS, Format, Import, ImportOptions, MooncakeLengths, Salt, TARGETS,
    Writer, format_named,
};

use crate::dice::Dice;
use crate::fuzz::{mutate, now};
use crate::measure::say;

/// Inputs that are mutated next, at most.
const POOL: usize = 512;

/// The longest input, in bytes.
const LONGEST: usize = 24_000;

/// Most memory that the process may have taken, above what it took at first.
const MOST_MEMORY: u64 = 192 << 20;

/// Bytes of rows for a byte of input, and at all.
/// A few conversations may start each other often: there is an end to it.
const MOST_OUTPUT: (usize, usize) = (256, 1 << 20);

/// Tokens of all prompts of a trace up to which it is written as blocks here.
const WRITTEN: u64 = 4_000_000;

/// A source of a format.
#[derive(Clone)]
struct Seed {
    format: &'static str,
    text: &'static str,
}

macro_rules! sample {
    ($format:literal, $file:literal) => {
        Seed { format: $format, text: include_str!(concat!("../../../testdata/formats/", $file)) }
    };
}

/// What is mutated: the samples of the tests, and by hand what they do not have.
const SEEDS: [Seed; 50] = [
    sample!("trie", "trie_seed.jsonl"),
    sample!("trie", "trie_v2_flat.jsonl"),
    sample!("trie", "trie_v2_dag.jsonl"),
    sample!("mooncake", "mooncake.jsonl"),
    sample!("mooncake-sessions", "mooncake_aiperf_session.jsonl"),
    sample!("weka", "weka.json"),
    sample!("claude-code", "claude_code.jsonl"),
    sample!("codex", "codex_rollout.jsonl"),
    sample!("openai-log", "openai_chat_log.jsonl"),
    sample!("messages", "messages_only.jsonl"),
    sample!("make-workload", "upstream_make_workload_input.jsonl"),
    sample!("otlp", "otlp.json"),
    sample!("otel-spans", "otel_flat_spans.json"),
    sample!("litellm", "litellm.jsonl"),
    sample!("langfuse", "langfuse.json"),
    sample!("openinference", "openinference.jsonl"),
    sample!("aiperf-payloads", "aiperf_inputs.json"),
    sample!("aiperf-payloads", "aiperf_raw_payload.jsonl"),
    sample!("aiperf-turns", "aiperf_multi_turn.jsonl"),
    sample!("aiperf-dag", "aiperf_dag.jsonl"),
    sample!("dynamo-requests", "dynamo_requests.jsonl"),
    sample!("bailian", "bailian.jsonl"),
    sample!("dynamo", "dynamo.jsonl"),
    sample!("azure", "azure.csv"),
    sample!("burstgpt", "burstgpt.csv"),
    sample!("atif", "atif.json"),
    sample!("mini-swe-agent", "mini_swe_agent.traj.json"),
    sample!("openhands", "openhands.jsonl"),
    sample!("openhands-v0", "openhands_v0.json"),
    sample!("tracelab", "tracelab.jsonl"),
    sample!("lmcache", "lmcache.jsonl"),
    Seed {
        format: "weka",
        text: r#"{"id":"S","block_size":64,"requests":[{"t":0,"in":131,"out":7,"hash_ids":[1,2],"think_time":2.5,"api_time":1},{"t":2,"type":"subagent","agent_id":"a","requests":[{"t":0,"in":131,"out":9,"hash_ids":[1,50],"api_time":1}]},{"t":5,"in":195,"out":7,"hash_ids":[1,2,3],"input_types":["tool_result"]},{"t":9,"in":100,"out":7,"hash_ids":[1]}]}"#,
    },
    Seed {
        format: "claude-code",
        text: r#"{"type":"user","uuid":"u","sessionId":"S","version":"2","timestamp":"2031-01-01T00:00:00Z","message":{"content":"a b c"}}
{"type":"assistant","uuid":"a","sessionId":"S","timestamp":"2031-01-01T00:00:02Z","message":{"id":"m","content":[{"type":"tool_use","id":"c","name":"Task"}],"usage":{"input_tokens":100,"output_tokens":5}}}
{"type":"user","uuid":"s","sessionId":"S","isSidechain":true,"agentId":"A","timestamp":"2031-01-01T00:00:03Z","message":{"content":"look"}}
{"type":"assistant","uuid":"b","sessionId":"S","isSidechain":true,"agentId":"A","timestamp":"2031-01-01T00:00:09Z","message":{"id":"n","content":[],"usage":{"input_tokens":50,"output_tokens":4}}}
{"type":"user","uuid":"t","sessionId":"S","timestamp":"2031-01-01T00:00:20Z","toolUseResult":{"agentId":"A","totalDurationMs":17000},"message":{"content":[{"type":"tool_result","tool_use_id":"c","content":"x"}]}}
{"type":"assistant","uuid":"d","sessionId":"S","timestamp":"2031-01-01T00:00:22Z","message":{"id":"o","content":[],"usage":{"input_tokens":120,"output_tokens":2}}}
{"type":"system","subtype":"compact_boundary","uuid":"e","sessionId":"S"}
{"type":"assistant","uuid":"f","sessionId":"S","timestamp":"2031-01-01T00:00:32Z","message":{"id":"p","content":[],"usage":{"input_tokens":20,"cache_read_input_tokens":10,"output_tokens":2}}}
"#,
    },
    Seed {
        format: "openai-log",
        text: r#"{"custom_id":"r","body":{"messages":[{"role":"user","content":"a b"}]}}
{"custom_id":"r","response":{"status_code":200,"body":{"id":"1","choices":[{"message":{"role":"assistant","content":"c"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}}}
{"session_id":"S","timestamp":"2031-01-01T00:00:00Z","duration_ms":10,"request":{"input":[{"role":"user","content":"a"},{"type":"function_call","name":"f","arguments":"{}","call_id":"1"},{"type":"function_call_output","call_id":"1","output":"x"}]},"response":{"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"y"}]}],"usage":{"input_tokens":9,"output_tokens":2}}}
{"session_id":"S","timestamp":"2031-01-01T00:00:05Z","request":{"system":"s","messages":[{"role":"user","content":"z"}]},"response":{"content":[{"type":"text","text":"w"}],"usage":{"input_tokens":7,"cache_read_input_tokens":1,"output_tokens":2}}}
"#,
    },
    Seed {
        format: "codex",
        text: r#"{"timestamp":"2031-01-01T00:00:00Z","type":"session_meta","payload":{"id":"T","source":{"subagent":{"thread_spawn":{"parent_thread_id":"S1"}}}}}
{"timestamp":"2031-01-01T00:00:01Z","type":"response_item","payload":{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}}
{"timestamp":"2031-01-01T00:00:02Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":9,"output_tokens":3}}}}
{"timestamp":"2031-01-01T00:00:03Z","type":"compacted","payload":{}}
{"timestamp":"2031-01-01T00:00:04Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":15,"output_tokens":5}}}}
"#,
    },
    Seed {
        format: "litellm",
        text: r#"{"id":"1","trace_id":"t1","session_id":"S","call_type":"acompletion","status":"success","startTime":1.5,"completionStartTime":2,"endTime":3,"prompt_tokens":9,"completion_tokens":2,"messages":[{"role":"user","content":"redacted-by-litellm"}],"response":{"text":"redacted-by-litellm"}}
{"id":"2","trace_id":"t2","session_id":"S","call_type":"acompletion","status":"success","startTime":4.5,"endTime":5,"prompt_tokens":12,"completion_tokens":2,"messages":[{"role":"user","content":"redacted-by-litellm"}],"response":"redacted-by-litellm"}
{"standard_logging_object":{"id":"3","trace_id":"t3","call_type":"completion","cache_hit":false,"startTime":4.5,"endTime":5,"prompt_tokens":12,"completion_tokens":2,"messages":"[{\"role\":\"user\",\"content\":\"a b\"}]","response":{"choices":[{"message":{"role":"assistant","content":"c"}}]}}}
"#,
    },
    Seed {
        format: "aiperf-turns",
        text: r#"{"session_id":"S","text":"a b c","output_length":7}
{"session_id":"S","texts":["d e",{"contents":["f"]}],"delay":500.5,"output_length":7}
{"text":"x","timestamp":2500,"output_length":3}
"#,
    },
    Seed {
        format: "aiperf-dag",
        text: r#"{"session_id":"S1","pre_session_spawns":["e"],"turns":[{"messages":[{"role":"system","content":"s"},{"role":"user","content":"a b"}],"max_tokens":10,"spawns":["s",{"children":["l","s"],"join_at":2}],"forks":[{"child":"f","background":true}]},{"messages":[{"role":"user","content":"d"}],"max_tokens":10,"delay":500},{"messages":[{"role":"user","content":"e"}],"max_tokens":10}]}
{"session_id":"s","turns":[{"messages":[{"role":"user","content":"x"}],"max_tokens":3,"delay":5}]}
{"session_id":"l","context_mode":"message_array_with_responses","turns":[{"messages":[{"role":"user","content":"x"}],"max_tokens":3},{"messages":[{"role":"user","content":"x"},{"role":"user","content":"y"}],"max_tokens":3}]}
{"session_id":"f","turns":[{"messages":[{"role":"user","content":"x"}],"max_tokens":3}]}
{"session_id":"e","turns":[{"messages":[{"role":"user","content":"x"}],"max_tokens":3}]}
{"session_id":"o","orchestrator":true,"rounds":2,"think_time_ms":100,"spawns":["s","l"]}
{"session_id":"p","orchestrator":true,"rounds":[{"spawns":["s"],"think_time_ms":10},{"spawns":["l","l"]}]}
"#,
    },
    Seed {
        format: "dynamo-requests",
        text: r#"{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":2000,"agent_context":{"session_id":"S1"},"request":{"request_id":"r0","output_tokens":9,"request_received_ms":1000,"replay":{"trace_block_size":64,"input_length":64,"input_sequence_hashes":[18446744073709551615]}}}
{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":3500,"agent_context":{"session_id":"c","parent_session_id":"S1"},"request":{"request_id":"c0","output_tokens":9,"request_received_ms":2500,"replay":{"trace_block_size":64,"input_length":70,"input_sequence_hashes":[5,6]}}}
{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":5000,"agent_context":{"session_id":"S1"},"request":{"request_id":"r1","output_tokens":9,"request_received_ms":4000,"replay":{"trace_block_size":64,"input_length":130,"input_sequence_hashes":[18446744073709551615,7,8]}}}
{"schema":"dynamo.request.trace.v1","event_type":"tool_end","event_time_unix_ms":3600,"agent_context":{"session_id":"S1"},"tool":{"started_at_unix_ms":2100,"duration_ms":1500,"claude":{"source_request_id":"r0","consumer_request_id":"r1","child_session_id":"c"}}}
{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":9000,"request":{"output_tokens":9,"request_received_ms":4000,"replay":{"trace_block_size":64,"input_length":130,"input_sequence_hashes":[1,2,3]}}}
{"event":{"schema":"dynamo.request.trace.v1","event_type":"request_end","event_time_unix_ms":9900,"request":{"output_tokens":9,"total_time_ms":400,"replay":{"trace_block_size":64,"input_length":200,"input_sequence_hashes":[1,2,3,4]}}}}
"#,
    },
    Seed {
        format: "mooncake",
        text: r#"{"timestamp":0,"input_length":1024,"output_length":5,"hash_ids":[0,1]}
{"timestamp":0,"input_length":1536,"output_length":5,"hash_ids":[0,1,2]}
{"timestamp":3000,"input_length":1536,"output_length":5,"hash_ids":[0,1,3]}
{"timestamp":3000,"input_length":100,"output_length":0}
"#,
    },
    Seed {
        format: "otel-spans",
        text: r#"{"spans":[{"trace_id":"T","span_id":"1","name":"chat m","start_time":"2031-01-01T00:00:00","end_time":"2031-01-01T00:00:02","attributes":{"gen_ai.usage.input_tokens":9,"gen_ai.usage.output_tokens":2}},{"trace_id":"T","span_id":"2","parent_span_id":"3","name":"chat m","start_time":"2031-01-01T00:00:01","end_time":"2031-01-01T00:00:04","attributes":{"gen_ai.usage.input_tokens":5,"gen_ai.usage.output_tokens":2}},{"trace_id":"T","span_id":"3","name":"invoke_agent x","start_time":"2031-01-01T00:00:01","end_time":"2031-01-01T00:00:05","attributes":{}}]}"#,
    },
    Seed {
        format: "atif",
        text: r#"{"schema_version":"ATIF-v1.7","session_id":"S","trajectory_id":"T","agent":{"name":"a","version":"1","tool_definitions":[{"type":"function"}]},"steps":[{"step_id":1,"source":"system","message":"s s"},{"step_id":2,"source":"user","message":"u u","timestamp":"2031-01-01T00:00:00Z"},{"step_id":3,"source":"agent","message":"a","is_copied_context":true},{"step_id":4,"source":"agent","message":"a b","timestamp":"2031-01-01T00:00:02Z","observation":{"results":[{"content":"x","subagent_trajectory_ref":[{"trajectory_id":"C"}]}]},"metrics":{"prompt_tokens":100,"completion_tokens":5,"cached_tokens":9}},{"step_id":5,"source":"agent","message":"b","llm_call_count":2,"metrics":{"prompt_tokens":10,"completion_tokens":5,"cached_tokens":9}},{"step_id":6,"source":"agent","message":"c","timestamp":"2031-01-01T00:00:09Z","metrics":{"prompt_tokens":120,"completion_tokens":6,"cached_tokens":9}},{"step_id":7,"source":"system","message":"","observation":{"results":[{"content":"k k"}]},"extra":{"context_management":{"boundary":"replace"}}},{"step_id":8,"source":"agent","message":"d","reasoning_content":"t t","metrics":{"prompt_tokens":40,"completion_tokens":3,"cached_tokens":9}}],"subagent_trajectories":[{"schema_version":"ATIF-v1.7","trajectory_id":"C","agent":{"name":"a","version":"1"},"steps":[{"step_id":1,"source":"user","message":"u","timestamp":"2031-01-01T00:00:03Z"},{"step_id":2,"source":"agent","message":"a","timestamp":"2031-01-01T00:00:05Z","metrics":{"prompt_tokens":30,"completion_tokens":3,"cached_tokens":9}}]}]}"#,
    },
    Seed {
        format: "swe-agent",
        text: r#"{"trajectory":[{"action":"ls","response":"a","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"}]},{"action":"ls","response":"b","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"}]},{"action":"ls","response":"c","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"cut","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}]}],"history":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}],"info":{}}
{"history":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}]}
{"history":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}],"trajectory":[{"response":"a","messages":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"}],"execution_time":1},{"response":"b","messages":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}]}]}
"#,
    },
    Seed {
        format: "swe-agent",
        text: r#"{"trajectory":[{"action":"ls","response":"a","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"}]},{"action":"ls","response":"b","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"}]},{"action":"ls","response":"c","observation":"o","execution_time":0.5,"query":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"cut","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}]}],"history":[{"role":"system","content":"s s","agent":"main","message_type":"observation"},{"role":"assistant","content":"d","agent":"main","message_type":"observation","is_demo":true},{"role":"user","content":"u u","agent":"main","message_type":"observation"},{"role":"assistant","content":"a","agent":"main","message_type":"observation"},{"role":"user","content":"x x x x","agent":"main","message_type":"observation"},{"role":"assistant","content":"b","agent":"main","message_type":"observation"},{"role":"tool","content":"y","agent":"main","message_type":"observation"}],"info":{}}"#,
    },
    Seed {
        format: "openhands",
        text: r#"{"id":"s","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"SystemPromptEvent","system_prompt":{"text":"s s"},"tools":[{"name":"f"}]}
{"id":"u","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"MessageEvent","llm_message":{"role":"user","content":[{"type":"text","text":"u u"}]}}
{"id":"a","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"a a"}],"tool_call_id":"ca","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r1"}
{"id":"aa","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":""}],"tool_call_id":"caa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r1"}
{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":30,"completion_tokens":4,"cache_read_tokens":3}}}}}
{"id":"ooo","timestamp":"2031-01-01T00:00:03","source":"agent","kind":"ObservationEvent","tool_call_id":"ca","observation":{"content":[{"type":"text","text":"x x x"}]}}
{"id":"oooo","timestamp":"2031-01-01T00:00:04","source":"agent","kind":"ObservationEvent","tool_call_id":"caa","observation":{"content":[{"type":"text","text":"x x x"}]}}
{"id":"aaaaa","timestamp":"2031-01-01T00:00:05","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"b"}],"tool_call_id":"caaaaa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r2"}
{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":80,"completion_tokens":9,"cache_read_tokens":3}}}}}
{"id":"oooooo","timestamp":"2031-01-01T00:00:06","source":"agent","kind":"ObservationEvent","tool_call_id":"caaaaa","observation":{"content":[{"type":"text","text":"x x x"}]}}
{"id":"c","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"Condensation","forgotten_event_ids":["a","aa","ooo","oooo"],"summary":"k k","llm_response_id":"z"}
{"id":"aaaaaaa","timestamp":"2031-01-01T00:00:07","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"c"}],"tool_call_id":"caaaaaaa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r3"}
{"id":"e","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"ConversationErrorEvent","code":"LLMError"}
{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":120,"completion_tokens":12,"cache_read_tokens":3}}}}}
"#,
    },
    Seed {
        format: "openhands",
        text: r#"{"instance_id":"S","history":[{"id":"s","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"SystemPromptEvent","system_prompt":{"text":"s s"},"tools":[{"name":"f"}]},{"id":"u","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"MessageEvent","llm_message":{"role":"user","content":[{"type":"text","text":"u u"}]}},{"id":"a","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"a a"}],"tool_call_id":"ca","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r1"},{"id":"aa","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":""}],"tool_call_id":"caa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r1"},{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":30,"completion_tokens":4,"cache_read_tokens":3}}}}},{"id":"ooo","timestamp":"2031-01-01T00:00:03","source":"agent","kind":"ObservationEvent","tool_call_id":"ca","observation":{"content":[{"type":"text","text":"x x x"}]}},{"id":"oooo","timestamp":"2031-01-01T00:00:04","source":"agent","kind":"ObservationEvent","tool_call_id":"caa","observation":{"content":[{"type":"text","text":"x x x"}]}},{"id":"aaaaa","timestamp":"2031-01-01T00:00:05","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"b"}],"tool_call_id":"caaaaa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r2"},{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":80,"completion_tokens":9,"cache_read_tokens":3}}}}},{"id":"oooooo","timestamp":"2031-01-01T00:00:06","source":"agent","kind":"ObservationEvent","tool_call_id":"caaaaa","observation":{"content":[{"type":"text","text":"x x x"}]}},{"id":"c","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"Condensation","forgotten_event_ids":["a","aa","ooo","oooo"],"summary":"k k","llm_response_id":"z"},{"id":"aaaaaaa","timestamp":"2031-01-01T00:00:07","source":"agent","kind":"ActionEvent","thought":[{"type":"text","text":"c"}],"tool_call_id":"caaaaaaa","tool_call":{"name":"f","arguments":"{}"},"llm_response_id":"r3"},{"id":"e","timestamp":"2031-01-01T00:00:01","source":"agent","kind":"ConversationErrorEvent","code":"LLMError"},{"id":"st","timestamp":"2031-01-01T00:00:02","source":"agent","kind":"ConversationStateUpdateEvent","key":"stats","value":{"usage_to_metrics":{"agent":{"accumulated_token_usage":{"prompt_tokens":120,"completion_tokens":12,"cache_read_tokens":3}}}}}]}"#,
    },
    Seed {
        format: "openhands-v0",
        text: r#"{"instance_id":"S","history":[[{"id":0,"timestamp":"2031-01-01T00:00:00","source":"agent","action":"system","args":{"content":"s s"}}],{"id":1,"timestamp":"2031-01-01T00:00:01","source":"user","action":"message","args":{"content":"u u"}},[{"id":2,"timestamp":"2031-01-01T00:00:02","source":"agent","action":"run","args":{"thought":"a a"},"llm_metrics":{"accumulated_token_usage":{"prompt_tokens":30,"completion_tokens":4}}},{"id":3,"timestamp":"2031-01-01T00:00:03","source":"agent","observation":"run","cause":2,"content":"x x x"}],{"id":4,"timestamp":"2031-01-01T00:00:04","source":"agent","action":"condensation","args":{"forgotten_events_start_id":2,"forgotten_events_end_id":3,"summary":"k"}},{"id":5,"timestamp":"2031-01-01T00:00:05","source":"agent","action":"run","args":{"thought":"b"},"llm_metrics":{"accumulated_token_usage":{"prompt_tokens":60,"completion_tokens":8}}},{"id":6,"timestamp":"2031-01-01T00:00:06","source":"agent","observation":"error","content":"e"},{"id":7,"timestamp":"2031-01-01T00:00:07","source":"agent","action":"finish","args":{"final_thought":"c"},"llm_metrics":{"accumulated_token_usage":{"prompt_tokens":99,"completion_tokens":9}}}],"metrics":{"response_latencies":[{"latency":1.5,"response_id":"r"}]}}"#,
    },
    Seed {
        format: "mini-swe-agent",
        text: r#"[{"role":"system","content":"s"},{"role":"user","content":"u u"},{"role":"assistant","content":"a","extra":{"timestamp":1924992001.5,"response":{"usage":{"prompt_tokens":30,"completion_tokens":4}}}},{"type":"function_call_output","output":"x","extra":{"timestamp":1924992003}},{"role":"user","content":"e","extra":{"interrupt_type":"FormatError"}},{"object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"b"}]}],"usage":{"input_tokens":50,"output_tokens":4},"extra":{"timestamp":1924992009}}]"#,
    },
    Seed {
        format: "mini-swe-agent",
        text: r#"{"role":"system","content":"s"}
{"role":"user","content":"u u"}
{"role":"assistant","content":"a","extra":{"timestamp":1924992001.5,"response":{"usage":{"prompt_tokens":30,"completion_tokens":4}}}}
{"type":"function_call_output","output":"x","extra":{"timestamp":1924992003}}
{"role":"user","content":"e","extra":{"interrupt_type":"FormatError"}}
{"object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"b"}]}],"usage":{"input_tokens":50,"output_tokens":4},"extra":{"timestamp":1924992009}}
"#,
    },
    Seed {
        format: "lmcache",
        text: r#"{"timestamp":1900000000000000,"input":"s s\na a a","output":"p","session_id":"S"}
{"timestamp":1900000004000000,"input":"s s\na a a\nx","output":"q","session_id":"S"}
{"timestamp":1900000002000000,"input":"s s\nb b b b b b","output":"r","session_id":"S"}
{"timestamp":1900000006,"input":"s s\nb b b b b b\nr\ny","output":"t","session_id":"S","input_tokens":40,"output_tokens":3}
{"timestamp":1900000007,"input":"s s\nb b b b c c","output":"t","session_id":"S"}
"#,
    },
];

/// What happened in a campaign.
#[derive(Default)]
struct Tally {
    cases: u64,
    rows: u64,
    refused: u64,
    bytes: u64,
}

/// Fuzzes one format, or all of them, for `seconds` in all.
pub(crate) fn run(name: Option<&str>, seconds: u64, seed: u64) -> Result<()> {
    let wanted: Vec<&'static Format> = match name {
        Some(name) => vec![format_named(name).with_context(|| format!("no such format: {name}"))?],
        None => FORMATS.iter().collect(),
    };
    let share = Duration::from_secs(seconds) / u32::try_from(wanted.len())?;
    for format in wanted {
        campaign(format, share, seed)?;
    }
    Ok(())
}

fn campaign(format: &'static Format, time: Duration, seed: u64) -> Result<()> {
    let seeds = SEEDS.iter().filter(|seed| seed.format == format.name);
    let mut pool: Vec<Vec<Vec<u8>>> =
        seeds.map(|seed| vec![seed.text.as_bytes().to_vec()]).collect();
    if pool.is_empty() {
        bail!("no sample of {}", format.name);
    }
    let (mut dice, mut tally) = (Dice::new(seed), Tally::default());
    let (end, at_first) = (now() + time, peak_memory().unwrap_or(0));
    while now() < end {
        for _ in 0..64 {
            let case = case(&pool, &mut dice);
            let shown = || String::from_utf8_lossy(&case).escape_debug().to_string();
            let read =
                catch_unwind(AssertUnwindSafe(|| taken(format, &case, &mut dice, &mut tally)));
            match read {
                Ok(Ok(true)) if pool.len() < POOL => pool.push(vec![case.clone()]),
                Ok(Ok(true)) => {
                    let at = dice.below(POOL);
                    pool[at] = vec![case.clone()];
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => bail!("{}: {error:#}\nin: {}", format.name, shown()),
                Err(_panic) => bail!("{}: it panicked\nin: {}", format.name, shown()),
            }
            let peak = peak_memory().unwrap_or(0);
            if peak > at_first + MOST_MEMORY {
                bail!("{}: {} MB were taken\nin: {}", format.name, peak >> 20, shown());
            }
        }
    }
    let Tally { cases, rows, refused, bytes } = tally;
    say(format_args!(
        "import {}, seed {seed}, {} s: {cases} cases ({bytes} bytes), {rows} rows, {refused} refused; no \
         panic, memory within {} MB",
        format.name,
        time.as_secs(),
        MOST_MEMORY >> 20
    ));
    Ok(())
}

/// Reads a case; whether to keep it for more of its kind.
fn taken(format: &'static Format, case: &[u8], dice: &mut Dice, tally: &mut Tally) -> Result<bool> {
    tally.cases += 1;
    tally.bytes += case.len() as u64;
    let options = ImportOptions {
        salt: Salt(1),
        count: if dice.below(2) == 0 { Count::Words } else { Count::Estimate },
        keep_names: dice.below(2) == 0,
        blocks: dice.below(4) > 0,
        mooncake_lengths: [MooncakeLengths::BySession, MooncakeLengths::Cumulative][dice.below(2)],
        mooncake_join: dice.below(2) == 0,
        mooncake_spread: (dice.below(2) == 0).then_some(Nanos(3_000_000_000)),
        answer_length: (dice.below(2) == 0).then_some(7),
        max_workload_mb: 64,
        ..ImportOptions::default()
    };
    let forced = (dice.below(4) > 0).then_some(format);
    let mut rows: Vec<String> = Vec::new();
    let mut sink = |row: &Row<'_>| {
        rows.push(row.text().to_owned());
        Ok(())
    };
    let mut import = Import::new(options);
    let source: Box<dyn Read + Send> = Box::new(Cursor::new(case.to_vec()));
    let read = import.source("case", source, forced, &mut sink);
    let read = read.and_then(|()| import.finish(&mut sink));
    let fidelity = match read {
        Ok(fidelity) => fidelity,
        // A row of ours that came out wrong is our mistake.
        Err(error @ trie_import::ImportError::Row { .. }) => return Err(error.into()),
        Err(_refused) => {
            tally.refused += 1;
            return Ok(false);
        }
    };
    let written: usize = rows.iter().map(String::len).sum();
    if written > case.len() * MOST_OUTPUT.0 + MOST_OUTPUT.1 {
        bail!("{written} bytes of rows from {} bytes", case.len());
    }
    if fidelity.represented.requests != fidelity.recorded.requests
        || fidelity.represented.prompt_tokens != fidelity.recorded.prompt_tokens
    {
        bail!("{:?} recorded, {:?} represented", fidelity.recorded, fidelity.represented);
    }
    tally.rows += rows.len() as u64;
    write_all(&rows)?;
    Ok(!rows.is_empty())
}

/// Renames rows, and writes them in every target.
fn write_all(rows: &[String]) -> Result<()> {
    let mut anonymizer = Anonymizer::new(Salt(2));
    for (_, target) in TARGETS {
        let mut out = Vec::new();
        let mut writer = Writer::new(*target, "", &mut out);
        for (number, text) in (0..).zip(rows) {
            let row = Row::read(text, "row", number)?;
            let tokens: u64 = row.trace().steps.iter().map(|step| step.prompt_tokens).sum();
            if tokens <= WRITTEN {
                writer.row(&row)?;
            }
        }
        writer.finish()?;
    }
    for (number, text) in (0..).zip(rows) {
        let bare = anonymizer.row(text).context("a row is an object")?;
        let (bare, row) = (Row::read(&bare, "bare", number)?, Row::read(text, "row", number)?);
        let lengths = |row: &Row<'_>| -> Vec<(u64, u64)> {
            row.trace().steps.iter().map(|step| (step.prompt_tokens, step.output.tokens)).collect()
        };
        if lengths(&bare) != lengths(&row) {
            bail!("without names the lengths are {:?}, not {:?}", lengths(&bare), lengths(&row));
        }
    }
    Ok(())
}

fn case(pool: &[Vec<Vec<u8>>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.choose(pool).concat();
    if dice.below(3) > 0
        && let Some(twisted) = twisted(&bytes, dice)
    {
        bytes = twisted;
    }
    if dice.below(3) == 0 {
        (0..dice.below(3)).for_each(|_| mutate(&mut bytes, pool, dice));
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Records left out, doubled, in another order, or with other values.
fn twisted(bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut values: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().ok()?;
    for _ in 0..=dice.below(3) {
        if values.is_empty() {
            return None;
        }
        let (at, to) = (dice.below(values.len()), dice.below(values.len()));
        match dice.below(6) {
            0 => values.swap(at, to),
            1 => drop(values.remove(at)),
            2 if values.len() < 64 => values.insert(to, values[at].clone()),
            _ => twist(&mut values[at], dice),
        }
    }
    Some(values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect())
}

/// Changes a value somewhere inside.
fn twist(value: &mut Value, dice: &mut Dice) {
    let (count, deeper) = (size(value), dice.below(8) > 0);
    if count > 0 && deeper {
        let at = dice.below(count);
        if let Some(items) = value.as_array_mut() {
            match dice.below(12) {
                0 => drop(items.remove(at)),
                1 if items.len() < 64 => items.insert(at, items[at].clone()),
                _ => twist(&mut items[at], dice),
            }
            return;
        }
        if let Some(members) = value.as_object_mut() {
            let key = members.keys().nth(at).cloned().unwrap_or_default();
            if dice.below(12) == 0 {
                members.remove(&key);
            } else if let Some(member) = members.get_mut(&key) {
                twist(member, dice);
            }
            return;
        }
    }
    *value = match dice.below(16) {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(-1),
        3 => json!(1.5),
        4 => json!(1e300),
        5 => json!(u64::MAX),
        6 => json!(999_999_999),
        7 => json!([]),
        8 => json!({}),
        9 => json!("S1"),
        10 => json!("2031-01-01T00:00:01Z"),
        11 => json!(true),
        12 => json!([1, 2]),
        _ => json!(dice.below(3_000)),
    };
}

fn size(value: &Value) -> usize {
    value.as_array().map_or_else(|| value.as_object().map_or(0, serde_json::Map::len), Vec::len)
}

/// The most memory that this process has had, in bytes, where the system says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}
