//! Observations of Langfuse: generations, tools and agents, as its API and its exports have them.
//!
//! The fields are those of the public API (langfuse.com/docs/api-and-data-platform), in camel case
//! there and in snake case in exports to a bucket. Kinds of usage are buckets that do not overlap, by
//! langfuse.com/docs/observability/features/token-and-cost-tracking.

use serde_json::Value;
use trie_core::units::Tokens;

use crate::bodies::{logged_answer, logged_prompt};
use crate::content::{flat_text, redacted};
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::Request;
use crate::spans::{Is, Span, Spans};
use crate::usage::Usage;
use crate::value::{at, each, list, moment, number, object, seconds, text, whole};

/// Generations and what ran around them.
pub(crate) const FORMAT: Format = Format {
    name: "langfuse",
    title: "Langfuse's observations: of its API, of a trace, or exported",
    known_by: "`traceId`, `type` and `startTime` (or `trace_id`, `type`, `start_time`) without `attributes`, alone \
               or in `data` or `observations`",
    expresses: "recorded lengths, reasoning and cached tokens; starts, ends and first tokens; TOOL \
                observations as parallel calls, AGENT ones as lanes; conversations by session, else trace; \
                shared system prompts where messages are recorded",
    lost: "langfuse: kinds of usage are added up, as Langfuse asks those who fill them in, unless the total says \
           that `input` or `output` holds the other kinds; an observation without sessionId belongs to its \
           trace's conversation; SPAN, CHAIN, EVENT and the like are no requests",
    time_unit: "ISO 8601",
    page: "gateways.md",
    recognise: |head| {
        let of = |record: &Value, key: &str| list(record, &[key]).iter().any(is_observation);
        head.any(|record| {
            is_observation(record) || of(record, "data") || of(record, "observations")
        })
    },
    reader: || Box::new(Log::default()),
};

fn is_observation(value: &Value) -> bool {
    let has = |keys: [&str; 2]| either(value, keys).is_some();
    has(["traceId", "trace_id"])
        && has(["startTime", "start_time"])
        && text(value, &["type"]).is_some()
        && value.get("attributes").is_none()
}

/// A member by its name in camel case, or else in snake case.
fn either<'v>(value: &'v Value, keys: [&str; 2]) -> Option<&'v Value> {
    keys.iter().find_map(|key| at(value, &[key]))
}

#[derive(Default)]
struct Log(Spans);

impl Reader for Log {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        for record in each(record) {
            // A trace names the session of its observations.
            let session = either(record, ["sessionId", "session_id"]).and_then(Value::as_str);
            let mut listed = ["data", "observations"].iter();
            let listed = listed.find_map(|key| record.get(*key).and_then(Value::as_array));
            for observation in listed.map_or(std::slice::from_ref(record), Vec::as_slice) {
                let span = span(observation, session, context);
                self.0.add(span, context);
            }
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.0.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        self.0.finish(context);
    }
}

fn span(value: &Value, session: Option<&str>, context: &Context<'_>) -> Span {
    let measure = context.measure();
    let word = |keys| either(value, keys).and_then(Value::as_str);
    let time = |keys| either(value, keys).and_then(moment);
    let length = |keys| either(value, keys).and_then(number).and_then(seconds);
    let is = match text(value, &["type"]) {
        Some("GENERATION") => Is::Request,
        Some("TOOL") => Is::Tool,
        Some("AGENT") => Is::Agent,
        Some(_) | None => Is::Other,
    };
    let start = time(["startTime", "start_time"]);
    let ended = || start?.checked_add(length(["latency", "latency"])?);
    let first = time(["completionStartTime", "completion_start_time"]);
    let first = first.zip(start).map(|(first, start)| first.saturating_sub(start));
    let usage = usage(value);
    let result = value.get("output").filter(|output| is == Is::Tool && !output.is_null());
    let result = result.filter(|result| !redacted(result));
    let of_request = is == Is::Request;
    let input = value.get("input").filter(|_| of_request);
    let named = word(["sessionId", "session_id"]).or(session).filter(|name| !name.is_empty());
    Span {
        id: word(["id", "id"]).unwrap_or_default().to_owned(),
        parent: word(["parentObservationId", "parent_observation_id"])
            .unwrap_or_default()
            .to_owned(),
        trace: word(["traceId", "trace_id"]).unwrap_or_default().to_owned(),
        conversation: named.map(str::to_owned),
        loose: false,
        is,
        failed: text(value, &["level"]) == Some("ERROR"),
        input: usage.input,
        output: usage.output,
        messages: logged_prompt(input, None, measure),
        answer: logged_answer(value.get("output").filter(|_| of_request), measure),
        request: Request {
            start,
            end: time(["endTime", "end_time"]).or_else(ended),
            ttft: first.or_else(|| length(["timeToFirstToken", "time_to_first_token"])),
            reasoning: usage.reasoning,
            cached: usage.cached,
            ..Request::default()
        },
        size: result.map(|result| measure.size(&flat_text(result))),
    }
}

