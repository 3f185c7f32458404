//! Sources in, rows out.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Cursor, Read};

use flate2::read::MultiGzDecoder;
use trie_core::units::{Nanos, Tokens};
use trie_core::workload::{Encoding, Row};

use crate::count::Count;
use crate::error::ImportError;
use crate::fidelity::{Damage, Event, Fidelity};
use crate::format::{Context, FORMATS, Format, Head, Made, Reader};
use crate::model::{Session, Time};
use crate::names::Salt;
use crate::records::{Record, Records};
use crate::row::{Style, row};
use crate::session::tidy;

/// Bytes of a source that are looked at to see what it is.
const HEAD: u64 = 256 << 10;

/// How `input_length` of a Mooncake row with a session is meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MooncakeLengths {
    /// As what the request adds to its session, where it has one; else as the whole prompt.
    #[default]
    BySession,
    /// As what the request adds to its session.
    Delta,
    /// As the whole prompt.
    Cumulative,
}

/// How to import.
#[derive(Clone, Copy, Debug)]
pub struct ImportOptions<'o> {
    /// Mixed into all hashes: rows of two imports with one salt share what they share in the source.
    pub salt: Salt,
    /// Counts texts of which the source does not say how long they are.
    pub count: Count<'o>,
    /// Sessions keep the names that the source gives them, instead of hashes.
    pub keep_names: bool,
    /// Prompts that are named as blocks stay so; else only their lengths are kept.
    pub blocks: bool,
    /// The longest wait.
    pub wait_cap: Option<Nanos>,
    /// How lengths of Mooncake rows are meant.
    pub mooncake_lengths: MooncakeLengths,
    /// Requests without a session that go on with each other are one row, instead of a row each.
    pub mooncake_join: bool,
    /// Mooncake rows of one moment came at any moment of so long a time.
    pub mooncake_spread: Option<Nanos>,
    /// How long an answer is of which the source says nothing.
    pub answer_length: Option<Tokens>,
    /// The most memory that may be held, in units of 10^6 bytes.
    pub max_workload_mb: u64,
}

impl Default for ImportOptions<'_> {
    fn default() -> Self {
        Self {
            salt: Salt(0),
            count: Count::default(),
            keep_names: false,
            blocks: true,
            wait_cap: None,
            mooncake_lengths: MooncakeLengths::default(),
            mooncake_join: false,
            mooncake_spread: None,
            answer_length: None,
            max_workload_mb: 1024,
        }
    }
}

/// What a row is handed to: its text, checked.
pub type Sink<'s> = dyn FnMut(&Row<'_>) -> Result<(), ImportError> + 's;

/// Reads sources of one format or several, and hands out rows.
pub struct Import<'o> {
    options: ImportOptions<'o>,
    fidelity: Fidelity,
    /// Formats that were met, with what they hold.
    open: Vec<(&'static Format, Box<dyn Reader>)>,
    /// The last source, for messages.
    last: String,
    names: BTreeSet<String>,
}

impl<'o> Import<'o> {
    /// Of nothing yet.
    #[must_use]
    pub fn new(options: ImportOptions<'o>) -> Self {
        Self {
            options,
            fidelity: Fidelity::default(),
            open: Vec::new(),
            last: String::new(),
            names: BTreeSet::new(),
        }
    }

    /// Reads a source: packed by gzip, by zstd or not at all, as its first bytes say.
    ///
    /// `format` is what its content looks like where `None`. Rows that are complete are handed out;
    /// others wait for [`Import::finish`].
    pub fn source(
        &mut self,
        name: &str,
        source: Box<dyn Read + Send>,
        format: Option<&'static Format>,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        name.clone_into(&mut self.last);
        let read_error = |source| ImportError::Read { file: name.to_owned(), source };
        let mut source = unpacked(source).map_err(read_error)?;
        let mut head = Vec::new();
        let peeked = source.by_ref().take(HEAD).read_to_end(&mut head);
        // A packed source that is cut short is read as far as it goes.
        if let Err(error) = peeked
            && (head.is_empty() || error.kind() != std::io::ErrorKind::UnexpectedEof)
        {
            return Err(read_error(error));
        }
        self.fidelity.files += 1;
        let format = match format {
            Some(format) => format,
            None => match recognise(&head) {
                Found::Format(format) => format,
                Found::Empty => return Ok(()),
                Found::Unknown(found) => {
                    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
                    let (file, names) = (name.to_owned(), names.join(", "));
                    return Err(ImportError::Unrecognised { file, found, names });
                }
            },
        };
        let mut whole = Cursor::new(head).chain(source);
        self.read(name, format, &mut whole, sink)
    }

