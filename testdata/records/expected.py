#!/usr/bin/env python3
"""Golden records and the numbers that follow from them.

Writes v1/<case>/{manifest.json,requests.jsonl,traces.jsonl,client.jsonl,expected.json}. The
records come from hand-made schedules below; the expected numbers are worked out here from the
written records by the definitions in the documentation, in plain Python with exact fractions where
that matters, sharing nothing with the Rust code that is tested against them.

    python3 expected.py           write the files
    python3 expected.py --check   fail if a file on disk is not what would be written
"""

import json
import math
import sys
from fractions import Fraction
from pathlib import Path

S = 1_000_000_000
MS = 1_000_000
START = 5_000 * S  # The run's start on its monotonic clock.
STATS = {"p50": (50, 11), "p90": (90, 64), "p95": (95, 130), "p99": (99, 662)}

# ---------------------------------------------------------------- records from schedules


def four_digits(value):
    unit = 1
    while value // unit >= 10_000:
        unit *= 10
    return (value // unit + (value % unit * 2 >= unit and unit > 1)) * unit


def sparse(values):
    """[[value, count], ...] of (value, count) pairs, as record files hold histograms."""
    counts = {}
    for value, count in values:
        if count:
            key = four_digits(value)
            counts[key] = counts.get(key, 0) + count
    return [[value, counts[value]] for value in sorted(counts)]


def gaps_of(chunks):
    pairs = zip(chunks, chunks[1:])
    return [((b[0] - a[0]) // b[1], b[1]) for a, b in pairs]


class Run:
    """A run in the making: times are given in milliseconds since its start."""

    def __init__(self, duration, concurrency=2, gpus=None, stream=True, ending="deadline", end=None,
                 message=None, notes=()):
        self.duration, self.stream = int(duration * MS), stream
        self.requests, self.traces, self.client = [], [], []
        end = self.duration if end is None else int(end * MS)
        self.manifest = {
            "schema": "trie.manifest/1",
            "options": {"concurrency": {"value": str(concurrency), "origin": "command line"}},
            "workload": {"path": "workload.jsonl", "sha256": "00", "rows": 3, "requests": 7,
                         "prompt_tokens": 900, "completion_tokens": 60, "max_context_tokens": 400},
            "plan_sha256": "aa", "seed": 7, "salt": "0123456789abcdef", "content_version": 1,
            "history": "text", "model": "m", "concurrency": concurrency,
            "duration_ns": self.duration, "num_gpus": gpus, "stream": stream, "start_ns": START,
            "started_at": "2026-01-01T00:00:00Z", "simulated": None,
            "versions": {"trie": "0.1.0", "tokenizer": "built-in", "tokenizer_sha256": "bb"},
            "host": {"name": "h", "platform": "linux-x86_64", "kernel": "6", "cpus": 2},
            "clock": {"monotonic": "CLOCK_MONOTONIC", "stamps": "user", "resolution_ns": 1},
            "server": None, "notes": list(notes),
            "ending": None if ending is None else
            {"end_ns": START + end, "reason": ending, "message": message},
        }

    def trace(self, number, at, steps, planned, end=None, outcome=None, lost=False,
              held=None):
        """Rows at admission and at the end; `planned` = (prompt, completion) tokens."""
        row = {"trace": number, "row": number, "cycle": 0, "trace_id": str(number),
               "slot": number % 2, "steps": steps, "final_step": steps - 1,
               "planned_completion_tokens": planned[1], "planned_prompt_tokens": planned[0]}
        if held is not None:
            row["held_ns"] = int(held * MS)
        if not lost:
            self.traces.append(row | {"at_ns": START + int(at * MS), "event": "admitted"})
        if outcome is not None:
            self.traces.append(row | {"at_ns": START + int(end * MS), "event": {"ended": outcome}})

    def request(self, trace, step, intent, end, plan, usage=None, chunks=(), outcome="ok", error=None,
                attempt=0, lag=0.1, source="assumed", connect=None, stale=False, expected=None,
                eligible=0, cached=None, sent=True, lane=0, after=None, join=None, parent=...,
                shown=None):
        """`plan` = (prompt, new, completion); `usage` = (prompt, completion); `chunks` are
        (ms, tokens, visible), absolute. `after` = (step, ms) of the event that let it go, (None, ms) for
        a step that starts with its trace; without it the row does not say."""
        ns = lambda ms: START + int(round(ms * MS))
        chunks = [(ns(ms), tokens, visible) for ms, tokens, visible in chunks]
        itl = sparse(gaps_of(chunks))
        visible = [chunk for chunk in chunks if chunk[2]]
        usage = usage or (None, None)
        row = {
            "trace": trace, "row": trace, "cycle": 0, "lane": lane, "step": step,
            "parent": parent if parent is not ... else step - 1 if step else None, "attempt": attempt, "id": f"r{trace}-{step}",
            "intent_ns": ns(intent), "start_ns": ns(intent + lag / 2),
            "connected_ns": ns(intent + connect) if connect else ns(intent - 1) if intent else ns(0),
            "sent_ns": ns(intent + lag + (connect or 0)) if sent else None,
            "headers_ns": chunks[0][0] - MS if chunks else None,
            "first_event_ns": chunks[0][0] - MS if chunks else None,
            "first_token_ns": chunks[0][0] if chunks else None,
            "first_visible_ns": visible[0][0] if visible else None,
            "last_token_ns": chunks[-1][0] if chunks else None, "end_ns": ns(end),
            "planned_prompt_tokens": plan[0], "planned_new_tokens": plan[1],
            "planned_completion_tokens": plan[2], "prompt_tokens": usage[0],
            "completion_tokens": usage[1], "cached_tokens": cached,
            "expected_cached_tokens": expected, "eligible_tokens": eligible, "chunks": len(chunks),
            "first_chunk_tokens": chunks[0][1] if chunks else None,
            "token_source": source, "stall_ns": max((b[0] - a[0] for a, b in zip(chunks, chunks[1:])),
                                                     default=None),
            "itl": itl, "credit": self.credit(chunks, usage, outcome, ns(end)),
            "connection": trace % 2, "connect_ns": int(connect * MS) if connect else None,
            "stale_resend": stale, "stamp_source": "user", "late_chunks": 0, "outcome": outcome,
            "error": error,
        }
        if after is not None:
            row |= {"waited_until_ns": ns(after[1])} | (
                {} if after[0] is None else {"waited_for": after[0]})
        if shown is not None:
            row["shown_cached_tokens"] = shown
        if join is not None:
            row["join_wait_ns"] = int(join * MS)
        if any(not chunk[2] for chunk in chunks):
            row["visible_itl"] = sparse(gaps_of(visible))
        self.requests.append(row)

    def credit(self, chunks, usage, outcome, end):
        if not self.stream and outcome == "ok" and usage[1]:
            chunks = [(end, usage[1], True)]
        credit = {}
        for at, tokens, _ in chunks:
            at -= START
            second = at // S
            if at >= self.duration and second == self.duration // S and self.duration % S:
                second = self.duration / S
            credit[float(second)] = credit.get(float(second), 0) + tokens
        return [[second, credit[second]] for second in sorted(credit)]

    def turn(self, trace, step, intent, ttft, gap, plan, cached=0, expected=None, eligible=0, first=1,
             width=1, blank=0, **more):
        """A whole streamed answer: `first` tokens in its first chunk, `width` in each other one,
        `gap` ms apart, `blank` chunks without text; ends 0.5 ms behind the last chunk."""
        at, left, chunks = intent + ttft, plan[2] - first, [(intent + ttft, first, blank < 1)]
        while left > 0:
            at += gap + 0.25 * (len(chunks) % 3)
            tokens = min(width, left)
            chunks.append((at, tokens, len(chunks) >= blank))
            left -= tokens
        usage = more.pop("usage", (plan[0], plan[2]))
        expected = plan[0] - plan[1] if expected is None else expected
        self.request(trace, step, intent, at + 0.5, plan, usage=usage, chunks=chunks, cached=cached,
                     expected=expected, eligible=eligible, **more)
        return at + 0.5

    def second(self, second, lag=(), queue_full=0, clock_steps=0):
        self.client.append({"second": second, "thread": 0, "send_lateness": [], "lag": sparse(lag),
                            "timer_lag": [], "reads": 10, "merged_reads": 0, "cpu_ns": 1000,
                            "queue_depth": 0, "queue_full": queue_full, "in_flight": 1,
                            "clock_offset_ns": None, "clock_steps": clock_steps})


def plain():
    run = Run(60_000, gpus=4)
    run.trace(0, 0, 3, (600, 30))
    run.trace(1, 0, 2, (520, 20), held=1250.5)
    begun, go_on = (None, 0), lambda step, end: {"after": (step, end)}
    end = run.turn(0, 0, 0, 250.5, 20, (100, 100, 10), cached=16, expected=0, after=begun)
    end1 = run.turn(1, 0, 0, 310.125, 22, (200, 200, 10), after=begun)
    end = run.turn(0, 1, end + 7000, 120, 21, (200, 90, 10), cached=110, eligible=110, **go_on(0, end))
    end = run.turn(0, 2, end + 9000, 130.25, 25, (300, 90, 10), cached=196, eligible=210,
                   **go_on(1, end))
    run.trace(0, 0, 3, (600, 30), end, "completed", lost=True)
    end1 = run.turn(1, 1, 11_000, 95, 19, (320, 110, 10), cached=208, eligible=210, **go_on(0, end1))
    run.trace(1, 0, 2, (520, 20), end1, "completed", lost=True)
    run.trace(2, end1, 2, (400, 20))
    end = run.turn(2, 0, end1, 222, 18, (100, 100, 10), after=(None, end1))
    end = run.turn(2, 1, 41_000, 111, 17, (300, 190, 10), cached=96, eligible=110, **go_on(0, end))
    run.trace(2, end1, 2, (400, 20), end, "completed", lost=True)
    run.second(0, lag=[(3_000, 40), (12_345, 2)])
    return run


def empty_first_chunk():
    run = Run(20_000)
    run.trace(0, 0, 2, (300, 12))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 6), blank=1)
    end = run.turn(0, 1, end + 500, 150, 30, (200, 94, 6), cached=106, eligible=106, blank=2)
    run.trace(0, 0, 2, (300, 12), end, "completed", lost=True)
    return run


def several_tokens_first_chunk():
    run = Run(20_000)
    run.trace(0, 0, 2, (300, 40))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 20), first=4, width=3, source="token_ids")
    end = run.turn(0, 1, end + 500, 150, 31, (200, 80, 20), first=5, width=2, cached=112, eligible=120,
                   source="token_ids")
    run.trace(0, 0, 2, (300, 40), end, "completed", lost=True)
    return run


