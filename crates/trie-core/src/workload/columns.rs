//! Traces held in memory: numbers of 7 bits a byte, so that a usual step takes about 12 bytes.

use std::collections::BTreeMap;

use super::graph::{
    About, BlockScope, Blocks, Carry, Context, Dependency, ExtraKey, Extras, On, Output, Segment,
    SegmentKind, Step, Trace, Wait,
};
use crate::units::Nanos;

/// The step waits for the end of the one before it alone, as `Wait` in the lowest two bits says.
const PLAIN_AFTER: u8 = 1 << 2;
/// It takes over the prompt of the one before it and its carried answer.
const PLAIN_CONTEXT: u8 = 1 << 3;
/// It is of the lane of the one before it.
const SAME_LANE: u8 = 1 << 4;
/// Its answer is carried as a whole.
const CARRIES_ALL: u8 = 1 << 5;
const HAS_REASONING: u8 = 1 << 6;
const HAS_EXTRAS: u8 = 1 << 7;

/// Kinds of segments, numbered from 0.
const KINDS: u64 = 7;

/// Appends a trace; one named by its row's number is not `named`. Only [`unpack`] needs to
/// understand the bytes.
pub(super) fn pack(trace: &Trace, named: bool, bytes: &mut Vec<u8>) {
    put_text(if named { &trace.id } else { "" }, bytes);
    pack_about(&trace.about, bytes);
    put(trace.steps.len() as u64, bytes);
    for (index, step) in (0..).zip(&trace.steps) {
        pack_step(index, step, &trace.steps, bytes);
    }
}

/// The trace that starts at the first byte, of row `number`.
pub(super) fn unpack(bytes: &[u8], number: u64) -> Trace {
    let mut bytes = Packed(bytes.iter());
    let id = bytes.text();
    let about = unpack_about(&mut bytes);
    let mut steps = Vec::new();
    for index in 0..bytes.short() {
        let step = unpack_step(index, &steps, &mut bytes);
        steps.push(step);
    }
    Trace { id: if id.is_empty() { number.to_string() } else { id }, about, steps }
}

fn pack_about(about: &About, bytes: &mut Vec<u8>) {
    let said = *about != About::default();
    bytes.push(said.into());
    if said {
        let About { session, arrival, weight, extras } = about;
        put_text(session.as_deref().unwrap_or_default(), bytes);
        put_maybe(arrival.map(|arrival| arrival.0), bytes);
        put_maybe(weight.map(f64::to_bits), bytes);
        put_extras(extras, bytes);
    }
}

fn unpack_about(bytes: &mut Packed<'_>) -> About {
    if bytes.byte() == 0 {
        return About::default();
    }
    let session = Some(bytes.text()).filter(|session| !session.is_empty());
    let (arrival, weight) = (bytes.maybe().map(Nanos), bytes.maybe().map(f64::from_bits));
    About { session, arrival, weight, extras: bytes.extras() }
}

fn pack_step(index: u32, step: &Step, steps: &[Step], bytes: &mut Vec<u8>) {
    let before = index.checked_sub(1);
    let lane = before.map_or(0, |before| steps[before as usize].lane);
    let plain_after = plain_after(step, before);
    let plain_context = step.context == plain_context(before);
    let flag = |on: bool, flag: u8| if on { flag } else { 0 };
    bytes.push(
        plain_after.map_or(0, |(wait, _)| PLAIN_AFTER | wait_code(wait))
            | flag(plain_context, PLAIN_CONTEXT)
            | flag(step.lane == lane, SAME_LANE)
            | flag(step.output.carry == Carry::All, CARRIES_ALL)
            | flag(step.output.reasoning.is_some(), HAS_REASONING)
            | flag(!step.extras.is_empty(), HAS_EXTRAS),
    );
    match plain_after {
        Some((_, Some(delay))) => put(delay.0, bytes),
        Some((_, None)) => {}
        None => pack_after(&step.after, bytes),
    }
    if !plain_context {
        pack_context(&step.context, bytes);
    }
    if step.lane != lane {
        put(step.lane.into(), bytes);
    }
    pack_segments(&step.new, bytes);
    pack_output(&step.output, bytes);
    if !step.extras.is_empty() {
        put_extras(&step.extras, bytes);
    }
}

