//! What the demo's KV cache did as agents joined: a small table beside the report.

use std::collections::BTreeMap;
use std::fmt::Write;

use trie_core::record::{RequestRow, TraceEvent, TraceOutcome, TraceRow};
use trie_core::units::{Nanos, Tokens};

use crate::run_dir::RunDir;

/// Rows of the table: each has a dozen requests and more.
const ROWS: u64 = 8;

/// The cache that is shown.
#[derive(Clone, Copy)]
pub(super) struct Cache {
    /// What it holds.
    pub(super) tokens: usize,
    /// Tokens that all contexts share, and that it holds once.
    pub(super) shared: Tokens,
}

/// The table of a run that lasted `duration`.
pub(super) fn table(dir: &RunDir, cache: Cache, duration: Nanos) -> anyhow::Result<String> {
    let start = dir.manifest()?.start_ns;
    let requests: Vec<RequestRow> = dir.rows("requests.jsonl").collect();
    let traces: Vec<TraceRow> = dir.rows("traces.jsonl").collect();
    let spans: Vec<Span> = (0..ROWS)
        .map(|row| {
            let at = |row| start.plus(Nanos(duration.0 / ROWS * row));
            Span::of((at(row), at(row + 1)), cache.shared, &requests, &traces)
        })
        .collect();
    Ok(render(&spans, cache, Nanos(duration.0 / ROWS)))
}

/// What happened in one stretch of the run.
#[derive(Debug, PartialEq)]
struct Span {
    /// Agents alive at its end.
    agents: usize,
    /// Tokens of their contexts then.
    context: Tokens,
    /// Over the requests whose first token came in it.
    prompt: Tokens,
    cached: Tokens,
    /// Times to first token, sorted.
    ttfts: Vec<Nanos>,
}

impl Span {
    fn of(
        (from, to): (Nanos, Nanos),
        shared: Tokens,
        requests: &[RequestRow],
        traces: &[TraceRow],
    ) -> Self {
        let alive = contexts(to, requests, traces);
        let unshared: Tokens = alive.values().map(|context| context.saturating_sub(shared)).sum();
        let once = if alive.is_empty() { 0 } else { shared };
        let mut span = Self {
            agents: alive.len(),
            context: unshared + once,
            prompt: 0,
            cached: 0,
            ttfts: vec![],
        };
        for request in requests {
            let came = request.first_token_ns.filter(|at| (from..to).contains(at));
            let counts = request.prompt_tokens.zip(request.cached_tokens);
            if let Some((at, (prompt, cached))) = came.zip(counts) {
                span.prompt += prompt;
                span.cached += cached;
                span.ttfts.extend(at.since(request.intent_ns));
            }
        }
        span.ttfts.sort_unstable();
        span
    }
}

/// The context of each agent that is alive at a time: prompt and answer of its latest request.
fn contexts(at: Nanos, requests: &[RequestRow], traces: &[TraceRow]) -> BTreeMap<u64, Tokens> {
    let mut alive = BTreeMap::new();
    for row in traces.iter().filter(|row| row.at_ns < at) {
        match &row.event {
            TraceEvent::Admitted => drop(alive.insert(row.trace, 0)),
            TraceEvent::Ended(TraceOutcome::CutOff) => {}
            TraceEvent::Ended(TraceOutcome::Completed | TraceOutcome::Failed(_)) => {
                alive.remove(&row.trace);
            }
        }
    }
    for request in
        requests.iter().filter(|request| request.first_token_ns.is_some_and(|came| came < at))
    {
        if let Some(context) = alive.get_mut(&request.trace) {
            let tokens = request.planned_prompt_tokens + request.planned_completion_tokens;
            *context = tokens.max(*context);
        }
    }
    alive
}

