"""The typed half: what the tables and the package say of each other."""

from __future__ import annotations

import inspect
import typing

from trie import Client, _options, _trie, forecast

#: What the original's functions take, in its order.
CLIENT = ["endpoint", "model", "tokenizer_model", "api_key", "seed", "max_retries", "timeout"]
RUN = [
    "workload",
    "concurrency",
    "duration",
    "arrival_rate",
    "duration_update_interval",
    "num_gpus",
    "stream",
    "output_metrics_path",
]


def positional(function: typing.Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: one for name, one in parameters.items() if one.kind == one.POSITIONAL_OR_KEYWORD}


def test_names_and_order_are_the_originals() -> None:
    assert list(positional(Client)) == CLIENT
    assert list(positional(Client.run)) == ["self", *RUN]
    assert list(positional(Client.sync_run)) == ["self", *RUN]


def test_defaults_are_the_tables() -> None:
    table = {name: default for name, _kind, _words, default, _help in _trie.options("run")}
    given = {**positional(Client), **positional(Client.sync_run)}
    for name in [*CLIENT, *RUN]:
        default = given[name].default
        if default in (inspect.Parameter.empty, None) or name == "workload":
            continue
        typed = table[name]
        assert typed is not None and default == type(default)(eval(typed)), name


def test_every_option_has_a_place() -> None:
    for command, taken, more in [
        ("run", set(CLIENT) | set(RUN), _options.RunOptions),
        ("forecast", set(inspect.signature(forecast).parameters), _options.ForecastOptions),
    ]:
        table = {name for name, *_ in _trie.options(command)}
        from trie._arguments import COMMAND_LINE_ONLY

        named = set(more.__annotations__)
        shared = {"model", "tokenizer_model", "api_key", "max_retries", "timeout", "arrival_rate"}
        left = table - named - taken - set(COMMAND_LINE_ONLY) - {"workload_path"} - shared
        assert left <= {"output_metrics_path", "duration_update_interval"}, left
        assert named <= table
