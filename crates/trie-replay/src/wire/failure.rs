//! How an exchange can fail: kinds for the record, in the server's own words where it has some.

use std::error::Error as StdError;
use std::io;

use serde_json::Value;

use super::message::HttpError;

/// Longest message kept, bytes.
pub const MESSAGE_LIMIT: usize = 2_000;

/// Shortest beginning of a secret that is blanked at the end of a message, bytes.
const MASKED_PREFIX: usize = 4;

/// The kind of a failure; its name stands in record files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The host's name has no address.
    Dns,
    /// Nothing listens at the port.
    Refused,
    /// No route to the host, or the network is down.
    Unreachable,
    /// The connection did not stand in time.
    ConnectTimeout,
    /// The peer does not speak TLS on this port.
    TlsNotTls,
    /// The certificate is signed by nobody we trust.
    TlsUnknownIssuer,
    /// The certificate is for another name.
    TlsName,
    /// The certificate has expired, or is not valid yet.
    TlsExpired,
    /// The TLS handshake failed in another way.
    Tls,
    /// The server does not speak HTTP/2, which was asked for.
    NoHttp2,
    /// The proxy could not be reached or refused.
    Proxy,
    /// This machine is out of descriptors, ports or memory.
    Local,
    /// The connection was reset.
    Reset,
    /// The connection or the stream ended before the answer did.
    ClosedEarly,
    /// HTTP/2: the server reset this answer's stream, and goes on with others.
    StreamReset,
    /// HTTP/2: the server ended the connection with a word of its own (GOAWAY).
    GoAway,
    /// The request's time was over.
    Timeout,
    /// A 4xx or 5xx status.
    Status,
    /// A redirect, which is not followed.
    Redirect,
    /// The answer is of another content type: an HTML page, say.
    NotSse,
    /// The body is compressed although identity was asked for.
    EncodedBody,
    /// What came is not HTTP as it was asked for.
    BadHttp,
    /// An event or the answer is not the JSON it should be.
    BadJson,
    /// The event stream cannot be cut into events.
    BadSse,
    /// The stream ended well and held no token.
    NoTokens,
    /// An error object inside the stream.
    StreamError,
}

impl FailureKind {
    /// The name in record files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::TlsNotTls => "tls_not_tls",
            Self::TlsUnknownIssuer => "tls_unknown_issuer",
            Self::TlsName => "tls_name",
            Self::TlsExpired => "tls_expired",
            Self::Tls => "tls",
            Self::NoHttp2 => "no_http2",
            Self::Proxy => "proxy",
            Self::Local => "local",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed_early",
            Self::StreamReset => "stream_reset",
            Self::GoAway => "go_away",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Redirect => "redirect",
            Self::NotSse => "not_sse",
            Self::EncodedBody => "encoded_body",
            Self::BadHttp => "bad_http",
            Self::BadJson => "bad_json",
            Self::BadSse => "bad_sse",
            Self::NoTokens => "no_tokens",
            Self::StreamError => "stream_error",
        }
    }

    /// Whether the connection could not be made: the server never saw the request.
    pub fn is_connect(self) -> bool {
        match self {
            Self::Dns
            | Self::Refused
            | Self::Unreachable
            | Self::ConnectTimeout
            | Self::TlsNotTls
            | Self::TlsUnknownIssuer
            | Self::TlsName
            | Self::TlsExpired
            | Self::Tls
            | Self::NoHttp2
            | Self::Proxy
            | Self::Local => true,
            Self::Reset
            | Self::ClosedEarly
            | Self::StreamReset
            | Self::GoAway
            | Self::Timeout
            | Self::Status
            | Self::Redirect
            | Self::NotSse
            | Self::EncodedBody
            | Self::BadHttp
            | Self::BadJson
            | Self::BadSse
            | Self::NoTokens
            | Self::StreamError => false,
        }
    }
}

impl FailureKind {
    /// Whether a connection that stood broke before the answer was complete.
    pub fn is_broken(self) -> bool {
        matches!(self, Self::Reset | Self::ClosedEarly | Self::StreamReset | Self::GoAway)
    }
}

