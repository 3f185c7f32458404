//! The bodies of answers: whole, or written piece by piece.

use std::{
    future::Future,
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, watch};

/// Why an answer does not end as it should: the connection is closed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// The fault that was asked for.
    #[error("the connection is closed by a fault that was asked for")]
    Fault,
    /// The reader is gone.
    #[error("the reader of the answer is gone")]
    Reader,
}

/// The body of an answer.
pub(super) struct Reply {
    source: Source,
    busy: Option<Busy>,
}

enum Source {
    Whole(Option<Bytes>),
    Stream { writer: Writer, pieces: mpsc::Receiver<Bytes> },
}

enum Writer {
    Working(Pin<Box<dyn Future<Output = Result<(), Broken>> + Send>>),
    /// What was written before it broke has still to reach the socket.
    Breaking(Broken),
    Broken(Broken),
    Done,
}

/// Where a stream's writer puts its events.
pub(super) struct Outlet {
    pieces: mpsc::Sender<Bytes>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    packing: Packing,
    /// Events that wait for others, and how many they are.
    held: Vec<u8>,
    held_events: usize,
}

/// How events become pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    pub(super) gzip: bool,
    /// Events that go out together.
    pub(super) events: usize,
    /// Bytes that must be there before anything goes out.
    pub(super) bytes: usize,
}

/// Held while a connection has a request in work.
#[derive(Debug)]
pub(super) struct Busy(watch::Sender<usize>);

/// Pieces that a stream's writer may be ahead of the socket.
const PIECES_AHEAD: usize = 32;

impl Reply {
    /// A body that is there already.
    pub(super) fn whole(body: impl Into<Bytes>) -> Self {
        Self { source: Source::Whole(Some(body.into())), busy: None }
    }

    /// A body that `write` writes; it runs only while the body is read.
    pub(super) fn stream<F>(packing: Packing, write: impl FnOnce(Outlet) -> F) -> Self
    where
        F: Future<Output = Result<(), Broken>> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let gzip = packing.gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let outlet = Outlet { pieces: sender, gzip, packing, held: vec![], held_events: 0 };
        let writer = Writer::Working(Box::pin(write(outlet)));
        Self { source: Source::Stream { writer, pieces }, busy: None }
    }

    /// Keeps its connection busy until it was written, or dropped.
    pub(super) fn keeping(self, busy: Busy) -> Self {
        Self { busy: Some(busy), ..self }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = match &mut self.source {
            Source::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Source::Stream { writer, pieces } => poll_stream(writer, pieces, context),
        };
        if matches!(next, Poll::Ready(None)) {
            self.busy = None;
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(body) => {
                let length = body.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).expect("a length fits in 64 bits"))
            }
            Source::Stream { .. } => SizeHint::default(),
        }
    }
}

fn poll_stream(
    writer: &mut Writer,
    pieces: &mut mpsc::Receiver<Bytes>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
    if let Ok(piece) = pieces.try_recv() {
        return Poll::Ready(Some(Ok(Frame::data(piece))));
    }
    if let Writer::Working(work) = writer
        && let Poll::Ready(result) = work.as_mut().poll(context)
    {
        *writer = match result {
            Ok(()) => Writer::Done,
            Err(broken) => Writer::Breaking(broken),
        };
    }
    if let Ok(piece) = pieces.try_recv() {
        return Poll::Ready(Some(Ok(Frame::data(piece))));
    }
    match writer {
        Writer::Working(_) => Poll::Pending,
        Writer::Done => Poll::Ready(None),
        Writer::Breaking(broken) => {
            *writer = Writer::Broken(*broken);
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Writer::Broken(broken) => Poll::Ready(Some(Err(*broken))),
    }
}

impl Outlet {
    /// Sends one event, as an HTTP chunk of its own, unless it has to wait for others.
    pub(super) async fn send(&mut self, event: Vec<u8>) -> Result<(), Broken> {
        self.held.extend(event);
        self.held_events += 1;
        if self.held_events < self.packing.events || self.held.len() < self.packing.bytes {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        self.held_events = 0;
        let piece = std::mem::take(&mut self.held);
        let piece = match &mut self.gzip {
            None => piece,
            Some(gzip) => {
                gzip.write_all(&piece).and_then(|()| gzip.flush()).expect(IN_MEMORY);
                std::mem::take(gzip.get_mut())
            }
        };
        self.pieces.send(piece.into()).await.map_err(|_| Broken::Reader)
    }

    /// Ends the body as it should end.
    pub(super) async fn end(mut self) -> Result<(), Broken> {
        if self.held_events > 0 {
            self.flush().await?;
        }
        let Some(gzip) = self.gzip else { return Ok(()) };
        let tail = gzip.finish().expect(IN_MEMORY);
        self.pieces.send(tail.into()).await.map_err(|_| Broken::Reader)
    }
}

/// Compresses a whole body.
pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body).expect(IN_MEMORY);
    gzip.finish().expect(IN_MEMORY)
}

const IN_MEMORY: &str = "compressing into a vector cannot fail";

impl Busy {
    pub(super) fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
