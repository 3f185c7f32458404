#!/bin/sh
# Installs what peers.py compares trie with into a folder: one virtual environment for each Python client, oha from
# its crate, and the referee that watches the server's sockets. Versions are pinned; what failed is named at the end.
#
#     crates/trie-bench/peers/setup.sh FOLDER [NAME ...]
#
# Names: referee openai aiperf guidellm vllm-rs oha (all of them without names), and vllm, which is 1 GB and asked for by name.
# PYTHON=python3.11 chooses the interpreter.
set -u
folder=${1:?usage: setup.sh FOLDER [NAME ...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder" && cd "$folder" || exit 1
[ $# -gt 0 ] || set -- referee openai aiperf guidellm vllm-rs oha
failed=

python_peer() {
    "${PYTHON:-python3}" -m venv "$1" && "$1/bin/pip" install --quiet "$2"
}

# vLLM's wheel is fetched for one program in it, which needs nothing else of it.
vllm_rs() {
    python3 -m pip download --quiet --no-deps --only-binary=:all: -d wheel vllm==0.33.0 &&
        python3 -m zipfile -e wheel/vllm-0.33.0-*.whl wheel && mv wheel/vllm/vllm-rs . && chmod +x vllm-rs && rm -r wheel
}

for name; do
    case $name in
    referee) rustc --edition 2024 -O --crate-type cdylib -C panic=abort -o libreferee.so "$here/referee.rs" ;;
    openai) python_peer openai openai==3.54.0 ;;
    aiperf) python_peer aiperf aiperf==0.13.0 ;;
    guidellm) python_peer guidellm guidellm==0.8.1 ;;
    vllm) python_peer vllm 'vllm[bench]==0.32.0' ;;
    vllm-rs) vllm_rs ;;
    oha) cargo install oha --version 1.16.0 --locked --root oha ;;
    *) false ;;
    esac || failed="$failed $name"
done
[ -z "$failed" ] || { echo "not installed:$failed" >&2; exit 1; }
