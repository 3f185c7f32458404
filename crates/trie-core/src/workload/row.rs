//! One row of a workload file, checked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::error::Fault;
use super::json::{Fields, MAX_TOKENS, Value};
use super::warning::{IgnoredKey, KeyStanding};
use crate::units::{Nanos, Tokens};

/// Keys of version 2 that are not replayed yet, beside the six and those read below.
const NOT_REPLAYED_YET: [&str; 11] = [
    "session_id",
    "arrival",
    "weight",
    "model",
    "sampling",
    "headers",
    "tool_calls",
    "reasoning_length",
    "blocks",
    "literal",
    "expect",
];

/// A row in its flat form: turns in which the model answers and gets an input back, then a last
/// answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Row {
    /// `trace_id`, where there is one.
    pub(super) id: Option<String>,
    /// Length of the first prompt.
    pub(super) prompt: Tokens,
    /// Shared segments that open the first prompt; at most `prompt` tokens together.
    pub(super) prefix: Vec<(String, Tokens)>,
    /// In order.
    pub(super) turns: Vec<Turn>,
    /// Length of the last answer as the file has it: 0 is planned as 1.
    pub(super) final_answer: Tokens,
}

/// An answer and what comes back for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Turn {
    /// Length of the answer as the file has it: 0 is planned as 1.
    pub(super) answer: Tokens,
    /// Tokens of it that stay in the history; `None`: all.
    pub(super) carry: Option<Tokens>,
    /// Tokens of this request's prompt that the next one keeps; `None`: all, and the answer.
    pub(super) keep: Option<Tokens>,
    /// Tokens that come back.
    pub(super) input: Tokens,
    /// From whom.
    pub(super) kind: InputKind,
    /// How long that takes, from the end of the answer.
    pub(super) latency: Nanos,
}

/// Who an input is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InputKind {
    Tool,
    User,
    Summary,
    Unknown,
}

/// A row and what its line gives reason to remark on.
pub(super) struct RowLine<'l> {
    pub(super) row: Row,
    /// Column of the value of `trace_id`.
    pub(super) id_column: usize,
    /// Answers of 0 tokens.
    pub(super) zero_answers: u64,
    /// Keys that are not replayed, with their column.
    pub(super) ignored: Vec<IgnoredKey<'l>>,
}

/// Reads a row and checks everything that one row can show.
pub(super) fn read_row<'l>(line: &'l str, mut fields: Fields<'l>) -> Result<RowLine<'l>, Fault> {
    refuse_general_form(&mut fields)?;
    let id = fields.take("trace_id");
    let mut ignored = Vec::new();
    let (row, columns) = read_flat(line, &mut fields, &mut ignored)?;
    check_prompts(&row, &columns)?;
    ignored.extend(fields.rest().map(|(key, column)| {
        let known = NOT_REPLAYED_YET.contains(&key.as_ref());
        let standing = if known { KeyStanding::NotReplayedYet } else { KeyStanding::Unknown };
        IgnoredKey { key, standing, column }
    }));
    let answers = row.turns.iter().map(|turn| turn.answer).chain([row.final_answer]);
    let zero_answers = answers.map(|answer| u64::from(answer == 0)).sum();
    let id_column = id.map_or(1, |id| id.column);
    let id = id.map(read_id).transpose()?;
    Ok(RowLine { row: Row { id, ..row }, id_column, zero_answers, ignored })
}

fn refuse_general_form(fields: &mut Fields<'_>) -> Result<(), Fault> {
    if fields.holds("trie_workload") {
        let found = fields.take("trie_workload").expect("it is held").column;
        return Err(Fault::new(found, "a header", "a row")
            .field("trie_workload")
            .hint("the header stands once, before the first row"));
    }
    match fields.take("steps") {
        Some(steps) => Err(Fault::new(steps.column, "a row of steps", "the six fields of a row")
            .field("steps")
            .hint("the general form of workload version 2 is not replayed yet")),
        None => Ok(()),
    }
}

