"""The contents of summary.json, as typed objects. Made by `cargo xtask generate` from the tables in the source; not edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ._cells import Cell, Metrics

CheckId = Literal[
    "client_lag",
    "send_lateness",
    "connections",
    "token_drift",
    "output_length",
    "chunk_counts",
    "cache_field",
    "warm_cache",
    "failed_traces",
    "population",
    "records",
    "steady_state",
    "metastability",
    "cache_room",
    "censoring",
    "sample_size",
    "retries",
    "runtime_stall",
    "client_cpu",
    "core_wait",
    "client_capacity",
    "coalescing",
    "clock",
    "idle_at_start",
    "priming",
]

Reason = Literal[
    "deadline",
    "interrupted",
    "max_failures",
    "failed",
]

Status = Literal[
    "fail",
    "warn",
    "pass",
    "unknown",
]

ToldBy = Literal[
    "option",
    "server",
    "engine",
]

Trust = Literal[
    "yes",
    "caveats",
    "no",
]


@dataclass(frozen=True)
class Accounting:
    """What the numbers stand on. Shares are 0 to 1."""

    cache_coverage: Cell
    """Share of the finished requests that said how many tokens came from the cache."""
    cached_expected_tokens: int
    """Cached tokens as expected, over the same requests."""
    cached_reported_tokens: int
    """Cached tokens as reported, over the requests that said."""
    cached_stand_in_tokens: int
    """Expected cached tokens of the requests that did not say; in the throughput rows they stand in as far as
    the others kept to what was expected.
    """
    client_lag_max_ms: Cell
    """Read minus kernel stamp, the largest, in milliseconds."""
    client_lag_p50_ms: Cell
    """Read minus kernel stamp of every read, median, in milliseconds."""
    client_lag_p99_ms: Cell
    """Read minus kernel stamp, 99 % quantile, in milliseconds."""
    clock_steps: int
    """How often the clock of the kernel's stamps was set while the run went on."""
    completion_drift_tokens: int
    """Reported minus planned answer tokens, over finished requests with usage."""
    completion_exact: Cell
    """Share of the finished requests with usage whose answer had exactly the planned length."""
    connects_after_intent: int
    """Connections that were opened after their request was due."""
    decode_left_out: int
    """Finished requests left out of decode speed: one chunk, one instant, or no count."""
    excess_tokens: int
    """Tokens counted on arrival that no usage counts."""
    held_s: float
    """How long those slots waited, all together, in seconds."""
    held_traces: int
    """Traces whose slot waited because an earlier row of their session was alive."""
    late_chunks: int
    """Token chunks that came in a read together with an earlier one."""
    merged_reads: Cell
    """Share (0 to 1) of reads that brought several token chunks of one stream: all but the last of them
    arrived earlier than their stamp says.
    """
    prompt_drift_tokens: int
    """Reported minus planned prompt tokens, over finished requests with usage."""
    prompt_exact: Cell
    """Share of the finished requests with usage whose prompt had exactly the planned length."""
    prompt_from_plan: int
    """Requests whose planned prompt length stood in for a missing one in the throughput rows."""
    queue_full: int
    """How often the recorder's queue was found full."""
    request_failures: dict[str, int]
    """Failed attempts by kind."""
    requests: dict[str, int]
    """Attempts of requests, by how they ended."""
    retries: int
    """Attempts after the first."""
    send_lateness_p50_ms: Cell
    """`sent` minus `intent`, median, in milliseconds."""
    send_lateness_p99_ms: Cell
    """`sent` minus `intent`, 99 % quantile, in milliseconds."""
    stale_resends: int
    """Requests sent again because the kept connection had closed."""
    stamp_sources: dict[str, int]
    """Which clock stamped the chunks."""
    token_sources: dict[str, int]
    """Where the per-chunk token counts came from."""
    ttft_later_left_out: int
    """Requests after the first of their trace that still waited for their first token when the run ended:
    their waits are missing from TTFT of later turns.
    """
    uncounted_tokens: int
    """Answer tokens that no chunk was known to hold when it arrived."""
    usage_missing: int
    """Finished requests whose usage was missing."""
    window_wait_s: float | None
    """How long they waited, all together, in seconds."""
    window_waits: int | None
    """HTTP/2: requests that waited on their way for the server's leave to send more; left out where none did."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Accounting:
        """From its JSON."""
        return cls(
            cache_coverage=Cell.of(at["cache_coverage"]),
            cached_expected_tokens=at["cached_expected_tokens"],
            cached_reported_tokens=at["cached_reported_tokens"],
            cached_stand_in_tokens=at["cached_stand_in_tokens"],
            client_lag_max_ms=Cell.of(at["client_lag_max_ms"]),
            client_lag_p50_ms=Cell.of(at["client_lag_p50_ms"]),
            client_lag_p99_ms=Cell.of(at["client_lag_p99_ms"]),
            clock_steps=at["clock_steps"],
            completion_drift_tokens=at["completion_drift_tokens"],
            completion_exact=Cell.of(at["completion_exact"]),
            connects_after_intent=at["connects_after_intent"],
            decode_left_out=at["decode_left_out"],
            excess_tokens=at.get("excess_tokens", 0),
            held_s=at.get("held_s", 0.0),
            held_traces=at.get("held_traces", 0),
            late_chunks=at["late_chunks"],
            merged_reads=Cell.of(at["merged_reads"]),
            prompt_drift_tokens=at["prompt_drift_tokens"],
            prompt_exact=Cell.of(at["prompt_exact"]),
            prompt_from_plan=at["prompt_from_plan"],
            queue_full=at["queue_full"],
            request_failures=dict(at["request_failures"]),
            requests=dict(at["requests"]),
            retries=at["retries"],
            send_lateness_p50_ms=Cell.of(at["send_lateness_p50_ms"]),
            send_lateness_p99_ms=Cell.of(at["send_lateness_p99_ms"]),
            stale_resends=at["stale_resends"],
            stamp_sources=dict(at["stamp_sources"]),
            token_sources=dict(at["token_sources"]),
            ttft_later_left_out=at["ttft_later_left_out"],
            uncounted_tokens=at.get("uncounted_tokens", 0),
            usage_missing=at["usage_missing"],
            window_wait_s=at.get("window_wait_s"),
            window_waits=at.get("window_waits"),
        )


@dataclass(frozen=True)
class Bounds:
    """A value with all that is unknown counted as bad, and as good."""

    high: Cell
    """If all of it was good."""
    low: Cell
    """If nothing of it was good."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Bounds:
        """From its JSON."""
        return cls(
            high=Cell.of(at["high"]),
            low=Cell.of(at["low"]),
        )


