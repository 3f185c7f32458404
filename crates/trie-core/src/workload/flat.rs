//! A row in its flat form: turns in which the model answers and gets an input back, then a last
//! answer.

use std::collections::BTreeMap;
use std::ops::Range;

use super::blocks::{apply_blocks, read_blocks};
use super::calls::read_calls;
use super::error::Fault;
use super::expand::expand;
use super::graph::Step;
use super::json::{Fields, MAX_TOKENS, Value};
use super::prefix::{read_drop, read_prefix};
use super::row::Remarks;
use crate::units::{Nanos, Tokens};

/// The six fields and what shapes their prompts.
pub(super) struct Flat {
    /// Length of the first prompt.
    pub(super) prompt: Tokens,
    /// Shared segments that open the first prompt; at most `prompt` tokens together.
    pub(super) prefix: Vec<(String, Tokens)>,
    /// In order.
    pub(super) turns: Vec<Turn>,
    /// Planned length of the last answer.
    pub(super) final_answer: Tokens,
    /// Reasoning in each request's answer, where the row says so.
    pub(super) reasoning: Vec<Tokens>,
}

/// An answer and what comes back for it.
pub(super) struct Turn {
    /// Planned length of the answer.
    pub(super) answer: Tokens,
    /// Tokens of it that stay in the history; `None`: all.
    pub(super) carry: Option<Tokens>,
    /// What cuts the history after it; the answer is then not carried.
    pub(super) cut: Option<Cut>,
    /// Tokens that come back, by tool call where the row says so.
    pub(super) inputs: Vec<Tokens>,
    /// From whom.
    pub(super) kind: InputKind,
    /// How long that takes, from the end of the answer.
    pub(super) latency: Nanos,
}

/// What is left of a prompt.
#[derive(Clone)]
pub(super) struct Cut {
    /// Its first tokens.
    pub(super) keep: Tokens,
    /// Ranges of those that are cut out.
    pub(super) drop: Vec<Range<Tokens>>,
}

/// Who an input is from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InputKind {
    Tool,
    User,
    Summary,
    Unknown,
}

/// Where the values stand that [`check_prompts`] may find wrong.
struct Columns<'l> {
    prompt: Value<'l>,
    inputs: Vec<Value<'l>>,
    cuts: BTreeMap<u64, CutAt<'l>>,
    final_answer: Value<'l>,
}

/// An element of `context`.
struct CutAt<'l> {
    index: usize,
    cut: Cut,
    keep: Value<'l>,
}

/// Reads the six fields and their options into steps.
pub(super) fn read_flat<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Vec<Step>, Fault> {
    let blocks = read_blocks(line, fields, remarks)?;
    if blocks.is_some()
        && let Some(prefix) = fields.take("prefix")
    {
        return Err(prefix
            .wrong("no prefix beside blocks")
            .field("prefix")
            .hint("blocks already say which text is shared"));
    }
    let (row, columns) = read_lengths(line, fields, remarks)?;
    check_prompts(&row, &columns)?;
    let mut steps = expand(row);
    if let Some(blocks) = blocks {
        apply_blocks(&blocks, &mut steps)?;
    }
    Ok(steps)
}

fn read_lengths<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<(Flat, Columns<'l>), Fault> {
    let count = tokens("num_turns", fields.require("num_turns")?)?;
    let prompt = fields.require("input_prompt_length")?;
    let answers = list(line, "assistant_response_length", fields, count)?;
    let inputs = list(line, "tool_call_output_length", fields, count)?;
    let latencies = list(line, "tool_call_latency", fields, count)?;
    let final_answer = fields.require("final_assistant_response_length")?;
    let options = Options::read(line, fields, count, remarks)?;
    let mut turns = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let length = item_tokens("assistant_response_length", index, *answer)?;
        let carry = options.carry(index, length)?;
        let latency = latencies[index].seconds();
        turns.push(Turn {
            answer: remarks.planned(length),
            carry,
            cut: options.cuts.get(&(index as u64 + 1)).map(|at| at.cut.clone()),
            inputs: vec![item_tokens("tool_call_output_length", index, inputs[index])?],
            kind: options.kinds.get(index).copied().unwrap_or(InputKind::Tool),
            latency: latency.map_err(|fault| fault.item("tool_call_latency", index))?,
        });
    }
    read_calls(line, fields, &mut turns)?;
    let last = tokens("final_assistant_response_length", final_answer)?;
    let answers = turns.iter().map(|turn| turn.answer).chain([last.max(1)]).collect();
    let row = Flat {
        prompt: tokens("input_prompt_length", prompt)?,
        prefix: prefix_of(line, fields, prompt, remarks)?,
        turns,
        final_answer: remarks.planned(last),
        reasoning: read_reasoning(line, fields, answers)?,
    };
    Ok((row, Columns { prompt, inputs, cuts: options.cuts, final_answer }))
}

/// Optional keys with an entry for each turn.
struct Options<'l> {
    carries: Option<Vec<Value<'l>>>,
    kinds: Vec<InputKind>,
    /// By the request before which the history is cut.
    cuts: BTreeMap<u64, CutAt<'l>>,
}

impl<'l> Options<'l> {
    fn read(
        line: &'l str,
        fields: &mut Fields<'l>,
        count: u64,
        remarks: &mut Remarks<'l>,
    ) -> Result<Self, Fault> {
        let carries = fields.take("carry_length");
        let carries = carries.map(|value| list_of("carry_length", line, value, count));
        Ok(Self {
            carries: carries.transpose()?,
            kinds: read_kinds(fields, count)?,
            cuts: read_context(line, fields, count, remarks)?,
        })
    }