fn read_id(value: Value<'_>) -> Result<String, Fault> {
    let id = value.string().map_err(|fault| fault.field("trace_id"))?;
    if id.is_empty() {
        return Err(value.wrong("a name that is not empty").field("trace_id"));
    }
    Ok(id.into_owned())
}

/// Where the values stand that [`check_prompts`] may find wrong.
struct Columns<'l> {
    prompt: Value<'l>,
    inputs: Vec<Value<'l>>,
    keeps: BTreeMap<u64, Keep<'l>>,
    final_answer: Value<'l>,
}

/// An element of `context`.
#[derive(Clone, Copy)]
struct Keep<'l> {
    index: usize,
    tokens: Tokens,
    value: Value<'l>,
}

fn read_flat<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    ignored: &mut Vec<IgnoredKey<'l>>,
) -> Result<(Row, Columns<'l>), Fault> {
    let count = tokens("num_turns", fields.require("num_turns")?)?;
    let prompt = fields.require("input_prompt_length")?;
    let answers = list(line, "assistant_response_length", fields, count)?;
    let inputs = list(line, "tool_call_output_length", fields, count)?;
    let latencies = list(line, "tool_call_latency", fields, count)?;
    let final_answer = fields.require("final_assistant_response_length")?;
    let carries = match fields.take("carry_length") {
        Some(value) => Some(list_of("carry_length", line, value, count)?),
        None => None,
    };
    let kinds = read_kinds(fields, count)?;
    let keeps = read_context(line, fields, count, ignored)?;
    let mut turns = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let answer = item_tokens("assistant_response_length", index, *answer)?;
        let keep = keeps.get(&(index as u64 + 1)).map(|keep| keep.tokens);
        let carry = carries.as_ref().map(|carries| carries[index]);
        turns.push(Turn {
            answer,
            carry: carry.map(|carry| read_carry(index, carry, answer, keep)).transpose()?,
            keep,
            input: item_tokens("tool_call_output_length", index, inputs[index])?,
            kind: kinds.get(index).copied().unwrap_or(InputKind::Tool),
            latency: latencies[index]
                .seconds()
                .map_err(|fault| fault.item("tool_call_latency", index))?,
        });
    }
    let row = Row {
        id: None,
        prompt: tokens("input_prompt_length", prompt)?,
        prefix: read_prefix(line, fields, prompt, ignored)?,
        turns,
        final_answer: tokens("final_assistant_response_length", final_answer)?,
    };
    Ok((row, Columns { prompt, inputs, keeps, final_answer }))
}

fn tokens(name: &str, value: Value<'_>) -> Result<Tokens, Fault> {
    value.tokens().map_err(|fault| fault.field(name))
}

fn item_tokens(name: &str, index: usize, value: Value<'_>) -> Result<Tokens, Fault> {
    value.tokens().map_err(|fault| fault.item(name, index))
}

fn list<'l>(
    line: &'l str,
    name: &'static str,
    fields: &mut Fields<'l>,
    count: u64,
) -> Result<Vec<Value<'l>>, Fault> {
    let value = fields.require(name)?;
    list_of(name, line, value, count)
}

fn list_of<'l>(
    name: &str,
    line: &'l str,
    value: Value<'l>,
    count: u64,
) -> Result<Vec<Value<'l>>, Fault> {
    let items = value.list(line).map_err(|fault| fault.field(name))?;
    if items.len() as u64 == count {
        return Ok(items);
    }
    let found = format!("{} elements", items.len());
    let wanted = format!("{count}, one for each of num_turns");
    Err(Fault::new(value.column, found, wanted).field(name))
}

