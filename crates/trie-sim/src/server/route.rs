//! What an address means, and what goes wrong on the way to its answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
};

use super::{
    answer::{self, Answer},
    ask::{self, Api, Ask, Delivery, StreamUsage},
    body::{Broken, Packing, Reply, gzip},
    clock::Clock,
    desk::{Desk, Order, Ticket},
    faults::strikes,
    fields, metrics, prompt,
    quirks::Quirks,
    refusal::Refusal,
    stream,
    usage::Usage,
    variant::{self, Variants},
    whole,
    words::Words,
};
use crate::{config::Config, engine};

/// What every request shares.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) words: Arc<Words>,
    pub(super) desk: Arc<Desk>,
    pub(super) clock: Clock,
    /// Requests for a completion so far, which faults count.
    pub(super) requests: AtomicU64,
    /// Answers that have a name so far, whatever the options of their requests.
    pub(super) named: Arc<AtomicU64>,
    /// The same server with other options, for requests that ask for them.
    pub(super) variants: Variants,
}

/// One request in work: all that its answer needs to be written.
pub(super) struct Job {
    pub(super) api: Api,
    pub(super) id: String,
    pub(super) model: String,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) prompt: Vec<u32>,
    pub(super) answer: Answer,
    pub(super) return_token_ids: bool,
    pub(super) logprob_ids: bool,
    pub(super) usage: StreamUsage,
    pub(super) strike: Option<Strike>,
    miscount: bool,
}

/// A fault in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    Reset,
    Stall,
    Truncate,
    Duplicate,
    Spike,
}

/// Largest body taken: over a million token ids or words.
const BODY_BYTES: usize = 256 << 20;

/// Model name where none was set.
const ANY_MODEL: &str = "trie-sim";

impl Server {
    /// What ends a line of a stream.
    pub(super) fn line_end(&self) -> &'static str {
        if self.config.quirks.crlf { "\r\n" } else { "\n" }
    }

    fn model(&self) -> &str {
        self.config.model.as_deref().unwrap_or(ANY_MODEL)
    }
}

impl Job {
    /// Usage as the last word on it, wrong if that is asked for.
    pub(super) fn final_usage(&self) -> Usage {
        let completion = self.answer.ids.len() + usize::from(self.miscount);
        Usage { prompt: self.prompt.len(), completion }
    }
}

/// Answers one request, or breaks its connection.
pub(super) async fn handle(
    server: Arc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Broken> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
        return Ok(Refusal::plain(413, "the body was too large or broke off").response());
    };
    let body = body.to_bytes();
    let (server, path) = match variant::find(&server, head.uri.path(), &head.headers) {
        Ok(found) => found,
        Err(refusal) => return Ok(refusal.response()),
    };
    let api = match (&head.method, path) {
        (&Method::POST, "/v1/completions") => Some(Api::Completions),
        (&Method::POST, "/v1/chat/completions") => Some(Api::Chat),
        _ => None,
    };
    let answer = match api {
        Some(api) => completion(&server, api, &head.headers, &body).await?,
        None => other(&server, path, &head, &body),
    };
    Ok(answer.unwrap_or_else(|refusal| refusal.response()))
}

type Answered = Result<Response<Reply>, Refusal>;

