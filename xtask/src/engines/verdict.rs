//! What a run directory must say after a run against a real engine.

use serde_json::Value;

/// Metrics that only a streamed run has.
const STREAMED: [&str; 3] = ["ttft_s", "ttfat_s", "decode_tps"];

/// Which prompts must have their planned length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Exact {
    /// The first of each trace, which carries no answer of the model's: its length is ours alone.
    Openings,
    /// All of them.
    AllPrompts,
}

/// Everything in `summary.json` and the rows of `requests.jsonl` that should not be.
pub(super) fn faults(exact: Exact, summary: &Value, requests: &[Value]) -> Vec<String> {
    let mut faults = population_faults(&summary["populations"]);
    let missing = STREAMED.iter().filter(|id| !has_value(&summary["per_trace"][**id]));
    faults.extend(missing.map(|id| format!("summary.json: per_trace.{id} has no value")));
    faults.extend(requests.iter().flat_map(|request| request_faults(exact, request)));
    if !requests.iter().any(opens_a_trace) {
        faults.push("requests.jsonl: no first request of a trace ended well".to_owned());
    }
    faults
}

fn population_faults(populations: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if populations["completed"].as_u64().is_none_or(|completed| completed == 0) {
        faults.push("summary.json: no trace completed".to_owned());
    }
    match populations["failed"].as_object() {
        None => faults.push("summary.json: populations.failed is missing".to_owned()),
        Some(kinds) => {
            let failed = kinds.iter().filter(|(_, count)| count.as_u64() != Some(0));
            faults
                .extend(failed.map(|(kind, n)| format!("summary.json: {n} traces failed: {kind}")));
        }
    }
    faults
}

/// A cell is a number, or an object with a number and its bound.
fn has_value(metric: &Value) -> bool {
    let cell = &metric["p50"];
    cell.is_number() || cell["value"].is_number()
}

fn ended_well(request: &Value) -> bool {
    request["outcome"] == "ok"
}

fn opens_a_trace(request: &Value) -> bool {
    ended_well(request) && request["step"] == 0
}

fn request_faults(exact: Exact, request: &Value) -> Vec<String> {
    let (trace, step) = (&request["trace"], &request["step"]);
    let mut faults = Vec::new();
    if request["outcome"] == "failed" {
        faults.push(format!("trace {trace}, step {step}: {}", request["error"]));
    }
    let mut compare = |what: &str, planned: &str, reported: &str| {
        let (planned, reported) = (&request[planned], &request[reported]);
        if planned.is_null() || planned != reported {
            faults.push(format!(
                "trace {trace}, step {step}: {what}: planned {planned} tokens, reported {reported}"
            ));
        }
    };
    let is_exact = match exact {
        Exact::Openings => opens_a_trace(request),
        Exact::AllPrompts => ended_well(request),
    };
    if is_exact {
        compare("prompt", "planned_prompt_tokens", "prompt_tokens");
    }
    if ended_well(request) {
        compare("answer", "planned_completion_tokens", "completion_tokens");
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary() -> Value {
        json!({
            "populations": {"admitted": 3, "completed": 2, "failed": {}, "cut_off": 1},
            "per_trace": {
                "ttft_s": {"p50": 0.2},
                "ttfat_s": {"p50": {"value": 0.4, "bound": "at_least"}},
                "decode_tps": {"p50": 50.0}
            }
        })
    }

    fn request() -> Value {
        json!({
            "trace": 4, "step": 0, "outcome": "ok",
            "planned_prompt_tokens": 32, "prompt_tokens": 32,
            "planned_completion_tokens": 16, "completion_tokens": 16
        })
    }

    /// `change` is a JSON pointer and the value put there: into the summary, else into the request.
    fn check(change: (&str, Value), expected: &[&str]) {
        let (mut summary, mut request) = (summary(), request());
        let (pointer, value) = change;
        let place = match summary.pointer_mut(pointer) {
            Some(place) => place,
            None => request.pointer_mut(pointer).expect("one of them has it"),
        };
        *place = value;
        assert_eq!(faults(Exact::AllPrompts, &summary, &[request]), expected, "{pointer}");
    }

    #[test]
    fn a_good_run_has_no_fault() {
        check(("/trace", json!(5)), &[]);
        check(("/populations/failed", json!({"timeout": 0})), &[]);
    }

    #[test]
    fn failures_and_empty_runs_are_faults() {
        check(("/populations/completed", json!(0)), &["summary.json: no trace completed"]);
        check(
            ("/populations/failed", json!({"reset": 2})),
            &["summary.json: 2 traces failed: reset"],
        );
        check(
            ("/populations/failed", Value::Null),
            &["summary.json: populations.failed is missing"],
        );
        check(
            ("/outcome", json!("cut_off")),
            &["requests.jsonl: no first request of a trace ended well"],
        );
    }

    #[test]
    fn a_streamed_metric_without_a_value_is_a_fault() {
        let cell = json!({"p50": {"value": null, "why": "no stream"}});
        let expected = ["summary.json: per_trace.ttft_s has no value"];
        check(("/per_trace/ttft_s", cell), &expected);
    }

    #[test]
    fn later_prompts_are_held_to_their_length_where_all_are_to_be_exact() {
        let later = json!({
            "trace": 4, "step": 1, "outcome": "ok",
            "planned_prompt_tokens": 60, "prompt_tokens": 61,
            "planned_completion_tokens": 16, "completion_tokens": 16
        });
        let count = |exact| faults(exact, &summary(), &[request(), later.clone()]).len();
        assert_eq!((count(Exact::Openings), count(Exact::AllPrompts)), (0, 1));
    }

    #[test]
    fn a_length_that_is_not_the_planned_one_is_a_fault() {
        check(
            ("/prompt_tokens", json!(33)),
            &["trace 4, step 0: prompt: planned 32 tokens, reported 33"],
        );
        check(
            ("/completion_tokens", Value::Null),
            &["trace 4, step 0: answer: planned 16 tokens, reported null"],
        );
    }
}
