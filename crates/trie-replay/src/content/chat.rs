//! Prompts of messages, as long as planned once the template has been put around them.
//!
//! A segment is a message of its role, an answer is the assistant's, and output of a tool after an
//! answer is that of a tool which the answer calls. The template's own tokens, definitions of tools
//! and calls are part of a prompt's planned length: the newest text of ours is so much shorter. Only
//! the newest: a message that was sent stays as it was sent.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use trie_core::plan::{Piece, PlannedTrace, SegmentKey, SegmentPlace};
use trie_core::units::Tokens;
use trie_core::workload::{LaneId, SegmentKind, StepId};
use trie_tokens::{
    ChatError, ChatOptions, ChatTemplate, Composer, Message, Part, PartPlace, Role, Tally, Tool,
    ToolCall, Turn, Vocabulary,
};

use super::text::part;
use super::{Answer, Answers};

/// The id of shared text that stands for the definitions of tools.
const TOOLS: &str = "tools";

/// The tool that every chat with tools has and calls.
const TOOL: &str = "tool";

/// Length of its description where the workload does not say how long definitions of tools are.
const DESCRIPTION: Tokens = 8;

/// Names the text of that description.
const DESCRIPTION_KEY: u128 = 0;

/// Makes chats for one template, and knows how many tokens a server counts in them.
#[derive(Clone, Debug)]
pub struct Chat {
    composer: Composer,
    /// The template shows system messages.
    system: bool,
    /// The template shows definitions of tools, calls and outputs.
    tools: bool,
}

/// Messages and tools of one request.
#[derive(Debug)]
pub(crate) struct ChatPrompt {
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
}

/// What is known of the prompts of a trace that were made: each is made again inside of the next.
#[derive(Debug, Default)]
pub(super) struct Memo(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By step; `None` where it adds no text that can give way.
    fitted: BTreeMap<StepId, Option<Fitted>>,
    /// A lane's prompts continue each other: what was counted in one is in the next.
    tallies: BTreeMap<LaneId, Tally>,
}

/// The text of ours that gave way to the template when its prompt was made.
#[derive(Clone, Copy, Debug)]
struct Fitted {
    of: SegmentPlace,
    key: SegmentKey,
    /// Where it ends by the plan.
    planned: Tokens,
    /// Where it ends.
    end: Tokens,
}

impl Chat {
    /// Finds out which roles the template takes. Messages of others become the user's.
    ///
    /// # Errors
    ///
    /// The template does not even take a question of the user.
    pub fn new(
        vocabulary: Vocabulary,
        template: ChatTemplate,
        options: ChatOptions,
    ) -> Result<Self, ChatError> {
        let composer = Composer::new(vocabulary, template, Vec::new(), options);
        composer.count(&[filled(Role::User, 0, 1)], &mut Tally::default())?;
        let with_tools = composer.with_tools(vec![plain_tool(composer.vocabulary())]);
        let system = shows(&composer, |length| {
            vec![filled(Role::System, 0, length), filled(Role::User, 0, 1)]
        });
        let tools = shows(&with_tools, |length| tool_turns([1, length]));
        Ok(Self { composer, system, tools })
    }

    /// The same, counted with `vocabulary`: the same tokens, read as another server does.
    #[must_use]
    pub fn counting_with(self, vocabulary: Vocabulary) -> Self {
        Self { composer: self.composer.counting_with(vocabulary), ..self }
    }

    /// The file of the template, for reports.
    #[must_use]
    pub fn file(&self) -> &str {
        self.composer.template().file()
    }

    /// Whether the template may print today's date.
    #[must_use]
    pub fn prints_date(&self) -> bool {
        self.composer.template().prints_date()
    }

