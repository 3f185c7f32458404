"""Numbers of a result, with what is doubtful about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """A number with its doubts, or the reason why there is none.

    ``float(cell)`` is the number, ``f"{cell:.3f}"`` shows it. Both refuse a cell that has none.
    """

    value: float | None
    """In the unit of its metric; ``None``: ``why`` says why."""
    bound: Literal["exact", "at_least"] = "exact"
    """``at_least``: traces were cut off before, and the truth may lie above."""
    floor_met: bool = True
    """Whether the sample was large enough for this quantile."""
    origin: Literal["reported", "expected"] = "reported"
    """``expected``: what the workload expects stands in for what some answers did not say."""
    low: float | None = None
    """Lower end of its 95 % interval, where one is known."""
    high: float | None = None
    """Upper end of its 95 % interval, where one is known."""
    note: str | None = None
    """A remark."""
    why: str | None = None
    """Why there is no number."""

    @classmethod
    def of(cls, at: Any) -> Cell:
        """From its JSON: a number, or an object."""
        return cls(**at) if isinstance(at, dict) else cls(at)

    def __float__(self) -> float:
        if self.value is None:
            raise ValueError(f"there is no number: {self.why}")
        return self.value

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        before = ">=" if self.bound == "at_least" else ""
        marks = ("" if self.floor_met else "?") + ("e" if self.origin == "expected" else "")
        return f"{before}{self.value:g}{marks}{'*' if self.note else ''}"


class Metrics(Mapping[str, T], Generic[T]):
    """Metrics by their names: ``metrics["ttft_s"]``, ``metrics.ttft_s``. Those a run does not have are absent."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> T:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._values)})"

    def _named(self, name: str) -> T:
        try:
            return self._values[name]
        except KeyError:
            has = ", ".join(self._values) or "none"
            raise AttributeError(f"this run has no metric {name!r}; it has {has}") from None
