//! Rows to their files.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use trie_core::record::{ClientRow, RequestRow, TraceRow};

use super::options::Files;

/// Bytes that are collected before they are written: nothing is lost with a forecast that is killed but
/// its time.
const BUFFER: usize = 1 << 20;

pub(super) struct Recorder<'f> {
    requests: BufWriter<&'f mut dyn Write>,
    traces: BufWriter<&'f mut dyn Write>,
    client: BufWriter<&'f mut dyn Write>,
    written: u64,
}

impl<'f> Recorder<'f> {
    pub(super) fn new(files: Files<'f>) -> Self {
        let Files { requests, traces, client } = files;
        Self {
            requests: BufWriter::with_capacity(BUFFER, requests),
            traces: BufWriter::with_capacity(BUFFER, traces),
            client: BufWriter::new(client),
            written: 0,
        }
    }

    pub(super) fn request(&mut self, row: &RequestRow) -> io::Result<()> {
        self.written += 1;
        write(&mut self.requests, row)
    }

    pub(super) fn trace(&mut self, row: &TraceRow) -> io::Result<()> {
        write(&mut self.traces, row)
    }

    pub(super) fn client(&mut self, row: &ClientRow) -> io::Result<()> {
        write(&mut self.client, row)
    }

    /// Writes what is left; gives the number of requests.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.requests.flush()?;
        self.traces.flush()?;
        self.client.flush()?;
        Ok(self.written)
    }
}

fn write(file: &mut impl Write, row: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, row)?;
    file.write_all(b"\n")
}