@dataclass(frozen=True)
class CacheRoom:
    """The contexts that a server had to keep, and the room that it has for them. A trace's context is the
    prompt and the answer of its latest request, of all its lanes; what a lane took over from another one is
    counted once. It is held from that request to the next one, and in flight until the answer is complete.
    Means and maxima are over the window of the steady-state column, maxima of a second's mean.
    """

    expected_tokens: float
    """The same if the requests of the window had been as long as those of the whole workload are on average:
    what is to be expected in the long run.
    """
    held_tokens: float
    """Contexts of the traces alive, those between two requests too, in tokens."""
    held_tokens_max: float
    """The most of them."""
    in_flight_tokens: float
    """Of the contexts held, those of requests in flight."""
    in_flight_tokens_max: float
    """The most of them."""
    kv_cache: KvCache | None
    """The size of the server's KV cache; `null` where nobody said."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> CacheRoom:
        """From its JSON."""
        return cls(
            expected_tokens=at["expected_tokens"],
            held_tokens=at["held_tokens"],
            held_tokens_max=at["held_tokens_max"],
            in_flight_tokens=at["in_flight_tokens"],
            in_flight_tokens_max=at["in_flight_tokens_max"],
            kv_cache=None if at.get("kv_cache") is None else KvCache.of(at["kv_cache"]),
        )


@dataclass(frozen=True)
class Check:
    """One check of a run."""

    advice: str
    """What to do; empty when it passed."""
    id: CheckId
    """Which."""
    status: Status
    """What it found."""
    threshold: str
    """Where it warns and where it fails, in words."""
    value: Cell
    """What was measured; the threshold names the unit."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Check:
        """From its JSON."""
        return cls(
            advice=at["advice"],
            id=at["id"],
            status=at["status"],
            threshold=at["threshold"],
            value=Cell.of(at["value"]),
        )


