//! The general form: a row that lists its steps.

use std::borrow::Cow;
use std::ops::Range;

use super::blocks::{block_scope, block_size};
use super::error::Fault;
use super::extras::read_extras;
use super::graph::{
    BlockScope, Blocks, Carry, Extras, On, Output, Segment, SegmentKind, Step, Wait,
};
use super::json::{Fields, Value};
use super::link::link;
use super::prefix::{read_drop, read_prefix};
use super::row::Remarks;
use crate::units::{Nanos, Tokens};

/// Keys of the flat form, which a row of steps has no use for.
const FLAT_KEYS: [&str; 12] = [
    "num_turns",
    "input_prompt_length",
    "assistant_response_length",
    "tool_call_output_length",
    "tool_call_latency",
    "final_assistant_response_length",
    "input_kind",
    "tool_calls",
    "reasoning_length",
    "carry_length",
    "context",
    "blocks",
];

/// A step as it is listed: names are not looked up yet.
pub(super) struct Listed<'l> {
    pub(super) value: Value<'l>,
    pub(super) id: Name<'l>,
    pub(super) lane: Cow<'l, str>,
    /// `None`: the end of the previous step of the lane.
    pub(super) after: Option<Vec<Listening<'l>>>,
    pub(super) parent: Parent<'l>,
    /// `None`: the whole prompt and the carried answer.
    pub(super) keep: Option<(Value<'l>, Tokens)>,
    pub(super) drop: Option<(Value<'l>, Vec<Range<Tokens>>)>,
    pub(super) prefix: Option<(Value<'l>, Vec<(String, Tokens)>)>,
    pub(super) new: Vec<Segment>,
    /// Whether a person wrote a part of what is new.
    pub(super) from_person: bool,
    /// Names of the steps whose results the new segments are.
    pub(super) of: Vec<Name<'l>>,
    pub(super) output: Output,
    pub(super) extras: Extras,
}

/// A step's id, and where it stands.
#[derive(Clone)]
pub(super) struct Name<'l> {
    pub(super) text: Cow<'l, str>,
    pub(super) value: Value<'l>,
}

/// An entry of `after`.
pub(super) struct Listening<'l> {
    pub(super) id: Name<'l>,
    pub(super) on: On,
    pub(super) delay: Nanos,
}

/// `context.from`.
pub(super) enum Parent<'l> {
    /// Not given: the previous step of the lane.
    Previous,
    /// `null`: nothing.
    Nothing,
    Step(Name<'l>),
}

/// Reads `steps` and puts them in an order in which each refers to earlier ones only.
pub(super) fn read_steps<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Vec<Step>, Fault> {
    refuse_flat_keys(fields)?;
    let value = fields.take("steps").expect("the caller saw it");
    let prefix = fields.read("prefix", |value| Ok((value, read_prefix(line, value, remarks)?)))?;
    let listed = value.each(line, |step| read_step(line, step, remarks));
    let listed = listed.map_err(|fault| fault.under("steps"))?;
    if listed.is_empty() {
        return Err(value.wrong("at least one step").field("steps"));
    }
    link(listed, prefix)
}

fn refuse_flat_keys(fields: &mut Fields<'_>) -> Result<(), Fault> {
    let flat = FLAT_KEYS.iter().find_map(|name| fields.take(name).map(|value| (name, value)));
    match flat {
        Some((name, value)) => Err(value
            .wrong("no key of the flat form beside steps")
            .field(*name)
            .hint("a row has either steps or the six fields")),
        None => Ok(()),
    }
}

fn read_step<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Listed<'l>, Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let id = fields.need("id", read_name)?;
    let lane = fields.need("lane", Value::name)?;
    let after = fields
        .read("after", |after| after.each(line, |entry| read_listening(line, entry, remarks)))?;
    let mut step = Listed {
        value,
        id,
        lane,
        after,
        parent: Parent::Previous,
        keep: None,
        drop: None,
        prefix: None,
        new: Vec::new(),
        from_person: false,
        of: Vec::new(),
        output: fields.need("output", |output| read_output(line, output, remarks))?,
        extras: read_extras(line, &mut fields, remarks, "steps[]", None)?,
    };
    fields.read("context", |context| read_context(line, context, &mut step, remarks))?;
    fields
        .read("new", |new| new.each(line, |item| read_segment(line, item, &mut step, remarks)))?;
    remarks.unknown("steps[]", fields);
    Ok(step)
}

