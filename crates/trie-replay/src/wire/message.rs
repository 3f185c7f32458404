//! HTTP/1.1 as a client speaks it: a request to bytes, bytes to the head of an answer, and how long its
//! body is (RFC 9112).

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Version};
use thiserror::Error;

use super::chunked::Chunked;

/// Longest head of an answer, bytes.
const HEAD_LIMIT: usize = 64 << 10;

/// Most headers of an answer.
const MOST_HEADERS: usize = 128;

/// What came is no HTTP/1.1 answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum HttpError {
    #[error("the head of the answer cannot be read: {0}")]
    Head(#[from] httparse::Error),
    #[error("the head of the answer is longer than {HEAD_LIMIT} bytes")]
    LongHead,
    #[error("the answer's status is {0}, which is none")]
    Status(u16),
    #[error("header `{0}` cannot be read")]
    Header(String),
    #[error("the answer speaks another protocol from here on, which nobody asked for")]
    Switched,
    #[error("content-length `{0}` is not one number")]
    Length(String),
    #[error("a chunk of the body has no size in hexadecimal digits")]
    ChunkSize,
    #[error("a chunk of the body is framed wrongly: byte 0x{found:02x} where a line ends")]
    Chunk { found: u8 },
    #[error("a chunked body has too many extensions or trailers")]
    Extras,
}

/// The head of an answer, and what it says about the rest.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: Response<()>,
    pub(super) body: Body,
    /// Whether the connection may carry another request when the body has ended.
    pub(super) keeps: bool,
}

/// A body, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    Chunked(Chunked),
    /// So many bytes are left.
    Length(u64),
    /// It ends with the connection.
    UntilClosed,
}

impl Body {
    /// What was read to its end, or has none.
    pub(super) const ENDED: Self = Self::Length(0);

    pub(super) fn is_ended(self) -> bool {
        match self {
            Self::Chunked(chunked) => chunked.is_ended(),
            Self::Length(left) => left == 0,
            Self::UntilClosed => false,
        }
    }

    /// Cuts the next piece of content off the front of `rest`; `None` when `rest` holds no more of it.
    pub(super) fn next<'b>(&mut self, rest: &mut &'b [u8]) -> Result<Option<&'b [u8]>, HttpError> {
        let here = match self {
            Self::Chunked(chunked) => return chunked.next(rest),
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left -= here as u64;
                here
            }
            Self::UntilClosed => rest.len(),
        };
        let (content, tail) = rest.split_at(here);
        *rest = tail;
        Ok((here > 0).then_some(content))
    }
}

/// A request's line and headers, as sent.
pub(super) fn encode(request: &Request<Bytes>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    let mut push = |name: &HeaderName, value: &[u8]| {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    for (name, value) in request.headers() {
        push(name, value.as_bytes());
    }
    if !request.body().is_empty() || request.method() == Method::POST {
        push(&CONTENT_LENGTH, request.body().len().to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The head that stands at the start of `bytes`, and its length; `None` if more has to come first. Heads
/// that only announce another one (1xx) are passed over.
pub(super) fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, HttpError> {
    let mut start = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = parsed.parse(&bytes[start..])? else {
            let too_long = bytes.len() - start > HEAD_LIMIT;
            return if too_long { Err(HttpError::LongHead) } else { Ok(None) };
        };
        start += length;
        let code = parsed.code.unwrap_or_default();
        let status = StatusCode::from_u16(code).map_err(|_| HttpError::Status(code))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(HttpError::Switched);
        }
        if !status.is_informational() {
            let version =
                if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
            return Ok(Some((head(status, version, parsed.headers)?, start)));
        }
    }
}

fn head(
    status: StatusCode,
    version: Version,
    parsed: &[httparse::Header<'_>],
) -> Result<Head, HttpError> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.version_mut() = version;
    head.headers_mut().reserve(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| unread(header))?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| unread(header))?;
        head.headers_mut().append(name, value);
    }
    let headers = head.headers();
    let body = body(status, version, headers)?;
    let framed_twice =
        headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let keeps = keeps(version, headers) && body != Body::UntilClosed && !framed_twice;
    Ok(Head { response: head, body, keeps })
}

fn unread(header: &httparse::Header<'_>) -> HttpError {
    HttpError::Header(header.name.to_owned())
}

