//! What is sent: the parts that stay the same for a whole run, and those of one request.

use std::fmt;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, USER_AGENT,
};
use http::{HeaderMap, Method, Request, Uri};
use thiserror::Error;
use trie_core::workload::FRAMING_HEADERS;

use super::endpoint::{Endpoint, Scheme};

/// The header by which vllm-router and the SGLang gateway keep a conversation on one server.
pub const ROUTING_KEY: HeaderName = HeaderName::from_static("x-smg-routing-key");

/// A header that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// Not a header name.
    #[error("`{name}` is not a header name")]
    Name {
        /// The name given.
        name: String,
    },
    /// It says how a message is framed, which is not the user's to say.
    #[error("header `{name}` frames the message and is set by the client")]
    Framing {
        /// The header.
        name: String,
    },
    /// A control character or line break in the value, which is not shown.
    #[error("the value of header `{name}` holds a character that no header may hold")]
    Value {
        /// The header.
        name: String,
    },
    /// The path that endpoint and route make is no path.
    #[error("`{path}` is not a path")]
    Path {
        /// The path.
        path: String,
    },
}

/// The API that requests go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// `/completions`.
    Completions,
    /// `/chat/completions`.
    Chat,
    /// llama.cpp's own `/completion`, beside the endpoint's `/v1`.
    NativeCompletion,
}

impl Api {
    fn route(self) -> Route {
        match self {
            Self::Completions => Route::Api("/completions"),
            Self::Chat => Route::Api("/chat/completions"),
            Self::NativeCompletion => Route::Root("/completion"),
        }
    }
}

/// Request line and headers that all requests of a run share.
#[derive(Clone)]
pub struct Target {
    endpoint: Endpoint,
    /// Plain HTTP goes through a proxy, which wants absolute URLs.
    relayed: bool,
    uri: Uri,
    headers: HeaderMap,
    secrets: Vec<String>,
}

impl Target {
    /// Prepares requests to `api` at `endpoint`, in absolute form when plain HTTP goes through
    /// `proxy`. Custom headers replace ours of the same name; a custom `Authorization` replaces
    /// the key, which replaces the endpoint's user and password.
    pub fn new(
        endpoint: &Endpoint,
        proxy: Option<&Endpoint>,
        api: Api,
        api_key: Option<&str>,
        custom: &[(String, String)],
    ) -> Result<Self, HeaderError> {
        let relay = proxy.filter(|_| endpoint.scheme == Scheme::Http);
        let relayed = relay.is_some();
        let uri = api.route().uri(endpoint, relayed)?;
        let mut headers = fixed_headers();
        insert(&mut headers, HOST, &endpoint.host_header())?;
        let bearer = api_key.map(|key| format!("Bearer {key}"));
        if let Some(value) = bearer.or_else(|| endpoint.basic_auth()) {
            insert(&mut headers, AUTHORIZATION, &value)?;
        }
        if let Some(value) = relay.and_then(Endpoint::basic_auth) {
            insert(&mut headers, PROXY_AUTHORIZATION, &value)?;
        }
        for (name, value) in custom {
            let known: HeaderName =
                name.parse().map_err(|_| HeaderError::Name { name: name.clone() })?;
            if FRAMING_HEADERS.contains(&known.as_str()) {
                return Err(HeaderError::Framing { name: name.clone() });
            }
            insert(&mut headers, known, value)?;
        }
        let mut secrets = secrets(&headers);
        secrets.extend(api_key.filter(|key| !key.is_empty()).map(str::to_owned));
        let urls = [Some(endpoint), proxy].into_iter().flatten();
        secrets.extend(urls.flat_map(Endpoint::secrets).map(str::to_owned));
        Ok(Self { endpoint: endpoint.clone(), relayed, uri, headers, secrets })
    }

    /// The same requests to another API of the endpoint.
    ///
    /// # Errors
    ///
    /// When the endpoint and the route make no path.
    pub fn with_api(self, api: Api) -> Result<Self, HeaderError> {
        let uri = api.route().uri(&self.endpoint, self.relayed)?;
        Ok(Self { uri, ..self })
    }

