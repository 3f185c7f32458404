"""Records as Arrow columns, in the hands of those who read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROW

import trie as package


@pytest.fixture
def result() -> package.Result:
    return package.forecast([ROW], "qwen3-32b-1xh200", 8, 60, seed=3, output_dir="run")


def rows(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path("run", name).read_text().splitlines()]


def test_requests_are_the_rows_of_the_file(result: package.Result) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    requests = result.requests()
    table = pyarrow.table(requests)
    assert table.num_rows == len(requests) == len(rows("requests.jsonl")) > 100
    assert table.column_names == requests.column_names
    for mine, theirs in zip(table.to_pylist(), rows("requests.jsonl")):
        assert {name: value for name, value in mine.items() if value is not None} == {
            name: value for name, value in theirs.items() if value is not None
        }
    assert pyarrow.table(requests).equals(table), "it can be read again"


def test_polars_reads_them(result: package.Result) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(result.requests())
    expected = [row["end_ns"] for row in rows("requests.jsonl")]
    assert frame["end_ns"].to_list() == expected
    assert set(frame["outcome"].unique()) <= {"ok", "cut_off", "failed"}


def test_pandas_reads_them(result: package.Result) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame.from_arrow(result.requests())
    assert len(frame) == len(rows("requests.jsonl"))
    assert frame["trace"].tolist() == [row["trace"] for row in rows("requests.jsonl")]


def test_traces_have_a_row_each(result: package.Result) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    traces = pyarrow.table(result.traces()).to_pylist()
    told = result.populations
    assert len(traces) == told.admitted
    assert sum(trace["outcome"] == "completed" for trace in traces) == told.completed
    assert sum(trace["outcome"] == "cut_off" for trace in traces) == told.cut_off
    ended = [row for row in rows("traces.jsonl") if row["event"] != "admitted"]
    assert {trace["trace"]: trace["ended_ns"] for trace in traces if trace["ended_ns"]} == {
        row["trace"]: row["at_ns"] for row in ended
    }
    assert all(trace["ended_ns"] is None or trace["ended_ns"] >= trace["admitted_ns"] for trace in traces)
