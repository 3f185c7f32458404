//! Reading a workload: once through to check it, then row by row as rows are needed.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use flate2::Crc;
use sha2::{Digest, Sha256};

use super::columns::{pack, unpack};
use super::error::{Fault, WorkloadError};
use super::graph::Trace;
use super::header::{Header, read_header};
use super::json::{Fields, cut};
use super::lines::{Line, LineFault, Lines, is_idle};
use super::row::{RowLine, read_row};
use super::source::{Encoding, ReadSeek, Source, read_hint, unpacked};
use super::warning::{IgnoredKey, KeyStanding, Tally, WorkloadWarning};
use crate::record::WorkloadFacts;

/// The most rows of a file: row numbers are held in 32 bits.
const MAX_ROWS: u64 = u32::MAX as u64;

/// How to read a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadOptions {
    /// Refuse keys that are not replayed instead of warning of them.
    pub strict: bool,
    /// The most memory that rows which cannot be read again may take, in units of 10^6 bytes.
    pub max_workload_mb: u64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { strict: false, max_workload_mb: 512 }
    }
}

/// A checked workload file. Every row of it can be replayed.
pub struct Workload {
    facts: WorkloadFacts,
    header: Option<Header>,
    warnings: Vec<WorkloadWarning>,
    places: Vec<Place>,
    store: Store,
}

impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// Where a row is: 24 bytes.
#[derive(Clone, Copy)]
struct Place {
    /// In bytes from the start of the file, or into the packed rows.
    offset: u64,
    /// From 1.
    line: u64,
    /// In bytes; unused for packed rows.
    length: u32,
    /// Of the line; unused for packed rows.
    crc: u32,
}

/// Where rows come from when they are needed.
enum Store {
    File { source: BufReader<Box<dyn ReadSeek + Send>>, at: u64 },
    Packed(Vec<u8>),
}

/// A named row: 16 bytes.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Name {
    hash: u64,
    row: u32,
    column: u32,
}

impl Workload {
    /// Reads and checks a whole workload.
    ///
    /// `name` is what messages call it: its path as it was given.
    pub fn open(
        source: Source,
        name: &str,
        encoding: Encoding,
        options: &ReadOptions,
    ) -> Result<Self, WorkloadError> {
        let read_error = |source| read_error(name, encoding, source);
        match (source, encoding) {
            (Source::Seekable(mut file), Encoding::Plain) => {
                file.seek(SeekFrom::Start(0)).map_err(read_error)?;
                let lines = Lines::new(BufReader::with_capacity(1 << 16, file.by_ref()));
                let pass = Pass::over(lines, name, encoding, options, None)?;
                file.seek(SeekFrom::Start(0)).map_err(read_error)?;
                pass.finish(Some(file))
            }
            (Source::Seekable(mut file), Encoding::Gzip | Encoding::Zstd) => {
                file.seek(SeekFrom::Start(0)).map_err(read_error)?;
                let stream: Box<dyn Read + Send> = Box::new(file);
                Self::open(Source::Stream(stream), name, encoding, options)
            }
            (Source::Stream(stream), encoding) => {
                let lines = Lines::new(unpacked(stream, encoding));
                Pass::over(lines, name, encoding, options, Some(Vec::new()))?.finish(None)
            }
        }
    }

    /// What the file holds.
    pub fn facts(&self) -> &WorkloadFacts {
        &self.facts
    }

    /// What the user should know.
    pub fn warnings(&self) -> &[WorkloadWarning] {
        &self.warnings
    }

    /// What the file says about itself.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Traces in the file.
    pub fn rows(&self) -> u64 {
        self.places.len() as u64
    }

    /// The trace of a row, from 0.
    ///
    /// Reads the row again where it is not held: fails when there is none, or when the file is not
    /// what it was.
    pub fn trace(&mut self, row: u64) -> Result<Trace, WorkloadError> {
        let place = self.place(row)?;
        if let Store::Packed(bytes) = &self.store {
            let start = usize::try_from(place.offset).expect("it is an index into memory");
            return Ok(unpack(&bytes[start..], row));
        }
        let text = self.text(place)?;
        let read = Fields::of_line(&text).and_then(|fields| read_row(&text, fields, row));
        read.map(|line| line.trace).map_err(|_| self.changed(place))
    }

    /// The text of a row of a plain file, and its line from 1.
    pub(super) fn row_text(&mut self, row: u64) -> Result<(String, u64), WorkloadError> {
        let place = self.place(row)?;
        Ok((self.text(place)?, place.line))
    }