/// Why an exchange failed: data for the record, not an error of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// The HTTP status, where an answer had one that explains the failure.
    pub status: Option<u16>,
    /// What happened, at most 2 kB, without secrets.
    pub message: String,
    /// How long the server asks to be left alone, ns (`Retry-After` in seconds; dates are not read).
    pub retry_after: Option<u64>,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        cut(&mut message);
        Self { kind, status: None, message, retry_after: None }
    }

    /// Blanks the secrets that a server may have echoed, one cut short at the end too.
    pub(crate) fn masked(mut self, secrets: &[String]) -> Self {
        for secret in secrets {
            self.message = self.message.replace(secret.as_str(), "***");
            let stem = self.message.trim_end_matches("...");
            let starts = (MASKED_PREFIX..secret.len()).filter_map(|end| secret.get(..end));
            if let Some(start) = starts.rev().find(|start| stem.ends_with(start)) {
                self.message.truncate(stem.len() - start.len());
                self.message.push_str("***");
            }
        }
        self
    }

    /// An error of a connection that stood.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        let kind = if is_tls(error) {
            // With TLS 1.3 a server refuses our certificate after the handshake.
            FailureKind::Tls
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            FailureKind::ClosedEarly
        } else {
            FailureKind::Reset
        };
        Self::new(kind, format!("the connection broke: {}", chain(error)))
    }

    /// A connection that ended before something had happened.
    pub(crate) fn closed(before: &str) -> Self {
        Self::new(
            FailureKind::ClosedEarly,
            format!("the server closed the connection before {before}"),
        )
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        let hint = "hint: is this an HTTP/1.1 server, or should it be https://?";
        Self::new(FailureKind::BadHttp, format!("{error}; {hint}"))
    }
}

/// The words of a server's error body: `error.message`, `error`, `detail` or `message` of a JSON
/// object, else the body itself.
pub(crate) fn server_message(body: &[u8]) -> String {
    let found = serde_json::from_slice::<Value>(body).ok().and_then(|value| {
        let error = value.get("error");
        error
            .and_then(|error| error.get("message"))
            .or(error)
            .or_else(|| value.get("detail"))
            .or_else(|| value.get("message"))
            .filter(|found| !found.is_null())
            .map(spoken)
    });
    let mut message = found.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    cut(&mut message);
    message
}

/// A string as it is; `detail` may be a list of objects with a `msg` each; anything else as JSON.
fn spoken(value: &Value) -> String {
    let said = |entry: &Value| entry.get("msg").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let list = value.as_array().and_then(|list| list.iter().map(said).collect::<Option<Vec<_>>>());
    list.map_or_else(|| value.to_string(), |list| list.join("; "))
}

/// An error and its sources, outermost first.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        out.push_str(": ");
        out.push_str(&error.to_string());
        source = error.source();
    }
    out
}

#[cfg(feature = "tls")]
fn is_tls(error: &io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

#[cfg(not(feature = "tls"))]
fn is_tls(_error: &io::Error) -> bool {
    false
}

fn cut(message: &mut String) {
    if message.len() > MESSAGE_LIMIT {
        let end = message.floor_char_boundary(MESSAGE_LIMIT - "...".len());
        message.truncate(end);
        message.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_found() {
        let check =
            |body: &str, expected: &str| assert_eq!(server_message(body.as_bytes()), expected);
        check(
            r#"{"error":{"message":"no such model","type":"NotFoundError","code":404}}"#,
            "no such model",
        );
        check(
            r#"{"error":{"code":400,"type":"exceed_context_size_error"}}"#,
            r#"{"code":400,"type":"exceed_context_size_error"}"#,
        );
        check(r#"{"error":"busy"}"#, "busy");
        check(r#"{"detail":"Unexpected fields"}"#, "Unexpected fields");
        check(
            r#"{"detail":[{"loc":["body"],"msg":"field required"},{"msg":"too long"}]}"#,
            "field required; too long",
        );
        check(r#"{"object":"error","message":"bad"}"#, "bad");
        check(" <h1>502</h1>\n", "<h1>502</h1>");
        check("", "");
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "é".repeat(MESSAGE_LIMIT);
        let message = Failure::new(FailureKind::Status, long).message;
        assert!(message.len() <= MESSAGE_LIMIT && message.ends_with("é..."));
    }

    #[test]
    fn secrets_are_blanked() {
        let failure = Failure::new(FailureKind::Status, "key sk-123 is wrong");
        let secrets = ["sk-123".to_owned()];
        assert_eq!(failure.masked(&secrets).message, "key *** is wrong");
        let cut = Failure::new(FailureKind::BadJson, "quoted: key sk-12");
        assert_eq!(cut.masked(&secrets).message, "quoted: key ***");
    }
}