def one_token_answer():
    """The second trace's only answer has no text: the original fails that trace."""
    run = Run(20_000)
    run.trace(0, 0, 2, (300, 9))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 1))
    end = run.turn(0, 1, end + 500, 150, 30, (200, 99, 8), cached=101, eligible=101)
    run.trace(0, 0, 2, (300, 9), end, "completed", lost=True)
    run.trace(1, 0, 1, (50, 1))
    end = run.turn(1, 0, 0, 180, 30, (50, 50, 1), blank=1)
    run.trace(1, 0, 1, (50, 1), end, "completed", lost=True)
    return run


def missing_usage():
    run = Run(20_000)
    run.trace(0, 0, 3, (600, 24))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 8))
    end = run.turn(0, 1, end + 500, 150, 30, (200, 92, 8), usage=(None, None), cached=None, eligible=108)
    end = run.turn(0, 2, end + 500, 150, 30, (300, 92, 8), cached=208, eligible=208)
    run.trace(0, 0, 3, (600, 24), end, "completed", lost=True)
    run.trace(1, 0, 1, (50, 5))
    end = run.turn(1, 0, 0, 180, 30, (50, 50, 5), usage=(None, None), cached=None)
    run.trace(1, 0, 1, (50, 5), end, "completed", lost=True)
    return run


def missing_cached_tokens():
    run = Run(20_000)
    for trace in (0, 1):
        run.trace(trace, 0, 2, (300, 16))
        end = run.turn(trace, 0, 0, 200 + trace, 30, (100, 100, 8), cached=None)
        end = run.turn(trace, 1, end + 500, 150, 30, (200, 92, 8), cached=None if trace else 96,
                       eligible=108)
        run.trace(trace, 0, 2, (300, 16), end, "completed", lost=True)
    return run


def failed_turn():
    run = Run(20_000)
    run.trace(0, 0, 2, (300, 16))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 8))
    run.request(0, 1, end + 500, end + 700, (200, 92, 8), outcome="failed", expected=108, eligible=108,
                source=None, error={"kind": "status", "status": 500, "message": "internal error"})
    run.trace(0, 0, 2, (300, 16), end + 700, {"failed": "status"}, lost=True)
    run.trace(1, 0, 2, (300, 16))
    end = run.turn(1, 0, 0, 210, 29, (100, 100, 8))
    end = run.turn(1, 1, end + 500, 140, 29, (200, 92, 8), cached=108, eligible=108)
    run.trace(1, 0, 2, (300, 16), end, "completed", lost=True)
    return run


def cut_off():
    """A fractional deadline; one trace cut inside its first request before any token, one inside
    its final answer, one in a tool wait, one right behind its completed neighbour."""
    run = Run(42_500, concurrency=4, gpus=2, notes=["token_scale touched nothing"])
    run.trace(0, 0, 2, (300, 16))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 8))
    end = run.turn(0, 1, end + 500, 150, 30, (200, 92, 8), cached=108, eligible=108)
    run.trace(0, 0, 2, (300, 16), end, "completed", lost=True)
    run.trace(1, 0, 2, (300, 40))
    run.trace(2, 0, 3, (900, 24))
    end = run.turn(2, 0, 0, 260, 31, (100, 100, 8))
    run.turn(1, 0, 0, 300, 33, (100, 100, 8))
    run.turn(2, 1, 9_000, 140, 35, (300, 192, 8), cached=100, eligible=108)
    chunks = [(40_900 + 200 * i, 2, True) for i in range(8)] + [(42_499, 3, True), (42_600, 1, True)]
    run.request(1, 1, 40_500, 42_500, (200, 92, 32), outcome="cut_off", chunks=chunks, expected=108,
                eligible=108)
    run.trace(1, 0, 2, (300, 40), 42_500, "cut_off", lost=True)
    run.trace(2, 0, 3, (900, 24), 42_500, "cut_off", lost=True)
    run.trace(3, 41_000, 2, (300, 16))
    run.request(3, 0, 41_000, 42_500, (100, 100, 8), outcome="cut_off", source=None, expected=0)
    run.trace(3, 41_000, 2, (300, 16), 42_500, "cut_off", lost=True)
    return run