fn read_carry(
    index: usize,
    value: Value<'_>,
    answer: Tokens,
    keep: Option<Tokens>,
) -> Result<Tokens, Fault> {
    let carry = item_tokens("carry_length", index, value)?;
    if carry > answer {
        let wanted = format!("at most the answer's {answer} tokens");
        return Err(value.wrong(wanted).item("carry_length", index));
    }
    if keep.is_some() && carry > 0 {
        return Err(value.wrong("0").item("carry_length", index).hint(format!(
            "context cuts the history before request {}, so the answer before it is not carried",
            index + 1
        )));
    }
    Ok(carry)
}

/// One letter a turn: tool, user, summary, unknown.
fn read_kinds(fields: &mut Fields<'_>, count: u64) -> Result<Vec<InputKind>, Fault> {
    let Some(value) = fields.take("input_kind") else { return Ok(Vec::new()) };
    let text = value.string().map_err(|fault| fault.field("input_kind"))?;
    let kind = |(index, letter)| match letter {
        't' => Ok(InputKind::Tool),
        'u' => Ok(InputKind::User),
        's' => Ok(InputKind::Summary),
        '?' => Ok(InputKind::Unknown),
        other => Err(Fault::new(
            value.column + 1 + index,
            format!("{other:?}"),
            "t (tool), u (user), s (summary) or ? (unknown) for each turn",
        )
        .field("input_kind")),
    };
    let kinds = text.char_indices().map(kind).collect::<Result<Vec<_>, _>>()?;
    if kinds.len() as u64 == count {
        return Ok(kinds);
    }
    let wanted = format!("{count}, one for each of num_turns");
    Err(Fault::new(value.column, format!("{} letters", kinds.len()), wanted).field("input_kind"))
}

fn read_prefix<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    prompt: Value<'l>,
    ignored: &mut Vec<IgnoredKey<'l>>,
) -> Result<Vec<(String, Tokens)>, Fault> {
    let Some(value) = fields.take("prefix") else { return Ok(Vec::new()) };
    let (mut prefix, mut ids, mut sum) = (Vec::new(), BTreeSet::new(), 0);
    for (index, item) in
        value.list(line).map_err(|fault| fault.field("prefix"))?.into_iter().enumerate()
    {
        let in_item = |fault: Fault| fault.item("prefix", index);
        let mut item_fields = Fields::of_value(line, item).map_err(in_item)?;
        let id = member(&mut item_fields, item, "id").map_err(in_item)?;
        let tokens = member(&mut item_fields, item, "tokens").map_err(in_item)?;
        let length = tokens.tokens().map_err(in_item)?;
        let name = id.string().map_err(in_item)?.into_owned();
        if !ids.insert(name.clone()) || name.is_empty() {
            return Err(in_item(id.wrong("an id that is not empty and stands once in the row")));
        }
        sum += length;
        prefix.push((name, length));
        ignore_rest("prefix[]", item_fields, ignored);
    }
    let most = prompt.tokens().map_err(|fault| fault.field("input_prompt_length"))?;
    if sum > most {
        let wanted = format!("at most the {most} of input_prompt_length");
        return Err(Fault::new(value.column, format!("{sum} tokens"), wanted).field("prefix"));
    }
    Ok(prefix)
}

fn read_context<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    count: u64,
    ignored: &mut Vec<IgnoredKey<'l>>,
) -> Result<BTreeMap<u64, Keep<'l>>, Fault> {
    let Some(value) = fields.take("context") else { return Ok(BTreeMap::new()) };
    let mut keeps = BTreeMap::new();
    for (index, item) in
        value.list(line).map_err(|fault| fault.field("context"))?.into_iter().enumerate()
    {
        let in_item = |fault: Fault| fault.item("context", index);
        let mut item_fields = Fields::of_value(line, item).map_err(in_item)?;
        let before = member(&mut item_fields, item, "before").map_err(in_item)?;
        let keep = member(&mut item_fields, item, "keep").map_err(in_item)?;
        refuse_drop(line, &mut item_fields).map_err(in_item)?;
        let request = before.tokens().map_err(in_item)?;
        if request == 0 || request > count {
            let wanted = format!("a request with one before it, from 1 to {count}");
            return Err(in_item(before.wrong(wanted)));
        }
        let tokens = keep.tokens().map_err(in_item)?;
        if keeps.insert(request, Keep { index, tokens, value: keep }).is_some() {
            return Err(in_item(before.wrong("each request once")));
        }
        ignore_rest("context[]", item_fields, ignored);
    }
    Ok(keeps)
}