@dataclass(frozen=True)
class Distribution:
    """A metric's distribution."""

    failed_never_finish: Distribution | None
    """The same if failed traces count as never finished; there when over 1 % failed."""
    max: Cell
    """Largest value."""
    mean: Cell
    """Mean; for Kaplan-Meier the area under the curve up to the largest time."""
    min: Cell
    """Smallest value."""
    n: int
    """How many values."""
    n_effective: float
    """How many independent values they are worth; events for Kaplan-Meier."""
    p50: Cell
    """Median."""
    p90: Cell
    """90 % quantile."""
    p95: Cell
    """95 % quantile."""
    p99: Cell
    """99 % quantile."""
    unit: str
    """Unit of every cell."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Distribution:
        """From its JSON."""
        return cls(
            failed_never_finish=None if at.get("failed_never_finish") is None else Distribution.of(at["failed_never_finish"]),
            max=Cell.of(at["max"]),
            mean=Cell.of(at["mean"]),
            min=Cell.of(at["min"]),
            n=at["n"],
            n_effective=at["n_effective"],
            p50=Cell.of(at["p50"]),
            p90=Cell.of(at["p90"]),
            p95=Cell.of(at["p95"]),
            p99=Cell.of(at["p99"]),
            unit=at["unit"],
        )


@dataclass(frozen=True)
class GoodShare:
    """What became of traces or requests: n = good + bad + failed + unknown."""

    bad: int
    """Broke one, finished or cut off."""
    broke: dict[str, int]
    """How many broke which objective; one can break several."""
    failed: int
    """Failed."""
    good: int
    """Ended well, and met every objective."""
    n: int
    """All of them."""
    per_s: Bounds
    """Those that were good by the deadline, per second of the window."""
    share_pct: Bounds
    """Good ones in percent of all."""
    unknown: int
    """Cut off before it was known, or a server did not say what it takes to know."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> GoodShare:
        """From its JSON."""
        return cls(
            bad=at["bad"],
            broke=dict(at["broke"]),
            failed=at["failed"],
            good=at["good"],
            n=at["n"],
            per_s=Bounds.of(at["per_s"]),
            share_pct=Bounds.of(at["share_pct"]),
            unknown=at["unknown"],
        )


@dataclass(frozen=True)
class Goodput:
    """How much met the objectives. What failed did not; of what was cut off, only what had already broken one
    is known: the rest makes the difference between the two bounds.
    """

    completion_tok_per_s: Bounds
    """Answer tokens of good requests that arrived in the window, per second."""
    jobs_per_h_gpu: Bounds | None
    """Good traces per hour and GPU; without `num_gpus` none."""
    jobs_per_h_user: Bounds
    """Traces that were good by the deadline, per hour and slot."""
    objectives: dict[str, float]
    """Limits by metric, in the metric's unit."""
    per_request: GoodShare
    """Requests (attempts) due in the window."""
    per_trace: GoodShare
    """Traces admitted in the window, but those that were entered in the middle of their life. One is good that
    completed, whose requests were good, and that kept every objective of traces.
    """

    @classmethod
    def of(cls, at: dict[str, Any]) -> Goodput:
        """From its JSON."""
        return cls(
            completion_tok_per_s=Bounds.of(at["completion_tok_per_s"]),
            jobs_per_h_gpu=None if at.get("jobs_per_h_gpu") is None else Bounds.of(at["jobs_per_h_gpu"]),
            jobs_per_h_user=Bounds.of(at["jobs_per_h_user"]),
            objectives=dict(at["objectives"]),
            per_request=GoodShare.of(at["per_request"]),
            per_trace=GoodShare.of(at["per_trace"]),
        )


@dataclass(frozen=True)
class KvCache:
    """The size of a server's KV cache."""

    block_size: int | None
    """Tokens of one of its blocks, where an engine is simulated; of a server the preflight says it."""
    tokens: int
    """Tokens that it holds, of all its replicas together."""
    told_by: ToldBy
    """Who says so."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> KvCache:
        """From its JSON."""
        return cls(
            block_size=at.get("block_size"),
            tokens=at["tokens"],
            told_by=at["told_by"],
        )


@dataclass(frozen=True)
class Populations:
    """What became of the traces: admitted = completed + failed + cut off."""

    admitted: int
    """Given a slot."""
    completed: int
    """Every step ended well."""
    cut_off: int
    """Alive at the end."""
    entered: int
    """Of those admitted, the ones that were entered in the middle of their life: latency, TTFT and TTFAT leave
    them out.
    """
    failed: dict[str, int]
    """By kind of failure."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Populations:
        """From its JSON."""
        return cls(
            admitted=at["admitted"],
            completed=at["completed"],
            cut_off=at["cut_off"],
            entered=at.get("entered", 0),
            failed=dict(at["failed"]),
        )


