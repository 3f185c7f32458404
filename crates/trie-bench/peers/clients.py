"""The clients: how each is started for a cell, and how what it reports is read. One row of `CLIENTS` each."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

from truth import Reported

HERE = Path(__file__).resolve().parent
MODEL = "trie-sim"
REVISION = "0" * 40


@dataclass
class Cell:
    """What a client is asked to do: `streams` at a time, answers of `tokens`, for `seconds`, its files in `folder`."""

    url: str
    streams: int
    tokens: int
    seconds: float
    folder: Path
    peers: Path
    trie: str

    def per_request_s(self):
        """How long a request takes by the server's schedule."""
        return 0.05 + 0.02 * (self.tokens - 1)

    def requests(self):
        """Requests that fill the time, for a client that counts requests and not seconds."""
        return self.streams * math.ceil(self.seconds / self.per_request_s())

    def prompts(self, keys):
        """A file of prompts, a JSON object a line, each with the answer's length, under the given keys."""
        path = self.folder / "prompts.jsonl"
        rows = ({keys[0]: f"prompt {n}: say something", keys[1]: self.tokens} for n in range(4 * self.streams))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


def trie_command(cell):
    row = {
        "num_turns": 0,
        "input_prompt_length": 8,
        "assistant_response_length": [],
        "tool_call_output_length": [],
        "tool_call_latency": [],
        "final_assistant_response_length": cell.tokens,
    }
    workload = cell.folder / "workload.jsonl"
    workload.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return [
        cell.trie, "run", f"workload_path={workload}", f"endpoint={cell.url}/v1", f"model={MODEL}",
        "tokenizer_model=builtin", "history=text", "cache_scope=none", "ui=none", "seed=1",
        f"concurrency={cell.streams}", f"duration={cell.seconds}", f"output_dir={cell.folder / 'run'}",
    ]  # fmt: skip


def trie_chunks_command(cell):
    """With every chunk's stamp in the records, so that each gap can be judged."""
    return [*trie_command(cell), "chunks=True"]


def trie_reports(cell):
    """Completed requests: the time to the first token from the instant the request was due, and from when it was sent."""
    for row in json_lines(cell.folder / "run" / "requests.jsonl"):
        if row["outcome"] != "ok":
            continue
        gaps = differences(row["chunk_ns"], 1e6) if row.get("chunk_ns") else None
        yield Reported(
            id=answer_number(row["id"]),
            start_ns=row["intent_ns"],
            ttft_ms=(row["first_token_ns"] - row["intent_ns"]) / 1e6,
            ttft_sent_ms=(row["first_token_ns"] - row["sent_ns"]) / 1e6,
            gaps_ms=gaps,
            mean_gap_ms=(row["last_token_ns"] - row["first_token_ns"]) / 1e6 / (row["chunks"] - 1),
        )


def openai_command(cell):
    return [
        python(cell, "openai"), HERE / "openai_client.py", "--url", f"{cell.url}/v1", "--model", MODEL,
        "--streams", cell.streams, "--tokens", cell.tokens, "--seconds", cell.seconds, "--out", cell.folder / "out.json",
    ]  # fmt: skip


def openai_reports(cell):
    """Completed requests, by the stamps of its own loop."""
    for row in json.loads((cell.folder / "out.json").read_text(encoding="utf-8"))["rows"]:
        gaps = differences(row["stamps"], 1e6)
        yield Reported(
            id=answer_number(row["id"]),
            start_ns=row["start_ns"],
            ttft_ms=(row["stamps"][0] - row["start"]) / 1e6,
            gaps_ms=gaps,
            mean_gap_ms=sum(gaps) / len(gaps),
        )


def aiperf_command(cell):
    prompts = cell.prompts(("text", "output_length"))
    return [
        cell.peers / "aiperf/bin/aiperf", "profile", "-m", MODEL, "--url", cell.url, "--endpoint-type", "completions",
        "--streaming", "--tokenizer", "peers/bytes", "--input-file", prompts, "--custom-dataset-type", "single_turn",
        "--extra-inputs", "ignore_eos:true", "--extra-inputs", f"max_tokens:{cell.tokens}", "--use-legacy-max-tokens",
        "--use-server-token-count", "--concurrency", cell.streams, "--benchmark-duration", cell.seconds,
        "--benchmark-grace-period", "0", "--no-gpu-telemetry", "--no-server-metrics", "--ui", "none",
        "--export-level", "records", "--output-artifact-dir", cell.folder / "aiperf",
    ]  # fmt: skip


def aiperf_reports(cell):
    """Its records without an error; `inter_chunk_latency` has each gap, `inter_token_latency` their mean."""
    for row in json_lines(cell.folder / "aiperf" / "profile_export.jsonl"):
        if row.get("error") or row["metadata"]["was_cancelled"]:
            continue
        said = {name: metric["value"] for name, metric in row["metrics"].items()}
        yield Reported(
            start_ns=row["metadata"]["request_start_ns"],
            ttft_ms=said.get("time_to_first_token"),
            gaps_ms=said.get("inter_chunk_latency"),
            mean_gap_ms=said.get("inter_token_latency"),
        )