fn refuse_drop<'l>(line: &'l str, fields: &mut Fields<'l>) -> Result<(), Fault> {
    match fields.take("drop") {
        Some(drop) if !drop.list(line)?.is_empty() => Err(drop
            .wrong("no drop")
            .hint("cutting ranges out of the history (workload version 2) is not replayed yet")),
        Some(_) | None => Ok(()),
    }
}

fn member<'l>(fields: &mut Fields<'l>, item: Value<'l>, name: &str) -> Result<Value<'l>, Fault> {
    let missing = || Fault::new(item.column, format!("an element without {name}"), "one with it");
    fields.take(name).ok_or_else(missing)
}

fn ignore_rest<'l>(of: &str, fields: Fields<'l>, ignored: &mut Vec<IgnoredKey<'l>>) {
    let path = |key: Cow<'l, str>| Cow::Owned(format!("{of}.{key}"));
    let standing = KeyStanding::Unknown;
    ignored.extend(fields.rest().map(|(key, column)| IgnoredKey {
        key: path(key),
        standing,
        column,
    }));
}

/// Follows the history: each cut fits its prompt, and each prompt is neither empty nor too long.
fn check_prompts(row: &Row, columns: &Columns<'_>) -> Result<(), Fault> {
    let mut prompt = row.prompt;
    if prompt == 0 {
        return Err(columns.prompt.wrong("at least 1").field("input_prompt_length"));
    }
    check_context(0, prompt + row.answer(0), columns)?;
    for (index, turn) in row.turns.iter().enumerate() {
        let before = index as u64 + 1;
        if let Some(keep) = columns.keeps.get(&before).filter(|keep| keep.tokens > prompt) {
            let wanted = format!("at most the {prompt} tokens of the prompt before it");
            return Err(keep.value.wrong(wanted).item("context", keep.index));
        }
        prompt = turn.keep.unwrap_or(prompt + turn.carried()) + turn.input;
        if prompt == 0 {
            let value = columns.inputs[index];
            return Err(Fault::new(value.column, "an empty prompt", "at least 1 token")
                .item("tool_call_output_length", index)
                .hint(format!("request {before} keeps nothing and adds nothing")));
        }
        check_context(index + 1, prompt + row.answer(index + 1), columns)?;
    }
    Ok(())
}

fn check_context(request: usize, context: Tokens, columns: &Columns<'_>) -> Result<(), Fault> {
    if context <= MAX_TOKENS {
        return Ok(());
    }
    let found = format!("{context} tokens of prompt and answer in request {request}");
    let wanted = format!("at most {MAX_TOKENS}");
    let last = request > 0 && request == columns.inputs.len();
    Err(match request.checked_sub(1) {
        Some(turn) if !last => Fault::new(columns.inputs[turn].column, found, wanted)
            .item("tool_call_output_length", turn),
        Some(_) => Fault::new(columns.final_answer.column, found, wanted)
            .field("final_assistant_response_length"),
        None => Fault::new(columns.prompt.column, found, wanted).field("input_prompt_length"),
    })
}

impl Row {
    /// Planned length of a request's answer: at least 1.
    fn answer(&self, request: usize) -> Tokens {
        self.turns.get(request).map_or(self.final_answer, |turn| turn.answer).max(1)
    }
}

impl Turn {
    /// Tokens of the planned answer that stay in the history when no cut says otherwise.
    fn carried(&self) -> Tokens {
        self.carry.unwrap_or(self.answer.max(1))
    }
}
