//! Rows held in memory: numbers of 7 bits a byte, so that a usual step takes about 12 bytes.

use super::row::{InputKind, Row, Turn};
use crate::units::Nanos;

/// Appends a row. Only [`unpack`] needs to understand the bytes.
pub(super) fn pack(row: &Row, bytes: &mut Vec<u8>) {
    put_text(row.id.as_deref().unwrap_or_default(), bytes);
    put(row.prompt, bytes);
    put(row.prefix.len() as u64, bytes);
    for (id, tokens) in &row.prefix {
        put_text(id, bytes);
        put(*tokens, bytes);
    }
    put(row.final_answer, bytes);
    put(row.turns.len() as u64, bytes);
    for turn in &row.turns {
        pack_turn(turn, bytes);
    }
}

fn pack_turn(turn: &Turn, bytes: &mut Vec<u8>) {
    let kind = match turn.kind {
        InputKind::Tool => 0,
        InputKind::User => 1,
        InputKind::Summary => 2,
        InputKind::Unknown => 3,
    };
    let (carry, keep) = (u8::from(turn.carry.is_some()), u8::from(turn.keep.is_some()));
    bytes.push(kind | carry << 2 | keep << 3);
    for number in [Some(turn.answer), turn.carry, turn.keep, Some(turn.input)].iter().flatten() {
        put(*number, bytes);
    }
    put(turn.latency.0, bytes);
}

/// The row that starts at the first byte.
pub(super) fn unpack(bytes: &[u8]) -> Row {
    let bytes = &mut bytes.iter();
    let id = take_text(bytes);
    let prompt = take(bytes);
    let prefix = (0..take(bytes)).map(|_| (take_text(bytes), take(bytes))).collect();
    let final_answer = take(bytes);
    let turns = (0..take(bytes)).map(|_| unpack_turn(bytes)).collect();
    Row { id: Some(id).filter(|id| !id.is_empty()), prompt, prefix, turns, final_answer }
}

fn unpack_turn(bytes: &mut std::slice::Iter<'_, u8>) -> Turn {
    let flags = *bytes.next().expect(PACKED);
    let kind = match flags & 3 {
        0 => InputKind::Tool,
        1 => InputKind::User,
        2 => InputKind::Summary,
        _ => InputKind::Unknown,
    };
    let answer = take(bytes);
    let carry = (flags & 4 != 0).then(|| take(bytes));
    let keep = (flags & 8 != 0).then(|| take(bytes));
    Turn { answer, carry, keep, input: take(bytes), kind, latency: Nanos(take(bytes)) }
}

const PACKED: &str = "only rows that were packed here are unpacked";

/// Seven bits a byte, the lowest first; the last byte is below 0x80.
fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut std::slice::Iter<'_, u8>) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next().expect(PACKED);
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

fn put_text(text: &str, bytes: &mut Vec<u8>) {
    put(text.len() as u64, bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &mut std::slice::Iter<'_, u8>) -> String {
    let length = usize::try_from(take(bytes)).expect(PACKED);
    let (text, rest) = bytes.as_slice().split_at_checked(length).expect(PACKED);
    *bytes = rest.iter();
    String::from_utf8(text.to_vec()).expect(PACKED)
}
