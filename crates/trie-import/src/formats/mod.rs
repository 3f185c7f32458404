//! One file per format: a pure function of a reader.

pub(crate) mod atif;
pub(crate) mod azure;
pub(crate) mod bailian;
pub(crate) mod burstgpt;
pub(crate) mod claude_code;
pub(crate) mod codex;
pub(crate) mod dynamo;
pub(crate) mod lmcache;
pub(crate) mod make_workload;
pub(crate) mod messages;
pub(crate) mod mini_swe_agent;
pub(crate) mod mooncake;
pub(crate) mod openai_log;
pub(crate) mod openhands;
pub(crate) mod openhands_v0;
pub(crate) mod otel_spans;
pub(crate) mod otlp;
pub(crate) mod rows;
pub(crate) mod swe_agent;
pub(crate) mod tracelab;
pub(crate) mod weka;
