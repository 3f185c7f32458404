//! A stream of server-sent events: one chunk of JSON per token, or as the quirks have it.

use std::{ops::Range, sync::Arc};

use trie_core::units::Nanos;

use super::{
    ask::{Api, StreamUsage},
    body::{Broken, Outlet},
    desk::Ticket,
    route::{Job, Server, Strike},
    usage::{Details, Usage, push, push_ids, push_logprobs, push_string},
    words::Pieces,
};
use crate::engine::{Event, FinishReason};

/// Writes the whole stream. `early` came before the writing began.
pub(super) async fn write(
    server: Arc<Server>,
    job: Job,
    mut ticket: Ticket,
    early: Vec<Event>,
    mut out: Outlet,
) -> Result<(), Broken> {
    let mut stream = Stream::new(&server, &job);
    if server.config.quirks.early_role && job.api == Api::Chat {
        out.send(stream.role_chunk()).await?;
    }
    let mut early = early.into_iter();
    loop {
        let event = match early.next() {
            Some(event) => event,
            None => match next_or_comment(&server, &mut ticket, &mut out).await? {
                Some(event) => event,
                None => break,
            },
        };
        let made = match event {
            Event::Admitted { cached_tokens, .. } => {
                stream.cached = cached_tokens;
                continue;
            }
            Event::Preempted { .. } => continue,
            Event::Token { id: _, at, index, tokens, step, finish } => {
                Made { at, places: index..index + tokens, step, finish }
            }
        };
        if made.places.start == 0 && job.api == Api::Chat && !server.config.quirks.early_role {
            out.send(stream.role_chunk()).await?;
        }
        let Some(chunk) = stream.tokens(&made) else { continue };
        match stream.strike_now() {
            None => out.send(chunk).await?,
            Some(Strike::Reset) => return Err(Broken::Fault),
            Some(Strike::Stall) => std::future::pending().await,
            Some(Strike::Truncate) => {
                out.send(chunk[..chunk.len() / 2].to_vec()).await?;
                return out.end().await;
            }
            Some(Strike::Spike) => {
                tokio::time::sleep(server.config.faults.spike).await;
                out.send(chunk).await?;
            }
            Some(Strike::Duplicate) => {
                out.send(chunk.clone()).await?;
                out.send(chunk).await?;
            }
        }
    }
    if let Some(chunk) = stream.usage_chunk() {
        out.send(chunk).await?;
    }
    if !server.config.quirks.no_done {
        out.send(stream.line([DATA, b"[DONE]"].concat())).await?;
    }
    out.end().await
}

/// The next event; in between a comment whenever the quirk's time passes without one.
async fn next_or_comment(
    server: &Server,
    ticket: &mut Ticket,
    out: &mut Outlet,
) -> Result<Option<Event>, Broken> {
    let Some(after) = server.config.quirks.comments else { return Ok(ticket.next().await) };
    loop {
        match tokio::time::timeout(after, ticket.next()).await {
            Ok(event) => return Ok(event),
            Err(_) => out.send(format!(": keep-alive{0}{0}", server.line_end()).into()).await?,
        }
    }
}

/// What a line of data begins with.
const DATA: &[u8] = b"data: ";

/// Tokens that a step of the engine made.
struct Made {
    at: Nanos,
    places: Range<usize>,
    step: u64,
    finish: Option<FinishReason>,
}

/// What a stream has said so far, and how it says the rest.
struct Stream<'a> {
    server: &'a Server,
    job: &'a Job,
    /// From `data: ` up to the choices: the same in every chunk.
    head: Vec<u8>,
    pieces: Pieces,
    /// Text and number of tokens not sent yet.
    text: String,
    unsent: usize,
    sent: usize,
    /// Chunks with a choice so far.
    chunks: u64,
    cached: usize,
    strike: Option<Strike>,
}

