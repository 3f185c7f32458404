"""Replays agentic traces against an OpenAI-compatible server and reports what its users would feel.

    from trie import Client

    client = Client(endpoint="http://localhost:8000/v1", model="deepseek-ai/DeepSeek-R1")
    result = client.sync_run("workload.jsonl", concurrency=8, duration=300)
    print(result.report())

Everything that the command line ``trie`` does is done by the same code here: options, defaults, checks and messages
are the same. What a run says on the way goes to the logger ``trie``.
"""

from ._cells import Cell, Metrics
from ._client import Client, Progress, check, compare, forecast, report
from ._result import Check, Comparison, Result
from ._trie import (
    EndpointError,
    Interrupted,
    PlanError,
    TokenizerError,
    TrieError,
    WorkloadError,
    __version__,
)
from ._workload import Workload

__all__ = [
    "Cell",
    "Check",
    "Client",
    "Comparison",
    "EndpointError",
    "Interrupted",
    "Metrics",
    "PlanError",
    "Progress",
    "Result",
    "TokenizerError",
    "TrieError",
    "Workload",
    "WorkloadError",
    "__version__",
    "check",
    "compare",
    "forecast",
    "report",
]
