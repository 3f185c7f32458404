"""What happened at the server's sockets, from the referee's file, and how far a client's report is from it."""

import math
import struct
from dataclasses import dataclass, field

RECORD = struct.Struct("<QQQ")
RECEIVED, WRITTEN = 1, 2


@dataclass
class Answer:
    """One answer: when the kernel of the server's side had its request, and when its chunks were written."""

    id: int
    arrived_ns: int | None
    written_ns: list = field(default_factory=list)


@dataclass
class Reported:
    """What a client says of one request; None where it does not say."""

    id: int | None = None
    start_ns: int | None = None
    ttft_ms: float | None = None
    ttft_sent_ms: float | None = None
    gaps_ms: list | None = None
    mean_gap_ms: float | None = None


def count(path):
    """Records in the file so far."""
    with open(path, "rb") as file:
        return struct.unpack("<Q", file.read(8))[0]


def answers(path, first, last):
    """The answers that the records from `first` up to `last` tell of, in order of their first chunks."""
    with open(path, "rb") as file:
        file.seek(RECORD.size * (first + 1))
        return assemble(RECORD.iter_unpack(file.read(RECORD.size * (last - first))))


def assemble(records):
    """Puts the last bytes received on a connection before an answer's first chunk down as its request's arrival."""
    arrived, found = {}, {}
    for at_ns, descriptor_and_kind, what in records:
        descriptor, kind = descriptor_and_kind >> 32, descriptor_and_kind & 0xFFFF_FFFF
        if kind == RECEIVED:
            arrived[descriptor] = at_ns
        elif kind == WRITTEN:
            answer = found.setdefault(what, Answer(what, arrived.get(descriptor)))
            answer.written_ns.append(at_ns)
    return list(found.values())


def matched(reported, answers, tokens):
    """Pairs of a report and its answer, for answers that are whole.

    By id where the client gives it. A client that gives none is matched by rank: the k-th to start with the
    k-th to arrive.
    """
    whole = [answer for answer in answers if len(answer.written_ns) >= tokens and answer.arrived_ns]
    if all(report.id is not None for report in reported):
        by_id = {answer.id: answer for answer in whole}
        return [(report, by_id[report.id]) for report in reported if report.id in by_id]
    starts = sorted((report for report in reported if report.start_ns), key=lambda report: report.start_ns)
    return list(zip(starts, sorted(whole, key=lambda answer: answer.arrived_ns)))


def errors(pairs, tokens):
    """Absolute errors in ms: of the time to the first token, of each gap, of each request's mean gap.

    The true time to the first token is from the request's arrival in the server's kernel to the write of the
    first chunk; a true gap is between two writes. Only reports with all their gaps enter the gaps.
    """
    ttft, ttft_sent, gaps, means = [], [], [], []
    for report, answer in pairs:
        written = answer.written_ns[:tokens]
        true_gaps = [(b - a) / 1e6 for a, b in zip(written, written[1:])]
        true_ttft = (written[0] - answer.arrived_ns) / 1e6
        if report.ttft_ms is not None:
            ttft.append(abs(report.ttft_ms - true_ttft))
        if report.ttft_sent_ms is not None:
            ttft_sent.append(abs(report.ttft_sent_ms - true_ttft))
        if report.gaps_ms is not None and len(report.gaps_ms) == len(true_gaps):
            gaps.extend(abs(said - true) for said, true in zip(report.gaps_ms, true_gaps))
        if report.mean_gap_ms is not None:
            means.append(abs(report.mean_gap_ms - sum(true_gaps) / len(true_gaps)))
    return {"ttft": ttft, "ttft_sent": ttft_sent, "gap": gaps, "mean_gap": means}


def quantile(values, q):
    """The smallest value that at least a share `q` of all does not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(math.ceil(q * len(ordered)) - 1, 0)] if ordered else None


def consumed(answers, streams, tokens, drained_ns):
    """A window and the chunks that the client took in it: begin, end, chunks; None where that cannot be said.

    What the server has written may still lie in the client's sockets, but a slot that asks again has taken its last
    answer to the end. So the window is from the middle of the second wave of requests to the middle of the last one,
    at one answer a request. A client too slow for that counts from its first request to its end, at `drained_ns`, if
    it took every answer to the end; else `drained_ns` is None.
    """
    arrivals = load_arrivals(answers, tokens)
    marks = arrivals[streams + streams // 2 :: streams]
    if len(marks) >= 2:
        return marks[0], marks[-1], (len(marks) - 1) * streams * tokens
    if drained_ns is None or not arrivals:
        return None
    return arrivals[0], drained_ns, len(arrivals) * tokens


def load_arrivals(answers, tokens):
    """When the requests of the load arrived, without what a client asks before it begins: those answers are shorter."""
    whole = [answer.arrived_ns for answer in answers if len(answer.written_ns) >= tokens and answer.arrived_ns]
    return sorted(answer.arrived_ns for answer in answers if whole and (answer.arrived_ns or 0) >= min(whole))


def cpu_between(samples, begin_ns, end_ns):
    """CPU time in a window, from samples (time, CPU time so far), both in nanoseconds, by linear interpolation."""
    return cpu_at(samples, end_ns) - cpu_at(samples, begin_ns)


def cpu_at(samples, at_ns):
    before = max((sample for sample in samples if sample[0] <= at_ns), default=samples[0])
    after = min((sample for sample in samples if sample[0] > at_ns), default=samples[-1])
    if after[0] == before[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (at_ns - before[0]) / (after[0] - before[0])
