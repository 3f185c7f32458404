//! The line of a row, read as this program writes it and in no other way.
//!
//! Whoever reads a line asks for its parts in the order in which they were written. What is not exactly
//! there is `None`: then the line is left to serde, which knows all of JSON and says what is wrong. A part
//! that is read here is what serde makes of the same bytes.

use super::Histogram;
use crate::units::Nanos;

/// What is left of a line.
#[derive(Debug)]
pub(super) struct Line<'l> {
    rest: &'l [u8],
}

/// A value that can be read from a line.
pub(super) trait Part: Sized {
    /// The value with which the line goes on.
    fn take(line: &mut Line<'_>) -> Option<Self>;
}

impl<'l> Line<'l> {
    pub(super) fn new(line: &'l [u8]) -> Self {
        Self { rest: line }
    }

    /// Whether nothing is left but the end of the line.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.rest, [] | [b'\n'])
    }

    /// Goes past `text`, if the line goes on with it.
    #[inline]
    pub(super) fn past<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (start, rest) = self.rest.split_first_chunk()?;
        (start == text).then(|| self.rest = rest)
    }

    /// The value behind `text`.
    #[inline]
    pub(super) fn after<const N: usize, T: Part>(&mut self, text: &[u8; N]) -> Option<T> {
        self.past(text)?;
        T::take(self)
    }

    /// The value behind `text`; inside, `None` where the line goes on with something else.
    #[inline]
    #[expect(clippy::option_option, reason = "outside: not as written; inside: left out")]
    pub(super) fn maybe_after<const N: usize, T: Part>(
        &mut self,
        text: &[u8; N],
    ) -> Option<Option<T>> {
        if self.past(text).is_some() { T::take(self).map(Some) } else { Some(None) }
    }

    /// A string without escapes.
    pub(super) fn text(&mut self) -> Option<&'l str> {
        self.past(b"\"")?;
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        let (text, rest) = self.rest.split_at(self.rest.iter().position(special)?);
        self.rest = rest;
        self.past(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// A list, in the place of what `list` holds.
    #[inline]
    pub(super) fn list<T: Part>(&mut self, list: &mut Vec<T>) -> Option<()> {
        list.clear();
        self.past(b"[")?;
        if self.past(b"]").is_some() {
            return Some(());
        }
        loop {
            list.push(T::take(self)?);
            if self.past(b",").is_none() {
                return self.past(b"]");
            }
        }
    }
}

/// Digits of which any number fits into 64 bits.
const DIGITS: usize = 19;

/// Powers of ten, up to what eight digits can be multiplied by.
const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

impl Part for u64 {
    /// A whole number, without sign, fraction, exponent or leading zero.
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let rest = line.rest;
        let (mut value, mut digits) = some_digits(rest);
        let mut latest = digits;
        while latest == 8 && digits <= DIGITS {
            let (more, count) = some_digits(&rest[digits..]);
            value = value.wrapping_mul(TENS[count]).wrapping_add(more);
            latest = count;
            digits += count;
        }
        let leading_zero = digits > 1 && rest[0] == b'0';
        if digits == 0 || digits > DIGITS || leading_zero {
            return None;
        }
        line.rest = &rest[digits..];
        Some(value)
    }
}

/// The number that up to eight digits make with which `text` begins, and how many they are.
#[inline]
fn some_digits(text: &[u8]) -> (u64, usize) {
    let Some(eight) = text.first_chunk() else { return last_digits(text) };
    // A byte each, the first one lowest: from 0 to 9 where it is a digit.
    let bytes = u64::from_le_bytes(*eight) ^ 0x3030_3030_3030_3030;
    // The highest bit of each other byte, and perhaps of some behind the first of these.
    let others = (bytes.wrapping_add(0x7676_7676_7676_7676) | bytes) & 0x8080_8080_8080_8080;
    let count = others.trailing_zeros() / 8;
    // Zeros in front instead of what is behind, without a branch that would be guessed wrong; then two,
    // four, eight digits together.
    let digits = bytes.checked_shl(64 - 8 * count).unwrap_or(0);
    let pairs = (digits.wrapping_mul((10 << 8) | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul((100 << 16) | 1) >> 16) & 0x0000_ffff_0000_ffff;
    (fours.wrapping_mul((10_000 << 32) | 1) >> 32, count as usize)
}

/// The same of less than eight bytes.
fn last_digits(text: &[u8]) -> (u64, usize) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let add = |value, digit: &u8| 10 * value + u64::from(digit - b'0');
    (text[..count].iter().fold(0, add), count)
}

