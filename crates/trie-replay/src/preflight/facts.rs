//! What a server says about itself, on the pages that engines have for it.

use serde_json::Value;
use trie_core::record::EngineKind;
use trie_core::units::Tokens;

use crate::clock::Clock;
use crate::wire::{Connector, FailureKind, Fetched, Route};

use super::page;
use super::way::Way;

/// All that a server says.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Facts {
    pub(super) engine: EngineKind,
    pub(super) version: Option<String>,
    /// The models it lists; `None` where there is no list.
    pub(super) models: Option<Vec<Model>>,
    /// The longest prompt and answer together, of all its models.
    pub(super) context_limit: Option<Tokens>,
    pub(super) block_size: Option<Tokens>,
    /// What its KV cache holds, in all its engines.
    pub(super) cache_tokens: Option<Tokens>,
    /// Its prefix cache is switched off.
    pub(super) cache_off: bool,
    /// Requests that it works on or that wait.
    pub(super) busy: Option<u64>,
    /// Its `Keep-Alive` header.
    pub(super) keep_alive: Option<String>,
}

/// A model of the list.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Model {
    pub(super) id: String,
    pub(super) context_limit: Option<Tokens>,
}

/// Reads a page into the facts.
type Take = fn(&mut Facts, &Fetched);

/// The list of models; every engine has it.
const MODELS: Route = Route::Api("/models");

const VERSION: (Route, Take) = (Route::Root("/version"), Facts::take_version);
const METRICS: (Route, Take) = (Route::Root("/metrics"), Facts::take_metrics);
const PROPS: (Route, Take) = (Route::Root("/props"), Facts::take_props);
const SLOTS: (Route, Take) = (Route::Root("/slots"), Facts::take_slots);
const SERVER_INFO: (Route, Take) = (Route::Root("/server_info"), Facts::take_server_info);
/// The name that SGLang had for it until 2026.
const GET_SERVER_INFO: (Route, Take) = (Route::Root("/get_server_info"), Facts::take_server_info);

/// Asks the server for its pages. One that cannot be read says nothing.
pub(super) async fn gather<C: Clock, N: Connector<C>>(way: &mut Way<'_, C, N>) -> Facts {
    let mut facts = Facts::default();
    let Ok(list) = way.page(MODELS).await else { return facts };
    facts.take_head(&list);
    if list.status == 200 {
        facts.take_models(&list);
    }
    for &(route, take) in pages(facts.engine) {
        match way.page(route).await {
            Ok(page) if page.status == 200 => take(&mut facts, &page),
            Ok(_no_such_page) => {}
            // A server that does not answer one page would make the user wait for each.
            Err(failure) if failure.kind == FailureKind::Timeout || failure.kind.is_connect() => {
                break;
            }
            Err(_unreadable) => {}
        }
    }
    facts
}

/// The pages worth asking for.
fn pages(engine: EngineKind) -> &'static [(Route, Take)] {
    match engine {
        EngineKind::Vllm | EngineKind::Simulated => &[VERSION, METRICS],
        EngineKind::Sglang => &[SERVER_INFO, GET_SERVER_INFO, METRICS],
        EngineKind::LlamaCpp => &[PROPS, METRICS, SLOTS],
        EngineKind::TensorrtLlm => &[VERSION],
        EngineKind::Unknown => &[VERSION, SERVER_INFO, GET_SERVER_INFO, PROPS, METRICS],
    }
}

impl Facts {
    fn take_head(&mut self, page: &Fetched) {
        self.keep_alive.clone_from(&page.keep_alive);
        let server = page.server.as_deref().unwrap_or_default().to_ascii_lowercase();
        if server.starts_with("llama.cpp") {
            self.engine = EngineKind::LlamaCpp;
        }
    }

    /// Takes the list of models: who owns them says which engine it is.
    fn take_models(&mut self, page: &Fetched) {
        let Some(list) = json(page) else { return };
        let Some(data) = list.get("data").and_then(Value::as_array) else { return };
        for entry in data {
            let owner = entry.get("owned_by").and_then(Value::as_str).unwrap_or_default();
            if self.engine == EngineKind::Unknown {
                self.engine = engine_of(owner);
            }
        }
        let models: Vec<_> = data.iter().filter_map(model).collect();
        self.context_limit = models.iter().filter_map(|model| model.context_limit).max();
        self.models = Some(models);
    }

    fn take_version(&mut self, page: &Fetched) {
        self.version = json(page).and_then(|page| text(&page, "version"));
    }

