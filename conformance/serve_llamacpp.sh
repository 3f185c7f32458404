#!/usr/bin/env bash
# serve_llamacpp.sh WORK [text|raw|gemma] [PORT] [llamacpp_server.py's arguments]
#
# Serves in the foreground on 127.0.0.1; GET /health answers 200 when it is ready.
set -euo pipefail
work=$(cd "${1:?usage: serve_llamacpp.sh WORK [text|raw|gemma] [PORT] [arguments]}" && pwd)
mode=${2:-text}
port=${3:-18100}
here=$(cd "$(dirname "$0")" && pwd)
shift $(($# < 3 ? $# : 3))

model=$work/models/tiny-qwen3-$mode.gguf
name=tiny-qwen3
if [ "$mode" = gemma ]; then
  model=$work/models/gemma3-270m.gguf
  name=gemma3-270m
  set -- --ctx 32768 --parallel 4 "$@"
fi
exec "$work/llamacpp/bin/python" "$here/llamacpp_server.py" \
  --model "$model" --alias "$name" --port "$port" "$@"