def guidellm_command(cell):
    prompts = cell.prompts(("prompt", "output_tokens_count"))
    return [
        cell.peers / "guidellm/bin/guidellm", "run",
        "--backend", f"kind=openai_http,target={cell.url},model={MODEL},request_format=/v1/completions",
        "--profile", f"kind=concurrent,streams={cell.streams}",
        "--constraint", f"kind=max_duration,seconds={cell.seconds}",
        "--tokenizer", f"kind=huggingface_auto,model={tokenizer(cell)}", "--data", f"kind=json_file,path={prompts}",
        "--output", f"kind=json,path={cell.folder / 'out.json'}", "--disable-progress",
    ]  # fmt: skip


def guidellm_reports(cell):
    """Its successful requests: it keeps the first and the last token's time, so only a request's mean gap."""
    requests = json.loads((cell.folder / "out.json").read_text(encoding="utf-8"))["benchmarks"][0]["requests"]
    for row in requests["successful"]:
        yield Reported(
            id=answer_number(row["response_id"]),
            start_ns=int(row["request_start_time"] * 1e9),
            ttft_ms=row["time_to_first_token_ms"],
            mean_gap_ms=row["inter_token_latency_ms"],
        )


def vllm_command(cell):
    return [python(cell, "vllm"), "-m", "vllm.entrypoints.cli.main", *vllm_options(cell)]


def vllm_rs_command(cell):
    return [cell.peers / "vllm-rs", *vllm_options(cell)]


def vllm_options(cell):
    prompts = cell.prompts(("prompt", "output_tokens"))
    return [
        "bench", "serve", "--backend", "openai", "--base-url", cell.url,
        "--endpoint", "/v1/completions", "--model", MODEL, "--tokenizer", tokenizer(cell), "--dataset-name", "custom",
        "--dataset-path", prompts, "--custom-output-len", cell.tokens, "--skip-chat-template", "--ignore-eos",
        "--max-concurrency", cell.streams, "--num-prompts", cell.requests(), "--disable-tqdm", "--save-result",
        "--save-detailed", "--result-dir", cell.folder, "--result-filename", "out.json",
    ]  # fmt: skip


def vllm_reports(cell):
    """Requests without an error, with each gap."""
    said = json.loads((cell.folder / "out.json").read_text(encoding="utf-8"))
    rows = zip(said["start_times"], said["ttfts"], said["itls"], said["errors"])
    for start_s, ttft_s, gaps_s, error in rows:
        if error:
            continue
        gaps = [1e3 * gap for gap in gaps_s]
        mean = sum(gaps) / len(gaps) if gaps else None
        yield Reported(start_ns=int(start_s * 1e9), ttft_ms=1e3 * ttft_s, gaps_ms=gaps, mean_gap_ms=mean)


def oha_command(cell):
    body = {
        "model": MODEL, "prompt": "say something", "max_tokens": cell.tokens, "ignore_eos": True, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    return [
        cell.peers / "oha/bin/oha", "-c", cell.streams, "-z", f"{cell.seconds}s", "-m", "POST",
        "-T", "application/json", "-d", json.dumps(body), "--no-tui", "--output-format", "json",
        "-o", cell.folder / "out.json", f"{cell.url}/v1/completions",
    ]  # fmt: skip


def oha_reports(cell):
    """As many empty reports as it counts answers with status 200: it reads bodies and knows neither tokens nor chunks."""
    said = json.loads((cell.folder / "out.json").read_text(encoding="utf-8"))
    yield from (Reported() for _ in range(said["statusCodeDistribution"].get("200", 0)))


CLIENTS = {
    "trie": (trie_command, trie_reports),
    "trie-chunks": (trie_chunks_command, trie_reports),
    "openai": (openai_command, openai_reports),
    "aiperf": (aiperf_command, aiperf_reports),
    "guidellm": (guidellm_command, guidellm_reports),
    "vllm-rs": (vllm_rs_command, vllm_reports),
    "vllm": (vllm_command, vllm_reports),
    "oha": (oha_command, oha_reports),
}


def environment(cell):
    """Nothing is asked of the hub: the peers that must have a tokenizer find one of bytes in a made-up cache."""
    folder = tokenizer(cell)
    (folder.parents[1] / "refs").mkdir(parents=True, exist_ok=True)
    (folder.parents[1] / "refs" / "main").write_text(REVISION, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tokenizer_files().items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    quiet = {"HF_HOME": str(cell.folder / "hub"), "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return os.environ | quiet


def tokenizer(cell):
    return cell.folder / "hub" / "hub" / "models--peers--bytes" / "snapshots" / REVISION


def tokenizer_files():
    """A tokenizer with a token for each byte. No client counts answers with it: all take the server's counts."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (byte for byte in range(256) if byte not in plain)
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    end = {"id": 256, "content": "<end>", "special": True}
    end |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "vocab": {letters[byte]: byte for byte in range(256)} | {"<end>": 256}, "merges": []}
    return {
        "tokenizer.json": {
            "version": "1.0", "added_tokens": [end], "pre_tokenizer": level, "decoder": level, "model": model,
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "model_max_length": 131072,
        },
        "config.json": {"model_type": "gpt2"},
    }  # fmt: skip


def python(cell, peer):
    return cell.peers / peer / "bin" / "python"


def answer_number(answer_id):
    """The number in `cmpl-` and 16 hexadecimal digits."""
    return int(answer_id.removeprefix("cmpl-")[:16], 16)


def differences(stamps, unit):
    return [(b - a) / unit for a, b in zip(stamps, stamps[1:])]


def json_lines(path):
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)
