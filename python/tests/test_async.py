"""Runs in an event loop, and their end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest
from conftest import ROW, Serve

from trie import Client, Result


def threads() -> set[str]:
    """The threads of this process, Python's and others, by number and name."""
    return {f"{task.name} {(task / 'comm').read_text().strip()}" for task in Path("/proc/self/task").iterdir()}


def sockets() -> list[str]:
    """The sockets that this process has open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(descriptor))
        except FileNotFoundError:  # The one that lists them.
            continue
    return sorted(link for link in links if link.startswith("socket:"))


def client(url: str) -> Client:
    return Client(url, "m", "builtin", selfcheck=False)


def test_twenty_runs_in_one_loop(url: str) -> None:
    async def all_of_them() -> list[Result]:
        runs = [client(url).run([ROW], 2, duration=2, salt=f"{number:016x}") for number in range(20)]
        return await asyncio.gather(*runs)

    before = threads()
    results = asyncio.run(all_of_them())
    assert len(results) == 20
    for result in results:
        assert result.populations.completed > 0
        assert result.populations.failed == {}
        assert result.accounting.prompt_exact.value == 1.0
    # Each has records of its own.
    assert len({result.manifest["salt"] for result in results}) == 20
    assert len({result.manifest["start_ns"] for result in results}) == 20
    assert threads() == before


def test_the_loop_is_free_meanwhile(url: str) -> None:
    async def both() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.01)

        counting = asyncio.create_task(count())
        await client(url).run([ROW], 2, duration=1)
        counting.cancel()
        return turns

    assert asyncio.run(both()) > 10


def test_a_run_that_is_cancelled_leaves_nothing(serve: Serve) -> None:
    """Also where answers are on their way: the server takes a minute for each."""
    url = serve("policy=fixed", "ttft_ms=60000")

    async def cancelled(loop_before: set[str]) -> float:
        run = asyncio.create_task(client(url).run([ROW], 64, duration=600, preflight=False))
        while not any("trie-run" in thread for thread in threads() - loop_before):
            await asyncio.sleep(0.01)
        while len(sockets()) < 64:
            await asyncio.sleep(0.01)
        start = time.monotonic()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        took = time.monotonic() - start
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return took

    async def main() -> tuple[float, list[str], list[str], set[str], set[str]]:
        threads_before, sockets_before = threads(), sockets()
        took = await cancelled(threads_before)
        return took, sockets_before, sockets(), threads_before, threads()

    took, sockets_before, sockets_after, threads_before, threads_after = asyncio.run(main())
    print(f"cancelled in {took * 1e3:.0f} ms")
    assert sockets_after == sockets_before
    assert threads_after == threads_before
    assert took < 0.5


def test_a_timeout_cancels(url: str) -> None:
    async def main() -> None:
        await asyncio.wait_for(client(url).run([ROW], 2, duration=600), timeout=1)

    before = threads()
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert threads() == before


def test_progress_is_told_in_the_loop(url: str) -> None:
    told = []

    async def main() -> None:
        thread = threading.get_ident()
        on_progress = lambda at: told.append((at.elapsed_s, threading.get_ident() == thread))  # noqa: E731
        await client(url).run([ROW], 2, duration=1, on_progress=on_progress, progress_interval=0.1)

    asyncio.run(main())
    assert len(told) >= 3
    assert all(in_loop for _elapsed, in_loop in told)


def test_errors_are_raised_where_it_is_awaited() -> None:
    from trie import EndpointError

    async def main() -> None:
        await client("http://127.0.0.1:9/v1").run([ROW], 2)

    with pytest.raises(EndpointError):
        asyncio.run(main())
