"""The same run from Python and by the native command, in turns, against one server.

    python python/benchmarks/native.py target/release/trie [STREAMS] [SECONDS] [ROUNDS]

Prints, for each run, the lag of the client's reads (arrival to read, by the kernel's stamps) and the CPU time of the
receiving threads a chunk, then the ratios of Python's medians to the native command's.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from trie import Client

ROW = {
    "num_turns": 1,
    "input_prompt_length": 64,
    "assistant_response_length": [80],
    "tool_call_output_length": [16],
    "tool_call_latency": [0],
    "final_assistant_response_length": 80,
}


def measured(directory: Path) -> dict[str, float]:
    """What a run directory says of its client."""
    rows = [json.loads(line) for line in (directory / "client.jsonl").read_text().splitlines()]
    chunks = sum(json.loads(line)["chunks"] for line in (directory / "requests.jsonl").read_text().splitlines())
    accounting = json.loads((directory / "summary.json").read_text())["accounting"]
    lag = {name: accounting[f"client_lag_{name}_ms"] for name in ("p50", "p99")}
    value = {name: cell["value"] if isinstance(cell, dict) else cell for name, cell in lag.items()}
    return {
        "lag p50 (us)": 1e3 * value["p50"],
        "lag p99 (us)": 1e3 * value["p99"],
        "CPU a chunk (ns)": sum(row["cpu_ns"] or 0 for row in rows) / chunks,
        "chunks": chunks,
    }


def main() -> None:
    native = sys.argv[1]
    streams, seconds, rounds = (int(word) for word in (*sys.argv[2:], *("512", "20", "3")[len(sys.argv) - 2 :]))
    options = {"concurrency": streams, "duration": seconds, "seed": 1, "selfcheck": False, "history": "ids"}
    found: dict[str, list[dict[str, float]]] = {"native": [], "python": []}
    server = subprocess.Popen(
        [native, "serve", "port=0", "policy=fixed", "ttft_ms=50", "itl_ms=20"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        url = re.findall(r"http://\S+", server.stderr.readline())[0]
        with tempfile.TemporaryDirectory() as folder:
            workload = Path(folder, "workload.jsonl")
            workload.write_text(json.dumps(ROW) + "\n")
            for turn in range(rounds):
                for way in ("native", "python") if turn % 2 == 0 else ("python", "native"):
                    directory = Path(folder, f"{way}-{turn}")
                    if way == "native":
                        words = [f"{name}={value}" for name, value in options.items()]
                        more = [f"workload_path={workload}", f"endpoint={url}", "model=m", "tokenizer_model=builtin"]
                        command = [native, "run", *words, *more, f"output_dir={directory}", "ui=none"]
                        subprocess.run(command, check=False, capture_output=True)
                    else:
                        client = Client(url, "m", "builtin", seed=1)
                        given = {name: value for name, value in options.items() if name != "seed"}
                        client.sync_run(workload, output_dir=directory, **given)
                    found[way].append(measured(directory))
                    print(turn, way, {name: round(value, 1) for name, value in found[way][-1].items()}, flush=True)
    finally:
        server.kill()
    for name in found["native"][0]:
        medians = {way: statistics.median(run[name] for run in runs) for way, runs in found.items()}
        print(f"{name:18} native {medians['native']:.1f}  python {medians['python']:.1f}  ratio {medians['python'] / medians['native']:.3f}")


if __name__ == "__main__":
    main()
