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
    }

    /// llama.cpp: its context is that of one slot.
    fn take_props(&mut self, page: &Fetched) {
        let Some(page) = json(page) else { return };
        let settings = page.get("default_generation_settings");
        let n_ctx = settings.and_then(|settings| whole(settings, "n_ctx"));
        let Some(n_ctx) = n_ctx.filter(|n_ctx| *n_ctx > 0) else { return };
        self.engine = EngineKind::LlamaCpp;
        self.context_limit = Some(n_ctx);
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
    }
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
        let llama = Facts { engine: EngineKind::LlamaCpp, ..Facts::default() };
        check(
            Facts::take_props,
            r#"{"default_generation_settings":{"n_ctx":4096},"build_info":"b7-abc"}"#,
            &Facts { context_limit: Some(4096), version: Some("b7-abc".into()), ..llama },
        );
        let sglang = Facts { engine: EngineKind::Sglang, ..Facts::default() };
        check(
            Facts::take_server_info,
            r#"{"version":"0.5.23","page_size":1,"context_length":null}"#,
            &Facts { block_size: Some(1), version: Some("0.5.23".into()), ..sglang },
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