    /// What the template does not take, in words; nothing where it takes everything.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        let file = self.file();
        let limit = |taken: bool, what: &str| {
            (!taken).then(|| {
                format!("{file}: the chat template takes no {what}, which the user says instead")
            })
        };
        let limits =
            [limit(self.system, "system messages"), limit(self.tools, "tools and their output")];
        limits.into_iter().flatten().collect()
    }

    /// The chat of a step, of its planned length where that is possible: a text of ours has at least
    /// one token, whatever the template needs.
    pub(super) fn prompt(
        &self,
        trace: &PlannedTrace,
        step: StepId,
        answers: &Answers,
    ) -> ChatPrompt {
        let known = &answers.chat.0;
        // What a panic left behind is only what was known before it.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        for step in trace.chain(step) {
            if !known.fitted.contains_key(&step) {
                let fitted = self.fit(trace, step, answers, &mut known);
                known.fitted.insert(step, fitted);
            }
        }
        let draft = Draft::of(self, trace, step, answers, &known.fitted);
        let composer = self.composer.with_tools(draft.tools);
        ChatPrompt { messages: composer.messages(&draft.turns), tools: composer.tools().to_vec() }
    }

    /// A chat of one question, as near to `tokens` tokens as it can be, and how many it has.
    pub(crate) fn question(&self, key: u128, tokens: Tokens) -> (ChatPrompt, Tokens) {
        probe(&self.composer, vec![filled(Role::User, key, 1)], tokens)
    }

    /// The same with a system message, a call of a tool and its output, where the template takes
    /// them; `None` where it takes neither.
    pub(crate) fn tour(&self, key: u128, tokens: Tokens) -> Option<(ChatPrompt, Tokens)> {
        let system = self.system.then(|| filled(Role::System, key, 8));
        let rest = match (self.system, self.tools) {
            (_, true) => tool_turns([4, 1]),
            (true, false) => vec![filled(Role::User, key, 1)],
            (false, false) => return None,
        };
        let tools = self.tools.then(|| plain_tool(self.composer.vocabulary()));
        let composer = self.composer.with_tools(tools.into_iter().collect());
        Some(probe(&composer, system.into_iter().chain(rest).collect(), tokens))
    }

    /// Makes the newest text of a prompt as long as the whole needs it to be.
    fn fit(
        &self,
        trace: &PlannedTrace,
        step: StepId,
        answers: &Answers,
        known: &mut Known,
    ) -> Option<Fitted> {
        let mut draft = Draft::of(self, trace, step, answers, &known.fitted);
        let (place, mut fitted) = draft.newest?;
        let of = &trace.trace.steps[step as usize];
        let tally = known.tallies.entry(of.lane).or_default();
        let composer = self.composer.with_tools(std::mem::take(&mut draft.tools));
        match composer.fit_part(&mut draft.turns, place, of.prompt_tokens, tally) {
            // What is too long is as short as can be; the record has the difference.
            Ok(()) | Err(ChatError::TooShort { .. } | ChatError::NoLength { .. }) => {
                fitted.end = end_of(&draft.turns, place).unwrap_or(fitted.end);
            }
            // The server, whose template it is too, will say what it has against the messages.
            Err(
                ChatError::File { .. }
                | ChatError::Syntax { .. }
                | ChatError::Render { .. }
                | ChatError::Refused { .. }
                | ChatError::NothingOurs
                | ChatError::Json { .. },
            ) => {}
        }
        Some(fitted)
    }
}

/// A chat in the making.
struct Draft<'c> {
    chat: &'c Chat,
    turns: Vec<Turn>,
    tools: Vec<Tool>,
    /// The text of ours that gives way, in the step's own part of the prompt.
    newest: Option<(PartPlace, Fitted)>,
    /// The segment that the last turn is of, if it is a tool's output.
    output: Option<SegmentPlace>,
    calls: usize,
}

impl<'c> Draft<'c> {
    /// The turns of a step's prompt, all texts as they were fitted before.
    fn of(
        chat: &'c Chat,
        trace: &PlannedTrace,
        step: StepId,
        answers: &Answers,
        fitted: &BTreeMap<StepId, Option<Fitted>>,
    ) -> Self {
        let (turns, tools) = (Vec::new(), Vec::new());
        let mut draft = Draft { chat, turns, tools, newest: None, output: None, calls: 0 };
        let gives_way = gives_way(trace, step);
        for piece in trace.prompt(step) {
            match piece {
                Piece::Segment { key, of, tokens } => {
                    let planned = tokens.end;
                    let before = fitted.get(&of.step).copied().flatten();
                    let before = before.filter(|before| before.of == of && before.key == key);
                    let tokens = before.map_or(tokens.clone(), |before| before.clip(&tokens));
                    let Some(place) = draft.segment(trace, (key, of), tokens) else { continue };
                    if gives_way == Some(of) {
                        let end = before.map_or(planned, |before| before.end);
                        draft.newest = Some((place, Fitted { of, key, planned, end }));
                    }
                }
                Piece::Carried { step, tokens } => {
                    let planned = trace.trace.steps[step as usize].output.tokens;
                    draft.answer(answers.get(step), planned, tokens);
                }
            }
        }
        draft.finish(trace);
        draft
    }