fn read_name(value: Value<'_>) -> Result<Name<'_>, Fault> {
    Ok(Name { text: value.name()?, value })
}

fn read_listening<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Listening<'l>, Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let id = fields.need("id", read_name)?;
    let on = fields.read("on", |on| match on.string()?.as_ref() {
        "end" => Ok(On::End),
        "start" => Ok(On::Start),
        "first_token" => Ok(On::FirstToken),
        _ => Err(on.wrong("end, start or first_token")),
    })?;
    let delay = fields.read("delay", Value::seconds)?;
    remarks.unknown("steps[].after[]", fields);
    Ok(Listening { id, on: on.unwrap_or(On::End), delay: delay.unwrap_or_default() })
}

fn read_context<'l>(
    line: &'l str,
    value: Value<'l>,
    step: &mut Listed<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<(), Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let from = fields.read("from", |from| {
        if from.is_null() { Ok(Parent::Nothing) } else { read_name(from).map(Parent::Step) }
    })?;
    step.parent = from.unwrap_or(Parent::Previous);
    step.keep = fields
        .read("keep", |keep| match keep.text {
            "-1" => Ok(None),
            _ => match keep.tokens() {
                Ok(tokens) => Ok(Some((keep, tokens))),
                Err(_) => Err(keep.wrong("a whole number of tokens, or -1 for all and the answer")),
            },
        })?
        .flatten();
    let most = step.keep.map_or(Tokens::MAX, |(_, keep)| keep);
    step.drop = fields.read("drop", |drop| Ok((drop, read_drop(line, drop, most)?)))?;
    step.prefix =
        fields.read("prefix", |prefix| Ok((prefix, read_prefix(line, prefix, remarks)?)))?;
    remarks.unknown("steps[].context", fields);
    Ok(())
}

fn read_segment<'l>(
    line: &'l str,
    value: Value<'l>,
    step: &mut Listed<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<(), Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let role = fields.need("role", |role| match role.string()?.as_ref() {
        "system" => Ok(SegmentKind::System),
        "user" => Ok(SegmentKind::User),
        "assistant" => Ok(SegmentKind::Assistant),
        "tool" => Ok(SegmentKind::Tool),
        _ => Err(role.wrong("system, user, assistant or tool")),
    })?;
    let tokens = fields.need("tokens", Value::tokens)?;
    let kind = fields.read("kind", |kind| match kind.string()?.as_ref() {
        // A machine writes a summary, and is waited for as a tool is.
        "tool" | "summary" => Ok(Wait::Tool),
        "user" => Ok(Wait::User),
        "unknown" => Ok(Wait::Unknown),
        _ => Err(kind.wrong("tool, user, summary or unknown")),
    })?;
    let person = kind.map_or(role == SegmentKind::User, |kind| kind == Wait::User);
    step.from_person |= person;
    step.of.extend(fields.read("of", read_name)?);
    // How long each of several calls took; the step itself waits as `after` says.
    fields.read("latency", Value::seconds)?;
    let blocks = fields.read("blocks", |blocks| read_blocks(line, blocks, tokens, remarks))?;
    remarks.unknown("steps[].new[]", fields);
    if tokens > 0 {
        let kind = blocks.map_or(role, SegmentKind::Blocks);
        step.new.push(Segment { tokens, kind });
    }
    Ok(())
}

/// A segment that is blocks of the source's cache, with ids in a row from `first` on.
fn read_blocks<'l>(
    line: &'l str,
    value: Value<'l>,
    tokens: Tokens,
    remarks: &mut Remarks<'l>,
) -> Result<Blocks, Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let size = fields.need("size", block_size)?;
    let scope = fields.read("scope", block_scope)?.unwrap_or(BlockScope::Trace);
    let first = fields.need("first", |first| match first.number()?.checked_add(tokens) {
        Some(_) => first.number(),
        None => Err(first.wrong("a first id after which there is room for the others")),
    })?;
    remarks.unknown("steps[].new[].blocks", fields);
    Ok(Blocks { scope, first, size })
}

fn read_output<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Output, Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let written = fields.need("tokens", Value::tokens)?;
    let part = |value: Value<'l>| match value.tokens()? {
        part if part <= written => Ok(part),
        _ => Err(value.wrong(format!("at most the answer's {written} tokens"))),
    };
    let reasoning = fields.read("reasoning", part)?;
    let carry = fields.read("carry", part)?;
    // What made the source's answer end; ours end at their length.
    fields.read("finish", Value::string)?;
    remarks.unknown("steps[].output", fields);
    let tokens = remarks.planned(written);
    let carry = carry.filter(|carry| *carry < tokens).map_or(Carry::All, Carry::Last);
    Ok(Output { tokens, carry, reasoning })
}
