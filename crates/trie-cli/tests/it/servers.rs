//! Servers that say one thing, whatever they are asked.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::thread;

/// Notices whether anybody connected.
pub(crate) struct Watched(TcpListener);

impl Watched {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Whether nobody connected; the system accepts for us, so that nothing is missed.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Answers every request with 401 and a body that quotes the request's own head. Returns its port.
pub(crate) fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that goes away in the middle is the client's business.
            drop(stream.and_then(answer));
        }
    });
    port
}

fn answer(mut stream: impl Read + Write) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    // A body left unread would turn the answer into a reset.
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    io::copy(&mut Read::by_ref(&mut stream).take(length), &mut io::sink())?;
    let head = head.replace(['"', '\\', '\r', '\n'], " ");
    let body = format!(r#"{{"error":{{"message":"not with these: {head}"}}}}"#);
    let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()
}

fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