    /// Appends text of ours, and says where; `None` for text that goes into no message.
    fn segment(
        &mut self,
        trace: &PlannedTrace,
        (key, of): (SegmentKey, SegmentPlace),
        range: Range<Tokens>,
    ) -> Option<PartPlace> {
        let kind = &trace.segment(of).kind;
        if matches!(kind, SegmentKind::Shared(id) if id == TOOLS) && self.chat.tools {
            let vocabulary = self.chat.composer.vocabulary();
            self.tools.push(Composer::tool(vocabulary, TOOL, key.0, range.end));
            return None;
        }
        let role = self.role(kind);
        let goes_on = match role {
            Role::Tool => self.output == Some(of),
            Role::System | Role::User | Role::Assistant => true,
        };
        if !(goes_on && self.last_role() == Some(role)) {
            self.open(role);
        }
        self.output = (role == Role::Tool).then_some(of);
        self.push(Part::Filled { key: key.0, range })
    }

    /// Appends an answer; `planned` is how many tokens of it were asked for.
    fn answer(&mut self, answer: Option<&Answer>, planned: Tokens, range: Range<Tokens>) {
        if self.last_role() == Some(Role::Assistant) {
            self.empty_output();
        }
        self.open(Role::Assistant);
        let Some(Answer { text, reasoning, .. }) = answer else {
            self.push(Part::Text(String::new()));
            return;
        };
        let text = if range == (0..planned) {
            text.to_string()
        } else {
            part(self.chat.composer.vocabulary(), text, planned, range)
        };
        self.push(Part::Text(text));
        if let Some(turn) = self.turns.last_mut() {
            turn.reasoning = (!reasoning.is_empty()).then(|| reasoning.to_string());
        }
    }

    /// A chat ends where the model is to speak.
    fn finish(&mut self, trace: &PlannedTrace) {
        self.close_opening();
        if self.last_role() == Some(Role::Assistant) {
            self.empty_output();
        }
        if self.tools.is_empty() && self.chat.tools && has_tool_turns(trace) {
            self.tools.push(plain_tool(self.chat.composer.vocabulary()));
        }
    }

    /// What comes back between two answers where the workload has no text for it.
    fn empty_output(&mut self) {
        self.open(if self.chat.tools { Role::Tool } else { Role::User });
        self.push(Part::Text(String::new()));
        self.output = None;
    }

    fn role(&self, kind: &SegmentKind) -> Role {
        let opens = self.turns.iter().all(|turn| turn.role == Role::System);
        let answered = matches!(self.last_role(), Some(Role::Assistant | Role::Tool));
        match kind {
            SegmentKind::System | SegmentKind::Shared(_) if opens && self.chat.system => {
                Role::System
            }
            SegmentKind::Tool if answered && self.chat.tools => Role::Tool,
            SegmentKind::Assistant => Role::Assistant,
            SegmentKind::System
            | SegmentKind::Shared(_)
            | SegmentKind::Tool
            | SegmentKind::Blocks(_)
            | SegmentKind::Prompt
            | SegmentKind::User => Role::User,
        }
    }

    fn last_role(&self) -> Option<Role> {
        self.turns.last().map(|turn| turn.role)
    }

    /// Begins a message; that of a tool is called by the assistant before it.
    fn open(&mut self, role: Role) {
        let mut turn = Turn::new(role, Vec::new());
        match role {
            Role::System | Role::User => {}
            Role::Assistant => self.close_opening(),
            Role::Tool => {
                let call = call(self.calls);
                self.calls += 1;
                turn.call_id = Some(call.id.clone());
                let mut before = self.turns.iter_mut().rev();
                if let Some(caller) = before.find(|turn| turn.role == Role::Assistant) {
                    caller.calls.push(call);
                }
            }
        }
        self.turns.push(turn);
    }

