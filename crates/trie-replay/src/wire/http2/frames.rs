//! Bytes of one direction of a connection, cut into frames (RFC 9113, section 4.1).

/// Bytes of a frame's head.
const HEAD: usize = 9;

/// What a client sends before its first frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most bytes that are kept of the payload of a frame that is read along: more settings than there are.
const KEPT: usize = 512;

/// The frames whose payload or place matters here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Data,
    Headers,
    Settings,
    GoAway,
    WindowUpdate,
    Continuation,
    Other,
}

impl Kind {
    fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            4 => Self::Settings,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            _ => Self::Other,
        }
    }

    fn is_kept(self) -> bool {
        match self {
            Self::Settings | Self::GoAway | Self::WindowUpdate => true,
            Self::Data | Self::Headers | Self::Continuation | Self::Other => false,
        }
    }
}

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;

/// A part of what passed.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Part<'p> {
    /// So many bytes of content, without padding, for this stream.
    Content { stream: u32, bytes: usize },
    /// A frame has passed whole.
    Frame(Frame<'p>),
}

/// A frame that has passed whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame<'p> {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    /// Bytes of its payload.
    pub(super) length: usize,
    /// The payload, for the kinds that are read.
    pub(super) payload: &'p [u8],
    flags: u8,
}

impl Frame<'_> {
    /// Whether it is the stream's last one in this direction.
    pub(super) fn ends_stream(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Headers) && self.flags & END_STREAM != 0
    }

    /// Whether it only confirms the other side's settings.
    pub(super) fn is_ack(&self) -> bool {
        self.kind == Kind::Settings && self.flags & ACK != 0
    }

    /// The four bytes at this place of the payload, as a number.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().expect("these are four bytes")))
    }
}

/// Cuts what passes, wherever it was cut on its way.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes before the first frame that are still to come.
    before: usize,
    head: [u8; HEAD],
    /// Bytes of the head that have passed.
    known: usize,
    /// Of the frame whose head has passed.
    left: usize,
    /// Content of a DATA frame that is left; `None` until its padding is known.
    content: Option<usize>,
    kept: Vec<u8>,
}

impl Frames {
    /// What a client sends.
    pub(super) fn of_a_client() -> Self {
        Self { before: PREFACE.len(), ..Self::default() }
    }

    /// Takes what passed next, and tells its parts in order.
    pub(super) fn pass(&mut self, mut bytes: &[u8], tell: &mut impl FnMut(Part<'_>)) {
        skip(&mut bytes, &mut self.before);
        loop {
            if self.known < HEAD {
                let here = bytes.len().min(HEAD - self.known);
                self.head[self.known..self.known + here].copy_from_slice(&bytes[..here]);
                self.known += here;
                bytes = &bytes[here..];
                if self.known < HEAD {
                    return;
                }
                self.begin();
            }
            self.payload(&mut bytes, tell);
            if self.left > 0 {
                return;
            }
            let frame = Frame { payload: &self.kept, ..self.frame() };
            tell(Part::Frame(frame));
            self.known = 0;
        }
    }

    fn begin(&mut self) {
        self.kept.clear();
        self.left = self.frame().length;
        let padded = self.head[4] & PADDED != 0;
        self.content = (!padded).then_some(self.left);
    }

    /// The frame under way, but for its payload.
    fn frame(&self) -> Frame<'static> {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        Frame {
            kind: Kind::of(kind),
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            length: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            payload: &[],
            flags,
        }
    }

    fn payload(&mut self, bytes: &mut &[u8], tell: &mut impl FnMut(Part<'_>)) {
        let Frame { kind, stream, .. } = self.frame();
        if kind == Kind::Data {
            if self.content.is_none()
                && let Some((padding, rest)) = bytes.split_first().filter(|_| self.left > 0)
            {
                *bytes = rest;
                self.left -= 1;
                self.content = Some(self.left.saturating_sub((*padding).into()));
            }
            let here = self.content.unwrap_or_default().min(bytes.len());
            if here > 0 {
                tell(Part::Content { stream, bytes: here });
                self.content = self.content.map(|content| content - here);
                self.left -= here;
                *bytes = &bytes[here..];
            }
        } else if kind.is_kept() {
            let here = self.left.min(bytes.len()).min(KEPT - self.kept.len());
            self.kept.extend_from_slice(&bytes[..here]);
            self.left -= here;
            *bytes = &bytes[here..];
        }
        skip(bytes, &mut self.left);
    }
}

/// Leaves out as many of the bytes to be left out as are here.
fn skip(bytes: &mut &[u8], left: &mut usize) {
    let here = bytes.len().min(*left);
    *bytes = &bytes[here..];
    *left -= here;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// What is told, in words, with content that is told in several pieces put together.
    fn told(mut frames: Frames, pieces: &[&[u8]]) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        let mut content = 0;
        for piece in pieces {
            frames.pass(piece, &mut |part| match part {
                Part::Content { bytes, .. } => content += bytes,
                Part::Frame(frame) => {
                    let ends = if frame.ends_stream() { " end" } else { "" };
                    let Frame { kind, stream, length, payload, .. } = frame;
                    told.push(format!("{kind:?} {stream} {length} {payload:?} {content}{ends}"));
                    content = 0;
                }
            });
        }
        told
    }

    fn sample() -> Vec<u8> {
        [
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(4, ACK, 0, &[]),
            frame(1, 4, 1, b"heads"),
            frame(0, 0, 1, b"hello"),
            frame(0, PADDED, 1, b"\x03abcd\0\0\0"),
            frame(0, PADDED, 3, b"\x00"),
            frame(8, 0, 0, &[0, 0, 1, 0]),
            frame(0, END_STREAM, 1, &[]),
            frame(0x2a, 0xff, 5, b"unknown"),
            frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]),
        ]
        .concat()
    }

    #[test]
    fn frames_are_told_with_their_content_and_without_padding() {
        let expected = [
            "Settings 0 6 [0, 3, 0, 0, 0, 100] 0",
            "Settings 0 0 [] 0",
            "Headers 1 5 [] 0",
            "Data 1 5 [] 5",
            "Data 1 8 [] 4",
            "Data 3 1 [] 0",
            "WindowUpdate 0 4 [0, 0, 1, 0] 0",
            "Data 1 0 [] 0 end",
            "Other 5 7 [] 0",
            "GoAway 0 8 [0, 0, 0, 1, 0, 0, 0, 0] 0",
        ];
        assert_eq!(told(Frames::default(), &[&sample()]), expected);
        let sent = [PREFACE, &sample()].concat();
        assert_eq!(told(Frames::of_a_client(), &[&sent]), expected);
    }

    #[test]
    fn a_frame_that_is_longer_than_what_is_kept_passes() {
        let long = frame(4, 0, 0, &[7; KEPT + 9]);
        let told = told(Frames::default(), &[&long, &frame(0, 0, 1, b"x")]);
        assert_eq!(told.len(), 2);
        assert_eq!(told[1], "Data 1 1 [] 1");
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
            let bytes = [PREFACE, &sample()].concat();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            let whole = told(Frames::of_a_client(), &[&bytes]);
            prop_assert_eq!(told(Frames::of_a_client(), &pieces), whole);
        }
    }
}
