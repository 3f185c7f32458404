//! Rows without names: lengths, waits and what is shared, and nothing that says of whom.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use trie_core::units::Tokens;

use crate::names::Salt;

/// Leaves of rows what is a length, a time or a link, and names the rest anew.
///
/// Names of traces, sessions and shared segments become salted hashes; steps, lanes and blocks are
/// numbered in the order in which they appear. Models, sampling, headers, texts and keys that the
/// format does not have are left out.
#[derive(Debug)]
pub struct Anonymizer {
    salt: Salt,
    /// Blocks of all rows, by scope.
    blocks: BTreeMap<String, Numbers>,
}

/// Keys whose values are numbers, or lists of them.
const LENGTHS: [&str; 12] = [
    "arrival",
    "weight",
    "num_turns",
    "input_prompt_length",
    "assistant_response_length",
    "tool_call_output_length",
    "tool_call_latency",
    "final_assistant_response_length",
    "tool_calls",
    "reasoning_length",
    "carry_length",
    "context",
];

/// Words that a segment or a wait may have.
const WORDS: [&str; 11] = [
    "system",
    "user",
    "assistant",
    "tool",
    "summary",
    "unknown",
    "end",
    "start",
    "first_token",
    "local",
    "",
];

impl Anonymizer {
    /// Of no row yet.
    #[must_use]
    pub fn new(salt: Salt) -> Self {
        Self { salt, blocks: BTreeMap::new() }
    }

    /// A row that was read and checked, anew. `None` where the text is no object.
    pub fn row(&mut self, text: &str) -> Option<String> {
        let row: Value = serde_json::from_str(text).ok()?;
        let mut made = Map::new();
        for (key, what) in [("trace_id", "trace"), ("session_id", "session")] {
            if let Some(name) = row.get(key).and_then(Value::as_str) {
                made.insert(key.to_owned(), json!(self.salt.name(what, name)));
            }
        }
        for key in LENGTHS {
            if let Some(value) = row.get(key).and_then(numbers) {
                made.insert(key.to_owned(), value);
            }
        }
        if let Some(kinds) = row.get("input_kind").and_then(Value::as_str) {
            let kinds: String = kinds.chars().filter(|kind| "tus?".contains(*kind)).collect();
            made.insert("input_kind".to_owned(), json!(kinds));
        }
        if let Some(prefix) = row.get("prefix") {
            made.insert("prefix".to_owned(), self.prefix(prefix));
        }
        let mut own = Numbers::default();
        if let Some(blocks) = row.get("blocks") {
            made.insert("blocks".to_owned(), self.block_list(blocks, &mut own));
        }
        if let Some(steps) = row.get("steps").and_then(Value::as_array) {
            let steps = self.steps(steps, &mut own);
            made.insert("steps".to_owned(), Value::Array(steps));
        }
        if let Some(expect) = row.get("expect").and_then(numbers) {
            made.insert(
                "expect".to_owned(),
                known(&expect, &["start", "ttft", "duration", "cached"]),
            );
        }
        Some(Value::Object(made).to_string())
    }

    fn prefix(&self, prefix: &Value) -> Value {
        let parts = prefix.as_array().map_or(&[][..], Vec::as_slice).iter();
        let parts = parts.map(|part| {
            let id = part.get("id").and_then(Value::as_str).unwrap_or_default();
            json!({"id": self.salt.name("prefix", id), "tokens": part.get("tokens")})
        });
        parts.collect()
    }

