"""Streams completions with the official client as the original harness does, and says what it measured.

The clock of a request starts before `create()`; a token is stamped when the loop sees a chunk with text. What the
original does besides, tokenizing each chunk again, is left out. Requests that are on their way at the end are let finish.
"""

import argparse
import asyncio
import json
import time

from openai import AsyncOpenAI


async def one(client, args, prompt):
    start_ns, start, stamps, answer_id = time.time_ns(), time.perf_counter_ns(), [], None
    stream = await client.completions.create(
        model=args.model,
        prompt=prompt,
        max_tokens=args.tokens,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].text:
            stamps.append(time.perf_counter_ns())
            answer_id = chunk.id
    return {"id": answer_id, "start_ns": start_ns, "start": start, "stamps": stamps}


async def slot(number, client, args, deadline, rows):
    turn = 0
    while time.monotonic() < deadline:
        rows.append(await one(client, args, f"prompt {number}.{turn}: say something"))
        turn += 1


async def main(args):
    rows = []
    async with AsyncOpenAI(base_url=args.url, api_key="none", max_retries=2, timeout=600) as client:
        deadline = time.monotonic() + args.seconds
        slots = [asyncio.create_task(slot(number, client, args, deadline, rows)) for number in range(args.streams)]
        ends = await asyncio.gather(*slots, return_exceptions=True)
    failed = [repr(end) for end in ends if isinstance(end, Exception)]
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"rows": rows, "failed": failed}, file)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, kind in [("url", str), ("model", str), ("out", str), ("streams", int), ("tokens", int), ("seconds", float)]:
        parser.add_argument(f"--{name}", type=kind, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
