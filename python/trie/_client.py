"""Runs, forecasts, checks, reports and comparisons."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Union

from . import _trie
from ._arguments import environment, refuse_unknown, texts
from ._result import Check, Comparison, Result
from ._wait import OnProgress, Progress, Watcher, wait, wait_async
from ._workload import Workloads, opened

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import CheckOptions, ForecastOptions, RunOptions

__all__ = ["Client", "Progress", "check", "compare", "forecast", "report"]

#: A run directory, or the result of a run.
Run = Union[str, "os.PathLike[str]", Result]


class Client:
    """Replays workloads against one server.

    Args:
        endpoint: Base URL of the server, such as ``http://localhost:8000/v1``.
        model: Model name sent with every request.
        tokenizer_model: Tokenizer: a ``tokenizer.json`` or its folder, a hub model, or ``builtin``; the model's name
            where not given.
        api_key: Bearer token; ``OPENAI_API_KEY`` where not given.
        seed: Seed of plan and content; drawn and recorded where not given.
        max_retries: Further attempts at a failed request; every attempt is a record.
        timeout: Seconds a whole request may take.
        options: Any other option of ``trie run``, for every run of this client.

    Raises:
        TypeError: An option that does not exist.
    """

    def __init__(
        self,
        endpoint: str,
        model: str,
        tokenizer_model: str | None = None,
        api_key: str | None = None,
        seed: int | None = None,
        max_retries: int = 0,
        timeout: float = 600.0,
        **options: Unpack[RunOptions],
    ) -> None:
        refuse_unknown("Client", "run", options)
        self._options: dict[str, Any] = {
            "endpoint": endpoint,
            "model": model,
            "tokenizer_model": tokenizer_model,
            "api_key": api_key,
            "seed": seed,
            "max_retries": max_retries,
            "timeout": timeout,
            **options,
        }

    def __repr__(self) -> str:
        # A URL may hold a password.
        return f"<trie client: model={self._options['model']!r}>"

    async def run(
        self,
        workload: Workloads,
        concurrency: int | None = None,
        duration: float = 300.0,
        arrival_rate: float | None = None,
        duration_update_interval: float | None = None,
        num_gpus: int | None = None,
        stream: bool = True,
        output_metrics_path: str | os.PathLike[str] | None = None,
        *,
        on_progress: OnProgress = None,
        progress_interval: float = 1.0,
        **options: Unpack[RunOptions],
    ) -> Result:
        """Replays a workload; the event loop is free meanwhile, and several runs may go on in it.

        Cancelled, the run ends within half a second and leaves no thread and no connection behind. The arguments are
        those of :meth:`sync_run`. ``on_progress`` is called in the loop and should return soon.
        """
        job = self._start("run", locals(), options)
        watcher = Watcher(job, on_progress, progress_interval)
        await wait_async(watcher)
        return Result(_run_of(job))

    def sync_run(
        self,
        workload: Workloads,
        concurrency: int | None = None,
        duration: float = 300.0,
        arrival_rate: float | None = None,
        duration_update_interval: float | None = None,
        num_gpus: int | None = None,
        stream: bool = True,
        output_metrics_path: str | os.PathLike[str] | None = None,
        *,
        on_progress: OnProgress = None,
        progress_interval: float = 1.0,
        on_interrupt: Literal["report", "raise"] = "report",
        **options: Unpack[RunOptions],
    ) -> Result:
        """Replays a workload and waits for it. Python's lock is free meanwhile.

        Args:
            workload: Path of a workload file, or rows: dicts or :class:`Workload` objects.
            concurrency: Traces kept alive at a time. Required.
            duration: Seconds in which traces are admitted; what is alive at the end is cut off and counted.
            arrival_rate: The open loop, which this version does not have: anything but ``None`` is refused.
            duration_update_interval: Seconds between ``benchmark in progress`` lines, which go to the logger ``trie``.
            num_gpus: GPUs behind the endpoint, for values per GPU.
            stream: Stream the answers; without it there is no first token to time.
            output_metrics_path: JSONL file with a row per completed trace, as the original writes it.
            on_progress: Called with a :class:`Progress` every ``progress_interval`` seconds.
            progress_interval: Seconds between calls of ``on_progress``.
            on_interrupt: What Ctrl-C does. ``report``: the run ends, its report is printed, and the result has
                ``interrupted=True``; ``raise``: the run ends and ``KeyboardInterrupt`` is raised.
            options: Any other option of ``trie run``, such as ``headers``, ``history``, ``api`` or ``output_dir``.
                Without ``output_dir`` the records stay in memory.

        Raises:
            WorkloadError: The workload cannot be read, or a row is wrong.
            PlanError: Options are wrong, alone or together.
            TokenizerError: The tokenizer cannot be had.
            EndpointError: The server cannot be reached, or cannot serve the run.
            TrieError: Anything else that ends ``trie run`` before its report; base of the others.
            TypeError: An option that does not exist.
        """
        if on_interrupt not in ("report", "raise"):
            raise ValueError(f"on_interrupt must be 'report' or 'raise', not {on_interrupt!r}")
        job = self._start("sync_run", locals(), options)
        watcher = Watcher(job, on_progress, progress_interval)
        interrupted = wait(watcher, interrupt=on_interrupt == "report")
        try:
            result = Result(_run_of(job))
        except _trie.Interrupted as error:
            raise KeyboardInterrupt(str(error)) from None
        if interrupted:
            print(result.report(), flush=True)
        return result

    def check(self, workload: Workloads | None = None, **options: Unpack[CheckOptions]) -> Check:
        """Tries what a run needs of the server, as :func:`check` does."""
        refuse_unknown("check", "check", options)
        return _check({**self._options, **options}, workload)

    def _start(self, function: str, given: Mapping[str, Any], options: Mapping[str, Any]) -> _trie.Job:
        refuse_unknown(function, "run", options)
        named = {name: given[name] for name in _RUN_NAMES}
        if not (given["progress_interval"] > 0):
            raise ValueError(f"progress_interval must be greater than 0 s, not {given['progress_interval']}")
        ui = "none" if named["duration_update_interval"] is None else "log"
        return _job("run", {**self._options, **named, **options, "ui": ui}, given["workload"])


_RUN_NAMES = (
    "concurrency",
    "duration",
    "arrival_rate",
    "duration_update_interval",
    "num_gpus",
    "stream",
    "output_metrics_path",
)


def forecast(
    workload: Workloads,
    engine: str | os.PathLike[str],
    concurrency: int,
    duration: float = 300.0,
    *,
    seed: int | None = None,
    num_gpus: int | None = None,
    stream: bool = True,
    **options: Unpack[ForecastOptions],
) -> Result:
    """Replays a workload against simulated engines in virtual time: minutes take milliseconds.

    Args:
        workload: Path of a workload file, or rows: dicts or :class:`Workload` objects.
        engine: A preset such as ``llama-3.1-70b-4xh100``, or a TOML file of an engine's settings.
        concurrency: Traces kept alive at a time.
        duration: Virtual seconds in which traces are admitted.
        seed: Seed of plan and engine; drawn and recorded where not given.
        num_gpus: GPUs, for values per GPU; the preset's where not given.
        stream: Stream the answers.
        options: Any other option of ``trie forecast``, such as ``replicas``, or ``sim={"tp": 2}``.

    Raises:
        WorkloadError, PlanError, TrieError: As :meth:`Client.sync_run`.
    """
    refuse_unknown("forecast", "forecast", options)
    given = {
        "engine": engine,
        "concurrency": concurrency,
        "duration": duration,
        "seed": seed,
        "num_gpus": num_gpus,
        "stream": stream,
    }
    job = _job("forecast", {**given, **options, "ui": "none"}, workload)
    wait(Watcher(job, None, 1.0), interrupt=False)
    return Result(_run_of(job))


def check(
    endpoint: str,
    model: str,
    tokenizer_model: str | None = None,
    workload: Workloads | None = None,
    *,
    api_key: str | None = None,
    timeout: float = 600.0,
    **options: Unpack[CheckOptions],
) -> Check:
    """Tries what a run needs of a server, with a few short requests, and says what was found and what to do.

    With a workload its longest request is tried too.

    Raises:
        WorkloadError, PlanError, TokenizerError, EndpointError, TrieError: As :meth:`Client.sync_run`. What a server
            cannot do is a finding and no exception.
    """
    refuse_unknown("check", "check", options)
    given = {
        "endpoint": endpoint,
        "model": model,
        "tokenizer_model": tokenizer_model,
        "api_key": api_key,
        "timeout": timeout,
    }
    return _check({**given, **options}, workload)


def report(*paths: str | os.PathLike[str]) -> Result:
    """Computes every number of a run directory anew from its records; several are shards of one plan.

    Raises:
        TrieError: A path that is no run directory, or records that do not belong together.
    """
    if not paths:
        raise TypeError("report() needs a run directory")
    return Result(_trie.report([os.fspath(path) for path in paths]))


def compare(
    a: Run | Iterable[Run],
    b: Run | Iterable[Run],
    *,
    fail_if: str | Iterable[str] = (),
    fail_if_unsure: bool = False,
) -> Comparison:
    """Compares side ``b`` with side ``a``, request by request, with intervals; several runs a side are paired by seed.

    Args:
        a: The side that is compared with: a result, a run directory, or several of them.
        b: The side that is compared.
        fail_if: Gates such as ``"ttft_s.p90 > +5%"``; ``Comparison.exit_code`` says whether one fired.
        fail_if_unsure: Whether a gate whose interval straddles its limit counts.

    Raises:
        PlanError: A gate that cannot be read.
        TrieError: Runs that cannot be compared.
    """
    gates = [fail_if] if isinstance(fail_if, str) else list(fail_if)
    return Comparison(_trie.compare(_side(a), _side(b), gates, fail_if_unsure))


def _side(runs: Run | Iterable[Run]) -> list[str | _trie.Run]:
    each: Iterable[Run] = [runs] if isinstance(runs, (str, os.PathLike, Result)) else runs
    return [one._run if isinstance(one, Result) else os.fspath(one) for one in each]


def _check(options: dict[str, Any], workload: Workloads | None) -> Check:
    job = _job("check", options, workload)
    wait(Watcher(job, None, 1.0), interrupt=False)
    checked = job.result()
    assert isinstance(checked, _trie.Checked), "a check gives back what it found"
    return Check(checked)


def _job(command: str, options: dict[str, Any], workload: Workloads | None) -> _trie.Job:
    path, rows = (None, None) if workload is None else opened(workload)
    variables = environment()
    if _trie.PROGRAM not in variables and command == "run":
        # Nobody knows how to start this program again, which the self-check does.
        options = {**options, "selfcheck": False}
    return _trie.Job(command, texts(command, {**options, "workload_path": path}), rows, variables)


def _run_of(job: _trie.Job) -> _trie.Run:
    run = job.result()
    assert isinstance(run, _trie.Run), "a run gives back its records"
    return run