@dataclass(frozen=True)
class Replicate:
    """One of several runs."""

    dir: str
    """Its run directory, below that of all."""
    ending: Reason | None
    """How it ended; `null`: it was killed."""
    plan_sha256: str
    """sha256 of its plan."""
    seed: int
    """Its seed."""
    started_at: str
    """When it started, RFC 3339."""
    steady_state: SteadyState | None
    """Its steady state."""
    trust: Trust
    """Its verdict."""
    used: bool
    """Whether the figures hold it."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Replicate:
        """From its JSON."""
        return cls(
            dir=at["dir"],
            ending=at.get("ending"),
            plan_sha256=at["plan_sha256"],
            seed=at["seed"],
            started_at=at["started_at"],
            steady_state=None if at.get("steady_state") is None else SteadyState.of(at["steady_state"]),
            trust=at["trust"],
            used=at["used"],
        )


@dataclass(frozen=True)
class Replicates:
    """Runs of one workload and the same options, each with a seed of its own."""

    planned: int
    """How many were asked for."""
    runs: list[Replicate]
    """Each of them, in the order of their seeds."""
    used: int
    """How many the figures are of: those that went on to their deadline."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Replicates:
        """From its JSON."""
        return cls(
            planned=at["planned"],
            runs=[Replicate.of(v) for v in at["runs"]],
            used=at["used"],
        )


@dataclass(frozen=True)
class RunFacts:
    """What was run: the manifest's essentials."""

    concurrency: int
    """Traces kept alive, over all runs."""
    content_version: int
    """Version of the content rule."""
    duration_s: float
    """Planned length, in seconds."""
    endings: list[Reason | None]
    """How each run ended; `null`: it was killed and its records are what is left."""
    history: str
    """Rung of the history ladder."""
    model: str
    """Model name sent to the endpoint."""
    notes: list[str]
    """What the user should know, in words."""
    num_gpus: int | None
    """GPUs behind the endpoint."""
    plan_sha256: str
    """sha256 of the plan."""
    runs: int
    """How many runs (shards) were merged."""
    seed: int
    """Seed of the plan."""
    simulated: str | None
    """The simulated engine, if no endpoint was measured."""
    started_at: str
    """Wall-clock time of the first run's start, RFC 3339."""
    stream: bool
    """Whether answers were streamed."""
    wall_time_s: float
    """Time from start to end, cancelling included, in seconds."""
    window_s: float
    """Length of the window that was measured, in seconds."""
    workload: WorkloadFacts
    """The workload file."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> RunFacts:
        """From its JSON."""
        return cls(
            concurrency=at["concurrency"],
            content_version=at["content_version"],
            duration_s=at["duration_s"],
            endings=list(at["endings"]),
            history=at["history"],
            model=at["model"],
            notes=list(at["notes"]),
            num_gpus=at.get("num_gpus"),
            plan_sha256=at["plan_sha256"],
            runs=at["runs"],
            seed=at["seed"],
            simulated=at.get("simulated"),
            started_at=at["started_at"],
            stream=at["stream"],
            wall_time_s=at["wall_time_s"],
            window_s=at["window_s"],
            workload=WorkloadFacts.of(at["workload"]),
        )


@dataclass(frozen=True)
class SteadyState:
    """Whether the slots of a run were in a steady state."""

    age_requests: float
    """Requests that the traces in the slots had sent, on average over the run."""
    age_requests_expected: float | None
    """The same in a steady state, by the lengths of the traces admitted."""
    deviations: float
    """Least likely change of the slots' state over the whole run, as normal deviations (at most 10)."""
    errors: dict[str, float]
    """Standard errors of the steady-state column, by metric and in its unit: from the thirds of its window and
    from the slots. Lower bounds, where traces last long against a third of the window.
    """
    from_s: float | None
    """From when on the steady-state column is, in seconds; `null`: none was reached, and the column is from 20
    % of the window on.
    """
    halves: float | None
    """Answer tokens a second of the later half of the run over those of the earlier one, the first tenth left
    out; `null` where that had none.
    """

    @classmethod
    def of(cls, at: dict[str, Any]) -> SteadyState:
        """From its JSON."""
        return cls(
            age_requests=at["age_requests"],
            age_requests_expected=at.get("age_requests_expected"),
            deviations=at["deviations"],
            errors=dict(at.get("errors", {})),
            from_s=at.get("from_s"),
            halves=at.get("halves"),
        )


