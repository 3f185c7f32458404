//! Where requests go: the endpoint's URL, and the proxy on the way.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use http::uri::Authority;
use thiserror::Error;

/// Values of a query that are shorter are no secrets, bytes.
const SHORTEST_QUERY_SECRET: usize = 4;

/// A URL that cannot be an endpoint or a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("`{url}` is not a URL ({why}); hint: write it like http://localhost:8000/v1")]
    Malformed {
        /// The text, user and password blanked.
        url: String,
        /// What the parser says.
        why: String,
    },
    /// A scheme that is not spoken here.
    #[error(
        "`{url}` does not start with http:// or https://; hint: write it like http://localhost:8000/v1"
    )]
    Scheme {
        /// The text, user and password blanked.
        url: String,
    },
    /// It names one route where the base of all routes is wanted.
    #[error("`{url}` names a route; hint: end it before `{route}`, like http://localhost:8000/v1")]
    Route {
        /// The text, user and password blanked.
        url: String,
        /// The route found at its end.
        route: &'static str,
    },
    /// The proxy's own URL has a scheme that is not spoken here.
    #[error("proxy `{url}` is not http://; hint: only plain HTTP proxies are supported")]
    ProxyScheme {
        /// The text, user and password blanked.
        url: String,
    },
}

/// How the endpoint is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A parsed base URL. Its printed form holds no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Name or address, without brackets.
    pub host: String,
    /// Port, the scheme's own where none is written.
    pub port: u16,
    /// Path before every route, without a slash at its end: `/v1`, or empty.
    prefix: String,
    query: Option<String>,
    /// `Basic` credentials from `user:password@`.
    credentials: Option<String>,
}

