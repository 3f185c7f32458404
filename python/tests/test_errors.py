"""Wrong use: exceptions with the command line's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import ROW, Trie

import trie as package
from trie import Client

#: Nobody listens there.
NOWHERE = "http://127.0.0.1:9/v1"


def check(kind: type[Exception], trie: Trie, **changes: object) -> str:
    """What Python raises is of a kind and is what the command line says."""
    Path("workload.jsonl").write_text(json.dumps(ROW) + "\n")
    options: dict[str, object] = {
        "workload_path": "workload.jsonl",
        "endpoint": NOWHERE,
        "model": "m",
        "tokenizer_model": "builtin",
        "concurrency": 2,
        **changes,
    }
    words = [f"{name}={value}" for name, value in options.items() if value is not None]
    said = trie("run", *words)
    assert said.returncode in (1, 2), said.stderr
    with pytest.raises(kind) as raised:
        path, endpoint, model = (str(options.pop(name)) for name in ("workload_path", "endpoint", "model"))
        Client(endpoint, model).sync_run(path, **options)  # type: ignore[arg-type]
    assert type(raised.value) is kind
    message = str(raised.value)
    assert message in said.stderr.replace("error: ", ""), (message, said.stderr)
    return message


def test_workloads(trie: Trie) -> None:
    assert "cannot open the workload none.jsonl" in check(package.WorkloadError, trie, workload_path="none.jsonl")
    Path("bad.jsonl").write_text(json.dumps({**ROW, "num_turns": 3}) + "\n")
    assert "bad.jsonl:1:" in check(package.WorkloadError, trie, workload_path="bad.jsonl")


def test_options(trie: Trie) -> None:
    assert "`concurrency=0` is not valid" in check(package.PlanError, trie, concurrency=0)
    assert "`concurrency` is required" in check(package.PlanError, trie, concurrency=None)
    assert "open loop" in check(package.PlanError, trie, arrival_rate=2.5)
    assert "`history=best` is not valid" in check(package.PlanError, trie, history="best")
    assert "max_context" in check(package.PlanError, trie, max_context=10)


def test_tokenizers(trie: Trie) -> None:
    Path("tok").mkdir()
    assert "tok" in check(package.TokenizerError, trie, tokenizer_model="./tok")


def test_endpoints(trie: Trie) -> None:
    assert "cannot serve this run" in check(package.EndpointError, trie)
    check(package.EndpointError, trie, endpoint="ftp://x")


def test_directories(trie: Trie) -> None:
    Path("full").mkdir()
    Path("full/a").write_text("")
    assert "is not empty" in check(package.TrieError, trie, output_dir="full")
    with pytest.raises(package.TrieError, match="is not a run directory"):
        package.report("full")


def test_all_have_one_base() -> None:
    for kind in (package.WorkloadError, package.PlanError, package.TokenizerError, package.EndpointError):
        assert issubclass(kind, package.TrieError)


def test_rows_are_named_by_their_number() -> None:
    with pytest.raises(package.WorkloadError, match="<rows>:2:"):
        Client(NOWHERE, "m", "builtin").sync_run([ROW, {**ROW, "num_turns": 3}], 2)
    with pytest.raises(package.WorkloadError):
        Client(NOWHERE, "m", "builtin").sync_run([], 2)
    with pytest.raises(TypeError, match=r"workload\[1\] must be a dict or a Workload, not int"):
        Client(NOWHERE, "m", "builtin").sync_run([ROW, 3], 2)  # type: ignore[list-item]
    with pytest.raises(TypeError, match="must be a path or a list of rows, not dict"):
        Client(NOWHERE, "m", "builtin").sync_run(ROW, 2)


def test_names_that_do_not_exist() -> None:
    client = Client(NOWHERE, "m")
    with pytest.raises(TypeError, match="'concurency'; did you mean 'concurrency'"):
        client.sync_run([ROW], concurency=2)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Client.. got an unexpected keyword argument 'header'; did you mean 'headers'"):
        Client(NOWHERE, "m", header={})  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="does not take 'ui': use `on_progress=`"):
        client.sync_run([ROW], 2, ui="bar")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'endpoint'"):
        package.forecast([ROW], "instant", 2, endpoint=NOWHERE)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="headers cannot be object"):
        client.sync_run([ROW], 2, headers={"a": object()})
    with pytest.raises(ValueError, match="on_interrupt"):
        client.sync_run([ROW], 2, on_interrupt="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="progress_interval"):
        client.sync_run([ROW], 2, progress_interval=0)


def test_secrets_stay_secret() -> None:
    client = Client("http://me:canary@127.0.0.1:9/v1", "m", "builtin", api_key="canary")
    with pytest.raises(package.EndpointError) as raised:
        client.sync_run([ROW], 2)
    assert "canary" not in str(raised.value) + repr(client)