    fn read(
        &mut self,
        name: &str,
        format: &'static Format,
        source: &mut dyn BufRead,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let limit_mb = self.options.max_workload_mb;
        let limit = limit_mb.saturating_mul(1_000_000);
        let too_large = |offset| ImportError::TooLarge { file: name.to_owned(), limit_mb, offset };
        let at = self.reader(format);
        self.open[at].1.begin();
        let mut records = Records::new(source, limit);
        while let Some(record) = records.next().map_err(|long| too_large(long.offset))? {
            let Record { value, offset, line } = record;
            let reader = &mut self.open[at].1;
            let mut context = Context::new(&self.options, &mut self.fidelity);
            reader.record(&value, &mut context).map_err(|(what, hint)| {
                let file = name.to_owned();
                ImportError::Record { file, line, offset, what, hint }
            })?;
            let made = context.made();
            if reader.held() as u64 > limit {
                return Err(too_large(offset));
            }
            self.hand_out(made, line, sink)?;
        }
        let (ending, failed) = records.finish();
        if let Some(source) = failed {
            return Err(ImportError::Read { file: name.to_owned(), source });
        }
        self.fidelity.count(Event::NotFinite, ending.not_finite);
        let file = || name.to_owned();
        if let Some((count, offset)) = ending.unreadable {
            self.fidelity.damage.push(Damage::Unreadable { file: file(), count, offset });
        }
        if let Some(offset) = ending.truncated {
            self.fidelity.damage.push(Damage::Truncated { file: file(), offset });
        }
        self.open[at].1.end();
        Ok(())
    }

    /// The place of what reads a format.
    fn reader(&mut self, format: &'static Format) -> usize {
        let open = self.open.iter().position(|(open, _)| open.name == format.name);
        open.unwrap_or_else(|| {
            // Of our own rows nothing is lost.
            let foreign = format.name != crate::formats::rows::FORMAT.name;
            self.fidelity.lost.extend(foreign.then_some(format.lost));
            self.open.push((format, (format.reader)()));
            self.open.len() - 1
        })
    }

    /// Hands out what was held until all sources were read.
    pub fn finish(mut self, sink: &mut Sink<'_>) -> Result<Fidelity, ImportError> {
        for (_, reader) in std::mem::take(&mut self.open) {
            let mut context = Context::new(&self.options, &mut self.fidelity);
            reader.finish(&mut context);
            let made = context.made();
            self.hand_out(made, 0, sink)?;
        }
        Ok(self.fidelity)
    }

    fn hand_out(&mut self, made: Made, line: u64, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        for text in made.rows {
            let number = self.fidelity.rows;
            let checked = Row::read(&text, &self.last, number)
                .or_else(|_| Row::read(&text, &self.last, line.saturating_sub(1)))
                .map_err(ImportError::Workload)?;
            for step in &checked.trace().steps {
                self.fidelity.recorded.add(step.prompt_tokens, step.output.tokens);
            }
            self.fidelity.sessions += 1;
            self.fidelity.represent(checked.trace());
            sink(&checked)?;
        }
        let style = Style {
            salt: self.options.salt,
            keep_names: self.options.keep_names,
            blocks: self.options.blocks,
            wait_cap: self.options.wait_cap.map(as_time),
        };
        for mut session in made.sessions {
            tidy(&mut session);
            self.one_name(&mut session);
            self.fidelity.sessions += u64::from(!session.lanes.is_empty());
            let Some(text) = row(&session, &style, &mut self.fidelity) else { continue };
            let checked = self.checked(&text)?;
            self.fidelity.represent(checked.trace());
            sink(&checked)?;
        }
        Ok(())
    }

    /// A row as it is read again.
    fn checked<'l>(&self, text: &'l str) -> Result<Row<'l>, ImportError> {
        let read = Row::read(text, &self.last, self.fidelity.rows);
        read.map_err(|source| ImportError::Row { file: self.last.clone(), source })
    }

    /// Names of rows are unique; a second session of one name belongs to the first's conversation.
    fn one_name(&mut self, session: &mut Session) {
        let Some(name) = session.name.clone() else { return };
        let mut number = 1;
        let mut unique = name.clone();
        while !self.names.insert(unique.clone()) {
            number += 1;
            unique = format!("{name}#{number}");
        }
        if number > 1 {
            session.group.get_or_insert(name);
            session.name = Some(unique);
        }
    }
}

/// A length of time, as far as it is one.
pub(crate) fn as_time(length: Nanos) -> Time {
    Time::try_from(length.0).unwrap_or(Time::MAX)
}

/// What a head looks like.
enum Found {
    Format(&'static Format),
    /// There is nothing in it.
    Empty,
    /// How it looks instead.
    Unknown(String),
}

/// The format of a source that begins so.
fn recognise(head: &[u8]) -> Found {
    let head = Head::of(head);
    if head.is_empty() {
        return Found::Empty;
    }
    match FORMATS.iter().find(|format| (format.recognise)(&head)) {
        Some(format) => Found::Format(format),
        None => Found::Unknown(head.described()),
    }
}

/// The format that content is of, by its beginning.
#[must_use]
pub fn recognised(head: &[u8]) -> Option<&'static Format> {
    match recognise(head) {
        Found::Format(format) => Some(format),
        Found::Empty | Found::Unknown(_) => None,
    }
}

/// The plain bytes of a source, whatever its name.
pub fn unpacked(mut source: Box<dyn Read + Send>) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut magic = Vec::new();
    source.by_ref().take(4).read_to_end(&mut magic)?;
    let encoding = match magic[..] {
        [0x1f, 0x8b, ..] => Encoding::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Encoding::Zstd,
        _ => Encoding::Plain,
    };
    let whole = Cursor::new(magic).chain(source);
    Ok(match encoding {
        Encoding::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(whole))),
        Encoding::Zstd | Encoding::Plain => encoding.unpacked(Box::new(whole)),
    })
}
