"""Options that functions take by keyword. Made by `cargo xtask generate` from the tables in the source; not edited by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class RunOptions(TypedDict, total=False):
    """Further options of `Client.run` and `Client.sync_run`: those of `trie run`."""

    ramp: float | None
    """Open the slots evenly over this many seconds. Default: 0."""
    start: Literal["cold", "equilibrium"] | None
    """How the run starts: all traces at their first request, or each slot in the middle of a trace, as a clock
    finds it that looks at any time, with its history in the server's cache. Default: cold.
    """
    prime_timeout: float | None
    """Seconds that the server may take for the histories of start=equilibrium, before the clock starts.
    Default: 600.
    """
    drain: float | None
    """Seconds that traces alive at the end may go on; no trace starts in them, and rates end before them.
    Default: 0.
    """
    replicates: int | None
    """Runs, one after another, each with the next seed and a salt of its own; figures are then means over
    them, with intervals. Default: 1.
    """
    against: str | None
    """Base URL of a second server: both are measured in turn (A, B, B, A, ...), never at once, and compared."""
    order: Literal["auto", "file", "shuffle"] | None
    """In which order rows are replayed: as in the file, or drawn from the seed (a session's rows keep theirs);
    auto is the file's, but with replicates= each shuffles anew. Default: auto.
    """
    token_scale: float | None
    """Multiply all token lengths. Default: 1."""
    tool_wait_scale: float | None
    """Multiply waits for tools. Default: 1."""
    user_wait_scale: float | None
    """Multiply waits for people. Default: 1."""
    wait_cap: float | None
    """Longest wait, after scaling."""
    max_turns: int | None
    """Keep this many tool turns of each trace."""
    max_context: int | None
    """Drop requests whose prompt and answer together are longer."""
    cache_tokens: int | str | Sequence[int] | None
    """Capacity of a KV cache, in tokens. `inspect`: to read the curve at, any number of them. `run`: that of
    the server, all its replicas together; where it does not say it itself.
    """
    max_workload_mb: int | None
    """Memory for workloads that cannot be read twice (standard input, .gz, .zst). Default: 1024."""
    strict: bool | None
    """Refuse unknown workload keys; exit 3 on a report with caveats. Default: False."""
    history: Literal["auto", "ids", "stable", "text", "recorded"] | None
    """What later prompts hold for an answer: its token ids (exact), its text (stable: limited to tokens that
    survive re-tokenizing), or our own text; auto: ids where the server can. Default: auto.
    """
    cache_scope: Literal["run", "seed", "none"] | None
    """Who may share cached content: traces of this run, all runs with this seed, or nobody. Default: run."""
    salt: str | None
    """16 hexadecimal digits mixed into all content; drawn and recorded where not given."""
    sampling: Mapping[str, Any] | str | None
    """JSON object merged into every request body, such as {"temperature": 0}."""
    api: Literal["completions", "chat"] | None
    """Which API to call; chat: prompts are messages, each as long as planned with what the model's chat
    template puts around it. Default: completions.
    """
    chat_template: str | os.PathLike[str] | None
    """Jinja file of the chat template that the server uses; the tokenizer's own where not given."""
    api_key_file: str | os.PathLike[str] | None
    """File that holds the bearer token."""
    headers: Mapping[str, Any] | None
    """headers.NAME=VALUE: an extra header on every request."""
    max_failures: int | None
    """Failed requests in a row that end the run. Default: 50."""
    threads: int | None
    """Threads that send and receive; without it one for each core but one, and at most one for 64 slots."""
    pin: str | None
    """Cores that these threads are kept on, one each in turn, as in 0,2-5."""
    priority: str | None
    """Nice value of these threads, from -20, the most urgent, to 19."""
    stamps: Literal["kernel", "read"] | None
    """When an answer's bytes came: when the kernel received them (Linux), or when they were read. Default:
    kernel.
    """
    connection: Literal["conversation", "request", "shared"] | None
    """Who keeps a connection: each slot, nobody, or all slots of a thread together. Default: conversation."""
    http2: bool | None
    """Speak HTTP/2 with the server: agreed on under TLS, from the first byte on without; a connection then
    carries requests of all slots of a thread at a time, unless connection= says otherwise. Default: False.
    """
    ca_file: str | os.PathLike[str] | None
    """PEM file of certificate authorities to trust besides the system's."""
    client_cert: str | os.PathLike[str] | None
    """PEM file with client certificate and key."""
    insecure: bool | None
    """Do not verify the server's certificate. Default: False."""
    preflight: bool | None
    """Try before the clock starts what the run needs of the server, with a few short requests. Default: True."""
    selfcheck: bool | None
    """Try, once a day, how much this machine's client can receive; a run that comes near it is told so.
    Default: True.
    """
    output_dir: str | os.PathLike[str] | None
    """Run directory to make; trie-runs/<time>-<4 hex digits> where not given."""
    chunks: bool | None
    """Keep the stamp and the tokens of every chunk. Default: False."""
    slo: Mapping[str, Any] | None
    """slo.METRIC=LIMIT: an objective, at most LIMIT for ttft_s, ttft_later_turns_s, tpot_ms, stall_ms (every
    request), latency_s, ttfat_s, critical_path_s (traces), at least for decode_tps, cache_hit_rate_pct,
    eligible_cache_hit_rate_pct (traces); the report counts what met all.
    """
    fail_if: str | Sequence[str] | None
    """METRIC[.STAT] > LIMIT[%] or < LIMIT[%]: exit 4 where the whole 95 % interval of the change is beyond;
    any number of them; `run` needs against= for it.
    """
    fail_if_unsure: bool | None
    """Exit 5 where no fail_if= fired and the interval of one straddles its limit. Default: False."""


class ForecastOptions(TypedDict, total=False):
    """Further options of `trie.forecast`: those of `trie forecast`."""

    sim: Mapping[str, Any] | None
    """sim.NAME=VALUE: one setting of the engine, over what engine= says."""
    replicas: int | None
    """Engines behind the router. Default: 1."""
    router: Literal["round_robin", "session", "least_loaded"] | None
    """Which engine gets a request: the next one, always the same one of a trace, or the one with the fewest
    requests. Default: round_robin.
    """
    ramp: float | None
    """Open the slots evenly over this many seconds. Default: 0."""
    start: Literal["cold", "equilibrium"] | None
    """How the run starts: all traces at their first request, or each slot in the middle of a trace, as a clock
    finds it that looks at any time, with its history in the server's cache. Default: cold.
    """
    prime_timeout: float | None
    """Seconds that the server may take for the histories of start=equilibrium, before the clock starts.
    Default: 600.
    """
    drain: float | None
    """Seconds that traces alive at the end may go on; no trace starts in them, and rates end before them.
    Default: 0.
    """
    replicates: int | None
    """Runs, one after another, each with the next seed and a salt of its own; figures are then means over
    them, with intervals. Default: 1.
    """
    order: Literal["auto", "file", "shuffle"] | None
    """In which order rows are replayed: as in the file, or drawn from the seed (a session's rows keep theirs);
    auto is the file's, but with replicates= each shuffles anew. Default: auto.
    """
    token_scale: float | None
    """Multiply all token lengths. Default: 1."""
    tool_wait_scale: float | None
    """Multiply waits for tools. Default: 1."""
    user_wait_scale: float | None
    """Multiply waits for people. Default: 1."""
    wait_cap: float | None
    """Longest wait, after scaling."""
    max_turns: int | None
    """Keep this many tool turns of each trace."""
    max_context: int | None
    """Drop requests whose prompt and answer together are longer."""
    max_workload_mb: int | None
    """Memory for workloads that cannot be read twice (standard input, .gz, .zst). Default: 1024."""
    strict: bool | None
    """Refuse unknown workload keys; exit 3 on a report with caveats. Default: False."""
    history: Literal["auto", "ids", "stable", "text", "recorded"] | None
    """What later prompts hold for an answer: its token ids (exact), its text (stable: limited to tokens that
    survive re-tokenizing), or our own text; auto: ids where the server can. Default: auto.
    """
    cache_scope: Literal["run", "seed", "none"] | None
    """Who may share cached content: traces of this run, all runs with this seed, or nobody. Default: run."""
    salt: str | None
    """16 hexadecimal digits mixed into all content; drawn and recorded where not given."""
    sampling: Mapping[str, Any] | str | None
    """JSON object merged into every request body, such as {"temperature": 0}."""
    api: Literal["completions", "chat"] | None
    """Which API to call; chat: prompts are messages, each as long as planned with what the model's chat
    template puts around it. Default: completions.
    """
    chat_template: str | os.PathLike[str] | None
    """Jinja file of the chat template that the server uses; the tokenizer's own where not given."""
    api_key_file: str | os.PathLike[str] | None
    """File that holds the bearer token."""
    headers: Mapping[str, Any] | None
    """headers.NAME=VALUE: an extra header on every request."""
    max_failures: int | None
    """Failed requests in a row that end the run. Default: 50."""
    threads: int | None
    """Threads that send and receive; without it one for each core but one, and at most one for 64 slots."""
    pin: str | None
    """Cores that these threads are kept on, one each in turn, as in 0,2-5."""
    priority: str | None
    """Nice value of these threads, from -20, the most urgent, to 19."""
    stamps: Literal["kernel", "read"] | None
    """When an answer's bytes came: when the kernel received them (Linux), or when they were read. Default:
    kernel.
    """
    connection: Literal["conversation", "request", "shared"] | None
    """Who keeps a connection: each slot, nobody, or all slots of a thread together. Default: conversation."""
    http2: bool | None
    """Speak HTTP/2 with the server: agreed on under TLS, from the first byte on without; a connection then
    carries requests of all slots of a thread at a time, unless connection= says otherwise. Default: False.
    """
    ca_file: str | os.PathLike[str] | None
    """PEM file of certificate authorities to trust besides the system's."""
    client_cert: str | os.PathLike[str] | None
    """PEM file with client certificate and key."""
    insecure: bool | None
    """Do not verify the server's certificate. Default: False."""
    preflight: bool | None
    """Try before the clock starts what the run needs of the server, with a few short requests. Default: True."""
    selfcheck: bool | None
    """Try, once a day, how much this machine's client can receive; a run that comes near it is told so.
    Default: True.
    """
    output_dir: str | os.PathLike[str] | None
    """Run directory to make; trie-runs/<time>-<4 hex digits> where not given."""
    chunks: bool | None
    """Keep the stamp and the tokens of every chunk. Default: False."""
    slo: Mapping[str, Any] | None
    """slo.METRIC=LIMIT: an objective, at most LIMIT for ttft_s, ttft_later_turns_s, tpot_ms, stall_ms (every
    request), latency_s, ttfat_s, critical_path_s (traces), at least for decode_tps, cache_hit_rate_pct,
    eligible_cache_hit_rate_pct (traces); the report counts what met all.
    """


class CheckOptions(TypedDict, total=False):
    """Further options of `trie.check`: those of `trie check`."""

    ramp: float | None
    """Open the slots evenly over this many seconds. Default: 0."""
    start: Literal["cold", "equilibrium"] | None
    """How the run starts: all traces at their first request, or each slot in the middle of a trace, as a clock
    finds it that looks at any time, with its history in the server's cache. Default: cold.
    """
    prime_timeout: float | None
    """Seconds that the server may take for the histories of start=equilibrium, before the clock starts.
    Default: 600.
    """
    drain: float | None
    """Seconds that traces alive at the end may go on; no trace starts in them, and rates end before them.
    Default: 0.
    """
    replicates: int | None
    """Runs, one after another, each with the next seed and a salt of its own; figures are then means over
    them, with intervals. Default: 1.
    """
    against: str | None
    """Base URL of a second server: both are measured in turn (A, B, B, A, ...), never at once, and compared."""
    order: Literal["auto", "file", "shuffle"] | None
    """In which order rows are replayed: as in the file, or drawn from the seed (a session's rows keep theirs);
    auto is the file's, but with replicates= each shuffles anew. Default: auto.
    """
    token_scale: float | None
    """Multiply all token lengths. Default: 1."""
    tool_wait_scale: float | None
    """Multiply waits for tools. Default: 1."""
    user_wait_scale: float | None
    """Multiply waits for people. Default: 1."""
    wait_cap: float | None
    """Longest wait, after scaling."""
    max_turns: int | None
    """Keep this many tool turns of each trace."""
    max_context: int | None
    """Drop requests whose prompt and answer together are longer."""
    cache_tokens: int | str | Sequence[int] | None
    """Capacity of a KV cache, in tokens. `inspect`: to read the curve at, any number of them. `run`: that of
    the server, all its replicas together; where it does not say it itself.
    """
    strict: bool | None
    """Refuse unknown workload keys; exit 3 on a report with caveats. Default: False."""
    history: Literal["auto", "ids", "stable", "text", "recorded"] | None
    """What later prompts hold for an answer: its token ids (exact), its text (stable: limited to tokens that
    survive re-tokenizing), or our own text; auto: ids where the server can. Default: auto.
    """
    cache_scope: Literal["run", "seed", "none"] | None
    """Who may share cached content: traces of this run, all runs with this seed, or nobody. Default: run."""
    salt: str | None
    """16 hexadecimal digits mixed into all content; drawn and recorded where not given."""
    sampling: Mapping[str, Any] | str | None
    """JSON object merged into every request body, such as {"temperature": 0}."""
    api: Literal["completions", "chat"] | None
    """Which API to call; chat: prompts are messages, each as long as planned with what the model's chat
    template puts around it. Default: completions.
    """
    chat_template: str | os.PathLike[str] | None
    """Jinja file of the chat template that the server uses; the tokenizer's own where not given."""
    api_key_file: str | os.PathLike[str] | None
    """File that holds the bearer token."""
    headers: Mapping[str, Any] | None
    """headers.NAME=VALUE: an extra header on every request."""
    max_failures: int | None
    """Failed requests in a row that end the run. Default: 50."""
    threads: int | None
    """Threads that send and receive; without it one for each core but one, and at most one for 64 slots."""
    pin: str | None
    """Cores that these threads are kept on, one each in turn, as in 0,2-5."""
    priority: str | None
    """Nice value of these threads, from -20, the most urgent, to 19."""
    stamps: Literal["kernel", "read"] | None
    """When an answer's bytes came: when the kernel received them (Linux), or when they were read. Default:
    kernel.
    """
    connection: Literal["conversation", "request", "shared"] | None
    """Who keeps a connection: each slot, nobody, or all slots of a thread together. Default: conversation."""
    http2: bool | None
    """Speak HTTP/2 with the server: agreed on under TLS, from the first byte on without; a connection then
    carries requests of all slots of a thread at a time, unless connection= says otherwise. Default: False.
    """
    ca_file: str | os.PathLike[str] | None
    """PEM file of certificate authorities to trust besides the system's."""
    client_cert: str | os.PathLike[str] | None
    """PEM file with client certificate and key."""
    insecure: bool | None
    """Do not verify the server's certificate. Default: False."""
    preflight: bool | None
    """Try before the clock starts what the run needs of the server, with a few short requests. Default: True."""
    selfcheck: bool | None
    """Try, once a day, how much this machine's client can receive; a run that comes near it is told so.
    Default: True.
    """
    output_dir: str | os.PathLike[str] | None
    """Run directory to make; trie-runs/<time>-<4 hex digits> where not given."""
    chunks: bool | None
    """Keep the stamp and the tokens of every chunk. Default: False."""
    slo: Mapping[str, Any] | None
    """slo.METRIC=LIMIT: an objective, at most LIMIT for ttft_s, ttft_later_turns_s, tpot_ms, stall_ms (every
    request), latency_s, ttfat_s, critical_path_s (traces), at least for decode_tps, cache_hit_rate_pct,
    eligible_cache_hit_rate_pct (traces); the report counts what met all.
    """
    fail_if: str | Sequence[str] | None
    """METRIC[.STAT] > LIMIT[%] or < LIMIT[%]: exit 4 where the whole 95 % interval of the change is beyond;
    any number of them; `run` needs against= for it.
    """
    fail_if_unsure: bool | None
    """Exit 5 where no fail_if= fired and the interval of one straddles its limit. Default: False."""
