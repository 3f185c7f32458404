"""Waiting for a command that goes on by itself, with Python free to do something else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Union

from . import _trie

logger = logging.getLogger("trie")

#: How often a wait lets Python look for Ctrl-C, in seconds.
GLANCE = 0.05


@dataclass(frozen=True)
class Tokens:
    """Tokens that the server served."""

    prompt: int
    """Prompt tokens of requests that had their first token."""
    cached: int
    """Of them, those the server took from its cache."""
    completion: int
    """Answer tokens."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    elapsed_s: float
    """Seconds since its clock started."""
    admitted: int
    """Traces that were given a slot."""
    completed: int
    """Traces that ended well."""
    failed: int
    """Traces that failed."""
    tokens: Tokens
    """Since the start."""
    recent_s: int
    """Seconds that ``recent`` covers, at most 30."""
    recent: Tokens
    """Of the last seconds."""


OnProgress = Union[Callable[[Progress], Any], None]


@dataclass
class Watcher:
    """Passes on what a command says, and how far it is."""

    job: _trie.Job
    on_progress: OnProgress
    interval: float

    def __post_init__(self) -> None:
        if not self.interval > 0:
            raise ValueError(f"progress_interval must be greater than 0 s, not {self.interval}")
        self._next = time.monotonic() + self.interval

    def look(self) -> bool:
        """Passes on what there is; whether the command is over."""
        lines, over = self.job.take()
        for warning, line in lines:
            logger.log(logging.WARNING if warning else logging.INFO, "%s", line)
        if self.on_progress is not None and not over and time.monotonic() >= self._next:
            self._next = time.monotonic() + self.interval
            at = self.job.progress()
            if at is not None:
                self.on_progress(progress_of(at))
        return over

    def forget(self) -> None:
        """Ends a command that nobody wants any more, and waits until its thread is gone."""
        self.job.abandon()
        while not self.job.wait(GLANCE):
            pass
        try:
            self.job.result()
        except (_trie.TrieError, RuntimeError):
            pass  # However it ended: nobody wants to know.


def progress_of(at: _trie._Snapshot) -> Progress:
    """With names."""
    elapsed, admitted, completed, failed, tokens, recent_s, recent = at
    return Progress(elapsed, admitted, completed, failed, Tokens(*tokens), recent_s, Tokens(*recent))


def wait(watcher: Watcher, interrupt: bool) -> bool:
    """Waits in this thread. With ``interrupt``, Ctrl-C ends the run, which reports; a second one ends all.

    Whether there was one.
    """
    interrupted = False
    while True:
        try:
            while not watcher.job.wait(GLANCE):
                watcher.look()
            watcher.look()
            return interrupted
        except KeyboardInterrupt:
            if interrupted or not interrupt:
                watcher.forget()
                raise
            interrupted = True
            watcher.job.interrupt()
        except BaseException:
            watcher.forget()
            raise


async def wait_async(watcher: Watcher) -> None:
    """Waits in an event loop. Cancelled, it ends the run, whose thread is gone when this returns."""
    try:
        await _hear(watcher)
    except GeneratorExit:
        raise
    except BaseException:
        watcher.forget()
        raise


async def _hear(watcher: Watcher) -> None:
    """Waits until the command is over; an exception ends it first."""
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    descriptor = watcher.job.fileno()
    loop.add_reader(descriptor, rung.set)
    try:
        await _until_over(watcher, rung)
    except GeneratorExit:
        # The loop is gone: nobody can wait any more.
        watcher.job.abandon()
        raise
    except BaseException:
        watcher.job.abandon()
        # Not in a thread: there are only so many, and the end is near.
        while not watcher.job.take()[1]:
            rung.clear()
            await rung.wait()
        raise
    finally:
        loop.remove_reader(descriptor)


async def _until_over(watcher: Watcher, rung: asyncio.Event) -> None:
    timeout = None if watcher.on_progress is None else watcher.interval
    while not watcher.look():
        try:
            await asyncio.wait_for(rung.wait(), timeout)
        except asyncio.TimeoutError:
            continue
        rung.clear()