impl Endpoint {
    /// Parses `http://host:port/prefix`; `user:password@` becomes [`Endpoint::basic_auth`].
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = masked(text);
        let malformed =
            |why: &str| EndpointError::Malformed { url: url.clone(), why: why.to_owned() };
        let uri: Uri = text.trim().parse().map_err(|error| malformed(&format!("{error}")))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) | None => return Err(EndpointError::Scheme { url }),
        };
        let authority = uri.authority().ok_or_else(|| malformed("it has no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(malformed("it has no host"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        if let Some(route) =
            ["/chat/completions", "/completions"].into_iter().find(|r| prefix.ends_with(r))
        {
            return Err(EndpointError::Route { url, route });
        }
        let port =
            port(authority, scheme).ok_or_else(|| malformed("the port is not in 1..65535"))?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            prefix,
            query: uri.query().map(str::to_owned),
            credentials: credentials(authority),
        })
    }

    /// The value of an `Authorization: Basic` header, where the URL held user and password.
    pub fn basic_auth(&self) -> Option<String> {
        self.credentials.as_ref().map(|pair| format!("Basic {}", STANDARD.encode(pair)))
    }

    /// What to blank where a server echoes it: the password and the values in the query.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let pair = self.credentials.as_deref().and_then(|pair| pair.split_once(':'));
        let query = self.query.iter().flat_map(|query| query.split('&'));
        let values = query.map(|part| part.split_once('=').map_or(part, |(_, value)| value));
        // A value such as `1` says nothing, and would blank half of every message.
        let values = values.filter(|value| value.len() >= SHORTEST_QUERY_SECRET);
        pair.map(|(_, password)| password).into_iter().chain(values).filter(|text| !text.is_empty())
    }

    /// The `Host` header: with brackets around an IPv6 address, without a default port.
    pub fn host_header(&self) -> String {
        let host = self.bracketed();
        if self.port == self.scheme.default_port() { host } else { format!("{host}:{}", self.port) }
    }

    /// `host:port`, as CONNECT wants it.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.bracketed(), self.port)
    }

    /// Path and query of a route: `/v1` and `/completions` make `/v1/completions`.
    pub fn path_of(&self, route: &str) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{route}{query}", self.prefix)
    }

    /// The endpoint without the `/v1` at the end of its prefix, where engines keep their own routes.
    pub(crate) fn root(&self) -> Self {
        let prefix = self.prefix.strip_suffix("/v1").unwrap_or(&self.prefix).to_owned();
        Self { prefix, ..self.clone() }
    }

    /// The absolute URL of a route, as a proxy wants it for plain HTTP.
    pub(crate) fn absolute(&self, route: &str) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.host_header(), self.path_of(route))
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let name = self.host.trim_end_matches('.').to_ascii_lowercase();
        let address = self.host.parse::<IpAddr>();
        name == "localhost"
            || name.ends_with(".localhost")
            || address.is_ok_and(|ip| ip.is_loopback())
    }

    fn bracketed(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.credentials.is_some() { "***@" } else { "" };
        let query = if self.query.is_some() { "?***" } else { "" };
        let (scheme, host) = (self.scheme.as_str(), self.host_header());
        write!(f, "{scheme}://{user}{host}{}{query}", self.prefix)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

/// Proxies as the environment names them. The caller reads the environment.
#[derive(Clone, Default)]
pub struct ProxySettings {
    /// `http_proxy`.
    pub http: Option<String>,
    /// `https_proxy`.
    pub https: Option<String>,
    /// `no_proxy`: hosts, domains and `host:port` separated by commas, or `*`.
    pub no_proxy: Option<String>,
}

impl ProxySettings {
    /// The proxy for an endpoint; never one for loopback.
    pub fn proxy_for(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>, EndpointError> {
        let url = match endpoint.scheme {
            Scheme::Http => &self.http,
            Scheme::Https => &self.https,
        };
        let Some(url) = url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        if endpoint.is_loopback() || self.excludes(endpoint) {
            return Ok(None);
        }
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        if !url.starts_with("http://") {
            return Err(EndpointError::ProxyScheme { url: masked(&url) });
        }
        Endpoint::parse(&url).map(Some)
    }

    fn excludes(&self, endpoint: &Endpoint) -> bool {
        let list = self.no_proxy.as_deref().unwrap_or_default();
        list.split(',').map(str::trim).any(|entry| excludes(entry, endpoint))
    }
}

/// `example.com` and `.example.com` exclude the domain and everything below it.
fn excludes(entry: &str, endpoint: &Endpoint) -> bool {
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
        Some(_) | None => (entry, None),
    };
    let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let host = endpoint.host.to_ascii_lowercase();
    let below = host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    entry == "*" || (!name.is_empty() && below && port.is_none_or(|port| port == endpoint.port))
}

/// The port written, or the scheme's own; `None` for one that is no port.
fn port(authority: &Authority, scheme: Scheme) -> Option<u16> {
    let hosted = authority.as_str().rsplit('@').next().unwrap_or_default();
    let after_host = hosted.strip_prefix(authority.host()).unwrap_or_default();
    match after_host.strip_prefix(':') {
        None | Some("") => Some(scheme.default_port()),
        Some(port) => port.parse().ok().filter(|port| *port != 0),
    }
}

fn credentials(authority: &Authority) -> Option<String> {
    let (user, _) = authority.as_str().rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    Some(format!("{}:{}", percent_decoded(name), percent_decoded(password)))
}

/// `%41` becomes `A`; a percent sign that starts no such code stays.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (plain, code) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let byte = code.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(byte.unwrap_or(b'%'));
        rest = &code[if byte.is_some() { 3 } else { 1 }..];
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// The text of a URL with everything before an `@` and after a `?` blanked.
fn masked(text: &str) -> String {
    let (base, query) = match text.split_once('?') {
        Some((base, _)) => (base, "?***"),
        None => (text, ""),
    };
    let (scheme, rest) = base.split_once("://").map_or(("", base), |(s, r)| (s, r));
    let separator = if scheme.is_empty() { "" } else { "://" };
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}{separator}***@{rest}{query}"),
        None => format!("{base}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_kept_before_the_route() {
        let check = |url: &str, host: &str, path: &str| {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(
                (&*endpoint.host_header(), &*endpoint.path_of("/completions")),
                (host, path)
            );
        };
        check("http://localhost:8000/v1", "localhost:8000", "/v1/completions");
        check("http://localhost:8000/v1/", "localhost:8000", "/v1/completions");
        check("http://localhost", "localhost", "/completions");
        check("https://host:443/a/b", "host", "/a/b/completions");
        check("https://host:80", "host:80", "/completions");
        check("http://[::1]:9/v1", "[::1]:9", "/v1/completions");
        check("https://host/v1?api-version=2", "host", "/v1/completions?api-version=2");
    }

    #[test]
    fn user_and_password_become_credentials_and_are_never_shown() {
        let endpoint = Endpoint::parse("https://me:p%40ss@host/v1?key=canary").unwrap();
        assert_eq!(endpoint.basic_auth().unwrap(), format!("Basic {}", STANDARD.encode("me:p@ss")));
        assert_eq!(endpoint.secrets().collect::<Vec<_>>(), ["p@ss", "canary"]);
        assert_eq!(endpoint.to_string(), "https://***@host/v1?***");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(https://***@host/v1?***)");
        let error = Endpoint::parse("ftp://me:canary@host?x=canary").unwrap_err().to_string();
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_hint() {
        let check = |url: &str, part: &str| {
            let message = Endpoint::parse(url).unwrap_err().to_string();
            assert!(message.contains(part), "{url}: {message}");
        };
        check("localhost:8000/v1", "not a URL");
        check("localhost:8000", "http://");
        check("ftp://host", "http://");
        check("http://", "not a URL");
        check("http://host:99999/v1", "not a URL");
        check("http://host:0/v1", "port");
        check("http://host/v1/chat/completions", "before `/chat/completions`");
        check("", "not a URL");
    }

    #[test]
    fn proxies_serve_remote_hosts_only() {
        let settings = ProxySettings {
            http: Some("http://u:p@proxy:3128".to_owned()),
            https: Some("proxy:3129".to_owned()),
            no_proxy: Some("internal, .corp.net,10.0.0.7:81, *.lab".to_owned()),
        };
        let check = |url: &str, expected: Option<&str>| {
            let proxy = settings.proxy_for(&Endpoint::parse(url).unwrap()).unwrap();
            assert_eq!(proxy.map(|proxy| proxy.authority()).as_deref(), expected, "{url}");
        };
        check("http://remote/v1", Some("proxy:3128"));
        check("https://remote/v1", Some("proxy:3129"));
        for url in ["http://localhost:1", "https://127.0.0.2", "http://[::1]", "http://a.localhost"]
        {
            check(url, None);
        }
        check("http://internal", None);
        check("http://notinternal", Some("proxy:3128"));
        check("https://a.b.CORP.net", None);
        check("http://10.0.0.7:81", None);
        check("http://10.0.0.7:82", Some("proxy:3128"));
        check("http://x.lab", None);
        let socks = ProxySettings { http: Some("socks5://proxy".to_owned()), ..Default::default() };
        assert!(socks.proxy_for(&Endpoint::parse("http://remote").unwrap()).is_err());
        let all = ProxySettings { no_proxy: Some("*".to_owned()), ..settings };
        assert_eq!(all.proxy_for(&Endpoint::parse("http://remote").unwrap()).unwrap(), None);
    }
}