def zero_tool_turns():
    run = Run(20_000)
    for trace in range(4):
        run.trace(trace, 1000 * trace, 1, (100 + trace, 8))
        end = run.turn(trace, 0, 1000 * trace, 200 + 10 * trace, 30 + trace, (100 + trace,) * 2 + (8,))
        run.trace(trace, 0, 1, (100 + trace, 8), end, "completed", lost=True)
    return run


def non_streamed():
    run = Run(20_000, gpus=1, stream=False)
    run.trace(0, 0, 2, (300, 16))
    run.request(0, 0, 0, 700, (100, 100, 8), usage=(100, 8), cached=0, expected=0, source="usage")
    run.request(0, 1, 1200, 1900, (200, 92, 8), usage=(200, 8), cached=96, expected=108, eligible=108,
                source="usage")
    run.trace(0, 0, 2, (300, 16), 1900, "completed", lost=True)
    run.trace(1, 0, 1, (50, 5))
    run.request(1, 0, 0, 400, (50, 50, 5), usage=(50, 5), cached=0, expected=0, source="usage")
    run.trace(1, 0, 1, (50, 5), 400, "completed", lost=True)
    return run


def second_attempt():
    run = Run(20_000)
    run.trace(0, 0, 2, (300, 16))
    run.request(0, 0, 0, 90, (100, 100, 8), outcome="failed", expected=0, chunks=[(80, 1, True)],
                error={"kind": "reset", "status": None, "message": "connection reset"})
    end = run.turn(0, 0, 200, 210, 30, (100, 100, 8), attempt=1, connect=12.5, lag=0.3)
    end = run.turn(0, 1, end + 500, 150, 30, (200, 92, 8), cached=108, eligible=108, stale=True)
    run.trace(0, 0, 2, (300, 16), end, "completed", lost=True)
    return run


def killed():
    """No ending; a trace without an end row, and requests whose admission row was lost."""
    run = Run(60_000, ending=None)
    run.trace(0, 0, 2, (300, 16))
    end = run.turn(0, 0, 0, 200, 30, (100, 100, 8))
    end = run.turn(0, 1, end + 500, 150, 30, (200, 92, 8), cached=108, eligible=108)
    run.trace(0, 0, 2, (300, 16), end, "completed", lost=True)
    run.trace(1, 0, 2, (300, 16))
    run.turn(1, 0, 0, 240, 33, (100, 100, 8))
    run.turn(2, 0, 2_000, 250, 34, (100, 100, 8))
    return run


def interrupted():
    run = Run(300_000, ending="interrupted", end=8_250, message="interrupted by the user")
    run.trace(0, 0, 1, (100, 8))
    end = run.turn(0, 0, 0, 200, 300, (100, 90, 8), cached=0, usage=(103, 7))
    run.trace(0, 0, 1, (100, 8), end, "completed", lost=True)
    run.trace(1, 3_000, 1, (100, 8))
    run.request(1, 0, 3_000, 8_250, (100, 100, 8), outcome="cut_off", source=None, expected=0)
    run.trace(1, 0, 1, (100, 8), 8_250, "cut_off", lost=True)
    run.second(3, queue_full=2, clock_steps=1)
    return run


def all_failed():
    """A server that refuses everyone: no bound of a refusal is a latency."""
    run = Run(20_000)
    for trace in range(2):
        run.trace(trace, 0, 2, (300, 16))
        run.request(trace, 0, 0, 3 + trace, (100, 100, 8), outcome="failed", expected=0, source=None,
                    error={"kind": "status", "status": 503, "message": "overloaded"})
        run.trace(trace, 0, 2, (300, 16), 3 + trace, {"failed": "status"}, lost=True)
    return run


def lanes():
    """Two subagents that a first answer lets go, one of them with two turns, joined by a final step;
    a second trace with a retry on its path and a detached lane that ends last; a third one cut off
    in a lane."""
    run = Run(30_000, concurrency=3)
    run.trace(0, 0, 5, (1_000, 26))
    s0 = run.turn(0, 0, 0, 200, 30, (100, 100, 6), after=(None, 0))
    s1 = run.turn(0, 1, s0 + 250, 100, 20, (150, 150, 4), lane=1, after=(0, s0), parent=None)
    s2 = run.turn(0, 2, s0, 400, 40, (160, 160, 4), lane=2, after=(0, s0), parent=None)
    s3 = run.turn(0, 3, s1 + 1_000, 90, 25, (200, 46, 4), lane=1, after=(1, s1), parent=1, cached=154,
                  eligible=154)
    s4 = run.turn(0, 4, s3, 120, 35, (390, 284, 8), after=(3, s3), join=s3 - s2, parent=0, cached=105,
                  eligible=106)
    run.trace(0, 0, 5, (1_000, 26), s4, "completed", lost=True)
    run.trace(1, 500, 3, (400, 12))
    run.request(1, 0, 500, 600, (100, 100, 4), outcome="failed", expected=0, after=(None, 500),
                source=None, error={"kind": "status", "status": 503, "message": "overloaded"})
    s0 = run.turn(1, 0, 1_100, 150, 30, (100, 100, 4), attempt=1, after=(None, 500))
    first = 1_100 + 150
    # What another trace had sent and not yet been answered may be in the cache, or not.
    s1 = run.turn(1, 1, first + 40, 3_000, 50, (200, 200, 4), lane=1, after=(0, first), parent=None,
                  cached=64, shown=100)
    s2 = run.turn(1, 2, s0 + 300, 100, 20, (100, 96, 4), after=(0, s0), parent=0, cached=4, eligible=4)
    run.trace(1, 500, 3, (400, 12), s1, "completed", lost=True)
    run.trace(2, 20_000, 2, (300, 8))
    run.turn(2, 0, 20_000, 170, 20, (100, 100, 4), after=(None, 20_000))
    run.request(2, 1, 20_500, 30_000, (200, 200, 4), outcome="cut_off", source=None, expected=0, lane=1,
                after=(0, 20_000), parent=None)
    run.trace(2, 20_000, 2, (300, 8), 30_000, "cut_off", lost=True)
    return run


CASES = [plain, empty_first_chunk, several_tokens_first_chunk, one_token_answer, missing_usage,
         missing_cached_tokens, failed_turn, cut_off, zero_tool_turns, non_streamed, second_attempt,
         killed, interrupted, all_failed, lanes]

# ---------------------------------------------------------------- numbers from records


def sec(ns):
    return Fraction(ns, S)


def num(x):
    return float(x)


def missing():
    return {"value": None}


def cell(value, at_least=False, floor=True, expected=False, note=None):
    out = {"value": num(value)}
    if at_least:
        out["bound"] = "at_least"
    if not floor:
        out["floor_met"] = False
    if expected:
        out["origin"] = "expected"
    if note:
        out["note"] = note
    return out if len(out) > 1 else num(value)


