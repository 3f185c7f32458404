//! What to do about a server that does not take a request.

use crate::wire::{Failure, FailureKind};

/// Fields that a run can do without, each at a price.
pub(super) const OPTIONAL: [&str; 4] =
    ["ignore_eos", "min_tokens", "skip_special_tokens", "stream_options"];

/// What happened, in one line.
pub(super) fn told(failure: &Failure) -> String {
    let status = failure.status.map(|status| format!("status {status} ")).unwrap_or_default();
    format!("{status}({}) {}", failure.kind.as_str(), failure.message)
}

/// Whether the server refuses what the body holds.
pub(super) fn refuses_body(status: Option<u16>) -> bool {
    matches!(status, Some(400 | 422))
}

/// What to do about a failure of the run's own request, whose fields these are.
pub(super) fn about<'f>(
    failure: &Failure,
    fields: impl Iterator<Item = &'f String>,
) -> Option<String> {
    let said = match failure.status {
        Some(401 | 403) => "check the key: api_key=, api_key_file= or OPENAI_API_KEY",
        Some(404) => "check model= against GET /v1/models, and that the endpoint ends in /v1",
        Some(429) => "the server is rate-limited: benchmarks need a server without limits",
        Some(500..) => "the server fails by itself: its own log says why",
        status if refuses_body(status) => return Some(about_field(failure, fields)),
        _ if failure.kind == FailureKind::Timeout => {
            "the server takes requests and does not answer in time: look at its log, and whether it \
             is busy"
        }
        _ => return None,
    };
    Some(said.to_owned())
}

fn about_field<'f>(failure: &Failure, mut fields: impl Iterator<Item = &'f String>) -> String {
    match fields.find(|field| names(&failure.message, field)) {
        Some(field) => format!(
            "the server does not take `{field}` as it is sent: take it out of sampling= where it \
             stands there, or use an engine that knows it"
        ),
        None => {
            "the server refuses something in the body, and its words are all there is to go by: \
                 check sampling=, and model= against the engine"
                .to_owned()
        }
    }
}

/// Whether a message names a field: as a word of its own, and no word that messages hold anyway.
pub(super) fn names(message: &str, field: &str) -> bool {
    let ordinary = matches!(field, "model" | "prompt" | "stream");
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !ordinary && message.split(|c| !word(c)).any(|part| part == field)
}

/// The model that was probably meant, of those that a server lists.
pub(super) fn meant<'m>(asked: &str, listed: &[&'m str]) -> Option<&'m str> {
    let tail = |name: &str| name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let asked = tail(asked);
    let same = listed.iter().find(|name| tail(name) == asked);
    // A name of a letter or two stands in many others.
    let within = |name: &&&str| {
        let name = tail(name);
        name.contains(&asked) || (name.len() > 2 && asked.contains(&name))
    };
    let only = || listed.first().filter(|_| listed.len() == 1);
    same.or_else(|| listed.iter().find(within)).or_else(only).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, message: &str) -> Failure {
        let message = message.to_owned();
        Failure { kind: FailureKind::Status, status: Some(status), message, retry_after: None }
    }

    #[test]
    fn a_refused_field_is_named() {
        let check = |status: u16, message: &str, expected: &str| {
            let fields = ["model", "top_q", "temperature"].map(str::to_owned);
            let advice = about(&refusal(status, message), fields.iter()).unwrap();
            assert!(advice.contains(expected), "{message}: {advice}");
        };
        check(400, "body.top_q: Extra inputs are not permitted", "does not take `top_q`");
        check(422, "Unexpected fields in the request: {'temperature'}", "`temperature`");
        check(400, "the model is not for that", "refuses something in the body");
        check(400, "top_qs", "refuses something");
        check(401, "no", "api_key=");
        check(503, "no", "its own log");
    }

    #[test]
    fn the_model_that_was_meant_is_found() {
        let check = |asked: &str, listed: &[&str], expected: Option<&str>| {
            assert_eq!(meant(asked, listed), expected, "{asked}");
        };
        check("qwen3", &["a", "Qwen/Qwen3"], Some("Qwen/Qwen3"));
        check("Qwen/Qwen3", &["b", "qwen3"], Some("qwen3"));
        check("Qwen3-32B", &["b", "models/qwen3-32b-fp8"], Some("models/qwen3-32b-fp8"));
        check("x", &["only"], Some("only"));
        check("m", &["a", "b"], None);
        check("x", &[], None);
    }
}
