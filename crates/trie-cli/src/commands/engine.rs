//! The engine that is simulated, from `engine=` and `sim.NAME=`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use trie_sim::config::{Config, ENGINE_OPTIONS};
use trie_sim::engine::Preset;

use crate::args::{Layers, flat};
use crate::fault::Fault;

/// The engine that is simulated.
pub(super) struct Engine {
    /// As the user named it.
    pub(super) name: String,
    pub(super) config: Config,
    pub(super) preset: Option<&'static Preset>,
}

impl Engine {
    /// Reads its settings.
    pub(super) fn of(layers: &Layers) -> Result<Self, Fault> {
        let name = layers.required("engine")?;
        let mut settings = if Path::new(&name).extension().is_some_and(|ending| ending == "toml") {
            of_file(&name)?
        } else {
            vec![("engine".to_owned(), name.clone())]
        };
        settings.extend(layers.map("sim"));
        // A preset sets everything and a policy the block: they come before what changes them.
        settings.sort_by_key(|(key, _)| match key.as_str() {
            "engine" => 0,
            "policy" => 1,
            _ => 2,
        });
        let mut config = Config::default();
        let mut preset = None;
        for (key, value) in settings {
            if !ENGINE_OPTIONS.iter().any(|row| row.name == key) {
                return Err(Fault::usage(format!(
                    "the simulated engine has no setting `{key}`\nhint: `trie forecast --help` lists them"
                )));
            }
            config.set(&key, &value).map_err(Fault::usage)?;
            if key == "engine" {
                preset = Preset::named(&value);
            }
        }
        Ok(Self { name, config, preset })
    }
}

/// The settings in a TOML file, as one would type them.
fn of_file(path: &str) -> Result<Vec<(String, String)>, Fault> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the engine's settings {path}"))
        .map_err(Fault::Usage)?;
    let table = toml::de::DeTable::parse(&text)
        .map_err(|error| Fault::usage(format!("{path}: {error}")))?
        .into_inner();
    let settings = table.iter().map(|(key, value)| {
        let key = key.get_ref();
        flat(key, value.get_ref())
            .ok_or_else(|| Fault::usage(format!("{path}: `{key}` needs a plain value")))
    });
    Ok(settings.collect::<Result<Vec<_>, _>>()?.concat())
}