    fn take_metrics(&mut self, fetched: &Fetched) {
        let text = String::from_utf8_lossy(&fetched.body);
        for (engine, prefix, gauges) in GAUGES {
            let counts: Vec<u64> =
                gauges.iter().filter_map(|gauge| page::sum(&text, gauge)).collect();
            if counts.is_empty() && !text.contains(prefix) {
                continue;
            }
            if self.engine == EngineKind::Unknown {
                self.engine = *engine;
            }
            if !counts.is_empty() {
                self.busy = Some(counts.iter().sum());
            }
        }
        let size = page::label(&text, "vllm:cache_config_info", "block_size");
        let size = size.or_else(|| page::label(&text, "sglang:cache_config_info", "page_size"));
        self.block_size = size.and_then(|size| size.parse().ok()).or(self.block_size);
        let caching = page::label(&text, "vllm:cache_config_info", "enable_prefix_caching");
        self.cache_off |= caching == Some("False");
        self.cache_tokens = vllm_cache(&text).or(self.cache_tokens);
    }

    /// llama.cpp: its context is that of one slot. Whether slots share one cache or have one each, it does not
    /// say: of several the size of all is not known.
    fn take_props(&mut self, page: &Fetched) {
        let Some(page) = json(page) else { return };
        let settings = page.get("default_generation_settings");
        let n_ctx = settings.and_then(|settings| whole(settings, "n_ctx"));
        let Some(n_ctx) = n_ctx.filter(|n_ctx| *n_ctx > 0) else { return };
        self.engine = EngineKind::LlamaCpp;
        self.context_limit = Some(n_ctx);
        self.cache_tokens = (whole(&page, "total_slots") == Some(1)).then_some(n_ctx);
        self.version = text(&page, "build_info");
    }

    /// llama.cpp, where it has no metrics.
    fn take_slots(&mut self, page: &Fetched) {
        let Some(Value::Array(slots)) = json(page) else { return };
        let works = |slot: &&Value| slot.get("is_processing") == Some(&Value::Bool(true));
        let working = slots.iter().filter(works).count() as u64;
        self.busy = self.busy.or(Some(working));
    }

    /// `SGLang`: the arguments it was started with.
    fn take_server_info(&mut self, page: &Fetched) {
        let Some(page) = json(page).filter(|page| page.get("page_size").is_some()) else { return };
        self.engine = EngineKind::Sglang;
        self.version = text(&page, "version");
        self.block_size = whole(&page, "page_size");
        self.cache_off = page.get("disable_radix_cache") == Some(&Value::Bool(true));
        self.context_limit = self.context_limit.or(whole(&page, "context_length"));
        // That of one of its data-parallel ranks.
        let ranks = whole(&page, "dp_size").unwrap_or(1).max(1);
        let of_rank = whole(&page, "max_total_num_tokens").filter(|tokens| *tokens > 0);
        self.cache_tokens = of_rank.map(|tokens| tokens.saturating_mul(ranks));
    }
}

/// What vLLM's KV cache holds: newer ones give the tokens of each engine, older ones the blocks of all of
/// them.
fn vllm_cache(page: &str) -> Option<Tokens> {
    const INFO: &str = "vllm:cache_config_info";
    let number = |text: &str| text.parse::<Tokens>().ok().filter(|number| *number > 0);
    let label = |label: &str| page::label(page, INFO, label).and_then(number);
    let each: Option<Vec<Tokens>> = page::labels(page, INFO, "kv_cache_size_tokens")
        .map(|tokens| tokens.and_then(number))
        .collect();
    let tokens = each.filter(|each| !each.is_empty()).map(|each| each.iter().sum());
    tokens.or_else(|| label("num_gpu_blocks")?.checked_mul(label("block_size")?))
}

/// Engine, prefix of its metrics, and the gauges that add up to requests in work.
const GAUGES: &[(EngineKind, &str, &[&str])] = &[
    (EngineKind::Vllm, "vllm:", &["vllm:num_requests_running", "vllm:num_requests_waiting"]),
    (EngineKind::Sglang, "sglang:", &["sglang:num_running_reqs", "sglang:num_queue_reqs"]),
    (
        EngineKind::LlamaCpp,
        "llamacpp:",
        &["llamacpp:requests_processing", "llamacpp:requests_deferred"],
    ),
];

fn engine_of(owner: &str) -> EngineKind {
    match owner {
        "vllm" => EngineKind::Vllm,
        "sglang" => EngineKind::Sglang,
        "tensorrt_llm" => EngineKind::TensorrtLlm,
        "llamacpp" => EngineKind::LlamaCpp,
        "trie" => EngineKind::Simulated,
        _ => EngineKind::Unknown,
    }
}

