//! `trie --version`, also as JSON.

use serde_json::json;

use crate::args::{Environment, Words};
use crate::fault::{Code, Fault};
use crate::printer::Printer;

pub(crate) fn run(
    words: &Words,
    environment: &Environment,
    printer: &Printer,
) -> Result<Code, Fault> {
    let layers = super::run::layers(words, environment)?;
    let version = env!("CARGO_PKG_VERSION");
    if layers.switch("json")? {
        let facts = json!({
            "trie": version,
            "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            "features": features(),
            "schemas": {
                "manifest": trie_core::record::MANIFEST_SCHEMA,
                "summary": trie_core::metrics::SUMMARY_SCHEMA,
                "plan": trie_core::plan::PLAN_SCHEMA,
            },
            "content_version": trie_core::plan::CONTENT_VERSION,
        });
        printer.out(&format!("{facts:#}\n"));
    } else {
        printer.out(&format!("trie {version}\n"));
    }
    Ok(Code::Ok)
}

fn features() -> Vec<&'static str> {
    let all = [("hub", cfg!(feature = "hub")), ("tls", cfg!(feature = "tls"))];
    all.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}
