//! The recorder: rows to files on a thread of its own, behind a bounded queue.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use trie_core::record::{ClientRow, RequestRow, TraceRow};
use trie_core::units::Nanos;

use crate::progress::Progress;
use crate::row::{Planned, request_row};
use crate::spawn;
use crate::wire::Exchange;

/// Rows that may wait for the recorder.
const QUEUE: usize = 8192;

/// Where rows go; the caller opens the files. Unbuffered, so that a row that was taken is a row
/// that is kept when the process is killed.
pub struct RecordFiles {
    /// `requests.jsonl`.
    pub requests: Box<dyn Write + Send>,
    /// `traces.jsonl`.
    pub traces: Box<dyn Write + Send>,
    /// `client.jsonl`.
    pub client: Box<dyn Write + Send>,
}

/// Rows of a run that are not in its files.
#[derive(Debug, Default)]
pub struct Kept {
    /// Attempts.
    pub requests: Vec<RequestRow>,
    /// Admissions and ends.
    pub traces: Vec<TraceRow>,
    /// Seconds.
    pub client: Vec<ClientRow>,
}

/// What became of the rows.
#[derive(Debug)]
pub struct Recorded {
    /// Rows of `requests.jsonl` written in full; `None` where nobody is left to say.
    pub requests_written: Option<u64>,
    /// Why writing stopped in mid-run; from then on rows were kept in memory.
    pub failed: Option<io::Error>,
    /// Rows that could not be written.
    pub kept: Kept,
}

impl Recorded {
    fn nothing() -> Self {
        Self { requests_written: Some(0), failed: None, kept: Kept::default() }
    }

    /// The recorder panicked: what it held in memory is gone.
    pub(crate) fn lost() -> Self {
        let failed = Some(io::Error::other("the recorder panicked (its message is above)"));
        Self { requests_written: None, failed, kept: Kept::default() }
    }
}

/// Something for the recorder.
pub(crate) enum Row {
    /// An attempt that ended; its row is made here, off the measuring path.
    Request(Box<(Planned, Exchange, Nanos)>),
    Trace(Box<TraceRow>),
    Client(Box<ClientRow>),
}

/// The sending side.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    rows: mpsc::Sender<Row>,
    full: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the recorder's thread.
    pub(crate) fn start(
        files: RecordFiles,
        progress: Arc<Progress>,
    ) -> io::Result<(Self, JoinHandle<Recorded>)> {
        let (rows, queue) = mpsc::channel(QUEUE);
        let thread = spawn::thread("recorder", move || record(queue, files, &progress))?;
        Ok((Self { rows, full: Arc::default() }, thread))
    }

    /// Hands a row over. A full queue is counted, and the caller waits: no row is lost.
    ///
    /// Panics when the recorder did: a run that no longer records has to end.
    pub(crate) async fn send(&self, row: Row) {
        let sent = match self.rows.try_send(row) {
            Err(TrySendError::Full(row)) => {
                self.full.fetch_add(1, Ordering::Relaxed);
                self.rows.send(row).await.is_ok()
            }
            Err(TrySendError::Closed(_row)) => false,
            Ok(()) => true,
        };
        assert!(sent, "the recorder lives as long as its rows");
    }

    /// Rows that wait now, and how often the queue was found full since the last call.
    pub(crate) fn take_queue(&self) -> (u64, u64) {
        let depth = self.rows.max_capacity() - self.rows.capacity();
        (depth as u64, self.full.swap(0, Ordering::Relaxed))
    }
}

fn record(mut queue: mpsc::Receiver<Row>, files: RecordFiles, progress: &Progress) -> Recorded {
    let mut writer = Writer { files, recorded: Recorded::nothing(), written: 0 };
    while let Some(row) = queue.blocking_recv() {
        writer.take(row, progress);
    }
    Recorded { requests_written: Some(writer.written), ..writer.recorded }
}

struct Writer {
    files: RecordFiles,
    recorded: Recorded,
    /// Rows of `requests.jsonl`.
    written: u64,
}

impl Writer {
    fn take(&mut self, row: Row, progress: &Progress) {
        match row {
            Row::Request(parts) => {
                let (planned, seen, cut_at) = *parts;
                let row = request_row(planned, seen, cut_at);
                progress.request(&row);
                if self.write(|files| &mut files.requests, &row) {
                    self.written += 1;
                } else {
                    self.recorded.kept.requests.push(row);
                }
            }
            Row::Trace(row) => {
                progress.trace(&row);
                if !self.write(|files| &mut files.traces, &row) {
                    self.recorded.kept.traces.push(*row);
                }
            }
            Row::Client(row) => {
                progress.second(row.second);
                if !self.write(|files| &mut files.client, &row) {
                    self.recorded.kept.client.push(*row);
                }
            }
        }
    }

    /// Writes one line; after the first failure, which may leave a part of one, nothing is written
    /// any more.
    fn write(
        &mut self,
        file: impl FnOnce(&mut RecordFiles) -> &mut Box<dyn Write + Send>,
        row: &impl Serialize,
    ) -> bool {
        if self.recorded.failed.is_some() {
            return false;
        }
        let mut line =
            serde_json::to_vec(row).expect("a row holds no map with other than text keys");
        line.push(b'\n');
        match file(&mut self.files).write_all(&line) {
            Ok(()) => true,
            Err(error) => {
                self.recorded.failed = Some(error);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_queue_is_counted_once() {
        let (rows, mut queue) = mpsc::channel(1);
        let recorder = Recorder { rows, full: Arc::default() };
        let row = || Row::Client(Box::default());
        recorder.rows.try_send(row()).ok().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { tokio::join!(recorder.send(row()), queue.recv()) });
        assert_eq!((recorder.take_queue(), recorder.take_queue()), ((1, 1), (1, 0)));
    }

    #[test]
    fn a_full_disk_stops_recording_and_keeps_the_rest_in_memory() {
        let files = RecordFiles {
            requests: Box::new(Disk(3000)),
            traces: Box::new(io::sink()),
            client: Box::new(io::sink()),
        };
        let (rows, queue) = mpsc::channel(16);
        for _ in 0..10 {
            let parts = (Planned::default(), Exchange::default(), Nanos::ZERO);
            rows.try_send(Row::Request(Box::new(parts))).ok().unwrap();
        }
        drop(rows);
        let recorded = record(queue, files, &Progress::default());
        let written = usize::try_from(recorded.requests_written.unwrap()).unwrap();
        assert!((1..10).contains(&written), "{written}");
        assert_eq!(written + recorded.kept.requests.len(), 10);
        assert_eq!(recorded.failed.unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
