#!/usr/bin/env python3
"""Benchmark clients side by side: one after another against one `trie serve`, whose sockets a referee watches.

    crates/trie-bench/peers/setup.sh FOLDER
    python3 crates/trie-bench/peers/peers.py --peers FOLDER --trie target/release/trie --json result.json

Linux, two cores: the server on one, each client with all its processes on the other. As root the server gets a
real-time priority and the clients the highest of the normal ones, so that other work disturbs less.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import truth
from clients import CLIENTS, Cell, environment

TOKENS = 100
# An answer takes 2 s, and CPU counts from the second of them to the last.
LEAST_SECONDS = 7
TIMEOUT_S = 240
CLIENT_CORE, SERVER_CORE = 0, 1
ERRORS = ("ttft", "ttft_sent", "gap", "mean_gap")


def main():
    args = arguments()
    if args.table:
        print(table(json.loads(Path(args.table).read_text(encoding="utf-8"))))
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {SERVER_CORE})
    cells = []
    for number in range(args.rounds):
        for streams in args.streams:
            cells += one_round(args, number, streams)
            if args.json:
                Path(args.json).write_text(json.dumps(cells), encoding="utf-8")
    print(table(cells))


def one_round(args, number, streams):
    """Every client once against one server, each round beginning with another."""
    turn = number % len(args.clients)
    order = args.clients[turn:] + args.clients[:turn]
    with tempfile.TemporaryDirectory() as folder, Server(args, Path(folder)) as server:
        return [one_cell(args, server, name, number, streams) for name in order]


class Server:
    """`trie serve` on a fixed schedule, with the referee inside."""

    def __init__(self, args, folder):
        self.records = folder / "records"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.command = [args.trie, "serve", f"port={self.port}", "ttft_ms=50", "itl_ms=20", "cache_tokens=0"]
        referee = {"LD_PRELOAD": str(Path(args.peers, "libreferee.so")), "REFEREE_FILE": str(self.records)}
        self.environment = os.environ | referee

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            preexec_fn=lambda: settle(SERVER_CORE, real_time=True),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{self.url}/v1/models", timeout=5).read()
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the server did not start: " + " ".join(self.command))

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def settle(core, real_time):
    """In a new process: its core, and as root a priority above whatever else runs."""
    os.sched_setaffinity(0, {core})
    if os.geteuid() == 0 and real_time:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    elif os.geteuid() == 0:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        Path("/proc/self/autogroup").write_text("-20", encoding="utf-8")  # A session is weighed as a whole.


def one_cell(args, server, name, number, streams):
    """Runs a client; gives what it cost, what it said, and how far that is from the truth."""
    folder = Path(tempfile.mkdtemp())
    seconds = args.seconds + streams // 32
    cell = Cell(server.url, streams, TOKENS, seconds, folder, Path(args.peers), args.trie)
    command, reports = CLIENTS[name]
    row = {"client": name, "streams": streams, "round": number, "seconds": seconds, "load": [os.getloadavg()[0]]}
    try:
        first = truth.count(server.records)
        run = watched([str(part) for part in command(cell)], environment(cell), folder / "log")
        time.sleep(1)
        answers = truth.answers(server.records, first, truth.count(server.records))
        row["load"].append(os.getloadavg()[0])
        row |= judged(list(reports(cell)), answers, run, streams)
        shutil.rmtree(folder)
    except (OSError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        row["failed"] = f"{type(error).__name__}: {error}"
        print(f"{name} failed; its files are in {folder}", file=sys.stderr)
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


def watched(command, environment, log):
    """Runs a command on the client's core and samples the CPU time of all its processes."""
    samples = []
    with open(log, "wb") as out:
        client = subprocess.Popen(
            command,
            env=environment,
            cwd=log.parent,
            preexec_fn=lambda: settle(CLIENT_CORE, real_time=False),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        over = threading.Event()
        sampler = threading.Thread(target=sample, args=(client.pid, samples, over))
        sampler.start()
        killer = threading.Timer(TIMEOUT_S, os.killpg, (client.pid, signal.SIGKILL))
        killer.start()
        _, status, used = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        over.set()
        sampler.join()
    return {"samples": samples, "cpu_s": used.ru_utime + used.ru_stime, "exit": client.returncode}


def sample(root, samples, over):
    while not over.is_set():
        samples.append((time.time_ns(), tree_cpu_ns(root)))
        over.wait(0.1)


def tree_cpu_ns(root):
    """CPU time of a process and its descendants, of those that have ended by what their parents took over."""
    total, found = 0, [root]
    while found:
        pid = found.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ended = (int(fields[13]) + int(fields[14])) * (10**9 // os.sysconf("SC_CLK_TCK"))
            total += time.clock_gettime_ns((~pid << 3) | 2) + ended  # clock_getcpuclockid(3) of that process
            for thread in os.listdir(f"/proc/{pid}/task"):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="utf-8").split())
        except OSError:
            continue  # It ended in between.
    return total


