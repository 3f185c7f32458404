//! When the chunks of one answer arrived, in a few bytes each.
//!
//! A chunk is a head byte and the time since the chunk before it, as a number of as many bytes as it
//! needs, 7 bits in each: 5 bytes in all for one token within 268 ms (2^28 ns), instead of the 24 of a
//! [`ChunkStamp`]. Reading them back is for whoever makes the row.

/// A chunk that stands for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkStamp {
    /// Arrival, monotonic ns.
    pub ns: u64,
    /// Tokens it stands for, at least 1.
    pub tokens: u32,
    /// How many of them were known when it arrived. What only the final usage told is credited to
    /// the last chunk, and says nothing about the time that a token took.
    pub on_arrival: u32,
    /// Whether it brought answer text.
    pub visible: bool,
}

/// Chunks in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    bytes: Vec<u8>,
    last_ns: Option<u64>,
}

// Of the head byte. The other bits hold the tokens.
const VISIBLE: u8 = 1 << 7;
/// The stamp lies before the last one.
const EARLIER: u8 = 1 << 6;
/// `on_arrival` is another number than `tokens`, and follows.
const PARTIAL: u8 = 1 << 5;
/// In place of the tokens: they follow.
const MANY: u8 = PARTIAL - 1;

/// Bytes for the first hundred chunks at once.
const FIRST_ROOM: usize = 512;

/// Most bytes of a chunk: its head, 64 bits, and 32 bits twice.
const LONGEST: usize = 1 + 10 + 2 * 5;

impl Stamps {
    pub(crate) fn push(&mut self, stamp: ChunkStamp) {
        let ChunkStamp { ns, tokens, on_arrival, visible } = stamp;
        let before = self.last_ns.unwrap_or_default();
        let few = u8::try_from(tokens).ok().filter(|few| *few < MANY);
        let mut head = few.unwrap_or(MANY);
        let flags = [(VISIBLE, visible), (EARLIER, ns < before), (PARTIAL, on_arrival != tokens)];
        for (flag, is_set) in flags {
            head |= if is_set { flag } else { 0 };
        }
        let mut room = [0; LONGEST];
        room[0] = head;
        let mut length = put(&mut room, 1, ns.abs_diff(before));
        if few.is_none() {
            length = put(&mut room, length, tokens.into());
        }
        if on_arrival != tokens {
            length = put(&mut room, length, on_arrival.into());
        }
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(FIRST_ROOM);
        }
        self.bytes.extend_from_slice(&room[..length]);
        self.last_ns = Some(ns);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn first_ns(&self) -> Option<u64> {
        self.iter().next().map(|stamp| stamp.ns)
    }

    pub(crate) fn last_ns(&self) -> Option<u64> {
        self.last_ns
    }

    /// Reads the chunks back.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ChunkStamp> + '_ {
        let (mut rest, mut before) = (&self.bytes[..], 0);
        std::iter::from_fn(move || {
            let (&head, tail) = rest.split_first()?;
            rest = tail;
            let delta = take(&mut rest);
            let ns = if head & EARLIER == 0 { before + delta } else { before - delta };
            before = ns;
            let tokens =
                if head & MANY == MANY { narrow(take(&mut rest)) } else { (head & MANY).into() };
            let on_arrival = if head & PARTIAL == 0 { tokens } else { narrow(take(&mut rest)) };
            Some(ChunkStamp { ns, tokens, on_arrival, visible: head & VISIBLE != 0 })
        })
    }
}

impl FromIterator<ChunkStamp> for Stamps {
    fn from_iter<I: IntoIterator<Item = ChunkStamp>>(chunks: I) -> Self {
        let mut stamps = Self::default();
        chunks.into_iter().for_each(|chunk| stamps.push(chunk));
        stamps
    }
}

/// Writes `value` at `at`, the lowest 7 bits first; returns where it ends.
fn put(room: &mut [u8; LONGEST], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        room[at] = low(value) | 0x80;
        value >>= 7;
        at += 1;
    }
    room[at] = low(value);
    at + 1
}

fn low(value: u64) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit")
}

/// Cuts a number off the front of `rest`.
fn take(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, tail) = rest.split_first().expect("every number was written whole");
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("it was written from 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(ns: u64) -> ChunkStamp {
        ChunkStamp { ns, tokens: 1, on_arrival: 1, visible: true }
    }

    #[test]
    fn a_token_within_a_quarter_of_a_second_takes_five_bytes() {
        let check = |gap: u64, expected: usize| {
            let mut stamps: Stamps = [token(1 << 40)].into_iter().collect();
            let before = stamps.bytes.len();
            stamps.push(token((1 << 40) + gap));
            assert_eq!(stamps.bytes.len() - before, expected, "{gap}");
        };
        check(0, 2);
        check(20_000_000, 5);
        check((1 << 28) - 1, 5);
        check(1 << 28, 6);
    }

    proptest! {
        #[test]
        fn what_went_in_comes_out(chunks in prop::collection::vec(
            (
                prop_oneof![any::<u64>(), 0..3_u64, Just(u64::MAX)],
                prop_oneof![0..40_u32, any::<u32>()],
                prop::option::of(any::<u32>()),
                any::<bool>(),
            ),
            0..20,
        )) {
            let chunks: Vec<_> = chunks
                .into_iter()
                .map(|(ns, tokens, on_arrival, visible)| {
                    ChunkStamp { ns, tokens, on_arrival: on_arrival.unwrap_or(tokens), visible }
                })
                .collect();
            let stamps: Stamps = chunks.iter().copied().collect();
            prop_assert_eq!(stamps.iter().collect::<Vec<_>>(), chunks.clone());
            prop_assert_eq!(stamps.first_ns(), chunks.first().map(|chunk| chunk.ns));
            prop_assert_eq!(stamps.last_ns(), chunks.last().map(|chunk| chunk.ns));
            prop_assert_eq!(stamps.is_empty(), chunks.is_empty());
        }
    }
}
