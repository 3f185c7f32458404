//! Rows to their files.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use trie_core::{
    record::{ClientRow, RequestRow, TraceRow},
    units::Nanos,
};

use super::options::Files;
use crate::{
    engine::{Event, RequestId},
    truth::{self, Arrival, Ledger, TruthEnd},
};

/// Bytes that are collected before they are written: nothing is lost with a forecast that is killed but
/// its time.
const BUFFER: usize = 1 << 20;

pub(super) struct Recorder<'f> {
    requests: BufWriter<&'f mut dyn Write>,
    traces: BufWriter<&'f mut dyn Write>,
    client: BufWriter<&'f mut dyn Write>,
    truth: Option<BufWriter<&'f mut dyn Write>>,
    ledger: Ledger,
    written: u64,
    /// The row in work, kept for its memory: a row is made of thousands of small writes, which cost less
    /// into memory than into a file's buffer.
    line: Vec<u8>,
}

impl<'f> Recorder<'f> {
    pub(super) fn new(files: Files<'f>) -> Self {
        let Files { requests, traces, client, truth } = files;
        Self {
            requests: BufWriter::with_capacity(BUFFER, requests),
            traces: BufWriter::with_capacity(BUFFER, traces),
            client: BufWriter::new(client),
            truth: truth.map(|file| BufWriter::with_capacity(BUFFER, file)),
            ledger: Ledger::default(),
            written: 0,
            line: Vec::new(),
        }
    }

    pub(super) fn request(&mut self, row: &RequestRow) -> io::Result<()> {
        self.written += 1;
        write(&mut self.requests, row, &mut self.line)
    }

    pub(super) fn trace(&mut self, row: &TraceRow) -> io::Result<()> {
        write(&mut self.traces, row, &mut self.line)
    }

    pub(super) fn client(&mut self, row: &ClientRow) -> io::Result<()> {
        write(&mut self.client, row, &mut self.line)
    }

    /// A request reaches its engine.
    pub(super) fn arrived(&mut self, id: RequestId, arrival: impl FnOnce() -> Arrival) {
        if self.truth.is_some() {
            self.ledger.arrived(id, arrival());
        }
    }

    /// An engine did something.
    pub(super) fn note(&mut self, event: &Event) -> io::Result<()> {
        let Some(file) = &mut self.truth else { return Ok(()) };
        self.ledger.note(event).map_or(Ok(()), |row| truth::write(&row, file))
    }

    /// A request is no longer wanted.
    pub(super) fn cancelled(&mut self, id: RequestId, at: Nanos) -> io::Result<()> {
        let Some(file) = &mut self.truth else { return Ok(()) };
        let row = self.ledger.end(id, TruthEnd::Cancelled, at);
        row.map_or(Ok(()), |row| truth::write(&row, file))
    }

    /// Writes what is left; gives the number of requests.
    pub(super) fn finish(mut self, at: Nanos) -> io::Result<u64> {
        if let Some(mut file) = self.truth {
            self.ledger.unfinished(at).try_for_each(|row| truth::write(&row, &mut file))?;
            file.flush()?;
        }
        self.requests.flush()?;
        self.traces.flush()?;
        self.client.flush()?;
        Ok(self.written)
    }
}

fn write(file: &mut impl Write, row: &impl Serialize, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    serde_json::to_writer(&mut *line, row)?;
    line.push(b'\n');
    file.write_all(line)
}