async fn completion(
    server: &Arc<Server>,
    api: Api,
    headers: &hyper::HeaderMap,
    body: &[u8],
) -> Result<Answered, Broken> {
    let faults = &server.config.faults;
    let ordinal = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if strikes(faults.reset_before_headers, ordinal) {
        return Err(Broken::Fault);
    }
    if strikes(faults.stall_before_headers, ordinal) {
        std::future::pending::<()>().await;
    }
    if strikes(faults.html_page, ordinal) {
        return Ok(Ok(html_page()));
    }
    if let Some(status) = faults.status
        && ordinal.is_multiple_of(faults.status_every.get())
    {
        let refusal = Refusal::plain(status.code(), "a fault that was asked for");
        let limited = status.code() == 429;
        return Ok(Err(if limited { refusal.retry_after(faults.retry_after_s) } else { refusal }));
    }
    let job = match check_key(server, headers).and_then(|()| understand(server, api, body, ordinal))
    {
        Ok(job) => job,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(Ok(answer(server, job).await))
}

fn check_key(server: &Server, headers: &hyper::HeaderMap) -> Result<(), Refusal> {
    let Some(key) = &server.config.quirks.api_key else { return Ok(()) };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(key) {
        return Ok(());
    }
    Err(Refusal::plain(401, "Unauthorized"))
}

/// The job, and whether its answer is a stream.
fn understand(
    server: &Server,
    api: Api,
    body: &[u8],
    ordinal: u64,
) -> Result<(Job, Delivery), Refusal> {
    let quirks = &server.config.quirks;
    if quirks.strict_fields {
        fields::check_known(api, body)?;
    }
    if quirks.refuse_ignore_eos {
        fields::check_no_ignore_eos(body)?;
    }
    let mut ask = ask::read(api, body)?;
    disregard(quirks, &mut ask);
    let model = check_model(server, ask.model.take())?;
    let prompt = std::mem::replace(&mut ask.prompt, ask::Prompt::Ids(Vec::new()));
    let prompt = prompt::tokens(&server.words, prompt, quirks)?;
    let limit = answer::limit(api, &ask, server.config.max_model_len, prompt.len());
    check_lengths(server, &ask, prompt.len(), limit)?;
    let answer = answer::plan(&server.config, &server.words, &ask, &prompt, limit);
    let number = server.named.fetch_add(1, Ordering::Relaxed) + 1;
    let prefix = match api {
        Api::Completions => "cmpl",
        Api::Chat => "chatcmpl",
    };
    let usage = match ask.delivery {
        Delivery::Whole => StreamUsage::None,
        Delivery::Stream(usage) => usage,
    };
    let job = Job {
        api,
        id: format!("{prefix}-{:016x}", engine::draw(server.config.seed, number, 0)),
        model,
        created: server.clock.unix_seconds(),
        prompt,
        answer,
        return_token_ids: ask.return_token_ids,
        logprob_ids: ask.logprob_ids,
        usage,
        strike: strike(server, ordinal),
        miscount: strikes(server.config.faults.wrong_token_count, ordinal),
    };
    Ok((job, ask.delivery))
}

/// Takes back what the server takes no notice of.
fn disregard(quirks: &Quirks, ask: &mut Ask) {
    ask.ignore_eos &= !quirks.no_ignore_eos;
    ask.return_token_ids &= !quirks.no_token_ids;
    ask.logprob_ids &= !quirks.no_token_ids;
    if quirks.no_min_tokens {
        ask.min_tokens = 0;
    }
}

/// The name to answer under.
fn check_model(server: &Server, asked: Option<String>) -> Result<String, Refusal> {
    match (&server.config.model, asked) {
        (Some(served), Some(asked)) if *served != asked => {
            Err(Refusal::plain(404, format!("The model `{asked}` does not exist.")))
        }
        (_, Some(asked)) => Ok(asked),
        (_, None) => Ok(server.model().to_owned()),
    }
}

fn check_lengths(server: &Server, ask: &Ask, prompt: usize, limit: usize) -> Result<(), Refusal> {
    prompt::check_context(server.config.max_model_len, prompt, limit)?;
    if !server.desk.with_engine(|engine| engine.fits(prompt + limit)) {
        let message = format!(
            "{} tokens of prompt and answer do not fit the KV cache of this engine.",
            prompt + limit
        );
        return Err(Refusal::bad("input_tokens", message));
    }
    if ask.min_tokens > limit {
        let message =
            format!("min_tokens must be at most max_tokens={limit}, got {}.", ask.min_tokens);
        return Err(Refusal::bad("min_tokens", message));
    }
    Ok(())
}

fn strike(server: &Server, ordinal: u64) -> Option<Strike> {
    let faults = &server.config.faults;
    let candidates = [
        (faults.reset_mid_stream, Strike::Reset),
        (faults.stall_mid_stream, Strike::Stall),
        (faults.truncated_json, Strike::Truncate),
        (faults.duplicate_chunk, Strike::Duplicate),
        (faults.spike_every, Strike::Spike),
    ];
    candidates.into_iter().find(|(every, _)| strikes(*every, ordinal)).map(|(_, strike)| strike)
}

async fn answer(server: &Arc<Server>, (job, delivery): (Job, Delivery)) -> Response<Reply> {
    let ticket = server.desk.order(order(server, &job));
    tokio::time::sleep(server.config.faults.slow_headers).await;
    let gzipped = server.config.quirks.gzip;
    let (kind, body) = match delivery {
        Delivery::Whole => {
            let mut json = whole::collect(server, &job, ticket).await;
            if job.strike == Some(Strike::Truncate) {
                json.truncate(json.len() / 2);
            }
            ("application/json", Reply::whole(if gzipped { gzip(&json) } else { json }))
        }
        Delivery::Stream(_) => {
            ("text/event-stream; charset=utf-8", streamed(server, job, ticket).await)
        }
    };
    let mut response = typed(kind, body);
    if gzipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

async fn streamed(server: &Arc<Server>, job: Job, mut ticket: Ticket) -> Reply {
    let quirks = &server.config.quirks;
    let mut early = Vec::new();
    if quirks.late_headers {
        // Admission, then the first token.
        early.extend(ticket.next().await);
        early.extend(ticket.next().await);
    }
    let packing = Packing {
        gzip: quirks.gzip,
        events: quirks.events_per_write.get(),
        bytes: quirks.buffer_bytes,
    };
    let server = Arc::clone(server);
    Reply::stream(packing, |out| stream::write(server, job, ticket, early, out))
}

fn order(server: &Server, job: &Job) -> Order {
    let tokens = job.prompt.iter().chain(&job.answer.ids).copied();
    Order {
        name: job.id.clone(),
        prompt_tokens: job.prompt.len(),
        output_tokens: job.answer.ids.len(),
        finish: job.answer.finish,
        content: engine::chain(tokens, server.config.timing.block.get()),
    }
}

/// Everything that is no request for a completion.
fn other(
    server: &Arc<Server>,
    path: &str,
    head: &hyper::http::request::Parts,
    body: &[u8],
) -> Answered {
    let open = matches!(path, "/health" | "/metrics");
    if !open {
        check_key(server, &head.headers)?;
    }
    if server.config.quirks.bare {
        return Err(Refusal::plain(404, "Not Found"));
    }
    match (&head.method, path) {
        (&Method::GET, "/health") => Ok(Response::new(Reply::whole(Bytes::new()))),
        (&Method::GET, "/v1/models") => Ok(models(server)),
        (&Method::GET, "/version") => {
            Ok(json(&serde_json::json!({"version": env!("CARGO_PKG_VERSION")})))
        }
        (&Method::GET, "/metrics") => {
            let timing = &server.config.timing;
            let cache = (timing.block, timing.cache_tokens);
            let page =
                server.desk.with_engine(|engine| metrics::page(engine, server.model(), cache));
            Ok(typed("text/plain; version=0.0.4; charset=utf-8", Reply::whole(page)))
        }
        (&Method::POST, "/tokenize") => tokenize(server, body),
        (&Method::POST, "/reset_prefix_cache") => {
            server.desk.with_engine(engine::Engine::reset_prefix_cache);
            Ok(Response::new(Reply::whole(Bytes::new())))
        }
        (_, path) if KNOWN.contains(&path) => Err(Refusal::plain(405, "Method Not Allowed")),
        _ => Err(Refusal::plain(404, "Not Found")),
    }
}

const KNOWN: &[&str] = &[
    "/v1/completions",
    "/v1/chat/completions",
    "/health",
    "/v1/models",
    "/version",
    "/metrics",
    "/tokenize",
    "/reset_prefix_cache",
];

fn models(server: &Server) -> Response<Reply> {
    json(&serde_json::json!({"object": "list", "data": [{
        "id": server.model(), "object": "model", "created": server.clock.unix_seconds(),
        "owned_by": "trie", "root": server.model(), "max_model_len": server.config.max_model_len,
    }]}))
}

fn tokenize(server: &Server, body: &[u8]) -> Answered {
    let tokens = match ask::read_tokenize(body)? {
        ask::Prompt::Text(text) => server.words.encode(&text),
        ask::Prompt::Ids(ids) => ids,
        ask::Prompt::Chat(chat) => {
            server.words.encode_chat(&chat).map_err(|error| ask::refused(&error))?
        }
    };
    Ok(json(&serde_json::json!({
        "count": tokens.len(), "max_model_len": server.config.max_model_len, "tokens": tokens,
        "token_strs": null,
    })))
}

fn html_page() -> Response<Reply> {
    let page =
        "<!DOCTYPE html><html><head><title>Welcome</title></head><body>It works!</body></html>";
    typed("text/html; charset=utf-8", Reply::whole(page))
}

fn json(value: &serde_json::Value) -> Response<Reply> {
    typed("application/json", Reply::whole(value.to_string()))
}

fn typed(kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
