//! The table of options: their names, defaults and help, and how their values are read.

use std::num::NonZeroUsize;

use super::{
    Config, Output,
    engine::ENGINE_OPTIONS,
    read::{count, every, millis, number, put, seconds, some_time, status, switch, text},
};
use crate::server::CachedTokens;

/// Why an option was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// No option has this name.
    #[error("the simulated engine has no option `{key}`; hint: see the list of its options")]
    Unknown {
        /// The name given.
        key: String,
    },
    /// The option's value is of the wrong kind.
    #[error("option `{key}` of the simulated engine cannot be `{value}`: wanted {wanted}")]
    Value {
        /// The option's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// What would be taken.
        wanted: &'static str,
    },
}

/// One option: its name, its default as a user would write it, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct OptionRow {
    /// The name.
    pub name: &'static str,
    /// The default, spelled as a value.
    pub default: &'static str,
    /// One sentence.
    pub help: &'static str,
    apply: Apply,
}

/// Sets one option from its text, or says what kind of value was wanted.
type Apply = fn(&mut Config, &str) -> Result<(), &'static str>;

pub(super) const fn row(
    name: &'static str,
    default: &'static str,
    help: &'static str,
    apply: Apply,
) -> OptionRow {
    OptionRow { name, default, help, apply }
}

impl Config {
    /// Sets the option `key` from its text.
    ///
    /// # Errors
    ///
    /// When no option has this name, or the value is of the wrong kind.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let Some(row) = OPTIONS.iter().find(|row| row.name == key) else {
            return Err(ConfigError::Unknown { key: key.to_owned() });
        };
        (row.apply)(self, value).map_err(|wanted| ConfigError::Value {
            key: row.name,
            value: value.to_owned(),
            wanted,
        })
    }
}

/// Every option, in the order of the documentation.
pub const OPTIONS: &[OptionRow] = &joined(ENGINE_OPTIONS, SERVER_OPTIONS);