/// Tokens by their kinds. All kinds of the prompt add up to it, and so do those of the answer, unless
/// the total says that a program counted some of them twice.
fn usage(value: &Value) -> Usage {
    let keys = ["usageDetails", "usage_details", "usage"];
    let details = keys.iter().find_map(|key| object(value, &[key]).filter(|it| !it.is_empty()));
    let Some(details) = details else { return Usage::default() };
    let sum = |is: &dyn Fn(&str) -> bool| -> Tokens {
        let of = details.iter().filter(|(key, _)| is(key));
        of.filter_map(|(_, tokens)| whole(tokens)).fold(0, Tokens::saturating_add)
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| whole(details.get(*key)?));
    let (inputs, outputs) = (
        ["input", "prompt_tokens", "input_tokens"],
        ["output", "completion_tokens", "output_tokens"],
    );
    let of_answer =
        |key: &str| ["output", "completion", "reasoning"].iter().any(|word| key.contains(word));
    let of_prompt = |key: &str| {
        ["input", "prompt", "cache"].iter().any(|word| key.contains(word)) && !of_answer(key)
    };
    let (base_in, base_out) = (first(&inputs), first(&outputs));
    let more_in = sum(&|key| of_prompt(key) && !inputs.contains(&key) && !key.ends_with("Cost"));
    let more_out = sum(&|key| of_answer(key) && !outputs.contains(&key) && !key.ends_with("Cost"));
    let all = |inside: bool, base: Option<Tokens>, more: Tokens| {
        base.map(|base| if inside { base } else { base.saturating_add(more) })
    };
    let ways = [(false, false), (true, true), (true, false), (false, true)];
    let total = first(&["total", "total_tokens"]);
    let fits = |(prompt, answer): &&(bool, bool)| {
        let sum = all(*prompt, base_in, more_in).zip(all(*answer, base_out, more_out));
        sum.map(|(prompt, answer)| prompt.saturating_add(answer)) == total
    };
    let (prompt, answer) = *ways.iter().find(fits).unwrap_or(&ways[0]);
    let cached = sum(&|key| {
        key.contains("cache") && !["creation", "write"].iter().any(|word| key.contains(word))
    });
    let reasoning = sum(&|key| key.contains("reasoning"));
    Usage {
        input: all(prompt, base_in, more_in),
        output: all(answer, base_out, more_out),
        cached: details.keys().any(|key| key.contains("cache")).then_some(cached),
        reasoning: (reasoning > 0).then_some(reasoning),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kinds_of_usage_add_up_unless_the_total_says_otherwise() {
        let check = |details: Value, expected: [Option<u64>; 4]| {
            let Usage { input, output, cached, reasoning } =
                usage(&json!({"usageDetails": details}));
            assert_eq!([input, output, cached, reasoning], expected, "{details}");
        };
        let all = [Some(1230), Some(40), Some(1000), Some(15)];
        check(
            json!({"input": 230, "input_cached_tokens": 1000, "output": 25, "output_reasoning_tokens": 15}),
            all,
        );
        check(
            json!({"input": 230, "input_cached_tokens": 1000, "output": 25,
                "output_reasoning_tokens": 15, "total": 1270}),
            all,
        );
        // A program that filled in the counts of an API as they were.
        check(
            json!({"input": 1230, "cache_read_input_tokens": 1000, "output": 40,
                "output_reasoning_tokens": 15, "total": 1270}),
            all,
        );
        check(
            json!({"input": 2, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 228,
                "output": 40, "total": 1270}),
            [Some(1230), Some(40), Some(1000), None],
        );
        check(json!({"input": 7, "output": 1, "total": 8}), [Some(7), Some(1), None, None]);
        check(json!({"total": 8}), [None; 4]);
        let old = usage(
            &json!({"usage": {"input": 7, "output": 1, "total": 8, "unit": "TOKENS", "inputCost": 3}}),
        );
        assert_eq!((old.input, old.output), (Some(7), Some(1)));
    }
}