fn unpack_step(index: u32, earlier: &[Step], bytes: &mut Packed<'_>) -> Step {
    let before = index.checked_sub(1);
    let flags = bytes.byte();
    let set = |flag: u8| flags & flag != 0;
    let after = match (set(PLAIN_AFTER), before) {
        (true, None) => Vec::new(),
        (true, Some(step)) => {
            let delay = Nanos(bytes.number());
            vec![Dependency { step, on: On::End, delay, wait: wait_of(flags & 3) }]
        }
        (false, _) => unpack_after(bytes),
    };
    let context = if set(PLAIN_CONTEXT) { plain_context(before) } else { unpack_context(bytes) };
    let lane =
        if set(SAME_LANE) { earlier.last().map_or(0, |before| before.lane) } else { bytes.short() };
    let new = unpack_segments(bytes);
    let tokens = bytes.number();
    let carry = if set(CARRIES_ALL) { Carry::All } else { Carry::Last(bytes.number()) };
    let reasoning = set(HAS_REASONING).then(|| bytes.number());
    let output = Output { tokens, carry, reasoning };
    let extras = if set(HAS_EXTRAS) { bytes.extras() } else { Extras::new() };
    let mut step = Step { lane, after, context, new, output, extras, prompt_tokens: 0 };
    step.prompt_tokens = step.context.tokens(earlier) + step.new_tokens();
    step
}

/// What a plain step waits for: whom, and how long; the first step of a trace waits for nothing.
fn plain_after(step: &Step, before: Option<u32>) -> Option<(Wait, Option<Nanos>)> {
    match (&step.after[..], before) {
        ([], None) => Some((Wait::Tool, None)),
        ([Dependency { step, on: On::End, delay, wait }], Some(before)) if *step == before => {
            Some((*wait, Some(*delay)))
        }
        _ => None,
    }
}

fn plain_context(before: Option<u32>) -> Context {
    Context { from: before, ..Context::default() }
}

fn pack_after(after: &[Dependency], bytes: &mut Vec<u8>) {
    put(after.len() as u64, bytes);
    for Dependency { step, on, delay, wait } in after {
        let on = match on {
            On::Start => 0,
            On::FirstToken => 1,
            On::End => 2,
        };
        bytes.push(wait_code(*wait) | on << 2);
        put((*step).into(), bytes);
        put(delay.0, bytes);
    }
}

fn unpack_after(bytes: &mut Packed<'_>) -> Vec<Dependency> {
    let after = (0..bytes.number()).map(|_| {
        let code = bytes.byte();
        let on = match code >> 2 {
            0 => On::Start,
            1 => On::FirstToken,
            _ => On::End,
        };
        let (step, delay) = (bytes.short(), Nanos(bytes.number()));
        Dependency { step, on, delay, wait: wait_of(code & 3) }
    });
    after.collect()
}

fn wait_code(wait: Wait) -> u8 {
    match wait {
        Wait::Tool => 0,
        Wait::User => 1,
        Wait::Unknown => 2,
    }
}

fn wait_of(code: u8) -> Wait {
    match code {
        0 => Wait::Tool,
        1 => Wait::User,
        _ => Wait::Unknown,
    }
}

fn pack_context(context: &Context, bytes: &mut Vec<u8>) {
    put_maybe(context.from.map(u64::from), bytes);
    put_maybe(context.keep, bytes);
    put(context.drop.len() as u64, bytes);
    for range in &context.drop {
        put(range.start, bytes);
        put(range.end, bytes);
    }
}

fn unpack_context(bytes: &mut Packed<'_>) -> Context {
    let from = bytes.maybe().map(|from| u32::try_from(from).expect(PACKED));
    let keep = bytes.maybe();
    let drop = (0..bytes.number()).map(|_| bytes.number()..bytes.number()).collect();
    Context { from, keep, drop }
}

/// The code of a kind where there is one segment, the usual case; else how many there are.
fn pack_segments(segments: &[Segment], bytes: &mut Vec<u8>) {
    if segments.len() != 1 {
        put(KINDS + segments.len() as u64, bytes);
    }
    for segment in segments {
        pack_segment(segment, bytes);
    }
}