def empty(unit):
    return {"unit": unit, "n": 0, "n_effective": 0.0} | {
        stat: missing() for stat in ["mean", "min", *STATS, "max"]}


def rank(ordered, percent):
    place = Fraction((len(ordered) - 1) * percent, 100)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def sample(unit, groups):
    """`groups`: one list of values per trace."""
    groups = [[Fraction(value) for value in group] for group in groups if group]
    values = sorted(value for group in groups for value in group)
    if not values:
        return empty(unit)
    worth = effective(groups)
    out = {"unit": unit, "n": len(values), "n_effective": num(worth),
           "mean": cell(sum(values) / len(values)), "min": cell(values[0]), "max": cell(values[-1])}
    for stat, (percent, floor) in STATS.items():
        out[stat] = cell(rank(values, percent), floor=worth >= floor)
    return out


def effective(groups):
    n = sum(map(len, groups))
    m = Fraction(sum(len(group) ** 2 for group in groups), n)
    k = len(groups)
    if k == 1:
        return n / m
    if n == k:
        return Fraction(n)
    means = [sum(group) / len(group) for group in groups]
    grand = sum(map(sum, groups)) / n
    between = sum(len(g) * (mean - grand) ** 2 for g, mean in zip(groups, means)) / (k - 1)
    within = sum((x - mean) ** 2 for g, mean in zip(groups, means) for x in g) / Fraction(n - k)
    m0 = (n - m) / (k - 1)
    scale = between + (m0 - 1) * within
    rho = min(max((between - within) / scale, 0), 1) if scale > 0 else Fraction(0)
    return n / (1 + (m - 1) * rho)


def kaplan_meier(unit, waits):
    """`waits`: (ns, whether the event came)."""
    if not waits:
        return empty(unit)
    largest = max(wait for wait, _ in waits)
    times = sorted({wait for wait, seen in waits if seen})
    curve, alive = [], Fraction(1)
    for time in times:
        risk = sum(wait >= time for wait, _ in waits)
        alive *= 1 - Fraction(sum(seen and wait == time for wait, seen in waits), risk)
        curve.append((time, alive))
    area, before, height = Fraction(0), 0, Fraction(1)
    for time, after in [*curve, (largest, None)]:
        area += height * (time - before)
        before, height = time, after
    open_end = any(not seen and wait == largest for wait, seen in waits)
    events = sum(seen for _, seen in waits)
    out = {"unit": unit, "n": len(waits), "n_effective": float(events),
           "mean": cell(area / S, at_least=open_end), "max": cell(sec(largest), at_least=open_end),
           "min": cell(sec(times[0])) if times else cell(sec(min(w for w, _ in waits)), True)}
    for stat, (percent, floor) in STATS.items():
        at = quantile_of_waits(waits, Fraction(percent, 100))
        out[stat] = (cell(sec(largest), at_least=True, floor=events >= floor) if at is None else
                     cell(at / S, floor=events >= floor))
    return out


def quantile_of_waits(waits, share):
    """Linear interpolation over the events: each has the mass that Kaplan and Meier give it (a censored
    wait's own mass is dealt out to those that wait longer) and stands where the mass before it is in all
    the mass that is not its own."""
    order = sorted(waits, key=lambda wait: (wait[0], not wait[1]))
    mass = [Fraction(1, len(order))] * len(order)
    for at, (_, seen) in enumerate(order):
        if not seen:
            later = len(order) - at - 1
            for other in range(at + 1, len(order)):
                mass[other] += mass[at] / later
            mass[at] = Fraction(0) if later else mass[at]
    places, passed = [], Fraction(0)
    for (time, seen), own in zip(order, mass):
        if seen:
            places.append((passed / (1 - own) if own < 1 else Fraction(1), time))
            passed += own
    above = [place for place in places if place[0] >= share]
    below = [place for place in places if place[0] < share]
    if not above:
        return Fraction(below[-1][1]) if below and passed >= share else None
    (high, late) = above[0]
    if not below:
        return Fraction(late)
    (low, early) = below[-1]
    return early + (late - early) * (share - low) / (high - low)


LENGTHS = ("connect_ns", "stall_ns", "join_wait_ns")


class Records:
    """The files of a run, with times since its start."""

    def __init__(self, manifest, requests, traces, client):
        self.manifest, self.client = manifest, client
        start = manifest["start_ns"]
        self.requests = [{key: value - start if key.endswith("_ns") and value is not None
                          and key not in LENGTHS else value
                          for key, value in row.items()} for row in requests]
        self.traces = {}
        self.admitted = {row["trace"] for row in traces if row["event"] == "admitted"}
        for row in traces:
            trace = self.traces.setdefault(row["trace"], {
                "end": None, "outcome": "cut_off", "held": None})
            trace |= {"steps": row["steps"], "final": row["final_step"],
                      "planned": row["planned_prompt_tokens"] + row["planned_completion_tokens"]}
            if row["event"] == "admitted":
                trace["intent"], trace["held"] = row["at_ns"] - start, row.get("held_ns")
            else:
                trace["end"], trace["outcome"] = row["at_ns"] - start, row["event"]["ended"]
        stamps = [row["at_ns"] - start for row in traces] + [
            value for row in self.requests for key, value in row.items()
            if key.endswith("_ns") and key not in LENGTHS and value is not None]
        ending = manifest["ending"]
        self.end = max(stamps) if ending is None else ending["end_ns"] - start
        duration = manifest["duration_ns"]
        by_deadline = ending is not None and ending["reason"] == "deadline"
        self.window = duration if by_deadline else min(self.end, duration)
        for row in self.requests:
            trace = self.traces.setdefault(row["trace"], {
                "end": None, "outcome": "cut_off", "steps": None, "final": None, "planned": 0,
                "held": None})
            trace.setdefault("rows", []).append(row)
        for trace in self.traces.values():
            rows = trace.setdefault("rows", [])
            trace.setdefault("intent", min((row["intent_ns"] for row in rows), default=0))
            trace["stop"] = self.end if trace["end"] is None else trace["end"]
            trace["completed"] = trace["outcome"] == "completed"
            trace["failed"] = isinstance(trace["outcome"], dict)
            trace["ok"] = [row for row in rows if row["outcome"] == "ok"]
        said = [row for row in self.requests
                if row["outcome"] == "ok" and row["cached_tokens"] is not None]
        wanted = sum(map(expected_cached, said))
        reported = sum(row["cached_tokens"] for row in said)
        self.kept_share = min(Fraction(reported, wanted), Fraction(1)) if wanted else Fraction(1)


def answer(row):
    if row["completion_tokens"] is not None:
        return row["completion_tokens"]
    return sum(tokens for _, tokens in row["credit"]) if row["credit"] else None


def decode(row):
    """(tokens, ns) after the first chunk."""
    tokens = answer(row)
    if tokens is None or row["first_chunk_tokens"] is None:
        return None
    tokens -= row["first_chunk_tokens"]
    length = row["last_token_ns"] - row["first_token_ns"]
    return (tokens, length) if tokens > 0 and length > 0 else None


def token_of(trace, step):
    rows = [row for row in trace["rows"] if row["step"] == step]
    return max(rows, key=lambda row: row["attempt"])["first_token_ns"] if rows else None


