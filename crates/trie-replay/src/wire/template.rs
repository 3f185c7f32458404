//! A fast reader for chunks that repeat a known shape, in front of [`parse_event`].
//!
//! Chunks of one server are the same bytes but for a few values. The first one is read by serde;
//! of what serde has read we keep the facts and the bytes around each value that changes: a
//! [`Template`]. A later chunk with the same bytes there, and with a well-formed value of the same
//! type in each hole, is by construction the same JSON with other values, so its facts are the
//! kept ones with those values. Everything else goes to serde, and may teach another template.
//!
//! What a hole takes is narrower than JSON: text without escapes, counts without sign, fraction or
//! exponent, ids without spaces. A template is only kept if serde reads two made-up chunks of its
//! shape as it does.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::{Chunk, Event, MOST, Usage, parse_event};
use super::locate::{Hole, holes};

/// Templates of one stream: a chat may alternate between reasoning and text.
const TEMPLATES: usize = 4;

/// Templates that streams learn from each other.
const SHARED: usize = 8;

/// Chunks of one stream that may teach: one whose chunks never repeat is left to serde.
const LESSONS: u32 = 8;

/// The templates of all streams of one endpoint, which mostly differ in values only: what one of them has
/// learned the others know. A clone is another hold on the same ones.
#[derive(Clone, Debug, Default)]
pub struct Shapes(Arc<Mutex<VecDeque<Arc<Template>>>>);

impl Shapes {
    /// A reader for another stream.
    pub fn parser(&self) -> Parser {
        let known = self.lock().iter().map(Arc::clone).collect();
        Parser { templates: known, shapes: Some(self.clone()), ..Parser::default() }
    }

    /// Keeps a new template, for an old one where there are too many.
    fn add(&self, template: &Arc<Template>) {
        let mut shapes = self.lock();
        if shapes.len() == SHARED {
            shapes.pop_front();
        }
        shapes.push_back(Arc::clone(template));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Template>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Parser {
    /// The one that fitted last comes first.
    templates: Vec<Arc<Template>>,
    /// How many of them are of this stream.
    learned: usize,
    /// Where they are shared.
    shapes: Option<Shapes>,
    lessons: u32,
    /// Ids of the newest chunk.
    ids: Vec<u32>,
    /// The answer's id in the last chunk that a template took: mostly that of the next one too.
    id: String,
    /// Events that no template took.
    misses: u64,
}

impl Parser {
    /// Reads one event's data, with the very result of [`parse_event`].
    pub fn parse<'a>(&'a mut self, data: &'a [u8]) -> Result<Event<'a>, serde_json::Error> {
        let (ids, id) = (&mut self.ids, &self.id);
        let fit = |template: &Template| template.values(data, id, ids);
        if let Some((at, values)) = position(&self.templates, fit) {
            self.templates.swap(0, at);
            let template = &self.templates[0];
            if let Some(AnswerId::New(id)) = values.id {
                id.clone_into(&mut self.id);
            }
            return Ok(Event::Chunk(template.chunk(&values, &self.id, &self.ids)));
        }
        self.misses += 1;
        let event = parse_event(data)?;
        if let Event::Chunk(chunk) = &event {
            self.learn(data, chunk);
        }
        Ok(event)
    }

    /// Events that went to serde.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    fn learn(&mut self, data: &[u8], chunk: &Chunk<'_>) {
        // A chunk that ends an answer comes once.
        let repeats = chunk.has_choices && chunk.finish_reason.is_none();
        if !repeats || self.lessons == LESSONS || self.learned == TEMPLATES {
            return;
        }
        self.lessons += 1;
        if let Some(template) = Template::new(data, chunk).map(Arc::new) {
            if let Some(shapes) = &self.shapes {
                shapes.add(&template);
            }
            self.learned += 1;
            self.templates.push(template);
        }
    }
}

/// The first template that fits, and the values it found.
fn position<'d>(
    templates: &[Arc<Template>],
    mut fit: impl FnMut(&Template) -> Option<Values<'d>>,
) -> Option<(usize, Values<'d>)> {
    templates.iter().enumerate().find_map(|(at, template)| Some((at, fit(template)?)))
}

/// Chunks that differ in a few values.
#[derive(Debug)]
struct Template {
    /// The bytes before the first hole.
    head: Vec<u8>,
    /// Each hole with the bytes behind it, at least one.
    holes: Vec<(Hole, Vec<u8>)>,
    /// What the bytes outside the holes say.
    usage: Option<Usage>,
    logprobs: Option<u64>,
    predicted: Option<u64>,
    no_ids: bool,
    /// A chunk without text is a frame that only names a role.
    names_role: bool,
}

