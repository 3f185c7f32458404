#!/usr/bin/env python3
"""Virtual time against real time: `trie serve` and `trie run`, then `trie forecast` of the same.

    conformance/virtual_time.py TRIE WORKLOAD [RUNS]

`conformance/workloads/short.jsonl` has enough first tokens in a minute to tell TTFT to a percent; of long traces with
long prompts it hangs on who shares a step with whom.

Prints mean, p50 and p90 of each metric, and throughput, measured / forecast, for every run.
"""

import json
import os
import subprocess
import sys
import tempfile

ENGINE, CONCURRENCY, DURATION = "qwen3-32b-1xh200", 32, 60
# Where all traces start at once, who shares a step with whom hangs on microseconds.
RAMP = 10
METRICS = ["latency_s", "ttft_s", "ttfat_s", "decode_tps"]


def summary(folder, name):
    with open(f"{folder}/{name}/summary.json") as file:
        return json.load(file)


def plain(cell):
    """A cell as a number; a bound is marked in the file and is none."""
    return cell["value"] if isinstance(cell, dict) and "value" in cell else cell


def values(found):
    """(metric, statistic) -> number."""
    cells = {}
    for metric in METRICS:
        for statistic in ["mean", "p50", "p90"]:
            cells[metric, statistic] = plain(found["per_trace"][metric][statistic])
    for name in ["total_prompt_tok_per_s", "completion_tok_per_s"]:
        cells[name, "overall"] = plain(found["workload"][name]["overall"])
    return cells


def once(trie, workload, number):
    options = [f"workload_path={workload}", f"concurrency={CONCURRENCY}", f"duration={DURATION}",
               f"ramp={RAMP}", f"seed={number}", f"salt={number:016x}", "ui=none"]
    with tempfile.TemporaryDirectory() as folder:
        serve = subprocess.Popen([trie, "serve", "port=0", f"engine={ENGINE}", f"seed={number}"],
                                 stderr=subprocess.PIPE, text=True)
        try:
            url = serve.stderr.readline().split()[3]
            run = [trie, *options, f"endpoint={url}", "model=m", "tokenizer_model=builtin", "output_dir=real"]
            subprocess.run(run, cwd=folder, check=False, capture_output=True)
        finally:
            serve.terminate()
            serve.wait()
        forecast = [trie, "forecast", *options, f"engine={ENGINE}", "output_dir=virtual"]
        subprocess.run(forecast, cwd=folder, check=False, capture_output=True)
        return values(summary(folder, "real")), values(summary(folder, "virtual"))


def main():
    # Each run has a folder of its own to write into.
    trie, workload = map(os.path.abspath, sys.argv[1:3])
    for number in range(1, int(sys.argv[3] if len(sys.argv) > 3 else 5) + 1):
        real, virtual = once(trie, workload, number)
        print(f"run {number}")
        for key in real:
            measured, forecast = real[key], virtual[key]
            print(f"  {key[0]:22} {key[1]:8} {measured:12.4f} {forecast:12.4f} {measured / forecast:8.4f}", flush=True)


main()
