//! How it is sent.

use super::option::{Group, Kind, OptionRow, row};

/// The options of this group.
pub(super) const ROWS: &[OptionRow] = &[
    row(Group::Wire, "api_key", Kind::Text, None, "Bearer token; OPENAI_API_KEY where not given"),
    row(Group::Wire, "api_key_file", Kind::Path, None, "File that holds the bearer token"),
    row(
        Group::Wire,
        "headers",
        Kind::Map,
        None,
        "headers.NAME=VALUE: an extra header on every request",
    ),
    row(
        Group::Wire,
        "max_retries",
        Kind::Whole,
        Some("0"),
        "Further attempts at a failed request; every attempt is a record",
    ),
    row(Group::Wire, "timeout", Kind::Seconds, Some("600"), "Seconds a whole request may take"),
    row(
        Group::Wire,
        "max_failures",
        Kind::Whole,
        Some("50"),
        "Failed requests in a row that end the run",
    ),
    row(
        Group::Wire,
        "threads",
        Kind::Whole,
        None,
        "Threads that send and receive; without it one for each core but one, and at most one for 64 slots",
    ),
    row(
        Group::Wire,
        "pin",
        Kind::Text,
        None,
        "Cores that these threads are kept on, one each in turn, as in 0,2-5",
    ),
    row(
        Group::Wire,
        "priority",
        Kind::Text,
        None,
        "Nice value of these threads, from -20, the most urgent, to 19",
    ),
    row(
        Group::Wire,
        "stamps",
        Kind::Choice(&["kernel", "read"]),
        Some("kernel"),
        "When an answer's bytes came: when the kernel received them (Linux), or when they were read",
    ),
    row(
        Group::Wire,
        "connection",
        Kind::Choice(&["conversation", "request", "shared"]),
        Some("conversation"),
        "Who keeps a connection: each slot, nobody, or all slots of a thread together",
    ),
    row(
        Group::Wire,
        "http2",
        Kind::Switch,
        Some("False"),
        "Speak HTTP/2 with the server: agreed on under TLS, from the first byte on without; a \
         connection then carries requests of all slots of a thread at a time, unless connection= says otherwise",
    ),
    row(
        Group::Wire,
        "ca_file",
        Kind::Path,
        None,
        "PEM file of certificate authorities to trust besides the system's",
    ),
    row(Group::Wire, "client_cert", Kind::Path, None, "PEM file with client certificate and key"),
    row(
        Group::Wire,
        "insecure",
        Kind::Switch,
        Some("False"),
        "Do not verify the server's certificate",
    ),
    row(
        Group::Wire,
        "preflight",
        Kind::Switch,
        Some("True"),
        "Try before the clock starts what the run needs of the server, with a few short requests",
    ),
    row(
        Group::Wire,
        "selfcheck",
        Kind::Switch,
        Some("True"),
        "Try, once a day, how much this machine's client can receive; a run that comes near it is told so",
    ),
];
