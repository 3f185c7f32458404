//! A session as a row of version 2: flat where it has one lane, else a list of steps.

use std::fmt::Write;
use std::ops::Range;

use trie_core::units::Tokens;

use crate::count::split;
use crate::fidelity::{Event, Fidelity};
use crate::model::{
    After, BlockShape, Call, Kind, Lane, Place, Request, Session, Time, after, common, count,
};
use crate::names::Salt;
use crate::turn::{Turn, turn};
use crate::waits::{LONGEST, Wait, waits};

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Mixed into hashes of names.
    pub(crate) salt: Salt,
    /// Sessions keep their names.
    pub(crate) keep_names: bool,
    /// Where sessions have blocks, prompts are written as ids.
    pub(crate) blocks: bool,
    /// The longest wait.
    pub(crate) wait_cap: Option<Time>,
}

/// Writes a session as a row. `None` where it has no request.
pub(crate) fn row(session: &Session, style: &Style, fidelity: &mut Fidelity) -> Option<String> {
    let waits = waits(session, style.wait_cap, fidelity);
    let mut row = String::from("{");
    names(session, style, &mut row);
    let blocks = session.blocks.as_ref().filter(|_| style.blocks);
    match &session.lanes[..] {
        [] => return None,
        [lane] if !session.explicit => flat(lane, &waits[0], blocks, &mut row, fidelity),
        lanes => steps(lanes, &waits, blocks, &mut row, fidelity),
    }
    row.push('}');
    Some(row)
}

fn names(session: &Session, style: &Style, row: &mut String) {
    let shown = |what: &str, name: &str| {
        if style.keep_names { name.to_owned() } else { style.salt.name(what, name) }
    };
    if let Some(name) = session.name.as_deref().filter(|name| !name.is_empty()) {
        add(row, "trace_id", &quoted(&shown("trace", name)));
    }
    let group = session.group.as_deref().or(session.name.as_deref());
    if let Some(name) = group.filter(|name| !name.is_empty()) {
        add(row, "session_id", &quoted(&shown("session", name)));
    }
    if let Some(arrival) = session.arrival {
        add(row, "arrival", &in_seconds(arrival));
    }
}

/// The six fields and their options.
fn flat(
    lane: &Lane,
    waits: &[Wait],
    blocks: Option<&BlockShape>,
    row: &mut String,
    fidelity: &mut Fidelity,
) {
    let requests = &lane.requests;
    let shared = shared(lane);
    let turns: Vec<Turn> =
        requests.windows(2).map(|pair| turn(&pair[0], &pair[1], shared)).collect();
    let delays: Vec<Time> = waits[1..].iter().map(|wait| wait.own).collect();
    let (last, others) = requests.split_last().expect("lanes without requests are left out");
    add(row, "num_turns", &turns.len().to_string());
    add(row, "input_prompt_length", &requests[0].input.to_string());
    add(row, "assistant_response_length", &listed(others.iter().map(|of| of.output)));
    add(row, "tool_call_output_length", &listed(turns.iter().map(|turn| turn.new)));
    add(row, "tool_call_latency", &listed(delays.iter().map(|delay| in_seconds(*delay))));
    add(row, "final_assistant_response_length", &last.output.to_string());
    if blocks.is_none() && !lane.prefix.is_empty() {
        add(row, "prefix", &prefix(lane));
    }
    let kinds: String = requests[1..].iter().map(|request| request.kind.letter()).collect();
    if kinds.contains(['u', 's', '?']) || requests[1..].iter().any(|of| !of.calls.is_empty()) {
        add(row, "input_kind", &quoted(&kinds));
    }
    let calls = requests[1..].iter().zip(&turns).zip(&delays);
    let calls: Vec<String> =
        calls.map(|((request, turn), delay)| calls_of(request, turn.new, *delay)).collect();
    if requests[1..].iter().any(|request| !request.calls.is_empty()) {
        add(row, "tool_calls", &listed(calls.into_iter()));
    }
    if requests.iter().any(|request| request.reasoning.is_some_and(|tokens| tokens > 0)) {
        let reasoning = requests.iter().map(|of| of.reasoning.unwrap_or(0).min(of.output.max(1)));
        add(row, "reasoning_length", &listed(reasoning));
    }
    breaks(requests, &turns, blocks, row, fidelity);
    if let Some(shape) = blocks {
        add(row, "blocks", &block_list(shape, requests));
    }
    if let Some(expect) = expect_lists(requests) {
        add(row, "expect", &expect);
    }
}

