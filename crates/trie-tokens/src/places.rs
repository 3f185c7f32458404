//! Where to look for a tokenizer, as plain values.

use std::{fmt, path::PathBuf};

/// Where tokenizers are looked for and certificates kept.
///
/// The caller reads the environment; the default knows no folder and asks the public hub.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// `HF_HOME`, usually `~/.cache/huggingface`; its folder `hub` is the cache.
    pub hf_home: Option<PathBuf>,
    /// `HF_HUB_CACHE`, the cache itself; goes before `hf_home`.
    pub hf_hub_cache: Option<PathBuf>,
    /// `HF_HUB_OFFLINE`: never ask the hub.
    pub offline: bool,
    /// `HF_ENDPOINT`, `https://huggingface.co` when absent.
    pub hf_endpoint: Option<String>,
    /// `HF_TOKEN`, sent to the endpoint and never along a redirect.
    pub hf_token: Option<String>,
    /// `HTTPS_PROXY`, for requests to the hub.
    pub proxy: Option<String>,
    /// Where certificates are kept, so that the checks are made once for a `tokenizer.json`.
    pub cache_dir: Option<PathBuf>,
}

impl Places {
    /// The folder of the hub's cache.
    pub(crate) fn hub_cache(&self) -> Option<PathBuf> {
        self.hf_hub_cache.clone().or_else(|| Some(self.hf_home.as_ref()?.join("hub")))
    }
}

/// Shows all but the secrets.
impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hf_home, hf_hub_cache, offline, hf_endpoint, hf_token, proxy, cache_dir } = self;
        f.debug_struct("Places")
            .field("hf_home", hf_home)
            .field("hf_hub_cache", hf_hub_cache)
            .field("offline", offline)
            .field("hf_endpoint", &hf_endpoint.as_deref().map(without_userinfo))
            .field("hf_token", &hf_token.as_ref().map(|_| "***"))
            .field("proxy", &proxy.as_deref().map(without_userinfo))
            .field("cache_dir", cache_dir)
            .finish()
    }
}

/// An address with what stands before its host, which may be a password, replaced.
pub(crate) fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let host_end = rest.find('/').unwrap_or(rest.len());
    match rest[..host_end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}