impl Part for u32 {
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        u64::take(line)?.try_into().ok()
    }
}

impl Part for u16 {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        u64::take(line)?.try_into().ok()
    }
}

impl Part for Nanos {
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        u64::take(line).map(Self)
    }
}

impl Part for bool {
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        if line.past(b"true").is_some() { Some(true) } else { line.past(b"false").map(|()| false) }
    }
}

impl Part for String {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        line.text().map(str::to_owned)
    }
}

impl<T: Part> Part for Option<T> {
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        if line.past(b"null").is_some() { Some(None) } else { T::take(line).map(Some) }
    }
}

impl<T: Part> Part for Vec<T> {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let mut list = Vec::new();
        line.list(&mut list).map(|()| list)
    }
}

impl Part for (u64, u64) {
    #[inline]
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let first = line.after(b"[")?;
        // What is counted by the token is one or two most of the time.
        if let [b',', digit @ b'0'..=b'9', b']', rest @ ..] = line.rest {
            line.rest = rest;
            return Some((first, u64::from(digit - b'0')));
        }
        let pair = (first, line.after(b",")?);
        line.past(b"]").map(|()| pair)
    }
}

impl Part for Histogram {
    fn take(line: &mut Line<'_>) -> Option<Self> {
        let mut histogram = Self::default();
        histogram.fill(line).map(|()| histogram)
    }
}

impl Histogram {
    /// Reads a histogram in place of this one, in its memory.
    #[inline]
    pub(super) fn fill(&mut self, line: &mut Line<'_>) -> Option<()> {
        let mut values = std::mem::take(self).into_values();
        line.list(&mut values)?;
        *self = Self::of(values);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;

    /// What is read is what serde reads; `None` where the line is left to it.
    fn check<T: Part + PartialEq + Debug + DeserializeOwned>(text: &str, taken: bool) {
        let mut line = Line::new(text.as_bytes());
        let read = T::take(&mut line).filter(|_| line.is_done());
        assert_eq!(read.is_some(), taken, "{text}: {read:?}");
        if read.is_some() {
            assert_eq!(read, serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn numbers_are_taken_as_they_are_written() {
        for text in ["0", "7", "10", "65535", "9999999999999999999", "7\n"] {
            check::<u64>(text, true);
        }
        for digits in 1..=19 {
            check::<u64>(&"1234567890123456789"[..digits], true);
            check::<u64>(&"9876543210987654321"[19 - digits..].replace('0', "5"), true);
            let list: Vec<_> = [1_u64, 8, 123_456, 98_765_432].map(|n| n * digits as u64).to_vec();
            check::<Vec<u64>>(&serde_json::to_string(&list).unwrap(), true);
        }
        for text in ["", "00", "01", "-1", "+1", "1.0", "1e3", " 1", "18446744073709551615", "x"] {
            check::<u64>(text, false);
        }
        check::<u32>("4294967295", true);
        check::<u32>("4294967296", false);
        check::<u16>("65536", false);
        check::<Nanos>("12", true);
    }

    #[test]
    fn strings_with_escapes_are_left_to_serde() {
        for text in [r#""""#, r#""abc""#, r#""größe ✓""#] {
            check::<String>(text, true);
        }
        for text in [r#""a\n""#, r#""a\"b""#, "\"a\tb\"", "\"a", "a\"", ""] {
            check::<String>(text, false);
        }
        assert_eq!(Line::new(b"\"\xff\"").text(), None);
    }

    #[test]
    fn lists_are_taken_without_spaces() {
        for text in ["[]", "[1]", "[1,2,30]"] {
            check::<Vec<u64>>(text, true);
        }
        for text in ["[", "[1", "[1,", "[1,]", "[,1]", "[1 ,2]", "[[1]]", "1]"] {
            check::<Vec<u64>>(text, false);
        }
        check::<Option<u64>>("null", true);
        check::<Option<u64>>("nul", false);
        check::<bool>("true", true);
        check::<bool>("True", false);
    }

    #[test]
    fn histograms_may_stand_in_any_order() {
        for text in ["[]", "[[10,1],[20,3]]", "[[20,3],[10,1],[20,2]]", "[[123456,1],[5,0]]"] {
            check::<Histogram>(text, true);
        }
        check::<Histogram>("[[10,1,2]]", false);
    }
}
