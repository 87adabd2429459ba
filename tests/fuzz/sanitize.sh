#!/usr/bin/env bash
# The misfits through handlers and CPU kernels that are built with AddressSanitizer and UBSan.
# Usage: tests/fuzz/sanitize.sh [python] [times as many misfits as the tests run]
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-.venv/bin/python} times=${2:-1}
build=build/sanitized
mkdir -p "$build"
include() { "$python" -c 'import os, sysconfig, jaxlib, pybind11
print(*("-isystem " + p for p in (os.path.join(os.path.dirname(jaxlib.__file__), "include"),
pybind11.get_include(), sysconfig.get_paths()["include"])))'; }
sanitize=-fsanitize=address,undefined
compile="${CXX:-g++} -std=c++17 -O1 -g -fPIC -fvisibility=hidden -Wno-psabi -fno-sanitize-recover=all $sanitize -I. $(include)"
compile="$compile -DJAXTBE_SIMD=baseline -pthread"
sources=$(ls csrc/cpu/*.cc csrc/cpu/simd/*.cc xla_ffi/*.cc | grep -v xla_ffi/module_cuda)
for source in $sources; do echo "$source"; done |
  xargs -P 2 -I{} sh -c "$compile -c {} -o $build/\$(echo {} | tr / _).o"
# shellcheck disable=SC2086
$compile -shared "$build"/*.o -o "$build/_cpu.so"
asan=$("${CXX:-g++}" -print-file-name=libasan.so) stdcxx=$("${CXX:-g++}" -print-file-name=libstdc++.so)
JAXTBE_FUZZ=$times JAXTBE_FUZZ_LIBRARY="$PWD/$build/_cpu.so" JAXTBE_FUZZ_PRELOAD="$asan $stdcxx" \
  "$python" -m pytest -q -p no:cacheprovider tests/fuzz/test_misfits.py
