//! Listed steps into a graph: names looked up, steps put in order, prompts added up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::answers::check_answers;
use super::error::Fault;
use super::expand::shared_segments;
use super::graph::{Context, Dependency, LaneId, On, Step, StepId, Wait};
use super::json::{MAX_TOKENS, Value};
use super::order::order;
use super::steps::{Listed, Name, Parent};
use crate::units::{Nanos, Tokens};

/// What a listed step refers to, by place in the list.
pub(super) struct Edges {
    pub(super) after: Vec<(usize, On, Nanos)>,
    pub(super) from: Option<usize>,
    /// The previous step of its lane.
    previous: Option<usize>,
}

/// A prefix of the row and where it stands.
pub(super) type RowPrefix<'l> = Option<(Value<'l>, Vec<(String, Tokens)>)>;

/// Makes the graph.
pub(super) fn link<'l>(
    mut listed: Vec<Listed<'l>>,
    prefix: RowPrefix<'l>,
) -> Result<Vec<Step>, Fault> {
    let edges = look_up(&listed)?;
    let order = order(&listed, &edges)?;
    let mut place = vec![0; listed.len()];
    for (to, from) in order.iter().enumerate() {
        place[*from] = to;
    }
    open_with(prefix, order[0], &mut listed)?;
    let mut steps = Vec::with_capacity(listed.len());
    let mut lanes = Lanes::default();
    for at in order {
        let lane = lanes.number(&listed[at].lane);
        let step = build(&mut listed[at], &edges[at], &place, lane, &steps)
            .and_then(|step| check_answers(&step, &steps, listed[at].value).map(|()| step))
            .map_err(|fault| fault.under(&format!("steps[{at}]")))?;
        steps.push(step);
    }
    Ok(steps)
}

/// Numbers of lanes, in the order of their first steps.
#[derive(Default)]
struct Lanes(BTreeMap<String, LaneId>);

