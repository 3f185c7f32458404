//! Trajectories of mini-swe-agent: a document a run, which holds the messages of its one conversation.
//!
//! What is in them, `DefaultAgent.save` and the models of SWE-agent/mini-swe-agent say, versions 1 and 2
//! (`trajectory_format` mini-swe-agent-1 and -1.1); `docs/advanced/v2_migration.md` tells them apart.

use serde_json::Value;

use crate::content::{Measure, Role};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Session, Time};
use crate::session::arrive;
use crate::threads::since;
use crate::trail::{Answer, Openings, Trail};
use crate::usage::usage;
use crate::value::{at, list, moment, text};

/// Trajectories.
pub(crate) const FORMAT: Format = Format {
    name: "mini-swe-agent",
    title: "mini-swe-agent's trajectories (`*.traj.json`), versions 1 and 2",
    known_by: "`trajectory_format` that begins with mini-swe-agent, `info` with `mini_version`, or messages with \
               `extra`",
    expresses: "lengths and cached tokens where the responses were kept; waits for the commands of an \
                answer; the shared system prompt",
    lost: "mini-swe-agent: no start of a request is recorded: it is taken to start with the last result; \
           commands of one answer end together, so each takes as long as all; version 1 may have no \
           times, so its waits are 0 s; answers that were refused for their form are left out",
    time_unit: "s",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| {
            // Of a long file only the beginning is looked at, and its format stands at the end.
            let version = text(record, &["info", "mini_version"]).is_some();
            let format = text(record, &["trajectory_format"]);
            let bare = text(record, &["role"]).is_some()
                && record.get("extra").is_some_and(Value::is_object);
            bare || version || format.is_some_and(|format| format.starts_with("mini-swe-agent"))
        })
    },
    reader: || Box::new(Runs::default()),
};

/// Runs read so far.
#[derive(Default)]
struct Runs {
    done: Vec<Run>,
    /// Messages that stand in the source one by one.
    loose: Run,
    held: usize,
}

/// A run while it is read.
#[derive(Default)]
struct Run {
    name: Option<String>,
    trail: Trail,
    parts: u64,
}

impl Reader for Runs {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let documents = match record.as_array() {
            // Version 1: a list of messages.
            Some(items) if items.iter().any(|item| item.get("role").is_some()) => {
                self.run(None, items, context);
                return Ok(());
            }
            Some(items) => items.as_slice(),
            None => std::slice::from_ref(record),
        };
        for document in documents {
            if document.get("messages").is_some_and(Value::is_array) {
                let name = text(document, &["instance_id"]).map(str::to_owned);
                self.run(name, list(document, &["messages"]), context);
            } else if document.get("role").is_some() || is_response(document) {
                self.loose.take(document, context);
            } else {
                context.fidelity.count(Event::Other, 1);
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let loose = std::mem::take(&mut self.loose);
        self.close(loose);
    }

    fn held(&self) -> usize {
        self.held + self.loose.trail.held()
    }

    fn finish(self: Box<Self>, context: &mut Context<'_>) {
        let mut openings = Openings::new();
        let sessions = self.done.into_iter().map(|Run { name, trail, .. }| {
            let (lane, _) = trail.into_lane(&mut openings, context);
            Session { name, lanes: vec![lane], ..Session::default() }
        });
        let mut sessions: Vec<Session> = sessions.collect();
        arrive(&mut sessions);
        context.sessions.extend(sessions);
    }
}

impl Runs {
    fn run(&mut self, name: Option<String>, messages: &[Value], context: &mut Context<'_>) {
        let mut run = Run { name, ..Run::default() };
        for message in messages {
            run.take(message, context);
        }
        self.close(run);
    }

    fn close(&mut self, run: Run) {
        if !run.trail.is_empty() {
            self.held += run.trail.held() + size_of::<Run>();
            self.done.push(run);
        }
    }
}

impl Run {
    fn take(&mut self, message: &Value, context: &mut Context<'_>) {
        let measure = Measure { salt: context.salt, count: context.count };
        let when = written(message);
        self.parts += 1;
        let name = self.parts;
        let role = text(message, &["role"]);
        if is_response(message) || role == Some("assistant") {
            self.answer(name, message, when, measure);
        } else if role == Some("system") {
            self.trail.given(name, measure.as_role(Role::System, message), when);
        } else if role == Some("exit") {
            // What the run ended with is sent to nobody.
        } else if role == Some("user") && (self.trail.requests() == 0 || interrupted(message)) {
            self.trail.given(name, measure.as_role(Role::User, message), when);
        } else {
            // An answer without a command is not kept; what was wrong with it is.
            let refused = text(message, &["extra", "interrupt_type"]) == Some("FormatError");
            context.fidelity.count(Event::NoLength, u64::from(refused));
            let latency = since(self.trail.last_end(), when);
            self.trail.result(name, measure.as_role(Role::Tool, message), latency, when);
        }
    }

    fn answer(&mut self, name: u64, message: &Value, when: Option<Time>, measure: Measure<'_>) {
        let kept = at(message, &["extra", "response", "usage"]);
        let usage = usage(kept.or(message.get("usage")).unwrap_or(&Value::Null));
        let thought = measure.size(text(message, &["reasoning_content"]).unwrap_or_default());
        let said = measure.as_role(Role::Assistant, message);
        self.trail.answered(name, said, Answer { usage, thought, start: None, end: when });
    }
}

/// Whether it is a response of OpenAI's newer API, which is a message as it stands.
fn is_response(message: &Value) -> bool {
    text(message, &["object"]) == Some("response")
}

fn written(message: &Value) -> Option<Time> {
    let when = at(message, &["extra", "timestamp"]).or_else(|| at(message, &["timestamp"]));
    when.and_then(moment)
}

/// Whether a person stopped the run to say something.
fn interrupted(message: &Value) -> bool {
    text(message, &["extra", "interrupt_type"]) == Some("UserInterruption")
}
