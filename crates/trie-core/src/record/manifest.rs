//! `manifest.json`: what was run, with what, where, and how it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::preflight::Preflight;
use crate::units::{Nanos, Tokens};

/// Name and version of the manifest's format.
pub const MANIFEST_SCHEMA: &str = "trie.manifest/1";

/// The header of a run directory. Written before the first request and again at the end;
/// a run that was killed has no `ending`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Manifest {
    /// Name and version of the format: `trie.manifest/1`.
    pub schema: String,
    /// Every resolved option: value and where it came from. Secrets read `***`.
    pub options: BTreeMap<String, OptionValue>,
    /// The workload file.
    pub workload: WorkloadFacts,
    /// sha256 of the plan's bytes: equal plans replay the same requests.
    pub plan_sha256: String,
    /// Seed of the plan and of the content.
    pub seed: u64,
    /// 64 random bits mixed into all content, in hexadecimal; equal salts share a server's cache.
    pub salt: String,
    /// Version of the rule that makes content from keys.
    pub content_version: u32,
    /// Rung of the history ladder that was used: `ids`, `stable`, `text` or `recorded`.
    pub history: String,
    /// Model name sent to the endpoint.
    pub model: String,
    /// Traces kept alive.
    pub concurrency: u32,
    /// Length of the window in which traces are admitted.
    pub duration_ns: Nanos,
    /// GPUs behind the endpoint, for the last column of table 2.
    pub num_gpus: Option<u32>,
    /// Whether answers were streamed.
    pub stream: bool,
    /// Run start: when the clock started, on the run's monotonic clock. Slots that open at once are
    /// admitted then.
    pub start_ns: Nanos,
    /// The same instant as wall-clock time, RFC 3339 in UTC.
    pub started_at: String,
    /// Whether an engine was simulated, and which: no endpoint was measured then.
    pub simulated: Option<String>,
    /// Versions of everything that made the numbers.
    pub versions: Versions,
    /// The machine that ran the client.
    pub host: Host,
    /// The clocks behind the stamps.
    pub clock: Clock,
    /// What the server said about itself.
    pub server: Option<String>,
    /// What was found out about the server before the clock started; none with `preflight=False`.
    pub preflight: Option<Preflight>,
    /// What the client can take on this machine; none with `selfcheck=False`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_check: Option<SelfCheck>,
    /// Where the slots' first traces were entered; empty where all started at their first request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Entry>,
    /// What the server was given before the clock started, where traces were entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priming: Option<Priming>,
    /// How much context the server can keep; none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_cache: Option<KvCache>,
    /// Which of several runs of one command it is; none where it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicate: Option<ReplicateOf>,
    /// What scaling and reading did to the plan, and other remarks, in words.
    pub notes: Vec<String>,
    /// How the run ended.
    pub ending: Option<Ending>,
}

/// The histories of the traces that were entered in the middle of their life, given to the server before
/// the clock started.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Priming {
    /// Requests that a history was to be sent with.
    pub requests: u64,
    /// Tokens of all histories.
    pub tokens: Tokens,
    /// Of these requests, the ones that failed or that there was no time for.
    pub missed_requests: u64,
    /// Tokens of what was missed.
    pub missed_tokens: Tokens,
    /// How long it took.
    pub took_ns: Nanos,
}

/// The size of a server's KV cache.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KvCache {
    /// Tokens that it holds, of all its replicas together.
    pub tokens: Tokens,
    /// Tokens of one of its blocks, where an engine is simulated; of a server the preflight says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<Tokens>,
    /// Who says so.
    pub told_by: ToldBy,
}

/// Who says something of a server.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// The user, by an option.
    Option,
    /// The server, on one of its pages.
    Server,
    /// The settings of the engine that is simulated.
    Engine,
}

/// Which of several runs of one command a run is: each has a seed and a salt of its own.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplicateOf {
    /// Its number, from 0: its seed is that of the command plus this.
    pub number: u32,
    /// How many were asked for.
    pub of: u32,
}