impl<'a> Stream<'a> {
    fn new(server: &'a Server, job: &'a Job) -> Self {
        let mut head = DATA.to_vec();
        let object = match job.api {
            Api::Completions => "text_completion",
            Api::Chat => "chat.completion.chunk",
        };
        let (id, created) = (&job.id, job.created);
        push(
            &mut head,
            format_args!(r#"{{"id":"{id}","object":"{object}","created":{created},"model":"#),
        );
        push_string(&mut head, &job.model);
        head.push(b',');
        Self {
            server,
            job,
            head,
            pieces: Pieces::default(),
            text: String::new(),
            unsent: 0,
            sent: 0,
            chunks: 0,
            cached: 0,
            strike: job.strike,
        }
    }

    /// The chat stream's opening chunk, which stands for no token.
    fn role_chunk(&self) -> Vec<u8> {
        let mut json = self.head.clone();
        json.extend_from_slice(
            br#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#,
        );
        if self.job.return_token_ids {
            json.extend_from_slice(br#","prompt_token_ids":"#);
            push_ids(&mut json, Some(&self.job.prompt));
        }
        json.push(b'}');
        self.line(json)
    }

    /// Takes tokens; gives the chunk that is now to be sent, if one is.
    fn tokens(&mut self, made: &Made) -> Option<Vec<u8>> {
        let quirks = &self.server.config.quirks;
        for id in &self.job.answer.ids[made.places.clone()] {
            self.text += &self.pieces.next(&self.server.words, *id);
        }
        self.unsent += made.places.len();
        if self.unsent < quirks.chunk_tokens.get() && made.finish.is_none() {
            return None;
        }
        let held_back = quirks.empty_first_chunk && self.sent == 0;
        let lost = quirks.textless_end && made.finish.is_some();
        let text = if held_back || lost { String::new() } else { std::mem::take(&mut self.text) };
        let range = self.sent..self.sent + self.unsent;
        let mut json = self.head.clone();
        json.extend_from_slice(br#""choices":["#);
        let ids = &self.job.answer.ids[range.clone()];
        let last = made.finish.filter(|_| !quirks.usage_with_choices);
        self.push_choice(&mut json, &text, ids, last);
        json.push(b']');
        if self.job.usage == StreamUsage::Continuous && !quirks.no_usage {
            json.extend_from_slice(br#","usage":"#);
            let usage = Usage { prompt: self.job.prompt.len(), completion: range.end };
            usage.write(Details::Absent, &mut json);
        }
        if self.server.config.truth_stamps {
            self.push_stamps(&mut json, made);
        }
        if quirks.timings {
            let (cached, prompt) = (self.cached, self.job.prompt.len() - self.cached);
            let predicted = range.end;
            push(
                &mut json,
                format_args!(
                    r#","timings":{{"cache_n":{cached},"prompt_n":{prompt},"predicted_n":{predicted}}}"#
                ),
            );
        }
        json.push(b'}');
        self.chunks += 1;
        self.sent = range.end;
        self.unsent = 0;
        Some(self.line(json))
    }

    /// What the engine and this server say of a chunk: its number in the stream, when the engine had its
    /// last token and when the chunk was handed to the connection (both since the server's start), its
    /// tokens, and the step that made the last of them.
    fn push_stamps(&self, json: &mut Vec<u8>, made: &Made) {
        let (chunk, at, tokens, step) = (self.chunks, made.at.0, self.unsent, made.step);
        let written = self.server.clock.now().as_nanos();
        push(
            json,
            format_args!(
                r#","truth":{{"sequence":{chunk},"scheduled_ns":{at},"written_ns":{written},"tokens":{tokens},"step":{step}}}"#
            ),
        );
    }

    /// The fault that strikes the chunk just made, once.
    fn strike_now(&mut self) -> Option<Strike> {
        let before = self.server.config.faults.fault_tokens.min(self.job.answer.ids.len() - 1);
        if self.sent > before { self.strike.take() } else { None }
    }

    /// The chunk with the final usage, if one is to be sent.
    fn usage_chunk(&self) -> Option<Vec<u8>> {
        let quirks = &self.server.config.quirks;
        let asked = self.job.usage != StreamUsage::None || quirks.usage_with_choices;
        if !asked || (quirks.no_usage && !quirks.usage_with_choices) {
            return None;
        }
        let mut json = self.head.clone();
        json.extend_from_slice(br#""choices":["#);
        if quirks.usage_with_choices {
            self.push_choice(&mut json, "", &[], Some(self.job.answer.finish));
        }
        json.push(b']');
        if !quirks.no_usage {
            json.extend_from_slice(br#","usage":"#);
            let details = Details::new(quirks.cached_tokens, self.cached, true);
            self.job.final_usage().write(details, &mut json);
        }
        push(&mut json, format_args!(r#","system_fingerprint":"{}"}}"#, super::whole::FINGERPRINT));
        Some(self.line(json))
    }

    fn push_choice(
        &self,
        json: &mut Vec<u8>,
        text: &str,
        ids: &[u32],
        finish: Option<FinishReason>,
    ) {
        match self.job.api {
            Api::Completions => json.extend_from_slice(br#"{"index":0,"text":"#),
            Api::Chat => json.extend_from_slice(br#"{"index":0,"delta":{"content":"#),
        }
        push_string(json, text);
        if self.job.api == Api::Chat {
            json.push(b'}');
        }
        let finish = finish.map_or("null", quoted);
        json.extend_from_slice(br#","logprobs":"#);
        push_logprobs(json, Some(ids).filter(|ids| self.job.logprob_ids && !ids.is_empty()));
        push(json, format_args!(r#","finish_reason":{finish},"stop_reason":null"#));
        if self.job.api == Api::Completions {
            let first = self.sent == 0 && self.job.return_token_ids;
            json.extend_from_slice(br#","prompt_token_ids":"#);
            push_ids(json, first.then_some(&self.job.prompt));
        }
        json.extend_from_slice(br#","token_ids":"#);
        push_ids(json, Some(ids).filter(|ids| self.job.return_token_ids && !ids.is_empty()));
        json.push(b'}');
    }

    /// One event: the line of data, which ends here, and the empty line after it.
    fn line(&self, mut data: Vec<u8>) -> Vec<u8> {
        let end = self.server.line_end().as_bytes();
        data.extend_from_slice(end);
        data.extend_from_slice(end);
        data
    }
}

/// A finish reason as JSON.
pub(super) fn quoted(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Length => r#""length""#,
        FinishReason::Stop => r#""stop""#,
    }
}
