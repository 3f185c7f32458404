#!/usr/bin/env python3
"""What prompts and answers of token ids cost on a running vLLM, beside text.

    price_of_ids.py URL MODEL TOKENIZER.json [TOKENS...] [--runs N]

Each prompt is sent once to fill the server's prefix cache and then timed, so that prefill is next to
nothing and what is left is what the forms of prompt and answer cost: reading, tokenizing, echoing.
The forms take turns; the figures are medians of the time from the request's last byte to the first
byte of the first event that holds a token, and to that event's end.
"""

import argparse
import http.client
import json
import random
import re
import statistics
import sys
import time
import urllib.parse


def words(tokenizer):
    """Tokens that are a space and lower-case letters, as (id, text)."""
    with open(tokenizer, encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    return [(i, " " + t[1:]) for t, i in sorted(vocab.items()) if re.fullmatch("\u0120[a-z]{2,8}", t)]


FORMS = {
    "text": lambda ids, text: {"prompt": text},
    "ids in": lambda ids, text: {"prompt": ids},
    "ids in and back, echoed": lambda ids, text: {"prompt": ids, "return_token_ids": True},
    "ids in and back by logprobs": lambda ids, text: {
        "prompt": ids,
        "logprobs": 0,
        "return_tokens_as_token_ids": True,
    },
}


def first_event(url, body):
    """Seconds from the last byte sent to the first byte of the first event, to its end, and its bytes."""
    where = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=600)
    data = json.dumps(body)
    connection.request("POST", where.path + "/completions", data, {"Content-Type": "application/json"})
    sent = time.perf_counter()
    response = connection.getresponse()
    if response.status != 200:
        sys.exit(f"{response.status}: {response.read(500)!r}")
    seen = response.read(1)
    begun = time.perf_counter()
    while not seen.endswith(b"\n\n"):
        seen += response.readline()
    ended = time.perf_counter()
    response.read()
    connection.close()
    return begun - sent, ended - sent, len(seen)


def main(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("tokenizer")
    parser.add_argument("tokens", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args(arguments)
    vocabulary = words(asked.tokenizer)
    draw = random.Random(7)
    print("| prompt tokens | form | first byte, ms | event's end, ms | event, bytes |\n|---|---|---|---|---|")
    for size in asked.tokens:
        chosen = [draw.choice(vocabulary) for _ in range(size)]
        ids, text = [i for i, _ in chosen], "".join(t for _, t in chosen)
        common = {"model": asked.model, "max_tokens": 2, "ignore_eos": True, "stream": True, "temperature": 0}
        seen = {form: [] for form in FORMS}
        first_event(asked.url, common | FORMS["ids in"](ids, text))
        for _ in range(asked.runs):
            for form, prompt in FORMS.items():
                seen[form].append(first_event(asked.url, common | prompt(ids, text)))
        for form, times in seen.items():
            begun, ended, length = (statistics.median(column) for column in zip(*times))
            print(f"| {size:,} | {form} | {begun * 1e3:.1f} | {ended * 1e3:.1f} | {length:,.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