fn unpack_segments(bytes: &mut Packed<'_>) -> Vec<Segment> {
    let code = bytes.number();
    match code.checked_sub(KINDS) {
        None => vec![unpack_segment(code, bytes)],
        Some(count) => (0..count)
            .map(|_| {
                let code = bytes.number();
                unpack_segment(code, bytes)
            })
            .collect(),
    }
}

fn pack_segment(segment: &Segment, bytes: &mut Vec<u8>) {
    let code = match &segment.kind {
        SegmentKind::Tool => 0,
        SegmentKind::User => 1,
        SegmentKind::Prompt => 2,
        SegmentKind::System => 3,
        SegmentKind::Assistant => 4,
        SegmentKind::Shared(_) => 5,
        SegmentKind::Blocks(_) => 6,
    };
    put(code, bytes);
    match &segment.kind {
        SegmentKind::Shared(id) => put_text(id, bytes),
        SegmentKind::Blocks(Blocks { scope, first, size }) => {
            match scope {
                BlockScope::Trace => put_text("", bytes),
                BlockScope::Named(name) => put_text(name, bytes),
            }
            put(*first, bytes);
            put(*size, bytes);
        }
        SegmentKind::Tool
        | SegmentKind::User
        | SegmentKind::Prompt
        | SegmentKind::System
        | SegmentKind::Assistant => {}
    }
    put(segment.tokens, bytes);
}

fn unpack_segment(code: u64, bytes: &mut Packed<'_>) -> Segment {
    let kind = match code {
        0 => SegmentKind::Tool,
        1 => SegmentKind::User,
        2 => SegmentKind::Prompt,
        3 => SegmentKind::System,
        4 => SegmentKind::Assistant,
        5 => SegmentKind::Shared(bytes.text()),
        _ => {
            let name = bytes.text();
            let scope = if name.is_empty() { BlockScope::Trace } else { BlockScope::Named(name) };
            SegmentKind::Blocks(Blocks { scope, first: bytes.number(), size: bytes.number() })
        }
    };
    Segment { tokens: bytes.number(), kind }
}

fn pack_output(output: &Output, bytes: &mut Vec<u8>) {
    put(output.tokens, bytes);
    match output.carry {
        Carry::All => {}
        Carry::Last(tokens) => put(tokens, bytes),
    }
    if let Some(reasoning) = output.reasoning {
        put(reasoning, bytes);
    }
}

fn put_extras(extras: &Extras, bytes: &mut Vec<u8>) {
    for key in ExtraKey::ALL {
        put_text(extras.get(&key).map_or("", String::as_str), bytes);
    }
}

const PACKED: &str = "only traces that were packed here are unpacked";

/// Seven bits a byte, the lowest first; the last byte is below 0x80.
fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn put_maybe(number: Option<u64>, bytes: &mut Vec<u8>) {
    bytes.push(number.is_some().into());
    if let Some(number) = number {
        put(number, bytes);
    }
}

fn put_text(text: &str, bytes: &mut Vec<u8>) {
    put(text.len() as u64, bytes);
    bytes.extend_from_slice(text.as_bytes());
}

/// Bytes that were packed, from where reading has got to.
struct Packed<'b>(std::slice::Iter<'b, u8>);

impl Packed<'_> {
    fn byte(&mut self) -> u8 {
        *self.0.next().expect(PACKED)
    }

    fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    fn short(&mut self) -> u32 {
        u32::try_from(self.number()).expect(PACKED)
    }

    fn maybe(&mut self) -> Option<u64> {
        (self.byte() != 0).then(|| self.number())
    }

    fn text(&mut self) -> String {
        let length = usize::try_from(self.number()).expect(PACKED);
        let (text, rest) = self.0.as_slice().split_at_checked(length).expect(PACKED);
        self.0 = rest.iter();
        String::from_utf8(text.to_vec()).expect(PACKED)
    }

    fn extras(&mut self) -> Extras {
        let texts: BTreeMap<_, _> = ExtraKey::ALL.map(|key| (key, self.text())).into();
        texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }
}
