//! An answer that comes as one JSON object.

use super::{
    ask::Api,
    desk::Ticket,
    route::{Job, Server},
    stream::quoted,
    usage::{Details, push, push_ids, push_logprobs, push_string},
    words::Pieces,
};
use crate::engine::Event;

/// `system_fingerprint`: who answered, and in which version.
pub(super) const FINGERPRINT: &str = concat!("trie-sim-", env!("CARGO_PKG_VERSION"));

/// Waits for the engine's last token, and gives the answer.
pub(super) async fn collect(server: &Server, job: &Job, mut ticket: Ticket) -> Vec<u8> {
    let mut cached = 0;
    let mut text = String::new();
    let mut pieces = Pieces::default();
    while let Some(event) = ticket.next().await {
        match event {
            Event::Admitted { cached_tokens, .. } => cached = cached_tokens,
            Event::Token { index, tokens, .. } => {
                for id in &job.answer.ids[index..index + tokens] {
                    text += &pieces.next(&server.words, *id);
                }
            }
            Event::Preempted { .. } => {}
        }
    }
    json(server, job, cached, &text)
}

fn json(server: &Server, job: &Job, cached: usize, text: &str) -> Vec<u8> {
    let (object, open, close) = match job.api {
        Api::Completions => ("text_completion", r#""text":"#, ""),
        Api::Chat => ("chat.completion", r#""message":{"role":"assistant","content":"#, "}"),
    };
    let mut json = Vec::new();
    let (id, created) = (&job.id, job.created);
    push(
        &mut json,
        format_args!(r#"{{"id":"{id}","object":"{object}","created":{created},"model":"#),
    );
    push_string(&mut json, &job.model);
    push(&mut json, format_args!(r#","choices":[{{"index":0,{open}"#));
    push_string(&mut json, text);
    let finish = quoted(job.answer.finish);
    push(&mut json, format_args!(r#"{close},"logprobs":"#));
    push_logprobs(&mut json, job.logprob_ids.then_some(&job.answer.ids));
    push(&mut json, format_args!(r#","finish_reason":{finish},"stop_reason":null"#));
    push(&mut json, format_args!(r#","token_ids":"#));
    push_ids(&mut json, job.return_token_ids.then_some(&job.answer.ids));
    push(&mut json, format_args!(r#","prompt_token_ids":"#));
    push_ids(&mut json, job.return_token_ids.then_some(&job.prompt));
    push(&mut json, format_args!(r#"}}],"system_fingerprint":"{FINGERPRINT}""#));
    let quirks = &server.config.quirks;
    if !quirks.no_usage {
        push(&mut json, format_args!(r#","usage":"#));
        job.final_usage().write(Details::new(quirks.cached_tokens, cached, false), &mut json);
    }
    json.push(b'}');
    json
}
