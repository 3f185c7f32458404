//! One file per format: a pure function of a reader.

pub(crate) mod aiperf_dag;
pub(crate) mod aiperf_payloads;
pub(crate) mod aiperf_turns;
pub(crate) mod azure;
pub(crate) mod bailian;
pub(crate) mod burstgpt;
pub(crate) mod claude_code;
pub(crate) mod codex;
pub(crate) mod dynamo;
pub(crate) mod dynamo_requests;
pub(crate) mod langfuse;
pub(crate) mod litellm;
pub(crate) mod make_workload;
pub(crate) mod messages;
pub(crate) mod mooncake;
pub(crate) mod openai_log;
pub(crate) mod openinference;
pub(crate) mod otel_spans;
pub(crate) mod otlp;
pub(crate) mod rows;
pub(crate) mod weka;