    fn carry(&self, index: usize, answer: Tokens) -> Result<Option<Tokens>, Fault> {
        let Some(carries) = &self.carries else { return Ok(None) };
        let value = carries[index];
        let carry = item_tokens("carry_length", index, value)?;
        if carry > answer {
            let wanted = format!("at most the answer's {answer} tokens");
            return Err(value.wrong(wanted).item("carry_length", index));
        }
        if self.cuts.contains_key(&(index as u64 + 1)) && carry > 0 {
            return Err(value.wrong("0").item("carry_length", index).hint(format!(
                "context cuts the history before request {}, so the answer before it is not carried",
                index + 1
            )));
        }
        Ok(Some(carry))
    }
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

/// The elements of a list that has one for each turn.
pub(super) fn list_of<'l>(
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

fn prefix_of<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    prompt: Value<'l>,
    remarks: &mut Remarks<'l>,
) -> Result<Vec<(String, Tokens)>, Fault> {
    let Some(value) = fields.take("prefix") else { return Ok(Vec::new()) };
    let prefix = read_prefix(line, value, remarks).map_err(|fault| fault.under("prefix"))?;
    let sum: Tokens = prefix.iter().map(|(_, tokens)| tokens).sum();
    let most = tokens("input_prompt_length", prompt)?;
    if sum > most {
        let wanted = format!("at most the {most} of input_prompt_length");
        return Err(Fault::new(value.column, format!("{sum} tokens"), wanted).field("prefix"));
    }
    Ok(prefix)
}

/// Reasoning is a part of each request's answer.
fn read_reasoning<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    answers: Vec<Tokens>,
) -> Result<Vec<Tokens>, Fault> {
    const NAME: &str = "reasoning_length";
    let Some(value) = fields.take(NAME) else { return Ok(Vec::new()) };
    let items = value.list(line).map_err(|fault| fault.field(NAME))?;
    if items.len() != answers.len() {
        let found = format!("{} elements", items.len());
        let wanted = format!("{}, one for each request", answers.len());
        return Err(Fault::new(value.column, found, wanted).field(NAME));
    }
    let mut reasoning = Vec::with_capacity(items.len());
    for (index, (item, answer)) in items.into_iter().zip(answers).enumerate() {
        let tokens = item_tokens(NAME, index, item)?;
        if tokens > answer {
            let wanted = format!("at most the answer's {answer} tokens");
            return Err(item.wrong(wanted).item(NAME, index));
        }
        reasoning.push(tokens);
    }
    Ok(reasoning)
}

fn read_context<'l>(
    line: &'l str,
    fields: &mut Fields<'l>,
    count: u64,
    remarks: &mut Remarks<'l>,
) -> Result<BTreeMap<u64, CutAt<'l>>, Fault> {
    let mut cuts = BTreeMap::new();
    let Some(value) = fields.take("context") else { return Ok(cuts) };
    let items = value.list(line).map_err(|fault| fault.field("context"))?;
    for (index, item) in items.into_iter().enumerate() {
        let in_item = |fault: Fault| fault.under(&format!("context[{index}]"));
        let (before, request, cut) =
            read_cut(line, item, index, count, remarks).map_err(in_item)?;
        if cuts.insert(request, cut).is_some() {
            return Err(in_item(before.wrong("each request once").under("before")));
        }
    }
    Ok(cuts)
}

fn read_cut<'l>(
    line: &'l str,
    item: Value<'l>,
    index: usize,
    count: u64,
    remarks: &mut Remarks<'l>,
) -> Result<(Value<'l>, u64, CutAt<'l>), Fault> {
    let mut fields = Fields::of_value(line, item)?;
    let (before, request) = fields.need("before", |value| match value.tokens()? {
        request if (1..=count).contains(&request) => Ok((value, request)),
        _ => Err(value.wrong(format!("a request with one before it, from 1 to {count}"))),
    })?;
    let (keep, kept) = fields.need("keep", |value| Ok((value, value.tokens()?)))?;
    let drop = fields.read("drop", |value| read_drop(line, value, kept))?.unwrap_or_default();
    remarks.unknown("context[]", fields);
    Ok((before, request, CutAt { index, cut: Cut { keep: kept, drop }, keep }))
}

/// Follows the history: each cut fits its prompt, and each prompt is neither empty nor too long.
fn check_prompts(row: &Flat, columns: &Columns<'_>) -> Result<(), Fault> {
    let mut prompt = row.prompt;
    if prompt == 0 {
        return Err(columns.prompt.wrong("at least 1").field("input_prompt_length"));
    }
    check_context(0, prompt + row.answer(0), columns)?;
    for (index, turn) in row.turns.iter().enumerate() {
        let before = index as u64 + 1;
        if let Some(at) = columns.cuts.get(&before).filter(|at| at.cut.keep > prompt) {
            let wanted = format!("at most the {prompt} tokens of the prompt before it");
            let path = format!("context[{}].keep", at.index);
            return Err(at.keep.wrong(wanted).under(&path));
        }
        prompt = turn.history(prompt) + turn.input();
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

impl Flat {
    /// Planned length of a request's answer.
    fn answer(&self, request: usize) -> Tokens {
        self.turns.get(request).map_or(self.final_answer, |turn| turn.answer)
    }
}

impl Turn {
    /// Tokens that come back.
    pub(super) fn input(&self) -> Tokens {
        self.inputs.iter().sum()
    }

    /// What the next prompt takes over of a prompt of `prompt` tokens and this answer.
    pub(super) fn history(&self, prompt: Tokens) -> Tokens {
        match &self.cut {
            Some(cut) => {
                let dropped: Tokens = cut.drop.iter().map(|range| range.end - range.start).sum();
                cut.keep - dropped
            }
            None => prompt + self.carry.unwrap_or(self.answer),
        }
    }
}