def per_trace(records):
    traces, stream = list(records.traces.values()), records.manifest["stream"]

    def finish(trace):
        ends = [row["end_ns"] for row in trace["rows"] if row["end_ns"] is not None]
        return max(ends, default=trace["end"]) if trace["completed"] else None

    def waits(event):
        plain, never = [], []
        for trace in traces:
            at = event(trace)
            stop = trace["stop"] if at is None else at
            plain.append((stop - trace["intent"], at is not None))
        longest = max((wait for wait, _ in plain), default=0)
        for (wait, seen), trace in zip(plain, traces):
            never.append((longest, False) if not seen and trace["failed"] else (wait, seen))
        if all(trace["failed"] and not seen for (_, seen), trace in zip(plain, traces)):
            return empty("s")
        out = kaplan_meier("s", plain)
        if traces and Fraction(sum(t["failed"] for t in traces), len(traces)) > Fraction(1, 100):
            out["failed_never_finish"] = kaplan_meier("s", never)
        return out

    def speed(trace):
        rates = [Fraction(d[0] * S, d[1]) for d in map(decode, trace["ok"]) if d]
        return [sum(rates) / len(rates)] if rates else []

    def hits(trace):
        rows = [r for r in trace["ok"] if None not in (r["cached_tokens"], r["prompt_tokens"])]
        total = sum(row["prompt_tokens"] for row in rows)
        return [Fraction(100 * sum(row["cached_tokens"] for row in rows), total)] if total else []

    def eligible(trace):
        rows = [r for r in trace["ok"] if None not in (r["cached_tokens"], r["prompt_tokens"])
                and r["step"] > 0]
        total = sum(row["eligible_tokens"] for row in rows)
        hit = sum(min(row["cached_tokens"], row["eligible_tokens"]) for row in rows)
        return [Fraction(100 * hit, total)] if total else []

    def critical_path(trace):
        if not trace["completed"]:
            return []
        rows = {}
        for row in sorted(trace["rows"], key=lambda row: -row["attempt"]):
            rows[row["step"]] = row
        until, step = max((row["end_ns"], row["step"]) for row in trace["rows"] if row["end_ns"])
        path = 0
        while step is not None:
            row = rows[step]
            if row.get("waited_until_ns") is None:
                return []
            path += until - row["intent_ns"]
            until, step = row["waited_until_ns"], row.get("waited_for")
        return [sec(path)]

    each = lambda unit, value: sample(unit, [value(trace) for trace in traces])
    done = lambda value: lambda trace: [value(trace)] if trace["completed"] else []
    streamed = lambda unit, value: value if stream else empty(unit)
    return {
        "latency_s": waits(finish),
        "ttft_s": streamed("s", waits(lambda trace: token_of(trace, 0))),
        "ttfat_s": streamed("s", waits(lambda trace: token_of(trace, trace["final"]))),
        "decode_tps": streamed("tok/s", each("tok/s", speed)),
        "cache_hit_rate_pct": each("%", hits),
        "eligible_cache_hit_rate_pct": each("%", eligible),
        "latency_s_completed": each("s", done(lambda t: sec(finish(t) - t["intent"]))),
        "critical_path_s": each("s", critical_path),
        "output_tokens_per_trace": each("tok", done(lambda t: sum(answer(r) or 0 for r in t["ok"]))),
    }


