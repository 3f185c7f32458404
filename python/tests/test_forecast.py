"""Virtual time: the same bits as the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROW, Trie

import trie as package


def test_a_forecast_is_the_command_lines_to_the_bit(trie: Trie) -> None:
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    more = ["concurrency=8", "duration=60", "seed=11", "replicas=2", "num_gpus=8", "sim.max_num_seqs=4"]
    said = trie("forecast", "workload_path=workload.jsonl", "engine=qwen3-32b-1xh200", *more, "output_dir=run")
    assert said.returncode in (0, 3), said.stderr
    result = package.forecast(
        "workload.jsonl",
        "qwen3-32b-1xh200",
        8,
        60,
        seed=11,
        replicas=2,
        num_gpus=8,
        sim={"max_num_seqs": 4},
        output_dir="mine",
    )
    assert result.exit_code == said.returncode
    for name in ("requests.jsonl", "traces.jsonl", "client.jsonl"):
        assert Path("mine", name).read_bytes() == Path("run", name).read_bytes(), name
    mine, theirs = result.to_dict(), json.loads(Path("run/summary.json").read_text())
    for summary in (mine, theirs):
        assert summary["run"].pop("started_at")
    assert mine == theirs
    assert result.report() == said.stdout

    in_memory = package.forecast([ROW], "qwen3-32b-1xh200", 8, 60, seed=11, replicas=2, num_gpus=8, sim={"max_num_seqs": 4})
    kept = in_memory.to_dict()
    assert kept["run"].pop("started_at")
    assert kept["run"]["workload"].pop("path") == "<rows>"
    mine["run"]["workload"].pop("path")
    assert kept == mine


def test_sides_are_compared(trie: Trie) -> None:
    def one(engine: str, directory: str | None) -> package.Result:
        return package.forecast([ROW], engine, 8, 60, seed=3, output_dir=directory)

    a, b = one("qwen3-32b-1xh200", "a"), one("llama-3.1-70b-4xh100", "b")
    in_memory = one("llama-3.1-70b-4xh100", None)
    gates = ["latency_s.mean > +1000%", "latency_s.mean < -1000%"]
    compared = package.compare(a, b, fail_if=gates)
    assert [gate.status for gate in compared.facts.gates] == ["passed", "passed"]
    changes = {(change.metric, change.stat): change for change in compared.facts.changes}
    change = changes["latency_s", "mean"]
    assert float(change.b) - float(change.a) == pytest.approx(float(change.difference.value))
    said = trie("compare", "a", "b", *(f"fail_if={gate}" for gate in gates))
    assert said.stdout == compared.report() == package.compare("a", Path("b"), fail_if=gates).report()
    assert compared.exit_code == said.returncode
    facts, kept = compared.to_dict(), package.compare([a], [in_memory], fail_if=gates).to_dict()
    assert kept["changes"] == facts["changes"]
    with pytest.raises(package.PlanError, match="fail_if"):
        package.compare(a, b, fail_if="nonsense")
    with pytest.raises(package.TrieError):
        package.compare(a, package.forecast([{**ROW, "input_prompt_length": 33}], "qwen3-32b-1xh200", 8, 60, seed=3))


def test_results_show_in_notebooks() -> None:
    a = package.forecast([ROW], "qwen3-32b-1xh200", 8, 60, seed=3)
    page = a._repr_html_()
    assert page.count("<table>") == 2
    assert "TTFT (s)" in page and "completion tok/s" in page and "TRUST:" in page
    assert repr(a).startswith("<trie result: completed=")
    page = package.compare(a, a)._repr_html_()
    assert "latency_s" in page


def test_formats_of_reports() -> None:
    a = package.forecast([ROW], "qwen3-32b-1xh200", 2, 30, seed=3)
    assert json.loads(a.report("json")) == a.to_dict()
    assert a.report("csv").count("\n") > 5
    assert a.report("markdown").lstrip().startswith(("#", "|"))
    with pytest.raises(package.PlanError, match="one of text, json, csv, markdown"):
        a.report("pdf")  # type: ignore[arg-type]


def test_replicates_are_pooled() -> None:
    pooled = package.forecast([ROW], "qwen3-32b-1xh200", 4, 30, seed=3, replicates=2, slo={"ttft_s": 10})
    told = pooled.summary.replicates
    assert told is not None and told.used == 2
    assert [manifest["seed"] for manifest in pooled.manifests] == [3, 4]
    assert pooled.per_trace.latency_s.mean.low is not None
    assert len(pooled.traces()) == pooled.populations.admitted
    assert pooled.summary.goodput is not None
