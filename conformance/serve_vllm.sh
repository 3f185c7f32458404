#!/usr/bin/env bash
# serve_vllm.sh WORK [text|raw] [PORT] [vLLM's arguments]
#
# Serves in the foreground on 127.0.0.1; GET /health answers 200 when it is ready.
set -euo pipefail
work=$(cd "${1:?usage: serve_vllm.sh WORK [text|raw] [PORT] [arguments]}" && pwd)
mode=${2:-text}
port=${3:-18000}
shift $(($# < 3 ? $# : 3))

export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-2}
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
# --enforce-eager: compiling the model costs minutes on two cores, and the model is a toy.
exec "$work/vllm/bin/vllm" serve "$work/models/tiny-qwen3-$mode" --served-model-name tiny-qwen3 \
  --host 127.0.0.1 --port "$port" --dtype bfloat16 --max-model-len 131072 --max-num-seqs 64 \
  --enable-prefix-caching --enable-prompt-tokens-details --enforce-eager "$@"