    fn place(&self, row: u64) -> Result<Place, WorkloadError> {
        let place = usize::try_from(row).ok().and_then(|row| self.places.get(row));
        place.copied().ok_or_else(|| {
            let (file, last) = (self.facts.path.clone(), self.rows() - 1);
            WorkloadError::NoSuchRow { file, row, last }
        })
    }

    /// The line of a row of a file.
    fn text(&mut self, place: Place) -> Result<String, WorkloadError> {
        let Store::File { source, at } = &mut self.store else {
            unreachable!("packed rows have no text")
        };
        let read = read_again(source, at, place);
        let text = read.map_err(|error| read_error(&self.facts.path, Encoding::Plain, error))?;
        text.ok_or_else(|| self.changed(place))
    }

    fn changed(&self, place: Place) -> WorkloadError {
        WorkloadError::Changed { file: self.facts.path.clone(), line: place.line }
    }
}

/// The line of a row, unless it changed.
fn read_again(
    source: &mut BufReader<Box<dyn ReadSeek + Send>>,
    at: &mut u64,
    place: Place,
) -> io::Result<Option<String>> {
    source.seek_relative(place.offset.cast_signed() - at.cast_signed())?;
    let mut bytes = vec![0; place.length as usize];
    // Where the source is after a failed read is unknown, but then the file is unusable anyway.
    *at = place.offset + bytes.len() as u64;
    match source.read_exact(&mut bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let same = checksum(&bytes) == place.crc;
    Ok(String::from_utf8(bytes).ok().filter(|_| same))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn read_error(file: &str, encoding: Encoding, source: io::Error) -> WorkloadError {
    WorkloadError::Read { file: file.to_owned(), source, hint: read_hint(encoding) }
}

/// The first time through a file.
struct Pass<'o> {
    name: &'o str,
    options: &'o ReadOptions,
    facts: WorkloadFacts,
    header: Option<Header>,
    tally: Tally,
    places: Vec<Place>,
    /// Rows that gave themselves a name, and whether others did not.
    names: Vec<Name>,
    unnamed: bool,
    /// Where rows are held that cannot be read again.
    packed: Option<Vec<u8>>,
}

impl<'o> Pass<'o> {
    fn over(
        mut lines: Lines<impl BufRead>,
        name: &'o str,
        encoding: Encoding,
        options: &'o ReadOptions,
        packed: Option<Vec<u8>>,
    ) -> Result<Self, WorkloadError> {
        let mut pass = Self {
            name,
            options,
            facts: WorkloadFacts::of(name),
            header: None,
            tally: Tally::default(),
            places: Vec::new(),
            names: Vec::new(),
            unnamed: false,
            packed,
        };
        while let Some(line) = next_line(&mut lines, name, encoding)? {
            pass.line(&line)?;
        }
        if pass.places.is_empty() {
            return Err(WorkloadError::Empty { file: name.to_owned(), lines: lines.count() });
        }
        pass.facts.rows = pass.places.len() as u64;
        pass.facts.sha256 = lines.into_sha256();
        Ok(pass)
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), WorkloadError> {
        let at_line = |fault: Fault| fault.at(self.name, line.number);
        let text = line.text().map_err(at_line)?;
        if is_idle(text) {
            return Ok(());
        }
        let fields = Fields::of_line(text).map_err(at_line)?;
        let may_be_header = self.places.is_empty() && self.header.is_none();
        if may_be_header && fields.holds("trie_workload") {
            let (header, ignored) = read_header(text, fields).map_err(at_line)?;
            self.header = Some(header);
            return self.ignore(&ignored, line);
        }
        let number = self.places.len() as u64;
        let row = read_row(text, fields, number).map_err(at_line)?;
        self.ignore(&row.remarks.ignored, line)?;
        self.add(&row, line)
    }

    fn ignore(&mut self, keys: &[IgnoredKey<'_>], line: &Line<'_>) -> Result<(), WorkloadError> {
        for IgnoredKey { key, standing, column } in keys {
            if self.options.strict {
                let wanted = "only keys that are replayed, because of strict";
                let found = match standing {
                    KeyStanding::Unknown => "a key the format does not have",
                    KeyStanding::NotReplayedYet => {
                        "a key of workload version 2 that is not replayed yet"
                    }
                };
                let fault = Fault::new(*column, found, wanted).field(cut(key));
                return Err(fault.at(self.name, line.number));
            }
            self.tally.ignored_key(key, *standing, line.number);
        }
        Ok(())
    }

    fn add(&mut self, row: &RowLine<'_>, line: &Line<'_>) -> Result<(), WorkloadError> {
        let RowLine { trace, id_column, remarks } = row;
        let number = self.places.len() as u64;
        if number == MAX_ROWS {
            let file = self.name.to_owned();
            return Err(WorkloadError::TooManyRows { file, limit: MAX_ROWS });
        }
        self.tally.zero_answers(remarks.zero_answers, line.number);
        match id_column {
            Some(column) => self.names.push(name_of(&trace.id, number, *column)),
            None => self.unnamed = true,
        }
        self.place(trace, id_column.is_some(), line)?;
        self.facts.add(trace);
        Ok(())
    }

    fn place(&mut self, trace: &Trace, named: bool, line: &Line<'_>) -> Result<(), WorkloadError> {
        let (offset, line_number) = (line.offset, line.number);
        let length = u32::try_from(line.bytes.len()).expect("lines are bounded");
        let Some(packed) = &mut self.packed else {
            let crc = checksum(line.bytes);
            self.places.push(Place { offset, line: line_number, length, crc });
            return Ok(());
        };
        let offset = packed.len() as u64;
        pack(trace, named, packed);
        self.places.push(Place { offset, line: line_number, length: 0, crc: 0 });
        let held = packed.len() + self.places.len() * size_of::<Place>();
        let limit_mb = self.options.max_workload_mb;
        if held as u64 <= limit_mb.saturating_mul(1_000_000) {
            return Ok(());
        }
        let file = self.name.to_owned();
        Err(WorkloadError::TooLarge { file, limit_mb, line: line_number })
    }

    fn finish(mut self, file: Option<Box<dyn ReadSeek + Send>>) -> Result<Workload, WorkloadError> {
        let store = match (file, self.packed) {
            (Some(file), _) => Store::File { source: BufReader::new(file), at: 0 },
            (None, packed) => Store::Packed(packed.unwrap_or_default()),
        };
        if self.unnamed && !self.names.is_empty() {
            let named: Vec<u32> = self.names.iter().map(|name| name.row).collect();
            let rows = (0..self.places.len() as u64)
                .filter(|row| named.binary_search_by(|named| u64::from(*named).cmp(row)).is_err());
            self.names.extend(rows.map(|row| name_of(&row.to_string(), row, 1)));
        }
        let mut workload = Workload {
            facts: self.facts,
            header: self.header,
            warnings: self.tally.into_warnings(),
            places: self.places,
            store,
        };
        refuse_twins(self.names, &mut workload)?;
        Ok(workload)
    }
}

fn next_line<'l>(
    lines: &'l mut Lines<impl BufRead>,
    name: &str,
    encoding: Encoding,
) -> Result<Option<Line<'l>>, WorkloadError> {
    lines.next().map_err(|fault| match fault {
        LineFault::Read(error) => read_error(name, encoding, error),
        LineFault::TooLong { line } => Fault::new(1, "a line of more than 16 MiB", "a shorter one")
            .hint("a workload has one JSON object a line")
            .at(name, line),
    })
}

