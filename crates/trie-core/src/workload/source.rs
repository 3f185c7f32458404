//! Where a workload's bytes come from.

use std::io::{self, BufRead, BufReader, Read, Seek};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Something that can be read again from any place.
pub trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

/// Where a workload's bytes come from. The caller opens it; nothing here touches a file system.
pub enum Source {
    /// A plain file: checked once, then read row by row as rows are needed.
    Seekable(Box<dyn ReadSeek + Send>),
    /// Bytes that pass only once: a pipe. Rows are held in memory.
    Stream(Box<dyn Read + Send>),
}

/// How the bytes are packed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// Gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

impl Encoding {
    /// The encoding that the end of a file's name stands for: `.gz`, `.zst`, anything else plain.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            Some(_) | None => Self::Plain,
        }
    }

    /// The plain bytes of a stream that is packed so.
    #[must_use]
    pub fn unpacked(self, packed: Box<dyn Read + Send>) -> Box<dyn BufRead + Send> {
        unpacked(packed, self)
    }
}

/// What to do when a source of this encoding cannot be read.
pub(super) fn read_hint(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Plain => "check that the file is whole and readable",
        Encoding::Gzip => "its name says gzip: check it with gzip -t",
        Encoding::Zstd => "its name says zstd: check it with zstd -t",
    }
}

/// The plain bytes of a packed stream.
pub(super) fn unpacked(
    packed: Box<dyn Read + Send>,
    encoding: Encoding,
) -> Box<dyn BufRead + Send> {
    let packed = BufReader::new(packed);
    match encoding {
        Encoding::Plain => Box::new(packed),
        Encoding::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(packed))),
        Encoding::Zstd => {
            let frames = ZstdFrames { packed, frame: FrameDecoder::new(), inside: false };
            Box::new(BufReader::new(frames))
        }
    }
}

/// Reads one Zstandard frame after the other; the decoder itself stops after the first.
struct ZstdFrames<R> {
    packed: R,
    frame: FrameDecoder,
    /// Whether `frame` is in the middle of one.
    inside: bool,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.inside || self.enter_frame()? {
            self.decode(buffer.len())?;
            match self.frame.read(buffer)? {
                0 if !buffer.is_empty() => self.leave_frame()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

impl<R: BufRead> ZstdFrames<R> {
    fn decode(&mut self, wanted: usize) -> io::Result<()> {
        while self.frame.can_collect() < wanted && !self.frame.is_finished() {
            let missing = wanted - self.frame.can_collect();
            let blocks = BlockDecodingStrategy::UptoBytes(missing);
            self.frame.decode_blocks(&mut self.packed, blocks).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Reads the next frame's header; false at the end of the stream.
    fn enter_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.init(&mut self.packed) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut self.packed.by_ref().take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    /// A frame's checksum must be right where it has one.
    fn leave_frame(&mut self) -> io::Result<()> {
        let written = self.frame.get_checksum_from_data();
        if written.is_some() && written != self.frame.get_calculated_checksum() {
            return Err(io::Error::other("the checksum of a zstd frame is wrong"));
        }
        self.inside = false;
        Ok(())
    }
}