fn render(spans: &[Span], cache: Cache, length: Nanos) -> String {
    let mut text = format!(
        "\nThe KV cache holds {} tokens, and agents join all the time:\n\n  {:^11}  {:>6}  {:>18}  \
         {:>12}  {:>14}  {:>14}\n",
        cache.tokens,
        "seconds",
        "agents",
        "tokens in contexts",
        "of the cache",
        "cache hit rate",
        "TTFT p50 (ms)",
    );
    let mut overflowed = false;
    for (row, span) in (0u32..).zip(spans) {
        let second = |row: u32| f64::from(row) * length.as_secs_f64();
        let fill = percent(span.context, u64::try_from(cache.tokens).unwrap_or(u64::MAX));
        let hits = percent(span.cached, span.prompt);
        let ttft = span.ttfts.get(span.ttfts.len() / 2).map(|ttft| ttft.as_millis_f64());
        let over = fill.is_some_and(|fill| fill > 100.0);
        let mark = if over && !overflowed { "  <- the cache overflows" } else { "" };
        overflowed |= over;
        let cell = |value: Option<f64>, unit: &str| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}{unit}"))
        };
        let line = format!(
            "  {:>4.1} - {:>4.1}  {:>6}  {:>18}  {:>12}  {:>14}  {:>14}{mark}",
            second(row),
            second(row + 1),
            span.agents,
            span.context,
            cell(fill, " %"),
            cell(hits, " %"),
            cell(ttft, ""),
        );
        writeln!(text, "{line}").expect("a string takes every line");
    }
    text + "\nAs turns follow turns, ever more of each prompt is in the cache. Once the contexts of all agents \
            do\nnot fit, an agent that comes back from its tool finds its own evicted: it is computed again, \
            and\nothers wait for that.\n"
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens, for display")]
fn percent(part: Tokens, whole: Tokens) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Nanos = Nanos::from_millis;

    fn request(trace: u64, first_token: u64, (prompt, cached): (u64, u64)) -> RequestRow {
        RequestRow {
            trace,
            intent_ns: MS(first_token - 10),
            first_token_ns: Some(MS(first_token)),
            planned_prompt_tokens: prompt,
            planned_completion_tokens: 20,
            prompt_tokens: Some(prompt),
            cached_tokens: Some(cached),
            ..RequestRow::default()
        }
    }

    fn trace(trace: u64, at: u64, event: TraceEvent) -> TraceRow {
        TraceRow {
            trace,
            row: 0,
            cycle: 0,
            trace_id: "t".into(),
            slot: 0,
            at_ns: MS(at),
            steps: 2,
            final_step: 1,
            planned_completion_tokens: 40,
            planned_prompt_tokens: 200,
            held_ns: None,
            entered_step: None,
            event,
        }
    }

    #[test]
    fn a_span_counts_who_is_alive_at_its_end_and_what_came_in_it() {
        let requests = [
            request(0, 50, (1_000, 0)),
            request(1, 120, (1_100, 800)),
            request(0, 150, (1_300, 1_000)),
            request(2, 250, (5_000, 0)),
        ];
        let traces = [
            trace(0, 0, TraceEvent::Admitted),
            trace(1, 90, TraceEvent::Admitted),
            trace(2, 240, TraceEvent::Admitted),
            trace(1, 180, TraceEvent::Ended(TraceOutcome::Completed)),
            trace(0, 190, TraceEvent::Ended(TraceOutcome::CutOff)),
        ];
        let check = |from, to, expected| {
            assert_eq!(Span::of((MS(from), MS(to)), 800, &requests, &traces), expected);
        };
        let ttfts = |count| vec![MS(10); count];
        check(
            0,
            100,
            Span { agents: 2, context: 1_020, prompt: 1_000, cached: 0, ttfts: ttfts(1) },
        );
        check(
            100,
            200,
            Span { agents: 1, context: 1_320, prompt: 2_400, cached: 1_800, ttfts: ttfts(2) },
        );
    }

    #[test]
    fn an_empty_span_has_no_rates() {
        let span = Span { agents: 0, context: 0, prompt: 0, cached: 0, ttfts: vec![] };
        let text = render(&[span], Cache { tokens: 100, shared: 0 }, Nanos::SECOND);
        assert!(text.contains(" 0 %               -               -\n"), "{text}");
    }
}