def per_request(records):
    traces, stream = list(records.traces.values()), records.manifest["stream"]
    over = lambda unit, value, rows="ok": sample(unit, [
        [x for x in map(value, trace[rows]) if x is not None] for trace in traces])

    def tpot(row):
        pair = decode(row)
        return Fraction(pair[1], pair[0] * MS) if pair else None

    def later(row):
        if row["step"] == 0 or row["first_token_ns"] is None:
            return None
        return sec(row["first_token_ns"] - row["intent_ns"])

    def ttft_where(belongs):
        return streamed("s", over("s", lambda row: None if row["first_token_ns"] is None
                                  or not belongs(row)
                                  else sec(row["first_token_ns"] - row["intent_ns"]), "rows"))

    def turns(first, last):
        return ttft_where(lambda row: first <= row["step"] + 1 <= last)

    def prompts_of(least, most):
        return ttft_where(lambda row: least <= row["planned_prompt_tokens"] <= most)

    def loss(row):
        if row["step"] == 0 or row["eligible_tokens"] == 0:
            return None
        if None in (row["cached_tokens"], row["prompt_tokens"]):
            return None
        found = (records.manifest.get("preflight") or {}).get("capabilities", {})
        block = found.get("block_size") or (records.manifest.get("kv_cache") or {}).get("block_size") or 1
        return max(row["eligible_tokens"] // block * block - row["cached_tokens"], 0)

    def lane_times(trace):
        by_lane = {}
        for row in trace["rows"]:
            by_lane.setdefault(row["lane"], []).append(row)
        if not trace["completed"] or len(by_lane) < 2:
            return []
        return [sec(max(row["end_ns"] for row in rows) - min(row["intent_ns"] for row in rows))
                for rows in by_lane.values()]

    def join_wait(row):
        return None if row["attempt"] or "join_wait_ns" not in row else sec(row["join_wait_ns"])

    itl = sample("ms", [[Fraction(value, MS) for row in trace["rows"] for value, count in row["itl"]
                         for _ in range(count)] for trace in traces])
    stall = lambda row: None if row["stall_ns"] is None else Fraction(row["stall_ns"], MS)
    streamed = lambda unit, value: value if stream else empty(unit)
    return {
        "ttft_later_turns_s": streamed("s", over("s", later, "rows")),
        "ttft_turns_2_to_5_s": turns(2, 5),
        "ttft_turns_6_to_20_s": turns(6, 20),
        "ttft_turns_from_21_s": turns(21, 10**9),
        "ttft_prompt_below_4k_s": prompts_of(0, 4095),
        "ttft_prompt_4k_to_16k_s": prompts_of(4096, 16383),
        "ttft_prompt_16k_to_64k_s": prompts_of(16384, 65535),
        "ttft_prompt_from_64k_s": prompts_of(65536, 10**18),
        "ttft_root_lane_s": ttft_where(lambda row: row["lane"] == 0),
        "ttft_other_lanes_s": ttft_where(lambda row: row["lane"] > 0),
        "lane_latency_s": sample("s", [lane_times(trace) for trace in traces]),
        "join_wait_s": over("s", join_wait, "rows"),
        "tpot_ms": streamed("ms/tok", over("ms/tok", tpot)),
        "itl_ms": streamed("ms", itl),
        "stall_ms": streamed("ms", over("ms", stall)),
        "output_tokens_per_turn": over("tok", answer),
        "reuse_loss_tokens": over("tok", loss),
    }


def expected_cached(row):
    if row["expected_cached_tokens"] is not None:
        return row["expected_cached_tokens"]
    return max(row["planned_prompt_tokens"] - row["planned_new_tokens"], 0)


def prompts(records):
    """(ns, total, cached, row) of every prompt that was served."""
    for row in records.requests:
        at = row["first_token_ns"]
        if at is None:
            at = row["end_ns"] if row["outcome"] == "ok" else None
        if at is not None:
            total = row["prompt_tokens"]
            total = row["planned_prompt_tokens"] if total is None else total
            cached = row["cached_tokens"]
            if cached is None:
                cached = expected_cached(row) * records.kept_share
            yield at, total, min(cached, total), row


def workload(records):
    end, gpus = records.window, records.manifest["num_gpus"]
    served = list(prompts(records))
    traces = list(records.traces.values())
    doubt = any(row["cached_tokens"] is None and (row["outcome"] == "ok" or cached > 0)
                for _, _, cached, row in served)

    def credited(start):
        total = Fraction(0)
        for row in records.requests:
            for second, tokens in row["credit"]:
                begin = round(Fraction(second) * S)
                if begin < end:
                    stop = min(begin + S, end)
                    total += tokens * Fraction(max(stop - max(begin, start), 0), stop - begin)
        return total

    finished = lambda start: sum(t["completed"] and start <= t["end"] <= end for t in traces)
    prompt = lambda pick: lambda start: sum(pick(total, cached) for at, total, cached, _ in served
                                            if start <= at <= end)

    def row(amount, expected=False):
        rate = lambda start, note=None: cell(amount(start) / sec(end - start), expected=expected,
                                             note=note)
        short = "the window is shorter than 30 s: this column is all of it"
        # None of the runs has four slots with four requests each.
        untested = ("whether a steady state was reached could not be tested, with fewer than 4 slots of 4 "
                    "requests each: the column is from 20 % of the window on")
        out = {"unit": "tok/s", "overall": rate(0),
               "last_30s": rate(max(end - 30 * S, 0), short if end < 30 * S else None),
               "steady_state": rate(end // 5, untested), "steady_state_per_gpu": missing()}
        if gpus:
            start = end // 5
            out["steady_state_per_gpu"] = cell(amount(start) / sec(end - start) / gpus,
                                               expected=expected, note=untested)
        return out

    def work(trace):
        total = sum(tokens for row in trace["rows"] for second, tokens in row["credit"]
                    if Fraction(second) * S < end)
        total += sum(amount for at, amount, _, row in served if row in trace["rows"] and at <= end)
        return Fraction(total, trace["planned"]) if trace["planned"] else Fraction(0)

    def flight(row):
        return max(min(row["end_ns"], end) - row["intent_ns"], 0)

    def prompt_of(row):
        known = row["prompt_tokens"]
        return row["planned_prompt_tokens"] if known is None else known

    alive = sum(max(min(trace["stop"], end) - trace["intent"], 0) for trace in traces)
    busy = sum(map(flight, records.requests))
    whole = sec(end)
    only = lambda unit, value: {"unit": unit, "overall": value}
    jobs = lambda share: cell(finished(0) * 3600 / (whole * share))
    return {
        "total_prompt_tok_per_s": row(prompt(lambda total, cached: total)),
        "cached_prompt_tok_per_s": row(prompt(lambda total, cached: cached), doubt),
        "uncached_prompt_tok_per_s": row(prompt(lambda total, cached: total - cached), doubt),
        "completion_tok_per_s": row(credited),
        "trace_per_s": row(finished) | {"unit": "1/s"},
        "little_trace_per_s": only("1/s", cell(sum(map(work, traces)) / whole)),
        "achieved_concurrency": only("traces", cell(Fraction(alive, end))),
        "in_flight_prompt_tokens": only("tok", cell(
            Fraction(sum(prompt_of(row) * flight(row) for row in records.requests), end))),
        "think_time_pct": only("%", missing() if any(row["lane"] for row in records.requests)
                               else cell(Fraction(100 * max(alive - busy, 0), alive))),
        "jobs_per_h_user": only("1/h", jobs(records.manifest["concurrency"])),
        "jobs_per_h_gpu": only("1/h", jobs(gpus) if gpus else missing()),
    }


def seed(records):
    """The original's own values, with its faults."""
    stream, wall = records.manifest["stream"], sec(records.end)
    out = {}

    def read(row):
        if stream:
            return row["first_visible_ns"] is not None
        return None not in (row["prompt_tokens"], row["completion_tokens"])

    good, failed = [], 0
    for trace in records.traces.values():
        bad = any(not read(row) for row in trace["ok"])
        failed += trace["failed"] or (trace["completed"] and bad)
        if trace["completed"] and not bad:
            good.append(trace)
    out["wall_time_s"], out["completed_requests"] = num(wall), len(good)
    out["failed_requests"], out["trace_per_s"] = failed, num(len(good) / wall)

    points, total = [], [0, 0, 0]
    for row in sorted(filter(read, (r for r in records.requests if r["outcome"] == "ok")),
                      key=lambda row: row["end_ns"]):
        for i, part in enumerate(("prompt", "new", "completion")):
            name = "planned_new_tokens" if part == "new" else f"planned_{part}_tokens"
            total[i] += row[name]
        points.append((row["end_ns"], *total))

    def slope(start, pick):
        later = [point for point in points if point[0] >= start]
        if len(later) < 2 or later[0][0] == later[-1][0]:
            return 0.0
        return num((pick(later[-1]) - pick(later[0])) / sec(later[-1][0] - later[0][0]))

    if points and points[-1][3] > 0:
        for key, pick in (("prompt", lambda p: p[1]), ("cached_prompt", lambda p: p[1] - p[2]),
                          ("new_prompt", lambda p: p[2]), ("completion", lambda p: p[3])):
            out[f"{key}_tok_per_s"] = num(pick(points[-1]) / wall)
            out[f"last_30s_window_{key}_tok_per_s"] = slope(points[-1][0] - 30 * S, pick)
            out[f"steady_state_{key}_tok_per_s"] = slope(Fraction(points[-1][0], 5), pick)

    def put(name, values):
        if values:
            values = sorted(Fraction(value) for value in values)
            out[f"{name}_mean"] = num(sum(values) / len(values))
            out[f"{name}_min"], out[f"{name}_max"] = num(values[0]), num(values[-1])
            for stat, (percent, _) in STATS.items():
                out[f"{name}_{stat}"] = num(rank(values, percent))

    count = lambda row: (row["planned_completion_tokens"] if row["completion_tokens"] is None
                         else row["completion_tokens"])
    latency, ttft, ttfat, tps, itl, turn, whole, hit, eligible = ([] for _ in range(9))
    for trace in good:
        rows = trace["ok"]
        latency.append(sec(max(row["end_ns"] for row in rows) - trace["intent"]))
        turn += map(count, rows)
        whole.append(sum(map(count, rows)))
        usages = [(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"] or 0)
                  for row in rows if None not in (row["prompt_tokens"], row["completion_tokens"])]
        prompt, cached = sum(usage[0] for usage in usages), sum(usage[2] for usage in usages)
        could = sum(usage[0] + usage[1] for usage in usages[:-1])
        if not stream or prompt > 0:
            hit.append(Fraction(100 * cached, prompt) if prompt else 0)
            eligible.append(Fraction(100 * cached, could) if could else 0)
        if stream:
            start = min(row["start_ns"] for row in trace["rows"] if row["step"] == 0)
            ttft.append(sec(rows[0]["first_visible_ns"] - start))
            final = next(row for row in rows if row["step"] == trace["final"])
            ttfat.append(sec(final["first_visible_ns"] - trace["intent"]))
            speeds = []
            for row in rows:
                length = row["end_ns"] - row["first_visible_ns"]
                n = count(row)
                speeds.append(Fraction((n - 1) * S, length) if n > 1 and length > 0 else 0)
                for value, times in row.get("visible_itl", row["itl"]):
                    itl += [Fraction(value, MS)] * times
            tps.append(Fraction(sum(speeds), len(speeds)))
    for name, values in (("latency_s", latency), ("ttft_s", ttft), ("ttfat_s", ttfat),
                         ("decode_tps", tps),
                         ("mean_turn_decode_tpot_ms", [1000 / x for x in tps if x > 0]),
                         ("inter_token_latency_ms", itl), ("output_tokens_per_turn", turn),
                         ("output_tokens_per_trace", whole), ("cache_hit_rate_pct", hit),
                         ("eligible_cache_hit_rate_pct", eligible)):
        put(name, values)
    return out


def tally(values):
    out = {}
    for value in values:
        if value is not None:
            out[value] = out.get(value, 0) + 1
    return out


def at_share(pairs, share):
    """Smallest value of [[value, count], ...] with at least `share` of all at or below it."""
    total, seen = sum(count for _, count in pairs), 0
    for value, count in pairs:
        seen += count
        if seen >= share * total and seen > 0:
            return value
    return None


def merged(lists):
    return sparse((value, count) for pairs in lists for value, count in pairs)


def accounting(records):
    rows = records.requests
    ok = [row for row in rows if row["outcome"] == "ok"]
    prompt = [row for row in ok if row["prompt_tokens"] is not None]
    completion = [row for row in ok if row["completion_tokens"] is not None]
    cached = [row for row in ok if row["cached_tokens"] is not None]
    exact = sum(row["prompt_tokens"] == row["planned_prompt_tokens"] for row in prompt)
    late = sparse((max(row["sent_ns"] - row["intent_ns"], 0), 1) for row in rows
                  if row["sent_ns"] is not None)
    lag = merged(row["lag"] for row in records.client)
    ms = lambda value: missing() if value is None else num(Fraction(value, MS))
    return {
        "requests": tally(row["outcome"] for row in rows),
        "request_failures": tally(row["error"] and row["error"]["kind"] for row in rows),
        "retries": sum(row["attempt"] > 0 for row in rows),
        "stale_resends": sum(row["stale_resend"] for row in rows),
        "prompt_exact": num(Fraction(exact, len(prompt))) if prompt else missing(),
        "completion_exact": (num(Fraction(sum(
            r["completion_tokens"] == r["planned_completion_tokens"] for r in completion),
            len(completion))) if completion else missing()),
        "prompt_drift_tokens": sum(r["prompt_tokens"] - r["planned_prompt_tokens"] for r in prompt),
        "completion_drift_tokens": sum(r["completion_tokens"] - r["planned_completion_tokens"]
                                       for r in completion),
        "usage_missing": sum(None in (r["prompt_tokens"], r["completion_tokens"]) for r in ok),
        "prompt_from_plan": sum(row["prompt_tokens"] is None for *_, row in prompts(records)),
        "cache_coverage": num(Fraction(len(cached), len(ok))) if ok else missing(),
        "cached_reported_tokens": sum(row["cached_tokens"] for row in cached),
        "cached_expected_tokens": sum(map(expected_cached, cached)),
        "cached_stand_in_tokens": sum(expected_cached(row) for *_, row in prompts(records)
                                      if row["cached_tokens"] is None),
        "ttft_later_left_out": sum(row["outcome"] == "cut_off" and row["first_token_ns"] is None
                                   and row["step"] > 0 for row in rows),
        "decode_left_out": sum(row["first_token_ns"] is not None and decode(row) is None
                               for row in ok),
        "token_sources": tally(row["token_source"] for row in rows),
        "stamp_sources": tally(row["stamp_source"] for row in rows),
        "late_chunks": sum(row["late_chunks"] for row in rows),
        "uncounted_tokens": sum(row.get("uncounted_tokens", 0) for row in rows),
        "excess_tokens": sum(row.get("excess_tokens", 0) for row in rows),
        "held_traces": sum(trace["held"] is not None for trace in records.traces.values()),
        "held_s": num(sec(sum(trace["held"] or 0 for trace in records.traces.values()))),
        "connects_after_intent": sum(row["connect_ns"] is not None
                                     and row["connected_ns"] > row["intent_ns"] for row in rows),
        "send_lateness_p50_ms": ms(at_share(late, Fraction(1, 2))),
        "send_lateness_p99_ms": ms(at_share(late, Fraction(99, 100))),
        "client_lag_p50_ms": ms(at_share(lag, Fraction(1, 2))),
        "client_lag_p99_ms": ms(at_share(lag, Fraction(99, 100))),
        "client_lag_max_ms": ms(lag[-1][0] if lag else None),
        "merged_reads": (num(Fraction(sum(row["merged_reads"] for row in records.client),
                                      sum(row["reads"] for row in records.client)))
                         if any(row["reads"] for row in records.client) else missing()),
        "clock_steps": max((row["clock_steps"] for row in records.client), default=0),
        "queue_full": sum(row["queue_full"] for row in records.client),
    }


def populations(records):
    outcomes = [trace["outcome"] for trace in records.traces.values()]
    return {"admitted": len(outcomes), "completed": outcomes.count("completed"),
            "failed": tally(o["failed"] if isinstance(o, dict) else None for o in outcomes),
            "cut_off": outcomes.count("cut_off")}


def level(value, warn, fail):
    if value is None:
        return "unknown", None
    return ("fail" if value > fail else "warn" if value > warn else "pass"), value


def contradictions(records):
    """Rows that are missing, there twice, of traces never admitted, or impossible."""
    names = [(row["trace"], row["step"], row["attempt"]) for row in records.requests]
    wrong = len(names) - len(set(names))
    if records.manifest["ending"] is not None:
        wrong += sum(name[0] not in records.admitted for name in set(names))
    for trace in records.traces.values():
        wrong += max(trace["steps"] - len(trace["ok"]), 0) if trace["completed"] else 0
    for row in records.requests:
        stamps = [row.get(f"{name}_ns") for name in ("waited_until", "intent", "start", "first_token", "last_token", "end")
                  if name != "end" or row["outcome"] != "cut_off"]
        stamps = [stamp for stamp in stamps if stamp is not None]
        tokens = answer(row)
        wrong += stamps != sorted(stamps) or (tokens is not None
                                              and (row["first_chunk_tokens"] or 0) > tokens)
    return wrong


def verdict(records, parts):
    rows, counts, facts = records.requests, parts["populations"], parts["accounting"]
    ok = [row for row in rows if row["outcome"] == "ok"]
    admitted, share = counts["admitted"], lambda part, of: Fraction(100 * part, of) if of else None
    plain = lambda value: value.get("value") if isinstance(value, dict) else value
    itl = plain(parts["per_request"]["itl_ms"]["p50"])
    floors = [(1, 5)] + ([(itl * 0.05, itl * 0.2)] if itl is not None else [])
    drift = []
    for kind in ("prompt", "completion"):
        known = [row for row in ok if row[f"{kind}_tokens"] is not None]
        drift.append(share(sum(abs(r[f"{kind}_tokens"] - r[f"planned_{kind}_tokens"]) for r in known),
                           sum(r[f"planned_{kind}_tokens"] for r in known)))
    known = [row for row in ok if row["completion_tokens"] is not None]
    wrong = share(sum(r["completion_tokens"] != r["planned_completion_tokens"] for r in known),
                  len(known))
    measured = counts["completed"] + counts["cut_off"]
    apart = ("ttft_turns_", "ttft_prompt_", "ttft_root_", "ttft_other_")
    cells = [d[stat] for table in ("per_trace", "per_request") for name, d in parts[table].items()
             if not name.startswith(apart) for stat in STATS]
    below = sum(isinstance(c, dict) and c.get("floor_met") is False for c in cells)
    checks = {
        "population": ("pass" if measured else "fail", measured),
        "failed_traces": level(share(sum(counts["failed"].values()), admitted) or 0, 1, 5),
        "client_lag": level(plain(facts["client_lag_p99_ms"]), min(f[0] for f in floors),
                            min(f[1] for f in floors)),
        "send_lateness": level(plain(facts["send_lateness_p99_ms"]), 1, 10),
        "connections": level(share(facts["connects_after_intent"], len(rows)), 0, 1),
        "token_drift": level(max((d for d in drift if d is not None), default=None), 0.5, 2),
        "output_length": level(wrong, 0.5, 2),
        "records": level(contradictions(records), 0, 0),
        "chunk_counts": level(share(facts["uncounted_tokens"] + facts["excess_tokens"],
                                    sum(tokens for row in rows for _, tokens in row["credit"])),
                              1, float("inf")),
        "censoring": level(share(counts["cut_off"], admitted), 10, 30),
        "sample_size": ("warn" if below else "pass", below),
        "retries": ("warn" if facts["retries"] else "pass", facts["retries"]),
    }
    median = plain(parts["per_trace"]["latency_s"]["p50"])
    if checks["censoring"][0] == "pass" and median is not None and median > sec(records.window) / 5:
        checks["censoring"] = ("warn", 100 * median / float(sec(records.window)))
    wanted = facts["cached_expected_tokens"]
    said = sum(row["cached_tokens"] is not None for row in ok)
    off = 0
    for row in ok:
        if row["cached_tokens"] is not None:
            least = expected_cached(row)
            most = max(row.get("shown_cached_tokens") or 0, least)
            off += max(least - row["cached_tokens"], row["cached_tokens"] - most, 0)
    checks["cache_field"] = (("fail" if said == 0 else "warn" if said < len(ok) else "pass",
                              share(said, len(ok))) if ok else ("unknown", None))
    if ok and said == len(ok) and off * 100 > 2 * wanted > 0:
        checks["cache_field"] = ("warn", Fraction(100 * off, wanted))
    if (records.manifest["options"].get("cache_scope", {}).get("value") == "seed"
            or records.manifest["history"] == "chat"):
        checks["warm_cache"] = ("unknown", None)
    else:
        found = (records.manifest.get("preflight") or {}).get("capabilities") or {}
        slack = found.get("block_size") or (records.manifest.get("kv_cache") or {}).get("block_size") or 1
        pairs = [(row["cached_tokens"], row.get("shown_cached_tokens", row["expected_cached_tokens"]))
                 for row in ok]
        pairs = [pair for pair in pairs if None not in pair]
        checks["warm_cache"] = level(share(sum(cached > shown + slack for cached, shown in pairs),
                                           len(pairs)), 0.5, float("inf"))
    wrong_if_failed = {"population", "records", "failed_traces", "client_lag", "send_lateness", "connections",
                       "token_drift", "output_length"}
    bad = {name for name, (status, _) in checks.items() if status == "fail"}
    doubts = {name for name, (status, _) in checks.items() if status in ("fail", "warn")}
    trust = "no" if bad & wrong_if_failed else "caveats" if doubts else "yes"
    return {"trust": trust, "checks": {
        name: {"status": status, "value": missing() if value is None else num(value)}
        for name, (status, value) in checks.items()}}


def cache_room(records):
    """The contexts that the server had to keep from 20 % of the window on."""
    start, end = records.window // 5, records.window
    stretches = []
    for trace in records.traces.values():
        lanes = {}
        for row in sorted(trace["rows"], key=lambda row: row["intent_ns"]):
            lanes.setdefault(row["lane"], []).append(row)
        for lane, rows in lanes.items():
            shared = rows[0]["eligible_tokens"] if lane else 0
            for row, following in zip(rows, rows[1:] + [None]):
                stop = trace["stop"] if row["end_ns"] is None else row["end_ns"]
                stop = max(stop, row["intent_ns"])
                until = following["intent_ns"] if following else (
                    stop if lane else max(stop, trace["stop"]))
                context = sum(row["planned_" + key] if row[key] is None else row[key]
                              for key in ("prompt_tokens", "completion_tokens"))
                stretches.append((row["intent_ns"], stop, until, max(context - shared, 0), context))

    def mean(place, low, high):
        inside = lambda one: max(min(one[place], high) - max(one[0], low), 0)
        return Fraction(sum(inside(one) * one[3] for one in stretches), high - low)

    seconds = [(at, min(at + S, end)) for at in range(start, end, S)]
    held = mean(2, start, end)
    seen = [one[4] for one in stretches if start <= one[0] <= end]
    facts = records.manifest["workload"]
    longer = Fraction(1)
    if sum(seen):
        tokens = facts["prompt_tokens"] + facts["completion_tokens"]
        longer = Fraction(tokens * len(seen), facts["requests"] * sum(seen))
    return {"kv_cache": None,
            "held_tokens": num(held),
            "held_tokens_max": num(max(mean(2, *second) for second in seconds)),
            "expected_tokens": num(held * longer),
            "in_flight_tokens": num(mean(1, start, end)),
            "in_flight_tokens_max": num(max(mean(1, *second) for second in seconds))}


def expected(run):
    records = Records(run.manifest, run.requests, run.traces, run.client)
    parts = {"populations": populations(records), "per_trace": per_trace(records),
             "per_request": per_request(records), "workload": workload(records),
             "cache_room": cache_room(records),
             "seed": seed(records), "accounting": accounting(records)}
    ending = run.manifest["ending"]
    parts["run"] = {"runs": 1, "window_s": num(sec(records.window)),
                    "wall_time_s": num(sec(records.end)),
                    "endings": [ending and ending["reason"]]}
    return {"verdict": verdict(records, parts)} | parts


def files(case):
    run = case()
    lines = lambda rows: "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    folder = Path(__file__).parent / "v1" / case.__name__
    return {folder / "manifest.json": json.dumps(run.manifest, indent=2) + "\n",
            folder / "requests.jsonl": lines(run.requests),
            folder / "traces.jsonl": lines(run.traces),
            folder / "client.jsonl": lines(run.client),
            folder / "expected.json": json.dumps(expected(run), indent=1) + "\n"}


def main():
    stale = 0
    for case in CASES:
        for path, text in files(case).items():
            if sys.argv[1:] == ["--check"]:
                if not path.exists() or path.read_text() != text:
                    print(f"stale: {path}", file=sys.stderr)
                    stale += 1
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