@dataclass(frozen=True)
class Throughput:
    """A metric of the whole run over several windows. Windows that make no sense for it are absent."""

    last_30s: Cell | None
    """Over the window's last 30 s."""
    overall: Cell
    """Over the whole window, from the start to the deadline."""
    steady_state: Cell | None
    """From 20 % of the window to its end."""
    steady_state_per_gpu: Cell | None
    """The same per GPU."""
    unit: str
    """Unit of every cell."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Throughput:
        """From its JSON."""
        return cls(
            last_30s=None if at.get("last_30s") is None else Cell.of(at["last_30s"]),
            overall=Cell.of(at["overall"]),
            steady_state=None if at.get("steady_state") is None else Cell.of(at["steady_state"]),
            steady_state_per_gpu=None if at.get("steady_state_per_gpu") is None else Cell.of(at["steady_state_per_gpu"]),
            unit=at["unit"],
        )


@dataclass(frozen=True)
class Verdict:
    """Whether the numbers can be believed."""

    checks: list[Check]
    """Every check that was made; those that failed first."""
    trust: Trust
    """In one word."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Verdict:
        """From its JSON."""
        return cls(
            checks=[Check.of(v) for v in at["checks"]],
            trust=at["trust"],
        )


@dataclass(frozen=True)
class WorkloadFacts:
    """The workload file as it was read."""

    completion_tokens: int
    """Answer tokens of one pass, after scaling."""
    max_context_tokens: int
    """The longest prompt plus answer, after scaling."""
    path: str
    """As given."""
    prompt_tokens: int
    """Prompt tokens of one pass, after scaling."""
    requests: int
    """Requests of one pass over the file, after scaling."""
    rows: int
    """Traces in the file."""
    sha256: str
    """Of the file's bytes (uncompressed content for `.gz` and `.zst`)."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> WorkloadFacts:
        """From its JSON."""
        return cls(
            completion_tokens=at["completion_tokens"],
            max_context_tokens=at["max_context_tokens"],
            path=at["path"],
            prompt_tokens=at["prompt_tokens"],
            requests=at["requests"],
            rows=at["rows"],
            sha256=at["sha256"],
        )


@dataclass(frozen=True)
class Summary:
    """Everything a report says."""

    accounting: Accounting
    """What the numbers stand on."""
    cache_room: CacheRoom | None
    """How much context the server had to keep; absent where the window has no length."""
    goodput: Goodput | None
    """How much met the objectives; absent where there are none."""
    per_request: PerRequest
    """Metrics with one value per request or token."""
    per_trace: PerTrace
    """Metrics with one value per trace."""
    populations: Populations
    """What became of the traces."""
    replicates: Replicates | None
    """Of several runs with seeds of their own: which they are. Every figure is then the mean over them, with a
    95 % interval by Student's t, but for `min` and `max`, which are those of all of them, and counts, which
    are sums.
    """
    run: RunFacts
    """What was run."""
    schema: str
    """Name and version of the format: `trie.summary/1`."""
    seed: dict[str, float]
    """The original harness's own values under its own keys."""
    steady_state: SteadyState | None
    """Whether a steady state was reached; absent where there is too little to say."""
    verdict: Verdict
    """Whether the numbers can be believed."""
    workload: WorkloadMetrics
    """Metrics of the whole run."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Summary:
        """From its JSON."""
        return cls(
            accounting=Accounting.of(at["accounting"]),
            cache_room=None if at.get("cache_room") is None else CacheRoom.of(at["cache_room"]),
            goodput=None if at.get("goodput") is None else Goodput.of(at["goodput"]),
            per_request=PerRequest({k: Distribution.of(v) for k, v in at["per_request"].items()}),
            per_trace=PerTrace({k: Distribution.of(v) for k, v in at["per_trace"].items()}),
            populations=Populations.of(at["populations"]),
            replicates=None if at.get("replicates") is None else Replicates.of(at["replicates"]),
            run=RunFacts.of(at["run"]),
            schema=at["schema"],
            seed=dict(at["seed"]),
            steady_state=None if at.get("steady_state") is None else SteadyState.of(at["steady_state"]),
            verdict=Verdict.of(at["verdict"]),
            workload=WorkloadMetrics({k: Throughput.of(v) for k, v in at["workload"].items()}),
        )


class PerTrace(Metrics[Distribution]):
    """Metrics with a value per trace."""

    @property
    def latency_s(self) -> Distribution:
        """Latency (s): latest end of any step minus intent of the first; Kaplan-Meier, censored where the
        trace was cut off or failed. Unit: s.
        """
        return self._named("latency_s")

    @property
    def ttft_s(self) -> Distribution:
        """TTFT (s): first generated token of any channel of the first step minus the intent of the trace;
        Kaplan-Meier. Unit: s.
        """
        return self._named("ttft_s")

    @property
    def ttfat_s(self) -> Distribution:
        """TTFAT (s): first generated token of the root lane's last step minus the intent of the trace;
        Kaplan-Meier. Unit: s.
        """
        return self._named("ttfat_s")

    @property
    def decode_tps(self) -> Distribution:
        """Decode TPS (tok/s): mean over the trace's finished requests of (tokens - tokens of the first chunk)
        / (last token - first token); requests whose tokens came in one chunk or at one instant are left out
        and counted. Unit: tok/s.
        """
        return self._named("decode_tps")

    @property
    def cache_hit_rate_pct(self) -> Distribution:
        """Cache hit rate (%): sum of cached prompt tokens / sum of prompt tokens, over the trace's finished
        requests whose usage said both. Unit: %.
        """
        return self._named("cache_hit_rate_pct")

    @property
    def eligible_cache_hit_rate_pct(self) -> Distribution:
        """Eligible cache hit rate (%): sum of min(cached, eligible) / sum of eligible over the trace's
        finished requests after the first whose usage said cached tokens; eligible = tokens taken over from the
        step's context. Unit: %.
        """
        return self._named("eligible_cache_hit_rate_pct")

    @property
    def latency_s_completed(self) -> Distribution:
        """Latency, completed only (s): latency of the traces that completed; too short whenever traces were
        cut off. Unit: s.
        """
        return self._named("latency_s_completed")

    @property
    def critical_path_s(self) -> Distribution:
        """Critical path (s): how long a completed trace waited for the server: from its latest end back
        through the requests that each let the next one go, without the waits for tools and people between
        them; waits before another attempt count. Unit: s.
        """
        return self._named("critical_path_s")

    @property
    def output_tokens_per_trace(self) -> Distribution:
        """Output tokens/trace: answer tokens of a completed trace. Unit: tok."""
        return self._named("output_tokens_per_trace")


class PerRequest(Metrics[Distribution]):
    """Metrics with a value per request or token."""

    @property
    def ttft_later_turns_s(self) -> Distribution:
        """TTFT, later turns (s): first generated token of a step after the first minus the attempt's own
        intent, over all attempts with a token. Unit: s.
        """
        return self._named("ttft_later_turns_s")

    @property
    def ttft_turns_2_to_5_s(self) -> Distribution:
        """TTFT, turns 2-5 (s): the same of turns 2 to 5 of their trace. Unit: s."""
        return self._named("ttft_turns_2_to_5_s")

    @property
    def ttft_turns_6_to_20_s(self) -> Distribution:
        """TTFT, turns 6-20 (s): the same of turns 6 to 20 of their trace. Unit: s."""
        return self._named("ttft_turns_6_to_20_s")

    @property
    def ttft_turns_from_21_s(self) -> Distribution:
        """TTFT, turns 21+ (s): the same of turns from 21 on. Unit: s."""
        return self._named("ttft_turns_from_21_s")

    @property
    def ttft_prompt_below_4k_s(self) -> Distribution:
        """TTFT, prompt < 4k (s): the same of all turns whose planned prompt has fewer than 4,096 tokens. Unit:
        s.
        """
        return self._named("ttft_prompt_below_4k_s")

    @property
    def ttft_prompt_4k_to_16k_s(self) -> Distribution:
        """TTFT, prompt 4k-16k (s): the same of all turns whose planned prompt has 4,096 to 16,383 tokens.
        Unit: s.
        """
        return self._named("ttft_prompt_4k_to_16k_s")

    @property
    def ttft_prompt_16k_to_64k_s(self) -> Distribution:
        """TTFT, prompt 16k-64k (s): the same of all turns whose planned prompt has 16,384 to 65,535 tokens.
        Unit: s.
        """
        return self._named("ttft_prompt_16k_to_64k_s")

    @property
    def ttft_prompt_from_64k_s(self) -> Distribution:
        """TTFT, prompt 64k+ (s): the same of all turns whose planned prompt has at least 65,536 tokens. Unit:
        s.
        """
        return self._named("ttft_prompt_from_64k_s")

    @property
    def ttft_root_lane_s(self) -> Distribution:
        """TTFT, root lane (s): first generated token minus intent, requests of the lane that the trace begins
        with. Unit: s.
        """
        return self._named("ttft_root_lane_s")

    @property
    def ttft_other_lanes_s(self) -> Distribution:
        """TTFT, other lanes (s): first generated token minus intent, requests of every other lane (subagents).
        Unit: s.
        """
        return self._named("ttft_other_lanes_s")

    @property
    def lane_latency_s(self) -> Distribution:
        """Lane latency (s): latest end minus first intent of each lane of a completed trace with several
        lanes. Unit: s.
        """
        return self._named("lane_latency_s")

    @property
    def join_wait_s(self) -> Distribution:
        """Join wait (s): of a step that waits for several branches: from when the first of them was ready to
        when the last one was. Unit: s.
        """
        return self._named("join_wait_s")

    @property
    def tpot_ms(self) -> Distribution:
        """TPOT (ms/tok): (last token - first token) / (tokens - tokens of the first chunk) of a finished
        request. Unit: ms/tok.
        """
        return self._named("tpot_ms")

    @property
    def itl_ms(self) -> Distribution:
        """ITL (ms): gap before a chunk of k tokens / k, entered k times; first chunks never; all requests,
        also those cut off. Unit: ms.
        """
        return self._named("itl_ms")

    @property
    def stall_ms(self) -> Distribution:
        """Stall (ms): longest gap between two token chunks of a finished request. Unit: ms."""
        return self._named("stall_ms")

    @property
    def output_tokens_per_turn(self) -> Distribution:
        """Output tokens/turn: answer tokens of a finished request: by the server's usage, else as counted.
        Unit: tok.
        """
        return self._named("output_tokens_per_turn")

    @property
    def reuse_loss_tokens(self) -> Distribution:
        """Reuse loss (tok): eligible tokens in whole blocks of the server's cache - cached tokens, at least 0,
        of a finished request that takes over context: what was prefilled again. Unit: tok.
        """
        return self._named("reuse_loss_tokens")


class WorkloadMetrics(Metrics[Throughput]):
    """Metrics of the whole run."""

    @property
    def total_prompt_tok_per_s(self) -> Throughput:
        """total prompt tok/s: prompt tokens, credited at the first token of their request (at the end of one
        not streamed), per second; by the server's usage, else by the plan. Unit: tok/s.
        """
        return self._named("total_prompt_tok_per_s")

    @property
    def cached_prompt_tok_per_s(self) -> Throughput:
        """cached prompt tok/s: of these, tokens from the server's cache; as reported, else the expected ones
        times reported/expected of the answers that said, and marked. Unit: tok/s.
        """
        return self._named("cached_prompt_tok_per_s")

    @property
    def uncached_prompt_tok_per_s(self) -> Throughput:
        """uncached prompt tok/s: total minus cached prompt tokens per second. Unit: tok/s."""
        return self._named("uncached_prompt_tok_per_s")

    @property
    def completion_tok_per_s(self) -> Throughput:
        """completion tok/s: answer tokens, credited when they arrive, per second. Unit: tok/s."""
        return self._named("completion_tok_per_s")

    @property
    def trace_per_s(self) -> Throughput:
        """trace/s: traces completed in the window per second. Unit: 1/s."""
        return self._named("trace_per_s")

    @property
    def little_trace_per_s(self) -> Throughput:
        """trace/s by work done: sum over traces of (prompt and answer tokens served in the window / planned
        tokens) per second. Unit: 1/s.
        """
        return self._named("little_trace_per_s")

    @property
    def achieved_concurrency(self) -> Throughput:
        """achieved concurrency: seconds that traces were alive in the window / length of the window. Unit:
        traces.
        """
        return self._named("achieved_concurrency")

    @property
    def in_flight_prompt_tokens(self) -> Throughput:
        """prompt tokens in flight: sum over requests of prompt tokens x seconds in flight in the window /
        length of the window. Unit: tok.
        """
        return self._named("in_flight_prompt_tokens")

    @property
    def think_time_pct(self) -> Throughput:
        """think time (%): share of the traces' life without a request in flight; traces of one lane only.
        Unit: %.
        """
        return self._named("think_time_pct")

    @property
    def jobs_per_h_user(self) -> Throughput:
        """jobs/h/user: traces completed in the window x 3600 / (window x concurrency). Unit: 1/h."""
        return self._named("jobs_per_h_user")

    @property
    def jobs_per_h_gpu(self) -> Throughput:
        """jobs/h/GPU: traces completed in the window x 3600 / (window x num_gpus). Unit: 1/h."""
        return self._named("jobs_per_h_gpu")


#: Key, title, unit, decimals.
CATALOGUE: list[tuple[str, str, str, int]] = [
    ("latency_s", "Latency (s)", "s", 3),
    ("ttft_s", "TTFT (s)", "s", 3),
    ("ttfat_s", "TTFAT (s)", "s", 3),
    ("decode_tps", "Decode TPS (tok/s)", "tok/s", 2),
    ("cache_hit_rate_pct", "Cache hit rate (%)", "%", 1),
    ("eligible_cache_hit_rate_pct", "Eligible cache hit rate (%)", "%", 1),
    ("latency_s_completed", "Latency, completed only (s)", "s", 3),
    ("critical_path_s", "Critical path (s)", "s", 3),
    ("output_tokens_per_trace", "Output tokens/trace", "tok", 1),
    ("ttft_later_turns_s", "TTFT, later turns (s)", "s", 3),
    ("ttft_turns_2_to_5_s", "TTFT, turns 2-5 (s)", "s", 3),
    ("ttft_turns_6_to_20_s", "TTFT, turns 6-20 (s)", "s", 3),
    ("ttft_turns_from_21_s", "TTFT, turns 21+ (s)", "s", 3),
    ("ttft_prompt_below_4k_s", "TTFT, prompt < 4k (s)", "s", 3),
    ("ttft_prompt_4k_to_16k_s", "TTFT, prompt 4k-16k (s)", "s", 3),
    ("ttft_prompt_16k_to_64k_s", "TTFT, prompt 16k-64k (s)", "s", 3),
    ("ttft_prompt_from_64k_s", "TTFT, prompt 64k+ (s)", "s", 3),
    ("ttft_root_lane_s", "TTFT, root lane (s)", "s", 3),
    ("ttft_other_lanes_s", "TTFT, other lanes (s)", "s", 3),
    ("lane_latency_s", "Lane latency (s)", "s", 3),
    ("join_wait_s", "Join wait (s)", "s", 3),
    ("tpot_ms", "TPOT (ms/tok)", "ms/tok", 2),
    ("itl_ms", "ITL (ms)", "ms", 2),
    ("stall_ms", "Stall (ms)", "ms", 2),
    ("output_tokens_per_turn", "Output tokens/turn", "tok", 1),
    ("reuse_loss_tokens", "Reuse loss (tok)", "tok", 1),
    ("total_prompt_tok_per_s", "total prompt tok/s", "tok/s", 2),
    ("cached_prompt_tok_per_s", "cached prompt tok/s", "tok/s", 2),
    ("uncached_prompt_tok_per_s", "uncached prompt tok/s", "tok/s", 2),
    ("completion_tok_per_s", "completion tok/s", "tok/s", 2),
    ("trace_per_s", "trace/s", "1/s", 2),
    ("little_trace_per_s", "trace/s by work done", "1/s", 3),
    ("achieved_concurrency", "achieved concurrency", "traces", 2),
    ("in_flight_prompt_tokens", "prompt tokens in flight", "tok", 0),
    ("think_time_pct", "think time (%)", "%", 1),
    ("jobs_per_h_user", "jobs/h/user", "1/h", 2),
    ("jobs_per_h_gpu", "jobs/h/GPU", "1/h", 2),
]