/// What receiving costs the client, tried before the run against a server of its own on the same machine.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SelfCheck {
    /// Streams at a time.
    pub streams: u32,
    /// Threads that received them.
    pub threads: u32,
    /// Reads of pieces of answers, one chunk each unless the client was late.
    pub reads: u64,
    /// CPU time of these threads for each of them, ns.
    pub cpu_ns_per_read: u64,
    /// When it was made, RFC 3339 in UTC: it is kept for a day.
    pub made_at: String,
}

impl SelfCheck {
    /// Reads a second at which the threads would do nothing else.
    #[must_use]
    pub fn honest_load(&self) -> u64 {
        u64::from(self.threads) * Nanos::SECOND.0 / self.cpu_ns_per_read.max(1)
    }
}

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not a manifest, or a broken one.
    #[error("not a manifest of trie: {0}")]
    Broken(#[from] serde_json::Error),
    /// Written by a later version.
    #[error(
        "it is of format {found}, this program reads {known}\nhint: use the trie that wrote it"
    )]
    Newer {
        /// The format it names.
        found: String,
        /// The format this program writes.
        known: &'static str,
    },
}

/// Reads a manifest; one of a later major version is refused by name.
pub fn read_manifest(text: &str) -> Result<Manifest, ManifestError> {
    #[derive(Deserialize)]
    struct Schema {
        schema: String,
    }
    let Schema { schema: found } = serde_json::from_str(text)?;
    if major(&found) != major(MANIFEST_SCHEMA) {
        return Err(ManifestError::Newer { found, known: MANIFEST_SCHEMA });
    }
    Ok(serde_json::from_str(text)?)
}

/// Name and major version: minor versions only add keys.
fn major(schema: &str) -> (&str, &str) {
    let (name, version) = schema.split_once('/').unwrap_or((schema, ""));
    (name, version.split('.').next().unwrap_or_default())
}

/// A resolved option.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OptionValue {
    /// Its value as it would be typed.
    pub value: String,
    /// `default`, `command line`, `environment NAME`, or `file:line`.
    pub origin: String,
}

/// The workload file as it was read.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkloadFacts {
    /// As given.
    pub path: String,
    /// Of the file's bytes (uncompressed content for `.gz` and `.zst`).
    pub sha256: String,
    /// Traces in the file.
    pub rows: u64,
    /// Requests of one pass over the file, after scaling.
    pub requests: u64,
    /// Prompt tokens of one pass, after scaling.
    pub prompt_tokens: Tokens,
    /// Answer tokens of one pass, after scaling.
    pub completion_tokens: Tokens,
    /// The longest prompt plus answer, after scaling.
    pub max_context_tokens: Tokens,
}

/// Versions of everything that made the numbers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Versions {
    /// This program.
    pub trie: String,
    /// Where the tokenizer came from.
    pub tokenizer: String,
    /// sha256 of its file.
    pub tokenizer_sha256: String,
}

/// The machine that ran the client.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Operating system and processor architecture.
    pub platform: String,
    /// Kernel release.
    pub kernel: String,
    /// Logical processors this process may use.
    pub cpus: u32,
}

/// The clocks behind the stamps.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Clock {
    /// The monotonic clock all `*_ns` stand on.
    pub monotonic: String,
    /// Who stamps the chunks: `user` (at the read) or `kernel`.
    pub stamps: String,
    /// Smallest step of the monotonic clock seen at start.
    pub resolution_ns: Nanos,
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ending {
    /// When the last trace had ended or was cut off.
    pub end_ns: Nanos,
    /// Why.
    pub reason: Reason,
    /// What the user should know, in words: why it stopped, what could not be written.
    pub message: Option<String>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// `duration` was over.
    Deadline,
    /// Ctrl-C.
    Interrupted,
    /// `max_failures` was reached.
    MaxFailures,
    /// The client could not go on; the message says why.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_major_is_refused_with_both_versions_named() {
        assert_eq!(major("trie.manifest/1"), major("trie.manifest/1.7"));
        let error = read_manifest(r#"{"schema": "trie.manifest/2", "new": 1}"#).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("trie.manifest/2") && message.contains(MANIFEST_SCHEMA));
        assert!(matches!(read_manifest("{}"), Err(ManifestError::Broken(_))));
    }
}
