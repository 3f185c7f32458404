//! `/metrics` under vLLM's names, in the Prometheus text format.

use std::{fmt::Write, num::NonZeroUsize};

use crate::engine::{Engine, Histogram};

/// The whole page; the cache has room for so many `tokens` in blocks of `block`.
pub(super) fn page(engine: &Engine, model: &str, (block, tokens): (NonZeroUsize, usize)) -> String {
    let counters = engine.counters();
    let mut page = Page { text: String::new(), model };
    page.value("num_requests_running", "gauge", engine.running());
    page.value("num_requests_waiting", "gauge", engine.waiting());
    let (used, capacity) = engine.cache_use();
    page.value("kv_cache_usage_perc", "gauge", share(used, capacity));
    page.value("prefix_cache_queries_total", "counter", counters.queried_tokens);
    page.value("prefix_cache_hits_total", "counter", counters.hit_tokens);
    page.value("prompt_tokens_total", "counter", counters.prompt_tokens);
    page.value("prompt_tokens_cached_total", "counter", counters.hit_tokens);
    page.value("generation_tokens_total", "counter", counters.generated_tokens);
    page.value("num_preemptions_total", "counter", counters.preemptions);
    page.successes([
        ("stop", counters.finished_stop),
        ("length", counters.finished_length),
        ("abort", counters.cancelled),
    ]);
    page.kind("cache_config_info", "gauge");
    let size = format!(",block_size=\"{block}\",kv_cache_size_tokens=\"{tokens}\"");
    page.line("cache_config_info", &size, 1);
    page.histogram("time_to_first_token_seconds", &counters.ttft);
    page.histogram("e2e_request_latency_seconds", &counters.e2e);
    page.text
}

struct Page<'m> {
    text: String,
    model: &'m str,
}

impl Page<'_> {
    fn value(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        self.kind(name, kind);
        self.line(name, "", value);
    }

    fn successes(&mut self, reasons: [(&str, u64); 3]) {
        let name = "request_success_total";
        self.kind(name, "counter");
        for (reason, count) in reasons {
            self.line(name, &format!(",finished_reason=\"{reason}\""), count);
        }
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        self.kind(name, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound_ms, count) in histogram.cumulative() {
            let bound = std::time::Duration::from_millis(bound_ms).as_secs_f64();
            self.line(&bucket, &format!(",le=\"{bound:?}\""), count);
        }
        self.line(&bucket, ",le=\"+Inf\"", histogram.count());
        self.line(&format!("{name}_sum"), "", histogram.sum().as_secs_f64());
        self.line(&format!("{name}_count"), "", histogram.count());
    }

    fn kind(&mut self, name: &str, kind: &str) {
        writeln!(self.text, "# TYPE vllm:{name} {kind}").expect(IN_MEMORY);
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let model = self.model.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
        writeln!(self.text, "vllm:{name}{{engine=\"0\",model_name=\"{model}\"{labels}}} {value}")
            .expect(IN_MEMORY);
    }
}

const IN_MEMORY: &str = "a string takes every character";

#[expect(clippy::cast_precision_loss, reason = "a share for display; blocks are under 2^52")]
fn share(used: usize, capacity: usize) -> f64 {
    if capacity == 0 { 0.0 } else { used as f64 / capacity as f64 }
}
