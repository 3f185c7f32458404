"""What `trie compare` says, as typed objects. Made by `cargo xtask generate` from the tables in the source; not edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ._cells import Cell

GateStatus = Literal[
    "fired",
    "passed",
    "inconclusive",
]

Measure = Literal[
    "mean",
    "p50",
    "p90",
    "p95",
    "p99",
    "overall",
    "steady_state",
]

Quantity = Literal[
    "latency_s",
    "ttft_s",
    "tpot_ms",
    "step_latency_s",
    "cache_hit_rate_pct",
    "total_prompt_tok_per_s",
    "uncached_prompt_tok_per_s",
    "completion_tok_per_s",
    "trace_per_s",
    "good_traces_pct",
    "good_requests_pct",
    "good_completion_tok_per_s",
    "good_jobs_per_h_user",
]

Reason = Literal[
    "deadline",
    "interrupted",
    "max_failures",
    "failed",
]

Trust = Literal[
    "yes",
    "caveats",
    "no",
]


@dataclass(frozen=True)
class BrokeOff:
    """A run that did not come to its deadline."""

    after_s: float | None
    """Seconds after which it ended; `null` where nobody wrote it down."""
    compared: bool
    """Whether it is compared all the same: no pair of runs came to its deadline."""
    of_s: float
    """Seconds that it was to take."""
    reason: Reason | None
    """Why it ended; `null`: it was killed, or still goes on."""
    run: str
    """Its name."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> BrokeOff:
        """From its JSON."""
        return cls(
            after_s=at.get("after_s"),
            compared=at["compared"],
            of_s=at["of_s"],
            reason=at.get("reason"),
            run=at["run"],
        )


@dataclass(frozen=True)
class Change:
    """How B differs from A in one statistic."""

    a: Cell
    """Its value in A."""
    b: Cell
    """Its value in B."""
    change_pct: Estimate
    """B minus A in percent of A."""
    difference: Estimate
    """B minus A."""
    metric: Quantity
    """Of what."""
    n: int
    """How many pairs: traces, steps, or runs."""
    n_effective: float
    """How many independent pairs they are worth."""
    stat: Measure
    """Which statistic."""
    unit: str
    """Unit of `a`, `b` and `difference`."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Change:
        """From its JSON."""
        return cls(
            a=Cell.of(at["a"]),
            b=Cell.of(at["b"]),
            change_pct=Estimate.of(at["change_pct"]),
            difference=Estimate.of(at["difference"]),
            metric=at["metric"],
            n=at["n"],
            n_effective=at["n_effective"],
            stat=at["stat"],
            unit=at["unit"],
        )


@dataclass(frozen=True)
class Difference:
    """Something that differs and may."""

    a: str
    """Its value in A."""
    b: str
    """Its value in B."""
    what: str
    """What."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Difference:
        """From its JSON."""
        return cls(
            a=at["a"],
            b=at["b"],
            what=at["what"],
        )


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    high: Cell
    """Upper end of the interval."""
    low: Cell
    """Lower end of the interval."""
    value: Cell
    """The value."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Estimate:
        """From its JSON."""
        return cls(
            high=Cell.of(at["high"]),
            low=Cell.of(at["low"]),
            value=Cell.of(at["value"]),
        )


@dataclass(frozen=True)
class GateResult:
    """What a gate found."""

    gate: str
    """The gate, as it is written."""
    high: Cell
    """Upper end of the interval."""
    low: Cell
    """Lower end of the interval, in the unit of the gate."""
    status: GateStatus
    """What it found."""
    why: str | None
    """Why it is not sure, where the interval alone does not say it."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> GateResult:
        """From its JSON."""
        return cls(
            gate=at["gate"],
            high=Cell.of(at["high"]),
            low=Cell.of(at["low"]),
            status=at["status"],
            why=at.get("why"),
        )


@dataclass(frozen=True)
class Matched:
    """What both sides have, and what only one of them has."""

    both: int
    """On both sides: these are compared."""
    only_a: int
    """Only in A."""
    only_b: int
    """Only in B."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Matched:
        """From its JSON."""
        return cls(
            both=at["both"],
            only_a=at["only_a"],
            only_b=at["only_b"],
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
class SideFacts:
    """What one side is."""

    doubts: dict[str, int]
    """Checks that failed or warned, by how many of the runs."""
    model: str
    """Model name sent to the endpoint."""
    populations: Populations
    """What became of the traces, over all runs."""
    runs: list[str]
    """Its runs, as they were named."""
    seeds: list[int]
    """Seeds of those runs."""
    simulated: str | None
    """The simulated engine, if no endpoint was measured."""
    steady_from_s: list[float | None]
    """Of each run, from when on its steady-state column is, in seconds; `null`: no steady state was reached,
    or it could not be tested, and the column is from 20 % of the window on.
    """
    trust: Trust
    """The worst verdict of its runs."""
    wrong: dict[str, int]
    """Of them, those that say that numbers are wrong."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> SideFacts:
        """From its JSON."""
        return cls(
            doubts=dict(at["doubts"]),
            model=at["model"],
            populations=Populations.of(at["populations"]),
            runs=list(at["runs"]),
            seeds=list(at["seeds"]),
            simulated=at.get("simulated"),
            steady_from_s=list(at.get("steady_from_s", [])),
            trust=at["trust"],
            wrong=dict(at.get("wrong", {})),
        )


@dataclass(frozen=True)
class Comparison:
    """Two sides, and how B differs from A."""

    a: SideFacts
    """The side that is compared with."""
    b: SideFacts
    """The side that is compared."""
    broke_off: list[BrokeOff]
    """Runs that did not come to their deadline. Where there are pairs that both did, the others are left out."""
    changes: list[Change]
    """How B differs from A, by quantity and statistic."""
    differences: list[Difference]
    """What differs between the sides and may."""
    gates: list[GateResult]
    """What the gates found; empty where there are none."""
    horizon_s: float | None
    """The common horizon: trace latencies are compared up to it. Seconds; `None` where no trace was admitted
    on both sides.
    """
    instances: Matched
    """Trace instances admitted, over all pairs of runs."""
    pairs: int
    """Pairs of runs."""
    resamples: int
    """How often instances were resampled."""
    schema: str
    """Name and version of the format: `trie.comparison/1`."""
    steps: Matched
    """Steps finished, over all pairs of runs."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Comparison:
        """From its JSON."""
        return cls(
            a=SideFacts.of(at["a"]),
            b=SideFacts.of(at["b"]),
            broke_off=[BrokeOff.of(v) for v in at.get("broke_off", [])],
            changes=[Change.of(v) for v in at["changes"]],
            differences=[Difference.of(v) for v in at["differences"]],
            gates=[GateResult.of(v) for v in at["gates"]],
            horizon_s=at.get("horizon_s"),
            instances=Matched.of(at["instances"]),
            pairs=at["pairs"],
            resamples=at["resamples"],
            schema=at["schema"],
            steps=Matched.of(at["steps"]),
        )