impl Lanes {
    fn number(&mut self, name: &str) -> LaneId {
        let next = LaneId::try_from(self.0.len()).expect("a line is too short for 2^32 lanes");
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

fn look_up(listed: &[Listed<'_>]) -> Result<Vec<Edges>, Fault> {
    let mut places = BTreeMap::new();
    for (at, step) in listed.iter().enumerate() {
        if let Some(first) = places.insert(&step.id.text, at) {
            let hint = format!("steps[{first}] has this id already");
            let fault = step.id.value.wrong("an id that stands once in the row").hint(hint);
            return Err(fault.under("id").under(&format!("steps[{at}]")));
        }
    }
    let mut last = BTreeMap::new();
    let steps = listed.iter().enumerate().map(|(at, step)| {
        let previous = last.insert(&step.lane, at);
        let edges = edges_of(step, previous, &places);
        edges.map_err(|fault| fault.under(&format!("steps[{at}]")))
    });
    steps.collect()
}

fn edges_of(
    step: &Listed<'_>,
    previous: Option<usize>,
    places: &BTreeMap<&Cow<'_, str>, usize>,
) -> Result<Edges, Fault> {
    let find = |name: &Name<'_>, path: &str| {
        let found = places.get(&name.text).copied();
        found.ok_or_else(|| name.value.wrong("the id of a step of this row").under(path))
    };
    let after = match &step.after {
        None => previous.map(|previous| (previous, On::End, Nanos::ZERO)).into_iter().collect(),
        Some(entries) => {
            let entries = entries.iter().enumerate().map(|(index, entry)| {
                let at = find(&entry.id, &format!("after[{index}].id"))?;
                Ok((at, entry.on, entry.delay))
            });
            entries.collect::<Result<Vec<_>, Fault>>()?
        }
    };
    for name in &step.of {
        find(name, "new.of")?;
    }
    let from = match &step.parent {
        Parent::Previous => previous,
        Parent::Nothing => None,
        Parent::Step(name) => Some(find(name, "context.from")?),
    };
    Ok(Edges { after, from, previous })
}

/// The row's own prefix opens the prompt of its first step.
fn open_with<'l>(
    prefix: RowPrefix<'l>,
    first: usize,
    listed: &mut [Listed<'l>],
) -> Result<(), Fault> {
    let Some((value, prefix)) = prefix else { return Ok(()) };
    if listed[first].prefix.is_some() {
        let hint = format!("steps[{first}], the first, has a context.prefix of its own");
        return Err(value.wrong("one prefix").field("prefix").hint(hint));
    }
    listed[first].prefix = Some((value, prefix));
    Ok(())
}

fn build(
    listed: &mut Listed<'_>,
    edges: &Edges,
    place: &[usize],
    lane: LaneId,
    earlier: &[Step],
) -> Result<Step, Fault> {
    let number = |at: usize| StepId::try_from(place[at]).expect("a line has less than 2^32 steps");
    let wait = wait_of(listed, edges);
    let after = edges.after.iter();
    let after = after.map(|&(at, on, delay)| Dependency { step: number(at), on, delay, wait });
    let after = after.collect();
    let from = edges.from.map(number);
    let context = context(listed, from, earlier)?;
    let prefix = listed.prefix.take().map(|(_, prefix)| prefix).unwrap_or_default();
    let new = shared_segments(prefix).filter(|segment| segment.tokens > 0);
    let new = new.chain(std::mem::take(&mut listed.new)).collect();
    let extras = std::mem::take(&mut listed.extras);
    let mut step =
        Step { lane, after, context, new, output: listed.output, extras, prompt_tokens: 0 };
    step.prompt_tokens = prompt_tokens(&step, listed, earlier)?;
    Ok(step)
}

/// A person is waited for where a lane goes on with what a person wrote; whoever starts a lane, or
/// joins it, is a program.
fn wait_of(listed: &Listed<'_>, edges: &Edges) -> Wait {
    let goes_on = edges.previous.is_some() && edges.from == edges.previous;
    if listed.from_person && goes_on { Wait::User } else { Wait::Tool }
}

fn context(
    listed: &mut Listed<'_>,
    from: Option<StepId>,
    earlier: &[Step],
) -> Result<Context, Fault> {
    let Some(parent) = from.map(|from| &earlier[from as usize]) else {
        let cut = listed.keep.map(|(value, _)| (value, "keep"));
        let cut = cut.or(listed.drop.as_ref().map(|(value, _)| (*value, "drop")));
        return match cut {
            Some((value, name)) => Err(value
                .wrong("none where the context is from no step")
                .under(&format!("context.{name}"))),
            None => Ok(Context::default()),
        };
    };
    if let Some((value, _)) = &listed.prefix {
        let hint = "a prefix opens a prompt, and this one is opened by the context it takes over";
        return Err(value.wrong("none beside a context").under("context.prefix").hint(hint));
    }
    let prompt = parent.prompt_tokens;
    if let Some((value, keep)) = listed.keep
        && keep > prompt
    {
        let wanted = format!("at most the {prompt} tokens of the prompt it is from");
        return Err(value.wrong(wanted).under("context.keep"));
    }
    let kept = listed.keep.map(|(_, keep)| keep);
    let most = kept.unwrap_or(prompt + parent.output.carried());
    let drop = match listed.drop.take() {
        Some((value, drop)) if drop.last().is_some_and(|range| range.end > most) => {
            let wanted = format!("ranges within the {most} tokens of prompt and carried answer");
            return Err(value.wrong(wanted).under("context.drop"));
        }
        drop => drop.map(|(_, drop)| drop).unwrap_or_default(),
    };
    Ok(Context { from, keep: kept, drop })
}

fn prompt_tokens(step: &Step, listed: &Listed<'_>, earlier: &[Step]) -> Result<Tokens, Fault> {
    let prompt = step.context.tokens(earlier).saturating_add(step.new_tokens());
    let column = listed.value.column;
    if prompt == 0 {
        let hint = "it takes over nothing and adds nothing";
        return Err(Fault::new(column, "an empty prompt", "at least 1 token").hint(hint));
    }
    let context = prompt.saturating_add(step.output.tokens);
    if context > MAX_TOKENS {
        let found = format!("{context} tokens of prompt and answer");
        return Err(Fault::new(column, found, format!("at most {MAX_TOKENS}")));
    }
    Ok(prompt)
}