/// The answer's id in a chunk.
#[derive(Clone, Copy)]
enum AnswerId<'d> {
    /// The one that was known.
    Known,
    New(&'d str),
}

/// What the holes of a chunk hold; its ids are in a buffer of their own.
#[derive(Default)]
struct Values<'d> {
    id: Option<AnswerId<'d>>,
    text: &'d str,
    reasoning: &'d str,
    prompt: Option<u64>,
    completion: Option<u64>,
    predicted: Option<u64>,
    cached: Option<u64>,
}

impl Template {
    /// From a chunk and what serde read in it; `None` if its shape cannot be told from it.
    fn new(data: &[u8], chunk: &Chunk<'_>) -> Option<Self> {
        let found = holes(data);
        let once = |hole| found.iter().filter(|(kind, _)| *kind == hole).count() <= 1;
        let told = [
            Hole::Id,
            Hole::Text,
            Hole::Reasoning,
            Hole::Ids,
            Hole::Prompt,
            Hole::Completion,
            Hole::Predicted,
            Hole::Cached,
        ];
        if !told.into_iter().all(once) {
            return None;
        }
        let ends = found.iter().skip(1).map(|(_, span)| span.start).chain([data.len()]);
        let behind =
            found.iter().zip(ends).map(|((hole, span), end)| (*hole, &data[span.end..end]));
        let mut template = Self {
            head: data[..found.first()?.1.start].to_vec(),
            holes: behind.map(|(hole, bytes)| (hole, bytes.to_vec())).collect(),
            usage: chunk.usage,
            logprobs: chunk.logprobs,
            predicted: chunk.predicted,
            no_ids: chunk.token_ids.is_none(),
            names_role: false,
        };
        template.names_role = template.says_role_only()?;
        template.is_sound().then_some(template)
    }

    /// Whether serde sees no more than a role in a chunk of this shape without output.
    fn says_role_only(&self) -> Option<bool> {
        match parse_event(&self.made_up(false)) {
            Ok(Event::Chunk(chunk)) => Some(chunk.role_only),
            Ok(Event::Done | Event::Error(_)) | Err(_) => None,
        }
    }

    /// Whether serde reads two made-up chunks, one without output and one with, as we do.
    fn is_sound(&self) -> bool {
        [false, true].into_iter().all(|output| {
            let data = self.made_up(output);
            let mut ids = Vec::new();
            let Some(values) = self.values(&data, "", &mut ids) else { return false };
            let id = match values.id {
                Some(AnswerId::New(id)) => id,
                Some(AnswerId::Known) | None => "",
            };
            let ours = Event::Chunk(self.chunk(&values, id, &ids));
            parse_event(&data).is_ok_and(|theirs| theirs == ours)
        })
    }

    /// A chunk of this shape whose values serve to tell the holes apart.
    fn made_up(&self, output: bool) -> Vec<u8> {
        let mut data = self.head.clone();
        for (hole, behind) in &self.holes {
            let value = match (hole, output) {
                (Hole::Id | Hole::Text | Hole::Reasoning, false) => "",
                (Hole::Id, true) => "made-up-1",
                (Hole::Text, true) => "made up",
                (Hole::Reasoning, true) => "thought up",
                (Hole::Ids, false) => "[]",
                (Hole::Ids, true) => "[4,4294967295]",
                (Hole::Predicted, false) => "3",
                (Hole::Predicted, true) => "1099511627775",
                (Hole::Prompt, false) => "5",
                (Hole::Prompt, true) => "1099511627774",
                (Hole::Cached, false) => "7",
                (Hole::Cached, true) => "1099511627773",
                (Hole::Completion | Hole::Count | Hole::Number, false) => "0",
                (Hole::Completion | Hole::Count, true) => "1099511627776",
                (Hole::Number, true) => "-17.25e+3",
            };
            data.extend_from_slice(value.as_bytes());
            data.extend_from_slice(behind);
        }
        data
    }