/// What is carried of answers and where the history is cut.
fn breaks(
    requests: &[Request],
    turns: &[Turn],
    blocks: Option<&BlockShape>,
    row: &mut String,
    fidelity: &mut Fidelity,
) {
    let carried = requests.iter().zip(turns);
    let short = |(request, turn): (&Request, &Turn)| {
        // An answer of 0 tokens is planned as 1, and would be carried as 1.
        turn.keep.is_none() && turn.carry < request.output.max(1)
    };
    let count_short = carried.clone().filter(|pair| short(*pair)).count();
    if count_short > 0 {
        add(row, "carry_length", &listed(turns.iter().map(|turn| turn.carry)));
    }
    let cuts = turns.iter().enumerate().filter_map(|(index, turn)| {
        turn.keep.map(|keep| {
            format!(r#"{{"before":{},"keep":{keep}{}}}"#, index + 1, dropped(&turn.drop))
        })
    });
    let cuts: Vec<String> = cuts.collect();
    if !cuts.is_empty() {
        add(row, "context", &listed(cuts.iter()));
    }
    let broken = match blocks {
        Some(shape) => requests.windows(2).filter(|pair| loses_blocks(shape, pair)).count(),
        None => requests.iter().zip(turns).filter(|(before, turn)| turn.breaks(before)).count(),
    };
    fidelity.count(Event::Breaks, broken as u64);
    // Blocks say themselves what follows a prompt.
    if blocks.is_none() {
        fidelity.count(Event::ShortCarries, count_short as u64);
    }
}

/// Whether a prompt does not open with all whole blocks of the one before.
fn loses_blocks(shape: &BlockShape, pair: &[Request]) -> bool {
    common(&pair[0].ids, &pair[1].ids) < (pair[0].input / shape.size).min(count(&pair[0].ids))
}

fn block_list(shape: &BlockShape, requests: &[Request]) -> String {
    let mut before: &[crate::model::Run] = &[];
    let steps = requests.iter().map(|request| {
        let keep = common(before, &request.ids);
        let new = after(&request.ids, keep);
        before = &request.ids;
        let new = new.iter().map(|run| format!("[{},{}]", run.first, run.count));
        format!(r#"{{"keep":{keep},"new":{}}}"#, listed(new))
    });
    let steps = listed(steps);
    format!(r#"{{"size":{},"scope":{},"steps":{steps}}}"#, shape.size, quoted(shape.scope))
}

/// The parallel calls of a turn: tokens add up to the turn's, the longest takes as long as it.
fn calls_of(request: &Request, new: Tokens, delay: Time) -> String {
    let calls = &request.calls;
    if calls.is_empty() || request.kind != Kind::Tool {
        return match request.kind {
            Kind::User | Kind::Summary => "[]".to_owned(),
            Kind::Tool | Kind::Unknown => format!("[[{new},{}]]", in_seconds(delay)),
        };
    }
    let sizes: Vec<Tokens> = calls.iter().map(|call| call.size).collect();
    let parts = split(new, &sizes).into_iter().zip(latencies(calls, delay));
    listed(parts.map(|(tokens, latency)| format!("[{tokens},{}]", in_seconds(latency))))
}

/// Latencies of calls of which the longest takes `delay`: what the program adds around the tools
/// counts as the longest one's.
fn latencies(calls: &[Call], delay: Time) -> Vec<Time> {
    let shown = |call: &Call| call.latency.unwrap_or(delay).clamp(0, delay);
    let mut latencies: Vec<Time> = calls.iter().map(shown).collect();
    if let Some(longest) = latencies.iter_mut().max_by_key(|latency| **latency) {
        *longest = delay;
    }
    latencies
}

/// Steps of several lanes, in the order in which they refer to each other.
fn steps(
    lanes: &[Lane],
    waits: &[Vec<Wait>],
    blocks: Option<&BlockShape>,
    row: &mut String,
    fidelity: &mut Fidelity,
) {
    let mut steps = Vec::new();
    for (lane, of) in lanes.iter().enumerate() {
        for (request, wait) in waits[lane].iter().enumerate().take(of.requests.len()) {
            steps.push(step(lanes, Place { lane, request }, wait, blocks, fidelity));
        }
    }
    add(row, "steps", &listed(steps.into_iter()));
}

fn step(
    lanes: &[Lane],
    place: Place,
    wait: &Wait,
    blocks: Option<&BlockShape>,
    fidelity: &mut Fidelity,
) -> String {
    let of = &lanes[place.lane];
    let request = &of.requests[place.request];
    let previous = place.request.checked_sub(1).map(|request| Place { request, ..place });
    let mut text = String::from("{");
    add(&mut text, "id", &quoted(&id(place)));
    add(&mut text, "lane", &quoted(&format!("l{}", place.lane)));
    let after = wait.after.iter().map(|After { place, on_start, delay }| {
        let start = if *on_start { r#","on":"start""# } else { "" };
        format!(r#"{{"id":{}{start},"delay":{}}}"#, quoted(&id(*place)), in_seconds(*delay))
    });
    add(&mut text, "after", &listed(after));
    let opened = match (previous, of.opened) {
        (Some(previous), _) => Some((previous, None)),
        (None, crate::model::Opened::Fork(from, keep)) => Some((from, keep)),
        (None, _) => None,
    };
    // A prompt with an answer in it waits for that answer; blocks say themselves what they hold.
    let waits = |from: Place| wait.after.iter().any(|of| of.place == from && !of.on_start);
    let opened = opened.filter(|(from, _)| blocks.is_some() || waits(*from));
    let before = opened.map(|(from, keep)| (from, &lanes[from.lane].requests[from.request], keep));
    let new = match (blocks, before) {
        (Some(shape), Some((from, before, _))) => {
            fidelity.count(
                Event::Breaks,
                u64::from(loses_blocks(shape, &[before.clone(), request.clone()])),
            );
            // A block that is cut short in either prompt is written anew.
            let whole = before.input.min(request.input) / shape.size;
            let kept = common(&before.ids, &request.ids).min(whole);
            context_of_blocks(from, kept * shape.size, &mut text);
            block_segments(shape, request, kept)
        }
        (Some(shape), None) => {
            add(&mut text, "context", r#"{"from":null}"#);
            block_segments(shape, request, 0)
        }
        (None, Some((from, before, keep))) => {
            let turn = continued(lanes, from, request, keep, shared(of));
            fidelity.count(Event::Breaks, u64::from(turn.breaks(before)));
            context_of_turn(from, &turn, &mut text);
            segments(request, turn.new, wait.own)
        }
        (None, None) => {
            let prefix_tokens: Tokens = of.prefix.iter().map(|shared| shared.tokens).sum();
            let prefix = Some(prefix(of)).filter(|_| prefix_tokens > 0);
            let prefix = prefix.map_or(String::new(), |prefix| format!(r#","prefix":{prefix}"#));
            add(&mut text, "context", &format!(r#"{{"from":null{prefix}}}"#));
            segments(
                &Request { kind: Kind::User, ..Request::default() },
                request.input - prefix_tokens,
                0,
            )
        }
    };
    add(&mut text, "new", &new);
    add(&mut text, "output", &output(of, place, blocks.is_some(), fidelity));
    let origin = lanes[0].requests[0].start;
    if let Some(expect) = expect_of(request, origin) {
        add(&mut text, "expect", &expect);
    }
    text.push('}');
    text
}

/// How a step goes on with another. What the other carries is for its own lane's next step to say;
/// another lane that forks from it takes the same.
fn continued(
    lanes: &[Lane],
    from: Place,
    request: &Request,
    keep: Option<Tokens>,
    shared: Tokens,
) -> Turn {
    let before = &lanes[from.lane].requests[from.request];
    let request = &Request { keep: keep.or(request.keep), ..request.clone() };
    let turn = turn(before, request, shared);
    let carried = carried(&lanes[from.lane], from.request);
    if turn.keep.is_some() || turn.carry == carried {
        return turn;
    }
    if let Some(new) = request.input.checked_sub(before.input + carried) {
        return Turn { keep: None, drop: Vec::new(), carry: carried, new };
    }
    let keep = before.input.min(request.input.saturating_sub(1));
    Turn { keep: Some(keep), drop: Vec::new(), carry: 0, new: request.input - keep }
}

/// What later prompts take over of an answer: as much as the next of its lane does.
fn carried(lane: &Lane, request: usize) -> Tokens {
    let this = &lane.requests[request];
    let whole = this.output.saturating_sub(this.reasoning.unwrap_or(0));
    match lane.requests.get(request + 1).map(|next| turn(this, next, shared(lane))) {
        Some(Turn { keep: None, drop: _, carry, new: _ }) => carry,
        Some(Turn { keep: Some(_), .. }) | None => whole,
    }
}

fn output(lane: &Lane, place: Place, blocks: bool, fidelity: &mut Fidelity) -> String {
    let request = &lane.requests[place.request];
    let mut text = String::from("{");
    add(&mut text, "tokens", &request.output.to_string());
    if let Some(reasoning) = request.reasoning.filter(|tokens| *tokens > 0) {
        add(&mut text, "reasoning", &reasoning.min(request.output).to_string());
    }
    let carry = carried(lane, place.request);
    // An answer of 0 tokens is planned as 1, and would be carried as 1.
    if !blocks && carry < request.output.max(1) {
        add(&mut text, "carry", &carry.to_string());
        let goes_on = place.request + 1 < lane.requests.len();
        fidelity.count(Event::ShortCarries, u64::from(goes_on));
    }
    text.push('}');
    text
}

fn context_of_blocks(from: Place, keep: Tokens, text: &mut String) {
    add(text, "context", &format!(r#"{{"from":{},"keep":{keep}}}"#, quoted(&id(from))));
}

fn context_of_turn(from: Place, turn: &Turn, text: &mut String) {
    let keep = turn.keep.map_or(String::new(), |keep| format!(r#","keep":{keep}"#));
    let drop = dropped(&turn.drop);
    add(text, "context", &format!(r#"{{"from":{}{keep}{drop}}}"#, quoted(&id(from))));
}

/// Ranges that are cut out, as a member of an object that has others.
fn dropped(ranges: &[Range<Tokens>]) -> String {
    if ranges.is_empty() {
        return String::new();
    }
    let ranges = ranges.iter().map(|range| format!("[{},{}]", range.start, range.end));
    format!(r#","drop":{}"#, listed(ranges))
}

/// What a step adds, by tool call where the source says so.
fn segments(request: &Request, new: Tokens, delay: Time) -> String {
    let role = role(request.kind);
    if request.calls.is_empty() || request.kind != Kind::Tool {
        return format!(r#"[{{{role},"tokens":{new}}}]"#);
    }
    let sizes: Vec<Tokens> = request.calls.iter().map(|call| call.size).collect();
    let parts = split(new, &sizes).into_iter().zip(latencies(&request.calls, delay));
    let parts = parts.map(|(tokens, latency)| {
        format!(r#"{{{role},"tokens":{tokens},"latency":{}}}"#, in_seconds(latency))
    });
    listed(parts)
}

/// Who wrote a segment, and who is waited for.
fn role(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => r#""role":"tool""#,
        Kind::User => r#""role":"user""#,
        Kind::Summary => r#""role":"user","kind":"summary""#,
        Kind::Unknown => r#""role":"tool","kind":"unknown""#,
    }
}

/// The blocks of a prompt after the first `kept`, and what stands behind the last one.
fn block_segments(shape: &BlockShape, request: &Request, kept: u64) -> String {
    let mut left = request.input - kept * shape.size;
    let mut parts = Vec::new();
    for run in after(&request.ids, kept) {
        let tokens = run.count.saturating_mul(shape.size).min(left);
        left -= tokens;
        parts.push(format!(
            r#"{{{},"tokens":{tokens},"blocks":{{"size":{},"scope":{},"first":{}}}}}"#,
            role(request.kind),
            shape.size,
            quoted(shape.scope),
            run.first
        ));
    }
    if left > 0 || parts.is_empty() {
        parts.push(
            segments(&Request { calls: Vec::new(), ..request.clone() }, left, 0)
                .trim_matches(['[', ']'])
                .to_owned(),
        );
    }
    listed(parts.into_iter())
}

fn shared(lane: &Lane) -> Tokens {
    lane.prefix.iter().map(|shared| shared.tokens).sum()
}

fn prefix(lane: &Lane) -> String {
    let parts = lane
        .prefix
        .iter()
        .map(|shared| format!(r#"{{"id":{},"tokens":{}}}"#, quoted(&shared.id), shared.tokens));
    listed(parts)
}

fn expect_lists(requests: &[Request]) -> Option<String> {
    let origin = requests.first()?.start.unwrap_or(0);
    let parts: [(&str, Vec<Option<String>>); 4] = [
        (
            "start",
            requests
                .iter()
                .map(|of| of.start.map(|at| in_seconds(at.saturating_sub(origin))))
                .collect(),
        ),
        ("ttft", requests.iter().map(|of| of.ttft.map(in_seconds)).collect()),
        ("duration", requests.iter().map(|of| duration(of).map(in_seconds)).collect()),
        ("cached", requests.iter().map(|of| of.cached.map(|tokens| tokens.to_string())).collect()),
    ];
    let mut text = String::from("{");
    for (name, values) in parts {
        if values.iter().any(Option::is_some) {
            let values = values.into_iter().map(|value| value.unwrap_or_else(|| "null".to_owned()));
            add(&mut text, name, &listed(values));
        }
    }
    text.push('}');
    (text.len() > 2).then_some(text)
}

fn expect_of(request: &Request, origin: Option<Time>) -> Option<String> {
    let start = request.start.zip(origin).map(|(start, origin)| start.saturating_sub(origin));
    let parts = [
        ("start", start.map(in_seconds)),
        ("ttft", request.ttft.map(in_seconds)),
        ("duration", duration(request).map(in_seconds)),
        ("cached", request.cached.map(|tokens| tokens.to_string())),
    ];
    let mut text = String::from("{");
    for (name, value) in parts {
        if let Some(value) = value {
            add(&mut text, name, &value);
        }
    }
    text.push('}');
    (text.len() > 2).then_some(text)
}

fn duration(request: &Request) -> Option<Time> {
    request.end?.checked_sub(request.start?).filter(|length| *length >= 0)
}

/// A step's name in its row.
fn id(place: Place) -> String {
    format!("l{}.{}", place.lane, place.request)
}

/// Adds a member to an object that is being written.
fn add(object: &mut String, key: &str, value: &str) {
    let comma = if object.ends_with('{') { "" } else { "," };
    write!(object, "{comma}\"{key}\":{value}").expect("writing to a string does not fail");
}

fn listed(values: impl Iterator<Item = impl ToString>) -> String {
    let values: Vec<String> = values.map(|value| value.to_string()).collect();
    format!("[{}]", values.join(","))
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// Seconds of a time that a row may hold, in as few digits as say it to the nanosecond.
pub(crate) fn in_seconds(time: Time) -> String {
    let nanos = time.clamp(0, LONGEST).unsigned_abs();
    let (whole, part) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let digits = format!("{part:09}");
    let digits = digits.trim_end_matches('0');
    format!("{whole}.{}", if digits.is_empty() { "0" } else { digits })
}
