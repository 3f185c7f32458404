//! Chats whose prompt is exactly as many tokens as planned.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use crate::{
    chat::{
        error::ChatError,
        message::{Message, Role, Tool, ToolCall},
        template::{ChatOptions, ChatTemplate},
    },
    cuts::Cuts,
    vocabulary::Vocabulary,
};

/// Times that a length is corrected: once finds it unless a word at the message's end merges with what
/// the template puts there.
const CORRECTIONS: usize = 8;

/// A part of what a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Tokens of ours: this range of the segment that `key` names. Where it opens a message its first
    /// token is a bare word, since templates trim a leading space.
    Filled {
        /// Names the segment.
        key: u128,
        /// Which of its tokens.
        range: Range<u64>,
    },
    /// Text as it came: the answer of a server.
    Text(String),
}

/// A planned message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said, in parts; none for an assistant that only calls tools.
    pub parts: Vec<Part>,
    /// What an assistant thought first, where the server keeps it apart.
    pub reasoning: Option<String>,
    /// The tools that an assistant calls.
    pub calls: Vec<ToolCall>,
    /// The call that a tool's output answers.
    pub call_id: Option<String>,
}

impl Turn {
    /// A message without calls.
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, reasoning: None, calls: Vec::new(), call_id: None }
    }
}

/// Where a part stands in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlace {
    /// Number of the turn, from 0.
    pub turn: usize,
    /// Number of the part in that turn, from 0.
    pub part: usize,
}

/// What was counted of one chat, so that the next prompt of the same chat costs only what is new in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counted: BTreeMap<Box<str>, u64>,
}

/// Makes the messages of chats, and knows how many tokens the server counts in them.
///
/// The count is that of the rendered prompt, whatever the template does with a message: every text that
/// is not ours, and both ends of every text that is, are rendered and encoded; only the inside of our
/// own text, whose tokens are certain, is left out. So a count costs as much as the answers and the
/// template's own text, never as much as the prompt, and a [`Tally`] spares the parts counted before.
#[derive(Clone, Debug)]
pub struct Composer {
    vocabulary: Vocabulary,
    shared: Arc<Shared>,
    tools: Vec<Tool>,
}

/// What composers of other tools have in common.
#[derive(Debug)]
struct Shared {
    template: ChatTemplate,
    options: ChatOptions,
    cuts: Cuts,
}

impl Composer {
    /// A composer for chats that all have these tools and options.
    pub fn new(
        vocabulary: Vocabulary,
        template: ChatTemplate,
        tools: Vec<Tool>,
        options: ChatOptions,
    ) -> Self {
        let cuts = cuts(&vocabulary);
        Self { vocabulary, shared: Arc::new(Shared { template, options, cuts }), tools }
    }

    /// The same composer for chats that all have these tools.
    #[must_use]
    pub fn with_tools(&self, tools: Vec<Tool>) -> Self {
        Self { vocabulary: self.vocabulary.clone(), shared: Arc::clone(&self.shared), tools }
    }

    /// The same composer, which counts with `vocabulary`: the same tokens, read as another server does.
    #[must_use]
    pub fn counting_with(&self, vocabulary: Vocabulary) -> Self {
        Self { vocabulary, shared: Arc::clone(&self.shared), tools: self.tools.clone() }
    }

    /// The vocabulary that it counts with.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The template that it counts with.
    pub fn template(&self) -> &ChatTemplate {
        &self.shared.template
    }

    /// The tools of every chat, for requests.
    pub fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// The messages of a chat, for a request.
    pub fn messages(&self, turns: &[Turn]) -> Vec<Message> {
        turns.iter().map(|turn| self.message(turn, Part::ranges)).collect()
    }

    /// Tokens of the prompt that the server makes of these turns.
    ///
    /// # Errors
    ///
    /// The template fails on them or refuses them.
    pub fn count(&self, turns: &[Turn], tally: &mut Tally) -> Result<u64, ChatError> {
        let ends: Vec<_> = turns.iter().map(|turn| self.message(turn, Part::ends)).collect();
        let Shared { template, options, cuts } = &*self.shared;
        let prompt = template.render(&ends, &self.tools, options)?;
        let inside = turns.iter().flat_map(|turn| &turn.parts).map(Part::inside).sum::<u64>();
        Ok(inside + tally.count(&self.vocabulary, &cuts.parts(&prompt)))
    }

    /// Makes the last part of ours as long as the prompt needs to be exactly `planned` tokens.
    ///
    /// # Errors
    ///
    /// The template's own tokens and the other messages leave no room for one token in that part, which
    /// then is one token long ([`ChatError::TooShort`] says the smallest possible prompt); no part is
    /// ours; no length gives this count; the template fails on the turns or refuses them.
    pub fn fit(
        &self,
        turns: &mut [Turn],
        planned: u64,
        tally: &mut Tally,
    ) -> Result<(), ChatError> {
        let last = last_of_ours(turns).ok_or(ChatError::NothingOurs)?;
        self.fit_part(turns, last, planned, tally)
    }