    /// Instructions that no question follows are the question.
    fn close_opening(&mut self) {
        if let [.., last] = &mut self.turns[..]
            && last.role == Role::System
        {
            last.role = Role::User;
        }
    }

    /// Appends to the last message.
    fn push(&mut self, part: Part) -> Option<PartPlace> {
        let turn = self.turns.len().checked_sub(1)?;
        let parts = &mut self.turns[turn].parts;
        parts.push(part);
        Some(PartPlace { turn, part: parts.len() - 1 })
    }
}

impl Fitted {
    /// A range of the text as it stands in the prompt it was made for.
    fn clip(&self, range: &Range<Tokens>) -> Range<Tokens> {
        let end = if range.end == self.planned { self.end } else { range.end.min(self.end) };
        range.start.min(end)..end
    }
}

/// The segment that gives way: the longest of the trace's own, since what is shared is to stay what
/// others share; else the last.
fn gives_way(trace: &PlannedTrace, step: StepId) -> Option<SegmentPlace> {
    let segments = (0..).zip(&trace.trace.steps[step as usize].new);
    let own = segments.clone().filter(|(_, segment)| match &segment.kind {
        SegmentKind::Prompt
        | SegmentKind::System
        | SegmentKind::Assistant
        | SegmentKind::Tool
        | SegmentKind::User => true,
        SegmentKind::Shared(_) | SegmentKind::Blocks(_) => false,
    });
    let longest = own.max_by_key(|(_, segment)| segment.tokens);
    longest.or_else(|| segments.last()).map(|(segment, _)| SegmentPlace { step, segment })
}

fn has_tool_turns(trace: &PlannedTrace) -> bool {
    let mut steps = trace.trace.steps.iter();
    steps.any(|step| step.new.iter().any(|segment| segment.kind == SegmentKind::Tool))
}

/// A chat as near to `tokens` tokens as it can be, and how many it has.
fn probe(composer: &Composer, mut turns: Vec<Turn>, tokens: Tokens) -> (ChatPrompt, Tokens) {
    let mut tally = Tally::default();
    let length = match composer.fit(&mut turns, tokens, &mut tally) {
        Ok(()) => tokens,
        Err(_) => composer.count(&turns, &mut tally).unwrap_or_default(),
    };
    let messages = composer.messages(&turns);
    (ChatPrompt { messages, tools: composer.tools().to_vec() }, length)
}

/// Whether a template shows a text: a longer one makes the prompt longer.
fn shows(composer: &Composer, turns: impl Fn(Tokens) -> Vec<Turn>) -> bool {
    let count = |length| composer.count(&turns(length), &mut Tally::default());
    matches!((count(1), count(9)), (Ok(short), Ok(long)) if short < long)
}

/// A question, a call and its output; how long question and output are.
fn tool_turns([question, output]: [Tokens; 2]) -> Vec<Turn> {
    let answered = Turn::new(Role::Assistant, vec![Part::Text(String::new())]);
    let answered = Turn { calls: vec![call(0)], ..answered };
    let output = Turn { call_id: Some(call(0).id), ..filled(Role::Tool, 0, output) };
    vec![filled(Role::User, 0, question), answered, output]
}

fn filled(role: Role, key: u128, tokens: Tokens) -> Turn {
    Turn::new(role, vec![Part::Filled { key, range: 0..tokens }])
}

fn plain_tool(vocabulary: &Vocabulary) -> Tool {
    Composer::tool(vocabulary, TOOL, DESCRIPTION_KEY, DESCRIPTION)
}

/// The call of that number in a chat. Some templates take ids of nine letters and digits only.
fn call(number: usize) -> ToolCall {
    let (name, arguments) = (TOOL.to_owned(), "{}".to_owned());
    ToolCall { id: format!("c{number:08}"), name, arguments }
}

fn end_of(turns: &[Turn], place: PartPlace) -> Option<Tokens> {
    match turns.get(place.turn)?.parts.get(place.part)? {
        Part::Filled { key: _, range } => Some(range.end),
        Part::Text(_) => None,
    }
}

#[cfg(test)]
mod tests;