const fn joined(
    first: &[OptionRow],
    second: &[OptionRow],
) -> [OptionRow; ENGINE_OPTIONS.len() + SERVER_OPTIONS.len()] {
    let mut all = [first[0]; ENGINE_OPTIONS.len() + SERVER_OPTIONS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    all
}

/// The options of the server around the engine.
const SERVER_OPTIONS: &[OptionRow] = &[
    row("host", "127.0.0.1", "Address to listen on.", |c, v| {
        put(&mut c.host, number(v, "an IP address"))
    }),
    row("port", "8000", "Port to listen on; 0 lets the system choose.", |c, v| {
        put(&mut c.port, number(v, "a port from 0 to 65535"))
    }),
    row(
        "model",
        "None",
        "Name of the model: requests for another get 404. `None` serves every name.",
        |c, v| put(&mut c.model, Ok(text(v))),
    ),
    row(
        "max_model_len",
        "131072",
        "Longest prompt and answer together, in tokens; more gets 400.",
        |c, v| put(&mut c.max_model_len, count(v)),
    ),
    row(
        "seed",
        "0",
        "Seed of the answers' tokens, and of their lengths without `ignore_eos`.",
        |c, v| put(&mut c.seed, number(v, "a whole number")),
    ),
    row(
        "output",
        "stable",
        "What answers are made of: `stable` (their text re-tokenizes to the same tokens) or `raw` (any tokens, as a model with random weights).",
        |c, v| {
            c.output = match v {
                "stable" => Output::Stable,
                "raw" => Output::Raw,
                _ => return Err("`stable` or `raw`"),
            };
            Ok(())
        },
    ),
    row(
        "strict_fields",
        "False",
        "Quirk: 400 on any field that TensorRT-LLM does not know.",
        |c, v| put(&mut c.quirks.strict_fields, switch(v)),
    ),
    row(
        "refuse_ignore_eos",
        "False",
        "Quirk: 422 on `ignore_eos`, as Hugging Face serve.",
        |c, v| put(&mut c.quirks.refuse_ignore_eos, switch(v)),
    ),
    row(
        "no_ignore_eos",
        "False",
        "Quirk: `ignore_eos` is taken and does nothing: answers may end early.",
        |c, v| put(&mut c.quirks.no_ignore_eos, switch(v)),
    ),
    row("no_min_tokens", "False", "Quirk: `min_tokens` is taken and does nothing.", |c, v| {
        put(&mut c.quirks.no_min_tokens, switch(v))
    }),
    row(
        "refuse_ids",
        "False",
        "Quirk: 400 on a prompt of token ids, as Hugging Face serve.",
        |c, v| put(&mut c.quirks.refuse_ids, switch(v)),
    ),
    row(
        "no_token_ids",
        "False",
        "Quirk: `return_token_ids` is taken and does nothing, as with llama.cpp.",
        |c, v| put(&mut c.quirks.no_token_ids, switch(v)),
    ),
    row("add_bos", "False", "Quirk: a token is put before every prompt that is text.", |c, v| {
        put(&mut c.quirks.add_bos, switch(v))
    }),
    row("bare", "False", "Quirk: 404 on everything but the two routes for completions.", |c, v| {
        put(&mut c.quirks.bare, switch(v))
    }),
    row("api_key", "None", "Quirk: 401 without this bearer token.", |c, v| {
        put(&mut c.quirks.api_key, Ok(text(v)))
    }),
    row(
        "cached_tokens",
        "present",
        "Quirk: `cached_tokens` in usage is `present`, `absent`, `null`, `omitted_at_zero` or `absent_in_streams`.",
        |c, v| {
            c.quirks.cached_tokens = match v {
                "present" => CachedTokens::Present,
                "absent" => CachedTokens::Absent,
                "null" => CachedTokens::Null,
                "omitted_at_zero" => CachedTokens::OmittedAtZero,
                "absent_in_streams" => CachedTokens::AbsentInStreams,
                _ => {
                    return Err(
                        "`present`, `absent`, `null`, `omitted_at_zero` or `absent_in_streams`",
                    );
                }
            };
            Ok(())
        },
    ),
    row("no_usage", "False", "Quirk: no usage is ever sent.", |c, v| {
        put(&mut c.quirks.no_usage, switch(v))
    }),
    row(
        "usage_with_choices",
        "False",
        "Quirk: final usage rides on a chunk with a text-less choice, as llama.cpp, and without being asked for.",
        |c, v| put(&mut c.quirks.usage_with_choices, switch(v)),
    ),
    row("no_done", "False", "Quirk: streams end without `[DONE]`.", |c, v| {
        put(&mut c.quirks.no_done, switch(v))
    }),
    row(
        "chunk_tokens",
        "1",
        "Quirk: tokens in each chunk of a stream, sent when the last of them is there.",
        |c, v| put(&mut c.quirks.chunk_tokens, number(v, "a whole number of at least 1")),
    ),
    row(
        "empty_first_chunk",
        "False",
        "Quirk: the first token's chunk carries empty text; its text comes with the next.",
        |c, v| put(&mut c.quirks.empty_first_chunk, switch(v)),
    ),
    row(
        "early_role",
        "False",
        "Quirk: the role chunk of a chat stream comes before prefill is done, as Hugging Face serve.",
        |c, v| put(&mut c.quirks.early_role, switch(v)),
    ),
    row(
        "late_headers",
        "False",
        "Quirk: a stream's headers come with its first token instead of at once.",
        |c, v| put(&mut c.quirks.late_headers, switch(v)),
    ),
    row(
        "timings",
        "False",
        "Quirk: every chunk carries `timings` with the tokens so far, as llama.cpp.",
        |c, v| put(&mut c.quirks.timings, switch(v)),
    ),
    row(
        "textless_end",
        "False",
        "Quirk: the last token's chunk carries no text; its text is lost.",
        |c, v| put(&mut c.quirks.textless_end, switch(v)),
    ),
    row(
        "events_per_write",
        "1",
        "Quirk: events of a stream that go out together, as llama.cpp's role and first text do.",
        |c, v| put(&mut c.quirks.events_per_write, number(v, "a whole number of at least 1")),
    ),
    row(
        "buffer_bytes",
        "0",
        "Quirk: a stream is held back until so many bytes are there, as a proxy that buffers does (16384). 0: no.",
        |c, v| put(&mut c.quirks.buffer_bytes, count(v)),
    ),
    row(
        "segment_bytes",
        "0",
        "Quirk: most bytes of one write to a socket, so that anything is cut anywhere. 0: no limit.",
        |c, v| put(&mut c.quirks.segment_bytes, count(v).map(NonZeroUsize::new)),
    ),
    row("crlf", "False", "Quirk: lines of a stream end in CR LF.", |c, v| {
        put(&mut c.quirks.crlf, switch(v))
    }),
    row(
        "comments_ms",
        "0",
        "Quirk: a comment line after so many milliseconds without a token. 0: none.",
        |c, v| put(&mut c.quirks.comments, millis(v).map(some_time)),
    ),
    row("gzip", "False", "Quirk: answers are compressed, asked for or not.", |c, v| {
        put(&mut c.quirks.gzip, switch(v))
    }),
    row(
        "keep_alive_s",
        "0",
        "Quirk: an idle connection is closed after so many seconds (llama.cpp: 5). 0: never.",
        |c, v| put(&mut c.quirks.keep_alive, seconds(v).map(some_time)),
    ),
    row(
        "keep_alive_requests",
        "0",
        "Quirk: a connection is closed after so many requests (llama.cpp: 100). 0: never.",
        |c, v| put(&mut c.quirks.keep_alive_requests, every(v)),
    ),
    row(
        "http2_streams",
        "128",
        "Quirk: requests that a connection of HTTP/2 carries at a time (nginx: 128).",
        |c, v| put(&mut c.quirks.http2_streams, number(v, "a whole number of at least 1")),
    ),
    row(
        "truth_stamps",
        "False",
        "Truth: every chunk of a stream has a field `truth`: its number, when the engine had its tokens, when it was written, how many they are, and the engine's step.",
        |c, v| put(&mut c.truth_stamps, switch(v)),
    ),
    row(
        "truth_log",
        "None",
        "Truth: a file that gets a line of JSON for each request when it is over: arrival, admission, every token, cached tokens, preemptions.",
        |c, v| put(&mut c.truth_log, Ok(text(v).map(Into::into))),
    ),
    row("status", "0", "Fault: this HTTP status instead of an answer. 0: none.", |c, v| {
        put(&mut c.faults.status, status(v))
    }),
    row("status_every", "1", "Fault: `status` strikes every so-manieth request.", |c, v| {
        put(&mut c.faults.status_every, number(v, "a whole number of at least 1"))
    }),
    row("retry_after_s", "1", "Fault: seconds in the `Retry-After` header of a 429.", |c, v| {
        put(&mut c.faults.retry_after_s, number(v, "a whole number"))
    }),
    row(
        "reset_before_headers",
        "0",
        "Fault: every so-manieth request's connection is closed without an answer. 0: none.",
        |c, v| put(&mut c.faults.reset_before_headers, every(v)),
    ),
    row(
        "reset_mid_stream",
        "0",
        "Fault: every so-manieth stream's connection is closed after `fault_tokens`. 0: none.",
        |c, v| put(&mut c.faults.reset_mid_stream, every(v)),
    ),
    row(
        "stall_before_headers",
        "0",
        "Fault: every so-manieth request is never answered. 0: none.",
        |c, v| put(&mut c.faults.stall_before_headers, every(v)),
    ),
    row(
        "stall_mid_stream",
        "0",
        "Fault: every so-manieth stream says nothing more after `fault_tokens`. 0: none.",
        |c, v| put(&mut c.faults.stall_mid_stream, every(v)),
    ),
    row("fault_tokens", "3", "Fault: tokens that a stream sends before it is struck.", |c, v| {
        put(&mut c.faults.fault_tokens, count(v))
    }),
    row(
        "html_page",
        "0",
        "Fault: every so-manieth request gets an HTML page with status 200. 0: none.",
        |c, v| put(&mut c.faults.html_page, every(v)),
    ),
    row(
        "truncated_json",
        "0",
        "Fault: every so-manieth answer ends in the middle of its JSON; a stream after `fault_tokens`. 0: none.",
        |c, v| put(&mut c.faults.truncated_json, every(v)),
    ),
    row(
        "duplicate_chunk",
        "0",
        "Fault: every so-manieth stream sends the chunk after `fault_tokens` twice. 0: none.",
        |c, v| put(&mut c.faults.duplicate_chunk, every(v)),
    ),
    row(
        "spike_every",
        "0",
        "Fault: every so-manieth stream pauses for `spike_ms` after `fault_tokens`. 0: none.",
        |c, v| put(&mut c.faults.spike_every, every(v)),
    ),
    row("spike_ms", "1000", "Fault: milliseconds of that pause.", |c, v| {
        put(&mut c.faults.spike, millis(v))
    }),
    row(
        "wrong_token_count",
        "0",
        "Fault: every so-manieth answer's usage counts one completion token too many. 0: none.",
        |c, v| put(&mut c.faults.wrong_token_count, every(v)),
    ),
    row(
        "accept_then_close",
        "0",
        "Fault: every so-manieth connection is closed as soon as it is accepted. 0: none.",
        |c, v| put(&mut c.faults.accept_then_close, every(v)),
    ),
    row(
        "slow_headers_ms",
        "0",
        "Fault: milliseconds before the headers of every answer, with the engine already at work.",
        |c, v| put(&mut c.faults.slow_headers, millis(v)),
    ),
    row(
        "crash_at_s",
        "0",
        "Fault: after so many seconds every connection is closed and no more are accepted. 0: never.",
        |c, v| put(&mut c.faults.crash_at, seconds(v).map(some_time)),
    ),
    row(
        "restart_at_s",
        "0",
        "Fault: after so many seconds every connection is closed and the engine starts anew with an empty cache. 0: never.",
        |c, v| put(&mut c.faults.restart_at, seconds(v).map(some_time)),
    ),
];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_table_states_the_defaults() {
        for option in OPTIONS {
            let mut config = Config::default();
            config.set(option.name, option.default).unwrap();
            assert_eq!(config, Config::default(), "{}", option.name);
        }
    }

    #[test]
    fn every_preset_is_named_where_one_would_look() {
        let help = OPTIONS.iter().find(|row| row.name == "engine").unwrap().help;
        let refused = Config::default().set("engine", "none").unwrap_err().to_string();
        for preset in crate::engine::PRESETS {
            let name = format!("`{}`", preset.name);
            assert!(help.contains(&name) && refused.contains(&name), "{name}");
        }
    }

    #[test]
    fn every_name_is_in_the_table_once() {
        let mut names: Vec<_> = OPTIONS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPTIONS.len());
    }

    #[test]
    fn values_are_read_in_their_units() {
        let mut config = Config::default();
        let pairs = [
            ("ttft_ms", "7.5"),
            ("prefill_us_per_token", "50"),
            ("keep_alive_s", "5"),
            ("block", "128"),
        ];
        for (key, value) in pairs {
            config.set(key, value).unwrap();
        }
        assert_eq!(config.timing.ttft, Duration::from_micros(7_500));
        assert_eq!(config.timing.prefill, Duration::from_micros(50));
        assert_eq!(config.quirks.keep_alive, Some(Duration::from_secs(5)));
        assert_eq!(config.timing.block.get(), 128);
    }

    #[test]
    fn wrong_values_say_what_was_wanted() {
        let check = |key, value, expected: &str| {
            let message = Config::default().set(key, value).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(
            "ttft_ms",
            "-1",
            "`ttft_ms` of the simulated engine cannot be `-1`: wanted milliseconds",
        );
        check("ttft_ms", "NaN", "wanted milliseconds");
        check("block", "0", "at least 1");
        check("status", "200", "from 400 to 599");
        check("strict_fields", "yes", "`True` or `False`");
        check("tfft_ms", "1", "no option `tfft_ms`");
    }
}
