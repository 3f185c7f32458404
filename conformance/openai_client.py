#!/usr/bin/env python3
"""The official `openai` client against `trie serve`: whole and streamed answers of both routes.

    trie serve port=8000 &
    pip install openai
    conformance/openai_client.py http://127.0.0.1:8000/v1
"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
print("openai", openai.__version__)
model = client.models.list().data[0].id
print("models.list", model)

whole = client.completions.create(model=model, prompt="hello", max_tokens=5)
print("completions", repr(whole.choices[0].text), whole.choices[0].finish_reason, whole.usage.completion_tokens)

chunks = list(
    client.completions.create(
        model=model, prompt="hello", max_tokens=5, stream=True,
        stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
    )
)
assert len([chunk for chunk in chunks if chunk.choices]) == 5, chunks
assert chunks[-1].usage.completion_tokens == 5, chunks[-1]
print("completions, streamed", len(chunks), "chunks", chunks[-1].usage.prompt_tokens_details)

messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
whole = client.chat.completions.create(model=model, messages=messages, max_tokens=5)
print("chat", repr(whole.choices[0].message.content), whole.choices[0].finish_reason, whole.usage.total_tokens)

tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}}]
with client.chat.completions.stream(
    model=model, messages=messages, max_tokens=5, tools=tools, stream_options={"include_usage": True}
) as stream:
    events = [event.type for event in stream]
    final = stream.get_final_completion()
print("chat, streamed", sorted(set(events)), repr(final.choices[0].message.content), final.usage.completion_tokens)

for name, call in {
    "wrong length": lambda: client.completions.create(model=model, prompt="hello", max_tokens=0),
    "too long": lambda: client.completions.create(model=model, prompt="hello", max_tokens=10**6),
}.items():
    try:
        call()
    except openai.BadRequestError as error:
        print(name, error.status_code, error.body["message"])
    else:
        raise SystemExit(f"{name}: was taken")
