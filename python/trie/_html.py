"""Results as they show in notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from ._summary import CATALOGUE, Distribution, Summary, Throughput

if TYPE_CHECKING:
    from ._cells import Cell
    from ._comparison import Comparison

STATS = ("mean", "min", "p50", "p90", "p95", "p99", "max")
WINDOWS = (
    ("overall", "Overall"),
    ("last_30s", "Last 30 s"),
    ("steady_state", "Steady state"),
    ("steady_state_per_gpu", "Steady state / GPU"),
)
TRUST = {"yes": "yes", "caveats": "with caveats", "no": "no"}
MARKS = "&ge; a lower bound, ? too few samples, e what the workload expects stands in, * a remark"


def report_page(summary: Summary) -> str:
    """Verdict, tables and what the checks have to say."""
    told = summary.populations
    head = (
        f"<p><b>TRUST: {TRUST[summary.verdict.trust]}</b> &nbsp; completed={told.completed}/{told.admitted} "
        f"failed={sum(told.failed.values())} cut_off={told.cut_off}</p>"
    )
    rows = {**summary.per_trace, **summary.per_request}
    parts = [head, _distributions(rows), _throughputs(dict(summary.workload)), f"<p><small>{MARKS}</small></p>"]
    doubts = [check for check in summary.verdict.checks if check.status in ("fail", "warn")]
    if doubts:
        each = "".join(
            f"<li><b>{check.status} {escape(check.id)}</b>: {escape(str(check.value))} "
            f"({escape(check.threshold)}); {escape(check.advice)}</li>"
            for check in doubts
        )
        parts.append(f"<ul>{each}</ul>")
    return "".join(parts)


def comparison_page(facts: Comparison) -> str:
    """What changed, with intervals, and what the gates found."""
    head = ("metric", "statistic", "A", "B", "B - A", "95 % interval", "change (%)", "unit")
    rows = [
        (
            escape(change.metric),
            escape(change.stat),
            _shown(change.a, 3),
            _shown(change.b, 3),
            _shown(change.difference.value, 3),
            f"{_shown(change.difference.low, 3)} to {_shown(change.difference.high, 3)}",
            _shown(change.change_pct.value, 1),
            escape(change.unit),
        )
        for change in facts.changes
    ]
    gates = "".join(f"<li><b>{escape(gate.status)}</b>: {escape(gate.gate)}</li>" for gate in facts.gates)
    return _table(head, rows) + (f"<ul>{gates}</ul>" if gates else "")


def _distributions(metrics: dict[str, Distribution]) -> str:
    rows = [
        (escape(title), str(metrics[key].n), *(_shown(getattr(metrics[key], stat), decimals) for stat in STATS))
        for key, title, _unit, decimals in CATALOGUE
        if key in metrics
    ]
    return _table(("", "n", *STATS), rows)


def _throughputs(metrics: dict[str, Throughput]) -> str:
    rows = [
        (escape(title), *(_shown(getattr(metrics[key], window), decimals) for window, _title in WINDOWS))
        for key, title, _unit, decimals in CATALOGUE
        if key in metrics
    ]
    return _table(("", *(title for _window, title in WINDOWS)), rows)


def _shown(cell: Cell | None, decimals: int) -> str:
    if cell is None or cell.value is None:
        return f'<span title="{escape(cell.why)}">-</span>' if cell is not None and cell.why else "-"
    before = "&ge;" if cell.bound == "at_least" else ""
    marks = ("" if cell.floor_met else "?") + ("e" if cell.origin == "expected" else "") + ("*" if cell.note else "")
    return f"{before}{cell.value:.{decimals}f}{marks}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
