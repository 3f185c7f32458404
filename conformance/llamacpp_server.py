#!/usr/bin/env python3
"""Serves a GGUF file with llama.cpp's own HTTP server, the C++ one inside the Python wheel
xllamacpp, on 127.0.0.1 until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
import threading
import time

import xllamacpp


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a GGUF file")
    parser.add_argument("--alias", default="tiny-qwen3", help="the model's name in requests")
    parser.add_argument("--port", type=int, default=18100)
    parser.add_argument("--ctx", type=int, default=262144, help="tokens of KV cache, shared by the slots")
    parser.add_argument("--parallel", type=int, default=16, help="requests worked on at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache-ram-mib", type=int, default=1024)
    return parser.parse_args()


def settings(args):
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    params.model_alias = {args.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = args.port
    params.n_ctx = args.ctx
    params.n_parallel = args.parallel
    params.kv_unified = True  # any one slot may use the whole context
    params.cont_batching = True
    params.cache_prompt = True
    params.cache_ram_mib = args.cache_ram_mib
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.endpoint_props = True
    params.n_threads_http = args.parallel + 8
    params.cpuparams.n_threads = args.threads
    params.cpuparams_batch.n_threads = args.threads
    params.warmup = True
    return params


def main():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    start = time.monotonic()
    server = xllamacpp.Server(settings(arguments()))
    print(f"listening on {server.listening_address} after {time.monotonic() - start:.2f} s", flush=True)
    stop.wait()
    sys.stdout.flush()
    os._exit(0)  # the C++ threads do not end by themselves


if __name__ == "__main__":
    main()
