//! Trajectories of SWE-agent: a document a run, with the prompt of each step, or with the history
//! alone.
//!
//! docs/usage/trajectories.md and sweagent/types.py of SWE-agent/SWE-agent say what is in them. Since
//! version 1.1 a step has its prompt (`query`); in version 1.0 it has the one of the step after it
//! (`messages`); before, only the history is there.

use serde_json::Value;

use crate::content::{Measure, Message, Role};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Request, Time};
use crate::threads::{Exchange, Threads};
use crate::value::{list, on, text, time};

/// Trajectories.
pub(crate) const FORMAT: Format = Format {
    name: "swe-agent",
    title: "SWE-agent's trajectories (`*.traj`), also those that hold only a history",
    known_by: "`trajectory` of steps with `action` or `response`, or `history` of messages with `message_type` \
               or `agent`",
    expresses: "prompts as the history processors left them; the time of each command; the shared system prompt",
    lost: "swe-agent: no request has its length or time recorded: lengths are counted from the texts, and a \
           wait is the time of the command before it; a file of a history alone has no waits and shows no cuts",
    time_unit: "s (`execution_time`)",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| {
            let of_history = |item: &Value| {
                text(item, &["role"]).is_some()
                    && (text(item, &["message_type"]).is_some() || text(item, &["agent"]).is_some())
            };
            let of_steps =
                |step: &Value| step.get("response").is_some() || text(step, &["action"]).is_some();
            list(record, &["trajectory"]).iter().any(of_steps)
                || list(record, &["history"]).iter().any(of_history)
        })
    },
    reader: || Box::new(Runs::default()),
};

#[derive(Default)]
struct Runs {
    threads: Threads,
    runs: u64,
}

impl Reader for Runs {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let documents = record.as_array().map_or(std::slice::from_ref(record), Vec::as_slice);
        for document in documents {
            self.run(document, context);
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.threads.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let before = context.sessions.len();
        self.threads.finish(context);
        // They were numbered, so that runs with the same first prompt stay apart.
        for session in &mut context.sessions[before..] {
            session.name = None;
        }
    }
}

impl Runs {
    fn run(&mut self, document: &Value, context: &mut Context<'_>) {
        let measure = Measure { salt: context.salt, count: context.count };
        let (steps, history) = (list(document, &["trajectory"]), list(document, &["history"]));
        if steps.is_empty() && history.is_empty() {
            context.fidelity.count(Event::Other, 1);
            return;
        }
        let asked = |step: &Value| !list(step, &["query"]).is_empty();
        let later = |step: &Value| !list(step, &["messages"]).is_empty();
        let exchanges = if steps.iter().any(asked) {
            of_steps(steps, steps.iter().map(|step| list(step, &["query"])), measure)
        } else if steps.iter().any(later) {
            let opening = history.iter().take_while(|item| !is_answer(item)).count();
            let after = steps.iter().map(|step| list(step, &["messages"]));
            of_steps(steps, std::iter::once(&history[..opening]).chain(after), measure)
        } else {
            of_history(history, steps, measure)
        };
        self.runs += 1;
        for exchange in exchanges {
            let session = Some(self.runs.to_string());
            self.threads.add(Exchange { session, ..exchange }, context);
        }
    }
}

/// Steps with their prompts. One without a prompt was not said to a model: a review of the run, say.
fn of_steps<'v>(
    steps: &[Value],
    prompts: impl Iterator<Item = &'v [Value]>,
    measure: Measure<'_>,
) -> Vec<Exchange> {
    let (mut exchanges, mut wait) = (Vec::with_capacity(steps.len()), None);
    for (step, prompt) in steps.iter().zip(prompts).filter(|(_, prompt)| !prompt.is_empty()) {
        exchanges.push(exchange(messages(prompt, measure), answer(step, measure), wait));
        wait = time(step, &["execution_time"], 1.0);
    }
    exchanges
}

/// A history: a request for each answer in it, but for those of demonstrations.
fn of_history(history: &[Value], steps: &[Value], measure: Measure<'_>) -> Vec<Exchange> {
    let all = messages(history, measure);
    let mut steps = steps.iter();
    let (mut exchanges, mut wait) = (Vec::new(), None);
    for (at, _) in history.iter().enumerate().filter(|(_, item)| is_answer(item)) {
        exchanges.push(exchange(all[..at].to_vec(), all[at], wait));
        wait = steps.next().and_then(|step| time(step, &["execution_time"], 1.0));
    }
    exchanges
}

fn exchange(messages: Vec<Message>, answer: Message, wait: Option<Time>) -> Exchange {
    let request = Request { wait, ..Request::default() };
    Exchange { messages, answer: vec![answer], request, ..Exchange::default() }
}

/// What a model wrote in a step: where it called a function, its response does not hold the command.
fn answer(step: &Value, measure: Measure<'_>) -> Message {
    let response = text(step, &["response"]).unwrap_or_default();
    let command = text(step, &["action"]).unwrap_or_default().trim();
    let call = if response.contains(command) { "" } else { command };
    measure.made(Role::Assistant, response, call)
}

/// Whether a model wrote it in this run.
fn is_answer(item: &Value) -> bool {
    text(item, &["role"]) == Some("assistant") && !on(item, &["is_demo"])
}

fn messages(prompt: &[Value], measure: Measure<'_>) -> Vec<Message> {
    let mut answered = false;
    let messages = prompt.iter().map(|item| {
        let message = one(item, answered, measure);
        answered |= is_answer(item);
        message
    });
    messages.collect()
}

/// A message. What follows an answer is what its command wrote, whatever role it has; nobody else
/// takes part.
fn one(item: &Value, answered: bool, measure: Measure<'_>) -> Message {
    let role = match text(item, &["role"]) {
        Some("system") => Role::System,
        Some("assistant") if is_answer(item) => Role::Assistant,
        Some(_) | None if answered => Role::Tool,
        Some(_) | None => Role::User,
    };
    measure.as_role(role, item)
}