/// How long the body is (section 6.3).
fn body(status: StatusCode, version: Version, headers: &HeaderMap) -> Result<Body, HttpError> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Body::ENDED);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        // HTTP/1.0 knows no chunks: what claims to be some may have been passed on by somebody who does
        // not either.
        let chunked = version == Version::HTTP_11
            && words(headers, &TRANSFER_ENCODING).last().is_some_and(|word| word == "chunked");
        return Ok(if chunked { Body::Chunked(Chunked::new()) } else { Body::UntilClosed });
    }
    let mut lengths = words(headers, &CONTENT_LENGTH);
    let Some(first) = lengths.next() else { return Ok(Body::UntilClosed) };
    let length = first.bytes().all(|byte| byte.is_ascii_digit()).then(|| first.parse().ok());
    match length.flatten() {
        Some(length) if lengths.all(|other| other == first) => Ok(Body::Length(length)),
        Some(_) | None => Err(HttpError::Length(first)),
    }
}

fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let says = |wanted: &str| words(headers, &CONNECTION).any(|word| word == wanted);
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// The values of a list header, in order, in lower case.
fn words(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    let lines = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let words: Vec<String> = lines
        .flat_map(|line| {
            line.split(',').map(|word| word.trim().to_ascii_lowercase()).collect::<Vec<_>>()
        })
        .collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Head {
        let bytes = format!("{head}\r\n");
        for end in 0..bytes.len() {
            assert!(parse_head(&bytes.as_bytes()[..end]).unwrap().is_none(), "{end} of {head}");
        }
        let (found, length) = parse_head(format!("{bytes}rest").as_bytes()).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        found
    }

    #[test]
    fn a_head_says_how_long_its_body_is_and_whether_the_connection_stays() {
        let check = |head: &str, body: Body, keeps: bool| {
            let found = parsed(head);
            assert_eq!((found.body, found.keeps), (body, keeps), "{head}");
        };
        let chunked = Body::Chunked(Chunked::new());
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", chunked, true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n", chunked, true);
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n", Body::UntilClosed, false);
        check("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n", Body::UntilClosed, false);
        let both = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n";
        check(both, chunked, false);
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n", Body::Length(5), true);
        check("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n", Body::Length(5), true);
        check("HTTP/1.1 200 OK\r\n", Body::UntilClosed, false);
        check("HTTP/1.1 204 None\r\n", Body::ENDED, true);
        check("HTTP/1.1 304 Same\r\ncontent-length: 5\r\n", Body::ENDED, true);
        let close = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x, Close\r\n";
        check(close, Body::Length(5), false);
        check("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n", Body::Length(5), false);
        let kept = "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n";
        check(kept, Body::Length(5), true);
    }

    #[test]
    fn heads_that_announce_another_one_are_passed_over() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\na: b\r\n\r\nHTTP/1.1 503 Busy\r\nretry-after: 5\r\n\r\n{";
        let (found, length) = parse_head(bytes).unwrap().unwrap();
        assert_eq!((found.response.status().as_u16(), length), (503, bytes.len() - 1));
        assert_eq!(found.response.headers()["retry-after"], "5");
        assert!(parse_head(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap().is_none());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let error = parse_head(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(b"220 mail ready\r\n", "cannot be read");
        check(b"\x15\x03\x01\x00\x02\x02\x16", "cannot be read");
        check(b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol");
        check(b"HTTP/1.1 099 Low\r\n\r\n", "99");
        for length in ["x", "", "+5", "5, 6", "18446744073709551616"] {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            check(head.as_bytes(), "not one number");
        }
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        check(format!("HTTP/1.1 200 OK\r\n{many}\r\n").as_bytes(), "too many headers");
        let long = "x".repeat(HEAD_LIMIT);
        check(format!("HTTP/1.1 200 OK\r\na: {long}").as_bytes(), "longer than");
    }

    #[test]
    fn bodies_of_a_length_and_without_one() {
        let mut body = Body::Length(5);
        let mut rest = &b"abcdefg"[..];
        assert_eq!(body.next(&mut rest), Ok(Some(&b"abcde"[..])));
        assert_eq!((body.next(&mut rest), body.is_ended(), rest), (Ok(None), true, &b"fg"[..]));
        let mut body = Body::UntilClosed;
        assert_eq!(body.next(&mut rest), Ok(Some(&b"fg"[..])));
        assert_eq!((body.next(&mut rest), body.is_ended()), (Ok(None), false));
    }

    #[test]
    fn a_request_is_written_with_its_length() {
        let mut request = Request::new(Bytes::from_static(b"{}"));
        *request.uri_mut() = "/v1/models?a=b".parse().unwrap();
        request.headers_mut().insert("host", HeaderValue::from_static("h:1"));
        let text = "GET /v1/models?a=b HTTP/1.1\r\nhost: h:1\r\ncontent-length: 2\r\n\r\n";
        assert_eq!(encode(&request), text.as_bytes());
        *request.body_mut() = Bytes::new();
        assert_eq!(encode(&request), b"GET /v1/models?a=b HTTP/1.1\r\nhost: h:1\r\n\r\n");
    }
}
