"""Runs against a server, from Python."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest
from conftest import ROW, Serve, Trie

import trie as package
from trie import Client, Workload

#: Options of a short run that measures nothing.
SHORT = {"duration": 1.0, "selfcheck": False}


def client(url: str, **options: object) -> Client:
    given: dict[str, object] = {"tokenizer_model": "builtin", "seed": 7, **options}
    return Client(url, "m", **given)  # type: ignore[arg-type]


def test_the_originals_example_runs_as_it_stands(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    """The example of the original's README, with values of this machine and an added tokenizer_model."""
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    url = serve("policy=fixed", "ttft_ms=5", "itl_ms=2")
    from trie import Client

    client = Client(
        endpoint=url,
        model="deepseek-ai/DeepSeek-R1",
        tokenizer_model="builtin",
    )
    result = client.sync_run("workload.jsonl", concurrency=8, duration=1, stream=True)

    assert result.populations.completed > 8
    assert result.populations.failed == {}
    assert result.accounting.prompt_exact.value == 1.0
    assert result.run.concurrency == 8
    assert not result.interrupted
    assert capsys.readouterr() == ("", ""), "a library is quiet"
    assert [path.name for path in Path.cwd().iterdir()] == ["workload.jsonl"], "and leaves no files"


def test_rows_are_a_file_dicts_or_objects(url: str) -> None:
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    own = Workload(2, 32, [6, 8], [8, 12], [0.0, 0.0], 10)
    ways = ["workload.jsonl", Path("workload.jsonl"), [ROW], [own], iter([own])]
    plans = {client(url).sync_run(way, 2, **SHORT).run.workload.sha256 for way in ways}  # type: ignore[arg-type]
    assert len(plans) == 1


def test_the_same_plan_as_the_command_line(url: str, trie: Trie) -> None:
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    words = ["workload_path=workload.jsonl", f"endpoint={url}", "model=m", "tokenizer_model=builtin"]
    more = ["concurrency=2", "duration=1", "seed=7", "salt=0123456789abcdef", "selfcheck=False", "output_dir=run"]
    said = trie("run", *words, *more)
    assert said.returncode in (0, 3), said.stderr
    by_command = json.loads(Path("run/summary.json").read_text())
    by_python = client(url, salt="0123456789abcdef").sync_run("workload.jsonl", 2, **SHORT).to_dict()
    same = ["plan_sha256", "seed", "concurrency", "history", "stream", "content_version", "workload"]
    assert [by_python["run"][key] for key in same] == [by_command["run"][key] for key in same]
    assert by_python["per_trace"].keys() == by_command["per_trace"].keys()
    assert by_python["accounting"]["prompt_exact"] == by_command["accounting"]["prompt_exact"] == 1.0


def test_numbers_have_names_and_doubts(url: str) -> None:
    result = client(url).sync_run([ROW], 2, num_gpus=4, **SHORT)
    ttft = result.per_trace.ttft_s
    assert ttft.unit == "s"
    assert 0.004 < float(ttft.p50) < 1.0
    assert float(ttft.min) <= float(ttft.p50) <= float(ttft.max)
    assert result.per_trace["ttft_s"] is ttft
    assert f"{ttft.p50:.3f}" == f"{ttft.p50.value:.3f}"
    rate = result.workload.completion_tok_per_s
    assert rate.steady_state is not None and rate.steady_state_per_gpu is not None
    assert math.isclose(float(rate.steady_state), 4 * float(rate.steady_state_per_gpu))
    assert result.seed["completed_requests"] == result.populations.completed
    assert result.per_request["ttft_later_turns_s"].n > 0
    with pytest.raises(KeyError):
        _ = result.per_request["no_such_metric"]


def test_a_run_that_does_not_stream_has_no_first_token(url: str) -> None:
    result = client(url).sync_run([ROW], 2, stream=False, **SHORT)
    assert result.per_trace.latency_s.n > 0
    assert result.per_trace.ttft_s.p50.value is None
    assert result.per_trace.ttft_s.p50.why
    with pytest.raises(ValueError, match="there is no number"):
        float(result.per_trace.ttft_s.p50)


def test_a_directory_is_made_where_one_is_named(url: str, trie: Trie) -> None:
    result = client(url).sync_run([ROW], 2, output_dir=Path("kept"), chunks=True, **SHORT)
    assert result.output_dirs == [Path("kept")]
    assert json.loads(Path("kept/summary.json").read_text()) == result.to_dict()
    assert trie("report", "kept").stdout == result.report()
    again = package.report("kept")
    assert again.to_dict() == result.to_dict()
    assert len(again.requests()) == len(result.requests())
    assert again.manifest["options"]["chunks"] == {"value": "True", "origin": "argument"}


def test_what_is_said_goes_to_the_logger(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trie"):
        client(url).sync_run([{**ROW, "surplus": 1}], 2, duration_update_interval=0.3, **SHORT)
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    for level, words in [
        ("WARNING", "surplus"),
        ("INFO", "starting benchmark"),
        ("INFO", "benchmark in progress"),
        ("INFO", "benchmark complete"),
    ]:
        assert any(level == at and words in line for at, line in said), (level, words, said)


def test_progress_is_told(url: str) -> None:
    told: list[package.Progress] = []
    result = client(url).sync_run([ROW], 2, on_progress=told.append, progress_interval=0.1, **SHORT)
    assert len(told) >= 3
    elapsed = [at.elapsed_s for at in told]
    assert elapsed == sorted(elapsed)
    assert told[-1].tokens.prompt > 0
    assert 0 < told[-1].completed <= result.populations.completed


def test_a_callback_that_fails_ends_the_run(url: str) -> None:
    def fail(_: package.Progress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        client(url).sync_run([ROW], 2, duration=60, selfcheck=False, on_progress=fail, progress_interval=0.1)


def test_the_originals_file_of_metrics(url: str) -> None:
    result = client(url).sync_run([ROW], 2, output_metrics_path="metrics.jsonl", **SHORT)
    rows = [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]
    assert len(rows) == result.populations.completed
    assert rows[0] == {"request_id": 0, "output_tokens_per_turn": [6, 8, 10], "output_tokens_per_trace": 24}


def test_headers_and_fields_are_sent(serve: Serve) -> None:
    url = serve("policy=fixed", "ttft_ms=5", "itl_ms=2")
    result = client(url, headers={"X-Team": "a=b"}).sync_run(
        [ROW], 2, sampling={"temperature": 0}, history="text", **SHORT
    )
    options = result.manifest["options"]
    assert options["headers.X-Team"]["value"] == "a=b"
    assert json.loads(options["sampling"]["value"]) == {"temperature": 0}
    assert result.run.history == "text"


def test_the_self_check_starts_this_program(url: str) -> None:
    result = client(url).sync_run([ROW], 2, duration=1)
    assert result.manifest["self_check"]["cpu_ns_per_read"] > 0, result.run.notes


def test_a_check(url: str, trie: Trie) -> None:
    checked = package.check(url, "m", "builtin", [ROW])
    assert checked.can_run
    assert {finding.status for finding in checked.findings} <= {"ok", "note", "warn", "fail"}
    assert checked.capabilities["ids_in"] is True
    assert "a run can go ahead" in checked.report()
    assert client(url).check().to_dict().keys() == checked.to_dict().keys()
