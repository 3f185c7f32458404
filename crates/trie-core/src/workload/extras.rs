//! Keys that say something beside lengths and waits: identity, request fields, records.

use std::borrow::Cow;

use super::error::Fault;
use super::graph::{About, ExtraKey, Extras};
use super::json::{Fields, Value, compact};
use super::row::Remarks;
use super::warning::KeyStanding;

/// Fields of a body that carry the plan; nobody else may set them.
pub const PLANNED_FIELDS: [&str; 10] = [
    "model",
    "prompt",
    "messages",
    "tools",
    "max_tokens",
    "max_completion_tokens",
    "min_tokens",
    "stream",
    "stream_options",
    "ignore_eos",
];

/// Fields that change what a server makes of a prompt, how long or how many its answers are, or how
/// their tokens are named: one value for a whole run, so that tokens can be counted.
const RUN_FIELDS: [&str; 24] = [
    "chat_template",
    "chat_template_kwargs",
    "add_special_tokens",
    "add_generation_prompt",
    "truncate_prompt_tokens",
    "return_token_ids",
    "return_tokens",
    "return_tokens_as_token_ids",
    "logprobs",
    "top_logprobs",
    "prompt_logprobs",
    "allowed_token_ids",
    "n",
    "n_predict",
    "best_of",
    "use_beam_search",
    "echo",
    "suffix",
    "stop",
    "stop_token_ids",
    "detokenize",
    "skip_special_tokens",
    "cache_salt",
    "cache_prompt",
];

/// Headers about the connection and the length of a message.
pub const FRAMING_HEADERS: [&str; 7] =
    ["connection", "content-length", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Headers that say what a body is and what is wanted, who is asking, or keep a conversation on one
/// server.
const HEADERS_OF_THE_RUN: [&str; 12] = [
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "x-api-key",
    "x-smg-routing-key",
];

/// Reads what a row says about its trace, but for its extras.
pub(super) fn read_about<'l>(
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<About, Fault> {
    let session = fields.read("session_id", Value::name)?;
    Ok(About {
        session: session.map(Cow::into_owned),
        arrival: kept(fields, remarks, "arrival", Value::seconds)?,
        weight: kept(fields, remarks, "weight", Value::positive)?,
        extras: Extras::new(),
    })
}

/// Reads a key that is not replayed yet.
fn kept<'l, T>(
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
    key: &'static str,
    read: impl FnOnce(Value<'l>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let Some(column) = fields.key_column(key) else { return Ok(None) };
    remarks.not_replayed("", key, KeyStanding::NotReplayedYet, column);
    fields.read(key, read)
}

/// Reads the extras of a row of `requests` requests, or of one step.
pub(super) fn read_extras<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
    of: &str,
    requests: Option<usize>,
) -> Result<Extras, Fault> {
    let mut extras = Extras::new();
    for key in ExtraKey::ALL {
        let Some(column) = fields.key_column(key.name()) else { continue };
        let value = fields.take(key.name()).expect("its column is known");
        let checked = match key {
            ExtraKey::Model => value.name().map(drop),
            ExtraKey::Sampling => check_sampling(line, value),
            ExtraKey::Headers => check_headers(line, value),
            ExtraKey::Expect => check_expect(line, value, requests, remarks),
            ExtraKey::Literal => check_literal(line, value, remarks),
        };
        checked.map_err(|fault| fault.under(key.name()))?;
        match key {
            // What the source recorded is no part of a request.
            ExtraKey::Model | ExtraKey::Sampling | ExtraKey::Headers | ExtraKey::Expect => {}
            ExtraKey::Literal => {
                remarks.not_replayed(of, key.name(), KeyStanding::NotReplayedYet, column);
            }
        }
        extras.insert(key, compact(value.text));
    }
    Ok(extras)
}

fn check_headers<'l>(line: &'l str, value: Value<'l>) -> Result<(), Fault> {
    for (name, value) in Fields::of_value(line, value)?.into_members() {
        check_header(&name, value).map_err(|fault| fault.under(&name))?;
    }
    Ok(())
}

fn check_header(name: &str, value: Value<'_>) -> Result<(), Fault> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(value.wrong("the name of a header before it"));
    }
    let lower = name.to_ascii_lowercase();
    if FRAMING_HEADERS.contains(&lower.as_str()) || HEADERS_OF_THE_RUN.contains(&lower.as_str()) {
        return Err(
            value.wrong("no header that the run sets; see the options headers.NAME and api_key")
        );
    }
    let text = value.string()?;
    if text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Ok(());
    }
    Err(value.wrong("printable ASCII"))
}

/// Fields of a body: any but those that carry the plan.
fn check_sampling<'l>(line: &'l str, value: Value<'l>) -> Result<(), Fault> {
    for (name, value) in Fields::of_value(line, value)?.into_members() {
        if PLANNED_FIELDS.contains(&name.as_ref()) || RUN_FIELDS.contains(&name.as_ref()) {
            return Err(value
                .wrong("no field that the run sets for all of its requests")
                .under(&name));
        }
    }
    Ok(())
}

/// What the source recorded: a number of each kind for a step, a list of them for a row. `null`
/// stands for what was not recorded.
fn check_expect<'l>(
    line: &'l str,
    value: Value<'l>,
    requests: Option<usize>,
    remarks: &mut Remarks<'l>,
) -> Result<(), Fault> {
    let mut fields = Fields::of_value(line, value)?;
    let seconds = |value: Value<'l>| recorded(value, |value| value.seconds().map(drop));
    let tokens = |value: Value<'l>| recorded(value, |value| value.tokens().map(drop));
    for name in ["start", "ttft", "duration"] {
        fields.read(name, |value| each_request(line, value, requests, seconds))?;
    }
    fields.read("cached", |value| each_request(line, value, requests, tokens))?;
    remarks.unknown("expect", fields);
    Ok(())
}

fn recorded<'l>(
    value: Value<'l>,
    read: impl Fn(Value<'l>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    if value.is_null() { Ok(()) } else { read(value) }
}

fn each_request<'l>(
    line: &'l str,
    value: Value<'l>,
    requests: Option<usize>,
    read: impl Fn(Value<'l>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(requests) = requests else { return read(value) };
    let items = value.each(line, read)?;
    if items.len() == requests {
        return Ok(());
    }
    let wanted = format!("{requests}, one for each request");
    Err(Fault::new(value.column, format!("{} elements", items.len()), wanted))
}

/// Bodies as the source sent them; what is in a message is between it and the server.
fn check_literal<'l>(
    line: &'l str,
    value: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<(), Fault> {
    let mut fields = Fields::of_value(line, value)?;
    fields.need("mode", |mode| match mode.string()?.as_ref() {
        "delta" | "full" => Ok(()),
        _ => Err(mode.wrong("delta or full")),
    })?;
    fields.need("messages", |messages| messages.list(line))?;
    fields.read("tools", |tools| tools.list(line))?;
    fields.read("outputs", |outputs| outputs.list(line))?;
    remarks.unknown("literal", fields);
    Ok(())
}
