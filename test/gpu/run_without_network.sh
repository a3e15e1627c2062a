#!/usr/bin/env bash
# The GPU tests on a machine that has a GPU and its driver, but no network and no TensorRT of its own.
#
#   test/gpu/run_without_network.sh ACTIVATE REFERENCES PACKAGES [PYTEST OPTIONS...]
#
# All three are made where there is a network, and brought along with this checkout:
#   ACTIVATE    a script that is sourced, and puts a `python3.10` with TensorRT, cuda-python, onnx and NumPy into PATH
#   REFERENCES  PYTHONPATH=test python -m gpu.make_references REFERENCES
#   PACKAGES    python3.10 -m pip install --target PACKAGES pytest nvidia-cuda-nvrtc-cu12==12.1.*
#               (NVRTC in the major version of cuda-python's CUDA; 12.1's is small, and knows an H100)
#
# Numbers go to gpu_results/, or where --results says, after each test. All of it takes longer than half an hour, most
# of it for building plans, which stay in gpu_results/plans. Where commands must be short, run parts, in this order:
#   --part quick --frames 3000 --iterations 1000 --seconds 20, then --part full; or by -k parity, -k cache, ...
# `bisenet benchmark report FILE FOLDER` draws the plot of the benchmark's JSON files where matplotlib is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ $# -lt 3 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 1
fi
activate=$(realpath "$1") references=$(realpath "$2") packages=$(realpath "$3")
shift 3

set +eu
. "$activate"
set -eu
# No cuDNN and no cuBLAS are expected here; BISENET_TENSORRT_TACTIC_SOURCES= allows them.
export BISENET_TENSORRT_TACTIC_SOURCES=${BISENET_TENSORRT_TACTIC_SOURCES-EDGE_MASK_CONVOLUTIONS,JIT_CONVOLUTIONS}
export PYTHONPATH=$PWD:$PWD/test:$packages
for library in "$packages"/nvidia/*/lib; do
  [ ! -d "$library" ] || export LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
exec python3.10 -m pytest -p no:cacheprovider -o timeout=3600 test/gpu --references "$references" "$@"