    /// Makes one part of ours as long as the prompt needs to be exactly `planned` tokens.
    ///
    /// # Errors
    ///
    /// As with [`fit`](Self::fit).
    pub fn fit_part(
        &self,
        turns: &mut [Turn],
        place: PartPlace,
        planned: u64,
        tally: &mut Tally,
    ) -> Result<(), ChatError> {
        let mut length = 1;
        resize(turns, place, length)?;
        let smallest = self.count(turns, tally)?;
        let mut tokens = smallest;
        for _ in 0..CORRECTIONS {
            if tokens == planned {
                return Ok(());
            }
            let longer = length + planned;
            if longer <= tokens {
                break;
            }
            length = longer - tokens;
            resize(turns, place, length)?;
            tokens = self.count(turns, tally)?;
        }
        if planned < smallest {
            return Err(ChatError::TooShort { planned, smallest });
        }
        if tokens == planned { Ok(()) } else { Err(ChatError::NoLength { planned, tokens }) }
    }

    /// A tool whose description is `tokens` tokens of the segment that `key` names, so that a chat has
    /// tool definitions of the size that a workload says. Its schema is one text named `query`.
    pub fn tool(vocabulary: &Vocabulary, name: &str, key: u128, tokens: u64) -> Tool {
        let mut description = String::new();
        fill(vocabulary, key, 0..tokens, &mut description);
        let parameters = r#"{"properties": {"query": {"type": "string"}}, "required": ["query"], "type": "object"}"#;
        Tool { name: name.to_owned(), description, parameters: parameters.to_owned() }
    }

    /// A turn as a message, of each part of ours the ranges that `shown` says.
    fn message(&self, turn: &Turn, shown: impl Fn(&Range<u64>) -> [Range<u64>; 2]) -> Message {
        let Turn { role, parts, reasoning, calls, call_id } = turn;
        let mut content = String::new();
        for part in parts {
            match part {
                Part::Text(text) => content.push_str(text),
                Part::Filled { key, range } => {
                    for range in shown(range) {
                        fill(&self.vocabulary, *key, range, &mut content);
                    }
                }
            }
        }
        let silent = parts.is_empty() && !calls.is_empty();
        Message {
            role: *role,
            content: (!silent).then_some(content),
            reasoning: reasoning.clone(),
            calls: calls.clone(),
            call_id: call_id.clone(),
        }
    }
}

impl Part {
    /// All of a range of ours.
    fn ranges(range: &Range<u64>) -> [Range<u64>; 2] {
        [range.clone(), range.end..range.end]
    }

    /// Its first token and its last.
    fn ends(range: &Range<u64>) -> [Range<u64>; 2] {
        let first = range.end.min(range.start + 1);
        [range.start..first, first.max(range.end.saturating_sub(1))..range.end]
    }

    /// Tokens between the first and the last.
    fn inside(&self) -> u64 {
        match self {
            Self::Text(_) => 0,
            Self::Filled { key: _, range } => (range.end - range.start).saturating_sub(2),
        }
    }
}

impl Tally {
    /// Tokens of all parts together; forgets the parts that are no longer there.
    fn count(&mut self, vocabulary: &Vocabulary, parts: &[&str]) -> u64 {
        let mut counted = BTreeMap::new();
        let mut total = 0;
        for &part in parts {
            let known = counted.get(part).or_else(|| self.counted.get(part)).copied();
            let tokens = known.unwrap_or_else(|| vocabulary.count(part) as u64);
            counted.insert(part.into(), tokens);
            total += tokens;
        }
        self.counted = counted;
        total
    }
}

/// Appends tokens of ours: a bare word where nothing stands before, else a space and a word each.
fn fill(vocabulary: &Vocabulary, key: u128, range: Range<u64>, out: &mut String) {
    let Range { mut start, end } = range;
    if out.is_empty() && start < end {
        vocabulary.openers().fill_text(key, start..start + 1, out);
        start += 1;
    }
    vocabulary.stable().fill_text(key, start..end, out);
}

/// The last part of ours.
fn last_of_ours(turns: &[Turn]) -> Option<PartPlace> {
    let ours = |part: &Part| matches!(part, Part::Filled { .. });
    let mut turns = turns.iter().enumerate().rev();
    turns
        .find_map(|(turn, of)| of.parts.iter().rposition(ours).map(|part| PartPlace { turn, part }))
}

/// Gives a part of ours another length.
fn resize(turns: &mut [Turn], place: PartPlace, length: u64) -> Result<(), ChatError> {
    let part = turns.get_mut(place.turn).and_then(|turn| turn.parts.get_mut(place.part));
    match part {
        Some(Part::Filled { key: _, range }) => {
            range.end = range.start + length;
            Ok(())
        }
        Some(Part::Text(_)) | None => Err(ChatError::NothingOurs),
    }
}

/// Where prompts may be cut, if cutting before every such token leaves the tokens as they are.
fn cuts(vocabulary: &Vocabulary) -> Cuts {
    let cuts = Cuts::new(vocabulary.added());
    let word = || vocabulary.decode(&vocabulary.stable().ids()[..1]);
    let trial: String =
        cuts.tokens().flat_map(|token| [word(), token.to_owned(), "\n".to_owned()]).collect();
    let apart: usize = cuts.parts(&trial).iter().map(|part| vocabulary.count(part)).sum();
    if apart == vocabulary.count(&trial) { cuts } else { Cuts::new(Vec::new()) }
}
