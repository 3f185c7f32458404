"""What a server was found to do, as typed objects. Made by `cargo xtask generate` from the tables in the source; not edited by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


EngineKind = Literal[
    "vllm",
    "sglang",
    "tensorrt_llm",
    "llama_cpp",
    "simulated",
    "unknown",
]

FindingStatus = Literal[
    "ok",
    "note",
    "warn",
    "fail",
]

IdsBack = Literal[
    "return_token_ids",
    "logprobs",
    "native_completion",
]

LengthFields = Literal[
    "ignore_eos",
    "both",
    "min_tokens",
    "neither",
]

PreflightCheck = Literal[
    "reach",
    "engine",
    "idle",
    "model",
    "request",
    "streaming",
    "length",
    "usage",
    "prompt_count",
    "bos",
    "composition",
    "ids_in",
    "ids_back",
    "output_limit",
    "cached_tokens",
    "block_size",
    "context",
    "kv_cache",
    "keep_alive",
]


@dataclass(frozen=True)
class Capabilities:
    """What a run may rely on. The default is what is assumed of a server that nobody asked."""

    adds_bos: bool | None
    """It puts a first token of its own before text. `None`: its count of text is not known."""
    block_size: int | None
    """Tokens that its prefix cache keeps or drops together."""
    cache_tokens: int | None
    """Tokens that its KV cache holds, of all its replicas that it knows of."""
    cached_tokens: bool
    """Usage says how much came from the cache, if only where that is more than 0."""
    composes: bool | None
    """Whether it composes Unicode (NFC) where the tokenizer's file asks for it; `None` where it does not ask,
    or nobody knows.
    """
    context_limit: int | None
    """The longest prompt and answer together."""
    echoes_prompt_ids: bool
    """An answer with ids repeats the ids of the whole prompt."""
    engine: EngineKind
    """Which engine answers, as far as it can be recognised."""
    engine_version: str | None
    """Its version, in its own words."""
    ids_back: IdsBack | None
    """How it names the ids that it generated."""
    ids_in: bool
    """It takes prompts that are token ids, and counts them as we do."""
    keeps_connection: bool
    """A connection stays open after an answer."""
    length: LengthFields
    """The fields that fix the length of an answer."""
    omits_cached_zero: bool
    """Usage leaves out how much came from the cache where that is 0."""
    running_usage: bool
    """It reports usage in every chunk, if it is asked to."""
    special_tokens: bool
    """It takes `skip_special_tokens`."""
    speed: Speed | None
    """How long it takes for a request that is alone; measured for `start=equilibrium` only."""
    stream_options: bool
    """It takes `stream_options`."""
    usage: bool
    """It reports usage."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Capabilities:
        """From its JSON."""
        return cls(
            adds_bos=at.get("adds_bos"),
            block_size=at.get("block_size"),
            cache_tokens=at.get("cache_tokens"),
            cached_tokens=at["cached_tokens"],
            composes=at.get("composes"),
            context_limit=at.get("context_limit"),
            echoes_prompt_ids=at["echoes_prompt_ids"],
            engine=at["engine"],
            engine_version=at.get("engine_version"),
            ids_back=at.get("ids_back"),
            ids_in=at["ids_in"],
            keeps_connection=at["keeps_connection"],
            length=at["length"],
            omits_cached_zero=at.get("omits_cached_zero", False),
            running_usage=at.get("running_usage", False),
            special_tokens=at["special_tokens"],
            speed=None if at.get("speed") is None else Speed.of(at["speed"]),
            stream_options=at["stream_options"],
            usage=at["usage"],
        )


@dataclass(frozen=True)
class Finding:
    """One thing that was tried."""

    advice: str | None
    """What to do about it, in words."""
    check: PreflightCheck
    """What was tried."""
    found: str
    """What was found, in words."""
    status: FindingStatus
    """How it stands."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Finding:
        """From its JSON."""
        return cls(
            advice=at.get("advice"),
            check=at["check"],
            found=at["found"],
            status=at["status"],
        )


@dataclass(frozen=True)
class Speed:
    """How long a server takes for a request that is alone, in nanoseconds."""

    decode_ns: int
    """For each token of an answer after the first."""
    prefill_ns: int
    """For each prompt token that is in no cache."""
    request_ns: int
    """For each request, whatever its length."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Speed:
        """From its JSON."""
        return cls(
            decode_ns=at["decode_ns"],
            prefill_ns=at["prefill_ns"],
            request_ns=at["request_ns"],
        )


@dataclass(frozen=True)
class Preflight:
    """All that the preflight tried and found."""

    capabilities: Capabilities
    """What they come to: what a run may rely on."""
    findings: list[Finding]
    """One entry per thing tried, in the order tried."""

    @classmethod
    def of(cls, at: dict[str, Any]) -> Preflight:
        """From its JSON."""
        return cls(
            capabilities=Capabilities.of(at["capabilities"]),
            findings=[Finding.of(v) for v in at["findings"]],
        )