    /// A request of another route, with the same headers; a body makes it a POST.
    pub(crate) fn to_route(
        &self,
        route: Route,
        body: Option<Bytes>,
    ) -> Result<Request<Bytes>, HeaderError> {
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(body.unwrap_or_default());
        *request.method_mut() = method;
        *request.uri_mut() = route.uri(&self.endpoint, self.relayed)?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// Strings that must not reach a record: values of secret headers, keys, passwords.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }
}

/// A route, by where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Below the endpoint's prefix: `/models` is `/v1/models`.
    Api(&'static str),
    /// Beside the prefix's `/v1`: `/metrics`.
    Root(&'static str),
}

impl Route {
    fn uri(self, endpoint: &Endpoint, relayed: bool) -> Result<Uri, HeaderError> {
        let (endpoint, route) = match self {
            Self::Api(route) => (endpoint.clone(), route),
            Self::Root(route) => (endpoint.root(), route),
        };
        let path = if relayed { endpoint.absolute(route) } else { endpoint.path_of(route) };
        path.parse().map_err(|_| HeaderError::Path { path })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("headers", &self.headers).finish_non_exhaustive()
    }
}

fn fixed_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
        .insert(USER_AGENT, HeaderValue::from_static(concat!("trie/", env!("CARGO_PKG_VERSION"))));
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), HeaderError> {
    let mut parsed = HeaderValue::from_str(value)
        .map_err(|_| HeaderError::Value { name: name.as_str().to_owned() })?;
    parsed.set_sensitive(is_secret(&name));
    headers.insert(name, parsed);
    Ok(())
}

/// Whether a header's value is blanked wherever it is shown.
fn is_secret(name: &HeaderName) -> bool {
    let name = name.as_str();
    let secret = ["auth", "key", "token", "cookie", "credential", "secret", "password"];
    secret.iter().any(|part| name.contains(part)) && *name != ROUTING_KEY
}

/// The values of secret headers, and of `Bearer x` also `x`.
fn secrets(headers: &HeaderMap) -> Vec<String> {
    let mut found = Vec::new();
    for value in headers.values().filter(|value| value.is_sensitive()) {
        let Ok(text) = value.to_str() else { continue };
        found.push(text.to_owned());
        found.extend(text.split_once(' ').map(|(_, rest)| rest.to_owned()));
    }
    found.retain(|secret| !secret.trim().is_empty());
    found
}

/// What to keep of an answer beside its stamps and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// The answer's text, and its reasoning.
    pub text: bool,
    /// The answer's token ids, where the server names them.
    pub ids: bool,
}

/// Told of the first token of an answer, while the rest of it streams: its stamp, monotonic ns.
pub type OnFirstToken<'a> = &'a dyn Fn(u64);

/// One request, ready to be sent.
#[derive(Clone)]
pub struct Post<'a> {
    /// Where to and with which headers.
    pub target: &'a Target,
    /// Headers of this request alone, such as [`ROUTING_KEY`]; they replace the target's.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// The JSON body, as sent.
    pub body: Bytes,
    /// Whether the body asks for a stream.
    pub stream: bool,
    /// Monotonic ns at which the request is given up.
    pub deadline_ns: u64,
    /// What to keep.
    pub keep: Keep,
    /// Who is told of the first token, once at most.
    pub on_first_token: OnFirstToken<'a>,
}

impl Post<'_> {
    pub(crate) fn to_http(&self) -> Request<Bytes> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.uri.clone();
        *request.headers_mut() = self.target.headers.clone();
        for (name, value) in self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(
        url: &str,
        proxy: Option<&str>,
        key: Option<&str>,
        custom: &[(&str, &str)],
    ) -> Target {
        let custom: Vec<_> =
            custom.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let proxy = proxy.map(|proxy| Endpoint::parse(proxy).unwrap());
        let endpoint = Endpoint::parse(url).unwrap();
        Target::new(&endpoint, proxy.as_ref(), Api::Completions, key, &custom).unwrap()
    }

    #[test]
    fn plain_http_through_a_proxy_is_asked_for_in_absolute_form() {
        let check = |url: &str, proxy: Option<&str>, uri: &str| {
            assert_eq!(target(url, proxy, None, &[]).uri.to_string(), uri);
        };
        check("http://host:8000/v1", None, "/v1/completions");
        check("http://host:8000/v1", Some("http://proxy"), "http://host:8000/v1/completions");
        check("https://host/v1", Some("http://proxy"), "/v1/completions");
    }

    #[test]
    fn credentials_come_from_header_key_or_url_in_this_order() {
        let check = |key: Option<&str>, custom: &[(&str, &str)], expected: &str| {
            let target = target("http://u:p@host/v1", None, key, custom);
            assert_eq!(target.headers[AUTHORIZATION], expected);
        };
        check(None, &[], "Basic dTpw");
        check(Some("sk-1"), &[], "Bearer sk-1");
        check(Some("sk-1"), &[("Authorization", "Token t")], "Token t");
    }

    #[test]
    fn secrets_are_known_and_not_shown() {
        let custom = [
            ("X-Api-Key", "canary-1"),
            ("Cookie", "canary-2"),
            ("X-Secret", "canary-5"),
            ("X-Team", "blue"),
        ];
        let url = "http://u:canary-3@host/v1?sig=canary-6&v=1";
        let target = target(url, None, Some("canary-4"), &custom);
        for secret in ["canary-1", "canary-2", "canary-3", "canary-4", "canary-5", "canary-6"] {
            assert!(target.secrets().iter().any(|known| known == secret), "{secret}");
        }
        assert!(!target.secrets().iter().any(|known| known == "blue" || known == "1"));
        assert!(!format!("{target:?}").contains("canary"));
    }

    #[test]
    fn a_bad_header_is_refused_without_its_value() {
        let endpoint = Endpoint::parse("http://host/v1").unwrap();
        let check = |name: &str, value: &str, expected: HeaderError| {
            let custom = [(name.to_owned(), value.to_owned())];
            let result = Target::new(&endpoint, None, Api::Chat, None, &custom);
            assert_eq!(result.unwrap_err(), expected);
        };
        check("a b", "x", HeaderError::Name { name: "a b".to_owned() });
        check("x-a", "1\r\nx: 2", HeaderError::Value { name: "x-a".to_owned() });
        check("Content-Length", "5", HeaderError::Framing { name: "Content-Length".to_owned() });
    }
}