fn name_of(id: &str, row: u64, column: usize) -> Name {
    let digest: [u8; 32] = Sha256::digest(id).into();
    let hash = u64::from_be_bytes(*digest.first_chunk().expect("sha256 has 32 bytes"));
    let row = u32::try_from(row).expect("rows are bounded");
    Name { hash, row, column: u32::try_from(column).expect("lines are bounded") }
}

/// Refuses the first row whose name another row has. Equal hashes are looked at again.
fn refuse_twins(mut names: Vec<Name>, workload: &mut Workload) -> Result<(), WorkloadError> {
    names.sort_unstable();
    let alike = names.windows(2).filter(|pair| pair[0].hash == pair[1].hash);
    let mut alike: Vec<(Name, Name)> = alike.map(|pair| (pair[1], pair[0])).collect();
    alike.sort_unstable_by_key(|(second, _)| second.row);
    for (second, first) in alike {
        let id = workload.trace(second.row.into())?.id;
        if workload.trace(first.row.into())?.id == id {
            let line = |name: Name| workload.places[name.row as usize].line;
            let found = format!("{:?}, the name of the trace on line {}", id, line(first));
            let fault = Fault::new(second.column as usize, found, "a name of its own");
            let fault = fault.field("trace_id").hint("without one, a row is named by its number");
            return Err(fault.at(&workload.facts.path, line(second)));
        }
    }
    Ok(())
}