def judged(reported, answers, run, streams):
    """A cell's figures."""
    whole = [answer for answer in answers if len(answer.written_ns) >= TOKENS]
    drained_ns = run["samples"][-1][0] if len(whole) == len(reported) else None
    errors = truth.errors(truth.matched(reported, answers, TOKENS), TOKENS)
    figures = {
        "exit": run["exit"],
        "cpu_us_per_chunk": None,
        "chunks_per_s": None,
        "cpu_s": run["cpu_s"],
        "whole_by_server": len(whole),
        "whole_by_client": len(reported),
    }
    if found := truth.consumed(answers, streams, TOKENS, drained_ns):
        begin_ns, end_ns, chunks = found
        figures["cpu_us_per_chunk"] = truth.cpu_between(run["samples"], begin_ns, end_ns) / 1e3 / chunks
        figures["chunks_per_s"] = chunks / ((end_ns - begin_ns) / 1e9)
    for what, values in errors.items():
        figures[f"{what}_error_ms_p50"] = truth.quantile(values, 0.5)
        figures[f"{what}_error_ms_p99"] = truth.quantile(values, 0.99)
    true_ttft = [(answer.written_ns[0] - answer.arrived_ns) / 1e6 for answer in whole if answer.arrived_ns]
    figures["true_ttft_ms_p50"] = truth.quantile(true_ttft, 0.5)
    figures["true_ttft_ms_p99"] = truth.quantile(true_ttft, 0.99)
    return figures


def table(cells):
    """Medians over the rounds, and the median of the ratios to trie in the same round."""
    lines = []
    for streams in sorted({cell["streams"] for cell in cells}):
        here = [cell for cell in cells if cell["streams"] == streams]
        lines += [
            f"\n{streams} streams:\n",
            "| client | CPU us/chunk | times trie | TTFT error ms p50 / p99 | the same from sent | gap error ms p50 / p99 "
            "| mean-gap error ms p50 / p99 | chunks/s | whole answers: server / client | all CPU s | load | rounds |",
            "|" + "---|" * 12,
        ]
        lines += [line(name, here) for name in CLIENTS if any(cell["client"] == name for cell in here)]
    return "\n".join(lines)


def line(name, cells):
    own = [cell for cell in cells if cell["client"] == name]
    good = [cell for cell in own if "failed" not in cell]
    if not good:
        return f"| {name} | failed: {own[0]['failed']} |" + " |" * 10
    columns = [
        name,
        shown(middle(good, "cpu_us_per_chunk")),
        shown(ratio(good, cells, "cpu_us_per_chunk")),
        *(" / ".join(shown(middle(good, f"{what}_error_ms_{q}")) for q in ("p50", "p99")).replace("- / -", "-") for what in ERRORS),
        shown(middle(good, "chunks_per_s")),
        f"{middle(good, 'whole_by_server'):.0f} / {middle(good, 'whole_by_client'):.0f}",
        shown(middle(good, "cpu_s")),
        "{:.0f}-{:.0f}".format(min(min(cell["load"]) for cell in good), max(max(cell["load"]) for cell in good)),
        f"{len(good)}/{len(own)}",
    ]
    return "| " + " | ".join(columns) + " |"


def middle(cells, key):
    """The median; None where a client does not report it."""
    values = [cell[key] for cell in cells if cell[key] is not None]
    return statistics.median(values) if values else None


def ratio(own, cells, key):
    """The median over the rounds of a client's figure by trie's in the same round."""
    base = {cell["round"]: cell[key] for cell in cells if cell["client"] == "trie" and "failed" not in cell}
    values = [cell[key] / base[cell["round"]] for cell in own if cell[key] and base.get(cell["round"])]
    return statistics.median(values) if values else None


def shown(value):
    """Three significant digits; a dash for what is missing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: text.split(",")
    parser.add_argument("--peers", default="peers", help="the folder that setup.sh filled")
    parser.add_argument("--trie", default="target/release/trie", help="the trie program: client and server")
    parser.add_argument("--clients", type=names, default=list(CLIENTS), help="comma-separated: %(default)s")
    parser.add_argument("--streams", type=lambda text: [int(n) for n in names(text)], default=[64, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12, help="of load in a cell; more with many streams")
    parser.add_argument("--json", help="a file for every cell's figures, written after each round")
    parser.add_argument("--table", help="only print the table of such a file")
    args = parser.parse_args()
    args.peers, args.trie = os.path.abspath(args.peers), os.path.abspath(args.trie)
    if unknown := set(args.clients) - set(CLIENTS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    if args.seconds < LEAST_SECONDS:
        parser.error(f"--seconds is {LEAST_SECONDS} at least: three answers one after another")
    return args


if __name__ == "__main__":
    main()
