"""What is left of a run, a comparison and a check."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from . import _trie
from ._comparison import Comparison as ComparisonFacts
from ._html import comparison_page, report_page
from ._preflight import Finding
from ._summary import (
    Accounting,
    PerRequest,
    PerTrace,
    Populations,
    RunFacts,
    Summary,
    Verdict,
    WorkloadMetrics,
)

Format = Literal["text", "json", "csv", "markdown"]


class Result:
    """The numbers of a run and its records.

    The groups of ``summary.json`` are attributes, with the catalogue's names below them:
    ``result.per_trace.ttft_s.p90``, ``result.workload.completion_tok_per_s.steady_state``. Each is a :class:`Cell`,
    whose ``value`` is in the unit of its metric.
    """

    def __init__(self, run: _trie.Run) -> None:
        self._run = run

    @cached_property
    def summary(self) -> Summary:
        """Everything that the report says."""
        return Summary.of(self.to_dict())

    @property
    def verdict(self) -> Verdict:
        """Whether the numbers can be believed: ``verdict.trust`` is ``yes``, ``caveats`` or ``no``."""
        return self.summary.verdict

    @property
    def populations(self) -> Populations:
        """How many traces were admitted, completed, failed, cut off."""
        return self.summary.populations

    @property
    def per_trace(self) -> PerTrace:
        """Metrics with a value per trace."""
        return self.summary.per_trace

    @property
    def per_request(self) -> PerRequest:
        """Metrics with a value per request or token."""
        return self.summary.per_request

    @property
    def workload(self) -> WorkloadMetrics:
        """Metrics of the whole run."""
        return self.summary.workload

    @property
    def seed(self) -> dict[str, float]:
        """The original harness's own values under its own keys."""
        return self.summary.seed

    @property
    def accounting(self) -> Accounting:
        """What the numbers stand on."""
        return self.summary.accounting

    @property
    def run(self) -> RunFacts:
        """What was run."""
        return self.summary.run

    @cached_property
    def comparison(self) -> Comparison | None:
        """With ``against=``: how the second server differs from the first, whose numbers these are."""
        compared = self._run.comparison()
        return None if compared is None else Comparison(compared)

    @cached_property
    def against(self) -> Summary | None:
        """With ``against=``: every number of the second server, as ``summary`` has those of the first."""
        text = self._run.summary_against_json()
        return None if text is None else Summary.of(json.loads(text))

    @property
    def interrupted(self) -> bool:
        """Whether it was ended before its deadline by Ctrl-C."""
        return self._run.interrupted()

    @property
    def exit_code(self) -> int:
        """What the command line would have exited with.

        0 done, 1 failed, 3 not to be trusted, 4 a gate fired and 5 unsure (with ``against=``), 130 interrupted.
        """
        return self._run.exit_code()

    @property
    def output_dirs(self) -> list[Path]:
        """The run directories; none where the records are in memory."""
        return self._run.paths()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What was run, where, and how it ended, as ``manifest.json`` has it; of several runs the first."""
        return self.manifests[0]

    @cached_property
    def manifests(self) -> list[dict[str, Any]]:
        """The manifest of each run: with ``replicates`` there are several."""
        manifests: list[dict[str, Any]] = json.loads(self._run.manifests_json())
        return manifests

    def to_dict(self) -> dict[str, Any]:
        """The contents of ``summary.json``."""
        summary: dict[str, Any] = json.loads(self._run.summary_json())
        return summary

    def report(self, format: Format = "text", width: int | None = None) -> str:
        """The report as ``trie`` prints it; ``width`` is that of the tables, in columns."""
        return self._run.report(format, width)

    def requests(self) -> _trie.Rows:
        """A row for each attempt, as Arrow columns: ``polars.DataFrame(result.requests())``.

        The columns are the fields of ``requests.jsonl``; all ``*_ns`` are nanoseconds, stamps on one monotonic clock.
        """
        return self._run.requests()

    def traces(self) -> _trie.Rows:
        """A row for each trace, as Arrow columns: when it was admitted, when and how it ended."""
        return self._run.traces()

    def __repr__(self) -> str:
        told = self.populations
        failed = sum(told.failed.values())
        return (
            f"<trie result: completed={told.completed}/{told.admitted} failed={failed} "
            f"cut_off={told.cut_off} trust={self.verdict.trust}>"
        )

    def _repr_html_(self) -> str:
        return report_page(self.summary)


class Comparison:
    """How one side differs from another, with intervals. ``facts`` holds every number."""

    def __init__(self, compared: _trie.Compared) -> None:
        self._compared = compared

    @cached_property
    def facts(self) -> ComparisonFacts:
        """Everything that the comparison says."""
        return ComparisonFacts.of(self.to_dict())

    @property
    def exit_code(self) -> int:
        """What ``trie compare`` would have exited with: 3 a side is not to be trusted, 4 a gate fired, 5 unsure."""
        return self._compared.exit_code()

    def to_dict(self) -> dict[str, Any]:
        """What ``trie compare --json`` prints."""
        comparison: dict[str, Any] = json.loads(self._compared.comparison_json())
        return comparison

    def report(self, format: Format = "text", width: int | None = None) -> str:
        """The comparison as ``trie compare`` prints it."""
        return self._compared.report(format, width)

    def __repr__(self) -> str:
        return f"<trie comparison: {len(self.facts.changes)} changes, {len(self.facts.gates)} gates>"

    def _repr_html_(self) -> str:
        return comparison_page(self.facts)


class Check:
    """What a server was found to do."""

    def __init__(self, checked: _trie.Checked) -> None:
        self._checked = checked
        self._document: dict[str, Any] = json.loads(checked.document_json)

    @property
    def can_run(self) -> bool:
        """Whether a run can go ahead."""
        return bool(self._document["can_run"])

    @cached_property
    def findings(self) -> list[Finding]:
        """What was tried, what was found, what to do."""
        return [Finding.of(finding) for finding in self._document["findings"]]

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the findings come to."""
        return dict(self._document["capabilities"])

    def to_dict(self) -> dict[str, Any]:
        """What ``trie check format=json`` prints."""
        return dict(self._document)

    def report(self) -> str:
        """What ``trie check`` prints."""
        return self._checked.table

    def __repr__(self) -> str:
        return f"<trie check: can_run={self.can_run}, {len(self.findings)} findings>"
