"""Workloads that are made in Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

#: What a run replays: a file, or rows of one.
Workloads = Union[str, "os.PathLike[str]", Iterable[Union["Workload", Mapping[str, Any]]]]

#: How rows that are in no file are named in messages: `<rows>:3:1` is the third row.
ROWS = "<rows>"


@dataclass
class Workload:
    """One trace: a conversation of ``num_turns + 1`` requests.

    The fields are those of a row of a workload file. Lengths are tokens, waits are seconds, and the lists have
    ``num_turns`` items.
    """

    num_turns: int
    """Turns in which the model calls a tool."""
    input_prompt_length: int
    """Tokens of the first prompt."""
    assistant_response_length: Sequence[int]
    """Tokens of each answer that calls a tool."""
    tool_call_output_length: Sequence[int]
    """Tokens that each tool result adds."""
    tool_call_latency: Sequence[float]
    """Seconds that each tool takes."""
    final_assistant_response_length: int
    """Tokens of the final answer."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the row, such as ``prefix`` or ``carry_length``."""

    def to_dict(self) -> dict[str, Any]:
        """The row of a workload file."""
        row: dict[str, Any] = {
            "num_turns": self.num_turns,
            "input_prompt_length": self.input_prompt_length,
            "assistant_response_length": list(self.assistant_response_length),
            "tool_call_output_length": list(self.tool_call_output_length),
            "tool_call_latency": list(self.tool_call_latency),
            "final_assistant_response_length": self.final_assistant_response_length,
        }
        return {**row, **self.extra}


def opened(workload: Workloads) -> tuple[str, str | None]:
    """The path of a workload, and its text where it is in no file."""
    if isinstance(workload, (str, os.PathLike)):
        return os.fspath(workload), None
    if isinstance(workload, Mapping) or not isinstance(workload, Iterable):
        raise TypeError(f"workload must be a path or a list of rows, not {type(workload).__name__}")
    return ROWS, "".join(f"{_line(row, number)}\n" for number, row in enumerate(workload))


def _line(row: Workload | Mapping[str, Any], number: int) -> str:
    if isinstance(row, Workload):
        return json.dumps(row.to_dict())
    if isinstance(row, Mapping):
        return json.dumps(dict(row))
    raise TypeError(f"workload[{number}] must be a dict or a Workload, not {type(row).__name__}")
