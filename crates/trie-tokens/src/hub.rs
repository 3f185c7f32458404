//! Downloads from the Hugging Face hub, into its cache.

use std::{path::Path, time::Duration};

use sha2::{Digest, Sha256};
use ureq::{
    Agent, Body, Proxy,
    http::Response,
    tls::{RootCerts, TlsConfig},
};

use crate::{
    disk,
    error::{Attempt, Miss},
    json::Form,
    locate::{CONFIG, Found, TEKKEN, TEMPLATE, TOKENIZER, is_revision, repository_folder},
    places::{Places, without_userinfo},
    vocabulary::Source,
};

/// Largest file taken: eight times Gemma's 33 MB, the largest known.
const MAX_BYTES: u64 = 256 << 20;

/// Longest wait for a connection, and for each piece of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Redirects followed: the hub sends large files from elsewhere.
const MAX_REDIRECTS: u32 = 5;

/// Longest part of an error that the hub sent which is shown, in characters.
const MAX_SAID: usize = 200;

/// A file and the commit that the hub says it belongs to.
struct Fetched {
    bytes: Vec<u8>,
    commit: Option<String>,
}

/// Fetches the files of a repository and files them in the hub's cache, if there is one.
///
/// `revision` is the commit that the cache already holds other files of, so that all stay of one
/// commit; without it the main branch is taken.
pub(crate) fn download(
    name: &str,
    revision: Option<&str>,
    places: &Places,
) -> Result<Found, Attempt> {
    let branch = revision.unwrap_or("main");
    let address = |file: &str| format!("{}/{name}/resolve/{branch}/{file}", endpoint(places));
    let shown = |file: &str| without_userinfo(&address(file));
    let attempt = |miss| Attempt { place: format!("hub {}", shown(TOKENIZER)), miss };
    let (plain, following) = agents(places).map_err(attempt)?;
    let fetch = |file| fetch(&plain, &following, &address(file), places.hf_token.as_deref());
    // A repository without either is told as one without the first.
    let (tokenizer, form) = match fetch(TOKENIZER) {
        Ok(tokenizer) => (tokenizer, Form::TokenizerJson),
        Err(missing @ Miss::NotOnHub { .. }) => match fetch(TEKKEN) {
            Ok(tekken) => (tekken, Form::Tekken),
            Err(_) => return Err(attempt(missing)),
        },
        Err(miss) => return Err(attempt(miss)),
    };
    let optional = |file| match fetch(file) {
        Ok(fetched) => Ok(Some(fetched.bytes)),
        Err(Miss::NotOnHub { .. }) => Ok(None),
        Err(miss) => Err(attempt(miss)),
    };
    let (config, template) = (optional(CONFIG)?, optional(TEMPLATE)?);
    let source = Source::Hub(shown(file_of(form)));
    let found = Found { source, tokenizer: tokenizer.bytes, form, config, template };
    if let Some(cache) = places.hub_cache() {
        let commit = revision.map(str::to_owned).or(tokenizer.commit);
        let kept = keep(&repository_folder(&cache, name), commit.as_deref(), &found);
        kept.map_err(|error| {
            let said = format!("downloaded, but {} cannot be written: {error}", cache.display());
            attempt(Miss::Unreachable { said })
        })?;
    }
    Ok(found)
}

/// The name of a file of this form.
fn file_of(form: Form) -> &'static str {
    match form {
        Form::TokenizerJson => TOKENIZER,
        Form::Tekken => TEKKEN,
    }
}

/// The hub's address without a trailing slash.
fn endpoint(places: &Places) -> &str {
    places.hf_endpoint.as_deref().unwrap_or("https://huggingface.co").trim_end_matches('/')
}

/// One client that hands redirects back, since they name the commit, and one that follows them without
/// the token.
fn agents(places: &Places) -> Result<(Agent, Agent), Miss> {
    let proxy =
        places.proxy.as_deref().map(Proxy::new).transpose().map_err(|error| unreachable(&error))?;
    let agent = |max_redirects| {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(max_redirects)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .proxy(proxy.clone())
            .tls_config(tls)
            .build()
            .new_agent()
    };
    Ok((agent(0), agent(MAX_REDIRECTS)))
}

/// One file, wherever the hub sends for it.
fn fetch(
    plain: &Agent,
    following: &Agent,
    url: &str,
    token: Option<&str>,
) -> Result<Fetched, Miss> {
    let get = |agent: &Agent| {
        let request = agent.get(url);
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        request.call().map_err(|error| unreachable(&error))
    };
    let mut response = get(plain)?;
    let commit = header(&response, "x-repo-commit").filter(|commit| is_revision(commit));
    if response.status().is_redirection() {
        response = get(following)?;
    }
    if !response.status().is_success() {
        return Err(refusal(&response, token.is_some()));
    }
    let body = response.body_mut().with_config().limit(MAX_BYTES);
    let bytes = body.read_to_vec().map_err(|error| unreachable(&error))?;
    Ok(Fetched { bytes, commit })
}

/// What a status that is not a success says.
fn refusal(response: &Response<Body>, token_sent: bool) -> Miss {
    let reason = || response.status().canonical_reason().unwrap_or("no reason").to_owned();
    let said: String =
        header(response, "x-error-message").unwrap_or_else(reason).chars().take(MAX_SAID).collect();
    match response.status().as_u16() {
        status @ (401 | 403) => Miss::NoAccess { status, said, token_sent },
        404 => Miss::NotOnHub { said },
        status => Miss::Status { status, said },
    }
}

fn header(response: &Response<Body>, name: &str) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

fn unreachable(error: &ureq::Error) -> Miss {
    Miss::Unreachable { said: error.to_string() }
}

/// Files a download as the hub's own tools do: the snapshot first, the reference to it last.
///
/// A mirror that names no commit gets a made-up one, the start of the file's own hash.
fn keep(repository: &Path, commit: Option<&str>, found: &Found) -> std::io::Result<()> {
    let made_up = || format!("{:x}", Sha256::digest(&found.tokenizer))[..40].to_owned();
    let commit = commit.map_or_else(made_up, str::to_owned);
    let snapshot = repository.join("snapshots").join(&commit);
    for (name, bytes) in [(CONFIG, &found.config), (TEMPLATE, &found.template)] {
        if let Some(bytes) = bytes {
            disk::write_atomically(&snapshot.join(name), bytes)?;
        }
    }
    disk::write_atomically(&snapshot.join(file_of(found.form)), &found.tokenizer)?;
    disk::write_atomically(&repository.join("refs/main"), commit.as_bytes())
}