    fn block_list(&mut self, blocks: &Value, own: &mut Numbers) -> Value {
        let scope = blocks.get("scope").and_then(Value::as_str).unwrap_or("local").to_owned();
        let steps = blocks.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
        let numbered = self.numbers(&scope, own);
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| {
                let runs = step.get("new").and_then(Value::as_array).cloned().unwrap_or_default();
                let new: Vec<[u64; 2]> = runs
                    .iter()
                    .filter_map(|run| Some((run.get(0)?.as_u64()?, run.get(1)?.as_u64()?)))
                    .flat_map(|(first, count)| numbered.run(first, count))
                    .collect();
                json!({"keep": step.get("keep").and_then(Value::as_u64).unwrap_or(0), "new": new})
            })
            .collect();
        json!({"size": blocks.get("size"), "scope": self.scope(&scope), "steps": steps})
    }

    fn numbers<'n>(&'n mut self, scope: &str, own: &'n mut Numbers) -> &'n mut Numbers {
        if scope == "local" { own } else { self.blocks.entry(scope.to_owned()).or_default() }
    }

    fn scope(&self, scope: &str) -> String {
        if scope == "local" { scope.to_owned() } else { self.salt.name("scope", scope) }
    }

    fn steps(&mut self, steps: &[Value], own: &mut Numbers) -> Vec<Value> {
        let names = |key: &str, letter: char| {
            let mut names: BTreeMap<String, String> = BTreeMap::new();
            for name in steps.iter().filter_map(|step| step.get(key)?.as_str()) {
                let next = format!("{letter}{}", names.len());
                names.entry(name.to_owned()).or_insert(next);
            }
            names
        };
        let (ids, lanes) = (names("id", 's'), names("lane", 'l'));
        steps.iter().map(|step| self.step(step, &ids, &lanes, own)).collect()
    }

    fn step(
        &mut self,
        step: &Value,
        ids: &BTreeMap<String, String>,
        lanes: &BTreeMap<String, String>,
        own: &mut Numbers,
    ) -> Value {
        let named = |value: Option<&Value>, names: &BTreeMap<String, String>| {
            value.and_then(Value::as_str).and_then(|name| names.get(name)).cloned()
        };
        let mut made = Map::new();
        made.insert("id".to_owned(), json!(named(step.get("id"), ids)));
        made.insert("lane".to_owned(), json!(named(step.get("lane"), lanes)));
        if let Some(after) = step.get("after").and_then(Value::as_array) {
            let after = after.iter().map(|entry| {
                let mut made = known(entry, &["delay"]);
                made["id"] = json!(named(entry.get("id"), ids));
                add_word(&mut made, entry, "on");
                made
            });
            made.insert("after".to_owned(), after.collect());
        }
        if let Some(context) = step.get("context") {
            let mut made_context = known(context, &["keep", "drop"]);
            if let Some(from) = context.get("from") {
                made_context["from"] = json!(named(Some(from), ids));
            }
            if let Some(prefix) = context.get("prefix") {
                made_context["prefix"] = self.prefix(prefix);
            }
            made.insert("context".to_owned(), made_context);
        }
        let new = step.get("new").and_then(Value::as_array).cloned().unwrap_or_default();
        let new = new.iter().flat_map(|segment| self.segment(segment, ids, own)).collect();
        made.insert("new".to_owned(), Value::Array(new));
        let output = step.get("output").unwrap_or(&Value::Null);
        made.insert("output".to_owned(), known(output, &["tokens", "reasoning", "carry"]));
        if let Some(expect) = step.get("expect") {
            made.insert(
                "expect".to_owned(),
                known(expect, &["start", "ttft", "duration", "cached"]),
            );
        }
        Value::Object(made)
    }

    /// A segment; several where its blocks are no longer in a row.
    fn segment(
        &mut self,
        segment: &Value,
        ids: &BTreeMap<String, String>,
        own: &mut Numbers,
    ) -> Vec<Value> {
        let mut made = known(segment, &["tokens", "latency"]);
        add_word(&mut made, segment, "role");
        add_word(&mut made, segment, "kind");
        let of = segment.get("of").and_then(Value::as_str).and_then(|of| ids.get(of));
        if let Some(of) = of {
            made["of"] = json!(of);
        }
        let tokens = segment.get("tokens").and_then(Value::as_u64).unwrap_or(0);
        let blocks = segment.get("blocks").and_then(|blocks| {
            let size = blocks.get("size")?.as_u64().filter(|size| *size > 0)?;
            let scope = blocks.get("scope").and_then(Value::as_str).unwrap_or("local");
            Some((size, blocks.get("first")?.as_u64()?, scope.to_owned()))
        });
        let Some((size, first, scope)) = blocks else { return vec![made] };
        let runs = self.numbers(&scope, own).run(first, tokens.div_ceil(size));
        let scope = self.scope(&scope);
        let mut left = tokens;
        let parts = runs.into_iter().map(|[first, count]| {
            let part: Tokens = count.saturating_mul(size).min(left);
            left -= part;
            let mut made = made.clone();
            made["tokens"] = json!(part);
            made["blocks"] = json!({"size": size, "scope": scope, "first": first});
            made
        });
        parts.collect()
    }
}

