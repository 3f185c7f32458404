//! Trajectories in Harbor's Agent Trajectory Interchange Format, up to version 1.7: a document an
//! agent, with the agents that it started in it.
//!
//! The format is RFC 0001 of Harbor (rfcs/0001-trajectory-format.md in harbor-framework/harbor).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::content::{Measure, Role, flat_text};
use crate::fidelity::Event;
use crate::format::{Context, Format, Reader, Wrong};
use crate::model::{Lane, Opened, Place, Session};
use crate::session::arrive;
use crate::trail::{Answer, Openings, Trail};
use crate::usage::usage;
use crate::value::{at, list, moment, on, text, tokens};

/// Trajectories.
pub(crate) const FORMAT: Format = Format {
    name: "atif",
    title: "Harbor's trajectories (ATIF, up to v1.7), which many agents are converted to",
    known_by: "`schema_version` that begins with ATIF, or `steps` with `step_id` and `source`",
    expresses: "lengths, reasoning and cached tokens of requests; parallel tool calls; waits for people; \
                compactions; embedded subagents as lanes with their joins; shared system prompts",
    lost: "atif: a step has one time, that of its answer, so a wait holds the answer's time too, and calls of \
           one step take equally long; steps of several requests are left out; agents in files of \
           their own are rows of their own",
    time_unit: "ISO 8601",
    page: "agents.md",
    recognise: |head| {
        head.any(|record| {
            let version = text(record, &["schema_version"]);
            let step =
                |step: &Value| step.get("step_id").is_some() && text(step, &["source"]).is_some();
            version.is_some_and(|version| version.starts_with("ATIF"))
                || list(record, &["steps"]).iter().any(step)
        })
    },
    reader: || Box::new(Trajectories::default()),
};

/// Sessions read so far.
#[derive(Default)]
struct Trajectories {
    sessions: Vec<Session>,
    requests: usize,
    openings: Openings,
}

/// An agent while it is read.
#[derive(Default)]
struct Agent {
    trail: Trail,
    parts: u64,
    /// Agents that a step refers to, and how many requests were made until then.
    started: BTreeMap<String, usize>,
}

impl Reader for Trajectories {
    fn record(&mut self, record: &Value, context: &mut Context<'_>) -> Result<(), Wrong> {
        let documents = record.as_array().map_or(std::slice::from_ref(record), Vec::as_slice);
        for document in documents {
            if !document.get("steps").is_some_and(Value::is_array) {
                context.fidelity.count(Event::Other, 1);
                continue;
            }
            let mut lanes = Vec::new();
            self.agent(document, None, &mut lanes, context);
            self.requests += lanes.iter().map(|lane| lane.requests.len() + 2).sum::<usize>();
            let name = |key: &str| text(document, &[key]).map(str::to_owned);
            let run = name("session_id");
            let own = name("trajectory_id").or_else(|| run.clone());
            self.sessions.push(Session { name: own, group: run, lanes, ..Session::default() });
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.requests * (size_of::<crate::model::Request>() + 64)
    }

    fn finish(mut self: Box<Self>, context: &mut Context<'_>) {
        arrive(&mut self.sessions);
        context.sessions.append(&mut self.sessions);
    }
}

impl Trajectories {
    /// Adds the lane of an agent, and behind it those of the agents that it started.
    fn agent(
        &mut self,
        document: &Value,
        started: Option<(Place, Option<Place>)>,
        lanes: &mut Vec<Lane>,
        context: &mut Context<'_>,
    ) {
        let mut agent = Agent::default();
        agent.read(document, context);
        let Agent { trail, started: children, .. } = agent;
        let (mut lane, moved) = trail.into_lane(&mut self.openings, context);
        if let Some((opener, joined)) = started {
            (lane.opened, lane.joined) = (Opened::By(opener), joined);
        }
        let number = lanes.len();
        lanes.push(lane);
        for child in list(document, &["subagent_trajectories"]) {
            let known = text(child, &["trajectory_id"]).and_then(|id| children.get(id)).copied();
            // The request that called the agent, and the one that got its result.
            let place = |request: usize| {
                let request = moved.get(request).copied().flatten()?;
                Some(Place { lane: number, request })
            };
            let opener = known.and_then(|made| place(made.checked_sub(1)?));
            let joined = known.and_then(place);
            self.agent(child, opener.map(|opener| (opener, joined)), lanes, context);
        }
    }
}

impl Agent {
    fn read(&mut self, document: &Value, context: &mut Context<'_>) {
        let measure = Measure { salt: context.salt, count: context.count };
        let name = self.name();
        if let Some(tools) = measure.opening(at(document, &["agent", "tool_definitions"])) {
            self.trail.given(name, tools, None);
        }
        for step in list(document, &["steps"]) {
            self.step(step, measure, context);
        }
    }

    fn name(&mut self) -> u64 {
        self.parts += 1;
        self.parts
    }

    fn step(&mut self, step: &Value, measure: Measure<'_>, context: &mut Context<'_>) {
        let when = at(step, &["timestamp"]).and_then(moment);
        let said = step.get("message").map(flat_text).unwrap_or_default();
        let name = self.name();
        match text(step, &["source"]) {
            Some("agent") => {
                let calls: Vec<Value> = list(step, &["tool_calls"]).to_vec();
                let calls = calls.iter().map(|call| {
                    let function = text(call, &["function_name"]).unwrap_or_default();
                    format!(
                        "{function} {}",
                        call.get("arguments").map(flat_text).unwrap_or_default()
                    )
                });
                let said = measure.made(Role::Assistant, &said, &calls.collect::<String>());
                let metrics = step.get("metrics").unwrap_or(&Value::Null);
                let several = tokens(step, &["llm_call_count"]).filter(|count| *count != 1);
                if on(step, &["is_copied_context"]) || several.is_some() {
                    self.trail.given(name, said, None);
                    // Their lengths are of all together.
                    context.fidelity.count(Event::NoLength, several.unwrap_or(0));
                } else {
                    let mut usage = usage(metrics);
                    usage.reasoning =
                        usage.reasoning.or(tokens(metrics, &["extra", "reasoning_tokens"]));
                    let thought = text(step, &["reasoning_content"]).unwrap_or_default();
                    let thought = measure.size(thought);
                    self.trail.answered(
                        name,
                        said,
                        Answer { usage, thought, start: None, end: when },
                    );
                }
            }
            Some("user") => {
                self.trail.given(name, measure.made(Role::User, &said, ""), when);
            }
            Some(_) | None => {
                if text(step, &["extra", "context_management", "boundary"]) == Some("replace") {
                    self.trail.start_anew();
                    self.trail.compacted();
                }
                self.trail.given(name, measure.made(Role::System, &said, ""), when);
            }
        }
        self.observation(step, measure);
    }

    /// What tools answered to a step, or what the history was replaced with.
    fn observation(&mut self, step: &Value, measure: Measure<'_>) {
        let from_agent = text(step, &["source"]) == Some("agent");
        for result in list(step, &["observation", "results"]) {
            let content = result.get("content").map(flat_text).unwrap_or_default();
            let name = self.name();
            if from_agent {
                self.trail.result(name, measure.made(Role::Tool, &content, ""), None, None);
            } else {
                self.trail.given(name, measure.made(Role::System, &content, ""), None);
            }
            for started in list(result, &["subagent_trajectory_ref"]) {
                if let Some(id) = text(started, &["trajectory_id"]) {
                    self.started.insert(id.to_owned(), self.trail.requests());
                }
            }
        }
    }
}
