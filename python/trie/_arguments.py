"""From Python's values to the texts that the command line would have been given."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from . import _trie

#: Options that only make sense where there is a command line, and what to use here.
COMMAND_LINE_ONLY = {
    "config": "pass its values as arguments",
    "dry_run": "`trie run dry_run=True` shows what a command line comes to",
    "engine": "`trie.forecast` takes it",
    "format": "`Result.report(format=...)` takes it",
    "strict_percentiles": "`Cell.floor_met` says which percentiles have too few samples",
    "truth_log": "`trie forecast truth_log=` writes it",
    "ui": "use `on_progress=`, and the logger `trie`",
}


@cache
def kinds(command: str) -> dict[str, str]:
    """The options of a command and the kinds of their values."""
    return {name: kind for name, kind, _words, _default, _help in _trie.options(command)}


def environment() -> dict[str, str]:
    """The process's environment, and in it how this program is started again."""
    variables = {name: value for name, value in os.environ.items() if name != _trie.PROGRAM}
    home = str(Path(__file__).parent.parent)
    start = f"import sys; sys.path.insert(0, {home!r}); from trie.__main__ import main; main()"
    if sys.executable and "\n" not in start:
        words = [sys.executable, "-c", start, _trie.__file__]
        variables[_trie.PROGRAM] = "\n".join(words)
    return variables


def refuse_unknown(function: str, command: str, options: Iterable[str]) -> None:
    """Refuses a name that is no option, as Python does, and says which one was meant."""
    known = kinds(command)
    for name in options:
        if name in COMMAND_LINE_ONLY:
            what = f"{function}() does not take {name!r}: {COMMAND_LINE_ONLY[name]}"
            raise TypeError(what)
        if name not in known:
            near = difflib.get_close_matches(name, set(known) - set(COMMAND_LINE_ONLY), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


def texts(command: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of what was given. ``None`` is not given."""
    known = kinds(command)
    pairs: list[tuple[str, str]] = []
    for name, value in options.items():
        if value is None:
            continue
        if known.get(name) == "map":
            pairs.extend((f"{name}.{key}", text(name, one)) for key, one in dict(value).items())
        elif (
            known.get(name) == "list" and isinstance(value, Iterable) and not isinstance(value, str)
        ):
            pairs.append((name, "; ".join(text(name, one) for one in value)))
        else:
            pairs.append((name, text(name, value)))
    return pairs


def text(name: str, value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        return path if isinstance(path, str) else os.fsdecode(path)
    if isinstance(value, Mapping):
        return json.dumps(value)
    if hasattr(value, "__index__"):
        return str(value.__index__())
    if hasattr(value, "__float__"):
        return repr(float(value))
    raise TypeError(f"{name} cannot be {type(value).__name__}: {value!r}")
