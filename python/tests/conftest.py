"""What the tests share: a simulated server, a workload, and the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

#: A row of the original's format: three requests.
ROW = {
    "num_turns": 2,
    "input_prompt_length": 32,
    "assistant_response_length": [6, 8],
    "tool_call_output_length": [8, 12],
    "tool_call_latency": [0.0, 0.0],
    "final_assistant_response_length": 10,
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"


def environment(home: Path) -> dict[str, str]:
    """Nothing of the user's options, keys and caches."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")}
    return {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working directory of the test's own."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("TRIE_", "OPENAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return home


Trie = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def trie(own_home: Path) -> Trie:
    """Runs the command line to its end."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trie", *words]
        return subprocess.run(command, env=environment(own_home), capture_output=True, text=True, timeout=120)

    return run


Serve = Callable[..., str]


@pytest.fixture
def serve(own_home: Path) -> Iterator[Serve]:
    """Starts simulated servers; the address of each."""
    servers: list[subprocess.Popen[str]] = []

    def start(*words: str) -> str:
        command = [sys.executable, "-m", "trie", "serve", "port=0", *words]
        server = subprocess.Popen(command, env=environment(own_home), stderr=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line
        return found.group()

    yield start
    for server in servers:
        server.kill()
        server.communicate()


@pytest.fixture
def url(serve: Serve) -> str:
    """A server that answers at a quick, steady pace."""
    return serve("policy=fixed", "ttft_ms=5", "itl_ms=2")