    /// The values of `data`, if it is of this shape, given an id that it may have.
    fn values<'d>(&self, data: &'d [u8], id: &str, ids: &mut Vec<u32>) -> Option<Values<'d>> {
        let mut rest = data.strip_prefix(&self.head[..])?;
        let mut values = Values::default();
        for (hole, behind) in &self.holes {
            match hole {
                Hole::Id => values.id = Some(answer_id(&mut rest, id)?),
                Hole::Text => values.text = text(&mut rest)?,
                Hole::Reasoning => values.reasoning = text(&mut rest)?,
                Hole::Ids => token_ids(&mut rest, ids)?,
                Hole::Prompt => values.prompt = Some(count(&mut rest)?),
                Hole::Cached => values.cached = Some(count(&mut rest)?),
                Hole::Completion => values.completion = Some(count(&mut rest)?),
                Hole::Predicted => values.predicted = Some(count(&mut rest)?),
                Hole::Count => {
                    count(&mut rest)?;
                }
                Hole::Number => number(&mut rest)?,
            }
            rest = rest.strip_prefix(&behind[..])?;
        }
        rest.is_empty().then_some(values)
    }

    /// `id` is the one that the values hold, if they hold one.
    fn chunk<'a>(&'a self, values: &Values<'a>, id: &'a str, ids: &'a [u32]) -> Chunk<'a> {
        let has_output = !values.text.is_empty() || !values.reasoning.is_empty();
        let said = |usage: Usage| Usage {
            prompt_tokens: values.prompt.or(usage.prompt_tokens),
            completion_tokens: values.completion.or(usage.completion_tokens),
            ..usage
        };
        Chunk {
            id: values.id.map(|_| Cow::Borrowed(id)),
            has_choices: true,
            role_only: self.names_role && !has_output,
            text: Cow::Borrowed(values.text),
            reasoning: Cow::Borrowed(values.reasoning),
            has_output,
            finish_reason: None,
            token_ids: (!self.no_ids).then_some(Cow::Borrowed(ids)),
            logprobs: self.logprobs,
            usage: self.usage.map(said),
            predicted: values.predicted.or(self.predicted),
            timings_cached: values.cached,
        }
    }
}

// What a hole takes. Each cuts its value off the front of `rest`; the byte behind it is left for
// the template, which knows it.

/// An id, which need not be looked at where it is the known one with its quote behind.
fn answer_id<'d>(rest: &mut &'d [u8], known: &str) -> Option<AnswerId<'d>> {
    if let Some(tail) = rest.strip_prefix(known.as_bytes())
        && tail.first() == Some(&b'"')
    {
        *rest = tail;
        return Some(AnswerId::Known);
    }
    text(rest).map(AnswerId::New)
}

/// Text up to the closing quote: valid UTF-8 without escapes and control bytes.
fn text<'d>(rest: &mut &'d [u8]) -> Option<&'d str> {
    let plain = |byte: &u8| *byte != b'"' && *byte != b'\\' && *byte >= b' ';
    let end = rest.iter().position(|byte| !plain(byte))?;
    let (text, tail) = rest.split_at(end);
    // Another byte than a quote is not what the template has there.
    *rest = tail;
    str::from_utf8(text).ok()
}

/// A count of at most [`MOST`] tokens.
fn count(rest: &mut &[u8]) -> Option<u64> {
    let value = integer(rest)?;
    (value <= MOST).then_some(value)
}

/// Digits without a needless zero. What follows a number in JSON is no digit, point or exponent,
/// and the template compares it.
fn integer(rest: &mut &[u8]) -> Option<u64> {
    // No value of 18 digits overflows.
    let digits = rest.iter().take(18).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, tail) = rest.split_at(digits);
    if number.first().is_none_or(|first| *first == b'0' && digits > 1) {
        return None;
    }
    *rest = tail;
    Some(number.iter().fold(0, |value, digit| 10 * value + u64::from(digit - b'0')))
}

/// `[1,2,3]`, without spaces.
fn token_ids(rest: &mut &[u8], ids: &mut Vec<u32>) -> Option<()> {
    ids.clear();
    *rest = rest.strip_prefix(b"[")?;
    if let Some(tail) = rest.strip_prefix(b"]") {
        *rest = tail;
        return Some(());
    }
    loop {
        ids.push(integer(rest)?.try_into().ok()?);
        let (next, tail) = rest.split_first()?;
        *rest = tail;
        match next {
            b',' => {}
            b']' => return Some(()),
            _ => return None,
        }
    }
}

/// A JSON number of any form.
fn number(rest: &mut &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(b"-").unwrap_or(rest);
    let whole = digits(rest)?;
    if whole.len() > 1 && whole[0] == b'0' {
        return None;
    }
    if let Some(tail) = rest.strip_prefix(b".") {
        *rest = tail;
        digits(rest)?;
    }
    if let Some(tail) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        *rest = tail.strip_prefix(b"+").or_else(|| tail.strip_prefix(b"-")).unwrap_or(tail);
        digits(rest)?;
    }
    Some(())
}

/// At least one digit.
fn digits<'d>(rest: &mut &'d [u8]) -> Option<&'d [u8]> {
    let end = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = rest.split_at(end);
    *rest = tail;
    (end > 0).then_some(digits)
}

#[cfg(test)]
mod tests;
