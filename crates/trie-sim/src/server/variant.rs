//! Switches for some requests only: by the base URL they come to, or by a header of theirs.
//!
//! `/with/no_done=True,chunk_tokens=4/v1/completions` is `/v1/completions` of a server that was
//! started with these options besides its own. So is a request with the header `x-trie-with` and
//! the options as its value. Requests with the same options are counted from 1 of their own, which
//! is what faults that strike every so-manieth go by; the engine behind is one and the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use hyper::HeaderMap;

use super::{refusal::Refusal, route::Server};
use crate::config::{Config, ENGINE_OPTIONS};

/// Before the options in a path.
const PREFIX: &str = "/with/";

/// The header that holds options for its request.
const HEADER: &str = "x-trie-with";

/// Sets of options that one server keeps apart.
const MOST: usize = 1024;

/// Options of the process, the engine or a connection: a request comes too late for them.
const TOO_LATE: &[&str] = &[
    "host",
    "port",
    "truth_log",
    "segment_bytes",
    "keep_alive_s",
    "keep_alive_requests",
    "accept_then_close",
    "crash_at_s",
    "restart_at_s",
];

/// Servers by the options that they differ in.
pub(super) type Variants = Mutex<BTreeMap<String, Arc<Server>>>;

/// The server that a request means, and the path that it has there.
pub(super) fn find<'p>(
    server: &Arc<Server>,
    path: &'p str,
    headers: &HeaderMap,
) -> Result<(Arc<Server>, &'p str), Refusal> {
    let (of_path, path) = cut(path);
    let of_header = headers.get(HEADER).map(|value| value.to_str()).transpose();
    let of_header = of_header
        .map_err(|_| Refusal::plain(400, format!("header `{HEADER}` is not text")))?
        .unwrap_or_default();
    let options = match (of_path, of_header) {
        ("", "") => return Ok((Arc::clone(server), path)),
        (one, "") | ("", one) => one.to_owned(),
        (one, other) => format!("{one},{other}"),
    };
    let mut variants = server.variants.lock().expect("nothing panics with the lock held");
    if let Some(variant) = variants.get(&options) {
        return Ok((Arc::clone(variant), path));
    }
    if variants.len() == MOST {
        let message = format!("this server already keeps {MOST} sets of options apart");
        return Err(Refusal::plain(400, message));
    }
    let variant = Arc::new(Server {
        config: changed(&server.config, &options)?,
        words: Arc::clone(&server.words),
        desk: Arc::clone(&server.desk),
        clock: server.clock,
        requests: AtomicU64::new(0),
        named: Arc::clone(&server.named),
        variants: Variants::default(),
    });
    variants.insert(options, Arc::clone(&variant));
    Ok((variant, path))
}

/// The options in a path, if any, and what is left of it.
fn cut(path: &str) -> (&str, &str) {
    let Some(rest) = path.strip_prefix(PREFIX) else { return ("", path) };
    let end = rest.find('/').unwrap_or(rest.len());
    rest.split_at(end)
}

fn changed(config: &Config, options: &str) -> Result<Config, Refusal> {
    let mut config = config.clone();
    for option in options.split(',') {
        let Some((key, value)) = option.split_once('=') else {
            let message = format!("`{option}` is no option: wanted key=value,key=value");
            return Err(Refusal::plain(400, message));
        };
        if TOO_LATE.contains(&key) || ENGINE_OPTIONS.iter().any(|row| row.name == key) {
            let message = format!("`{key}` is set when the server starts, not for a request");
            return Err(Refusal::plain(400, message));
        }
        config.set(key, value).map_err(|error| Refusal::plain(400, error.to_string()))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_before_the_path() {
        assert_eq!(cut("/v1/models"), ("", "/v1/models"));
        assert_eq!(cut("/with/crlf=True/v1/models"), ("crlf=True", "/v1/models"));
        assert_eq!(cut("/with/crlf=True"), ("crlf=True", ""));
        assert_eq!(cut("/with//v1/models"), ("", "/v1/models"));
    }

    #[test]
    fn what_is_set_too_late_is_refused() {
        let check = |options: &str, expected: &str| {
            let error = changed(&Config::default(), options).unwrap_err();
            assert!(format!("{error:?}").contains(expected), "{error:?}");
        };
        check("port=1", "`port` is set when the server starts");
        check("itl_ms=1", "`itl_ms` is set when the server starts");
        check("keep_alive_s=1", "set when the server starts");
        check("no_done", "`no_done` is no option");
        check("no_dune=True", "no option `no_dune`");
        check("crlf=1", "`True` or `False`");
        let config = changed(&Config::default(), "crlf=True,status=503").unwrap();
        assert!(config.quirks.crlf && config.faults.status.is_some());
    }

    #[test]
    fn options_that_come_too_late_are_options() {
        for name in TOO_LATE {
            assert!(crate::config::OPTIONS.iter().any(|row| row.name == *name), "{name}");
        }
    }
}