fn model(entry: &Value) -> Option<Model> {
    Some(Model { id: text(entry, "id")?, context_limit: whole(entry, "max_model_len") })
}

fn json(page: &Fetched) -> Option<Value> {
    serde_json::from_slice(&page.body).ok()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

fn whole(value: &Value, key: &str) -> Option<u64> {
    value.get(key)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Fetched {
        let none = || None;
        Fetched {
            status: 200,
            server: none(),
            keep_alive: none(),
            content_type: none(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn engines_are_told_by_their_pages() {
        let check = |take: Take, body: &str, expected: &Facts| {
            let mut facts = Facts::default();
            take(&mut facts, &page(body));
            assert_eq!(&facts, expected, "{body}");
        };
        let vllm = Facts { engine: EngineKind::Vllm, ..Facts::default() };
        check(
            Facts::take_metrics,
            "vllm:num_requests_running{a=\"b\"} 2.0\nvllm:num_requests_waiting{a=\"b\"} 1.0\n\
             vllm:cache_config_info{block_size=\"128\",enable_prefix_caching=\"False\"} 1.0\n",
            &Facts { busy: Some(3), block_size: Some(128), cache_off: true, ..vllm },
        );
        let sizes = |metrics: &str, cache_tokens: Option<u64>| {
            let vllm = Facts { engine: EngineKind::Vllm, ..Facts::default() };
            let facts = Facts { block_size: Some(16), cache_tokens, ..vllm };
            check(Facts::take_metrics, metrics, &facts);
        };
        // Blocks of both engines stand on each line, tokens are those of the line's engine.
        sizes(
            "vllm:cache_config_info{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"2000\"} 1.0\n\
             vllm:cache_config_info{block_size=\"16\",engine=\"1\",num_gpu_blocks=\"2000\"} 1.0\n",
            Some(32_000),
        );
        sizes(
            "vllm:cache_config_info{block_size=\"16\",kv_cache_size_tokens=\"900\",num_gpu_blocks=\"100\"} 1\n\
             vllm:cache_config_info{block_size=\"16\",kv_cache_size_tokens=\"900\",num_gpu_blocks=\"100\"} 1\n",
            Some(1_800),
        );
        sizes(
            "vllm:cache_config_info{block_size=\"16\",kv_cache_size_tokens=\"None\",num_gpu_blocks=\"None\"} 1\n",
            None,
        );
        let llama = Facts { engine: EngineKind::LlamaCpp, ..Facts::default() };
        check(
            Facts::take_props,
            r#"{"default_generation_settings":{"n_ctx":4096},"build_info":"b7-abc"}"#,
            &Facts { context_limit: Some(4096), version: Some("b7-abc".into()), ..llama },
        );
        let llama = Facts { engine: EngineKind::LlamaCpp, ..Facts::default() };
        let (context_limit, cache_tokens) = (Some(4096), Some(4096));
        check(
            Facts::take_props,
            r#"{"default_generation_settings":{"n_ctx":4096},"total_slots":1}"#,
            &Facts { context_limit, cache_tokens, ..llama },
        );
        let sglang = Facts { engine: EngineKind::Sglang, ..Facts::default() };
        check(
            Facts::take_server_info,
            r#"{"version":"0.5.23","page_size":1,"context_length":null}"#,
            &Facts { block_size: Some(1), version: Some("0.5.23".into()), ..sglang },
        );
        let sglang = Facts { engine: EngineKind::Sglang, ..Facts::default() };
        check(
            Facts::take_server_info,
            r#"{"page_size":1,"max_total_num_tokens":5000,"dp_size":2}"#,
            &Facts { block_size: Some(1), cache_tokens: Some(10_000), ..sglang },
        );
        check(Facts::take_server_info, r#"{"version":"1"}"#, &Facts::default());
        check(Facts::take_props, "<html>", &Facts::default());
        let slots = r#"[{"is_processing":true},{"is_processing":false}]"#;
        check(Facts::take_slots, slots, &Facts { busy: Some(1), ..Facts::default() });
    }

    #[test]
    fn the_list_of_models_names_owner_and_limit() {
        let mut facts = Facts::default();
        facts.take_models(&page(
            r#"{"data":[{"id":"a","owned_by":"vllm","max_model_len":64},{"id":"b"},{"no":1}]}"#,
        ));
        let model = |id: &str, context_limit| Model { id: id.to_owned(), context_limit };
        let expected = Facts {
            engine: EngineKind::Vllm,
            models: Some(vec![model("a", Some(64)), model("b", None)]),
            context_limit: Some(64),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }
}