/// The named members of an object that are numbers, or lists of them.
fn known(value: &Value, keys: &[&str]) -> Value {
    let members =
        keys.iter().filter_map(|key| Some(((*key).to_owned(), numbers(value.get(*key)?)?)));
    Value::Object(members.collect())
}

fn add_word(made: &mut Value, from: &Value, key: &str) {
    let word = from.get(key).and_then(Value::as_str);
    if let Some(word) = word.filter(|word| WORDS.contains(word)) {
        made[key] = json!(word);
    }
}

/// A value without any string in it; `None` where it is one.
fn numbers(value: &Value) -> Option<Value> {
    if value.is_string() || value.is_boolean() {
        return None;
    }
    if let Some(items) = value.as_array() {
        return Some(items.iter().filter_map(numbers).collect());
    }
    match value.as_object() {
        Some(members) => {
            const KEYS: [&str; 7] =
                ["before", "keep", "drop", "start", "ttft", "duration", "cached"];
            let members = members.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
            let members = members.filter_map(|(key, value)| Some((key.clone(), numbers(value)?)));
            Some(Value::Object(members.collect()))
        }
        None => Some(value.clone()),
    }
}

/// New numbers for ids, in the order in which these appear.
#[derive(Debug, Default)]
struct Numbers {
    /// How many ids from the key on have been numbered in a row, and the number of the first.
    known: BTreeMap<u64, (u64, u64)>,
    next: u64,
}

impl Numbers {
    /// The numbers of ids in a row, as `[first, count]`.
    fn run(&mut self, first: u64, count: u64) -> Vec<[u64; 2]> {
        let end = first.saturating_add(count);
        let mut runs: Vec<[u64; 2]> = Vec::new();
        let mut at = first;
        while at < end {
            let before = self.known.range(..=at).next_back().map(|(start, run)| (*start, *run));
            let (number, until) = match before {
                Some((start, (length, number))) if at - start < length => {
                    (number + (at - start), end.min(start.saturating_add(length)))
                }
                Some(_) | None => {
                    let next = self.known.range(at..).next().map_or(end, |(start, _)| *start);
                    let until = end.min(next);
                    let number = self.next;
                    self.known.insert(at, (until - at, number));
                    self.next += until - at;
                    (number, until)
                }
            };
            match runs.last_mut() {
                Some([first, count]) if *first + *count == number => *count += until - at,
                Some(_) | None => runs.push([number, until - at]),
            }
            at = until;
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_as_they_appear() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.run(1000, 3), [[0, 3]]);
        assert_eq!(numbers.run(1001, 1), [[1, 1]]);
        assert_eq!(numbers.run(998, 6), [[3, 2], [0, 3], [5, 1]]);
        assert_eq!(numbers.run(1003, 2), [[5, 2]]);
        assert_eq!(
            numbers.run(7, 1_000_000_000),
            [[7, 991], [3, 2], [0, 3], [5, 2], [998, 999_999_002]]
        );
    }

    #[test]
    fn only_lengths_links_and_hashes_are_left() {
        let row = r#"{"trace_id":"alice","model":"gpt","weight":2.5,"steps":[
            {"id":"secret","lane":"bob","new":[{"role":"user","tokens":9}],"output":{"tokens":5,"finish":"path"}},
            {"id":"b","lane":"bob","after":[{"id":"secret","delay":0.5}],"new":[{"role":"tool","tokens":1,"of":"secret"}],
             "output":{"tokens":5},"headers":{"x":"key"}}],"note":"free text"}"#;
        let made = Anonymizer::new(Salt(1)).row(row).expect("it is an object");
        for name in ["alice", "gpt", "secret", "bob", "path", "key", "free"] {
            assert!(!made.contains(name), "{name} in {made}");
        }
        let made: Value = serde_json::from_str(&made).expect("it is JSON");
        assert_eq!(made["steps"][1]["after"], json!([{"delay": 0.5, "id": "s0"}]));
        assert_eq!(
            (made["steps"][1]["lane"].as_str(), made["weight"].as_f64()),
            (Some("l0"), Some(2.5))
        );
    }
}
