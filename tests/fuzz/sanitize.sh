#!/usr/bin/env bash
# Misfits and hostile values through handlers and CPU kernels that are built with AddressSanitizer and UBSan, with the kernels of
# each instruction set that this machine has.
# Usage: tests/fuzz/sanitize.sh [python] [times as many as the tests run]
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/csrc/simd_levels.sh
source tests/csrc/simd_levels.sh
python=${1:-.venv/bin/python} times=${2:-1}
build=build/sanitized
rm -rf "$build"
mkdir -p "$build"
include() { "$python" -c 'import os, sysconfig, jaxlib, pybind11
print(*("-isystem " + p for p in (os.path.join(os.path.dirname(jaxlib.__file__), "include"),
pybind11.get_include(), sysconfig.get_paths()["include"])))'; }
sanitize=-fsanitize=address,undefined
compile="${CXX:-g++} -std=c++17 -O1 -g -fPIC -fvisibility=hidden -Wno-psabi -fno-sanitize-recover=all $sanitize -I. $(include)"
levels=$(simd_levels)
{  # object, source, flags
  for source in csrc/cpu/*.cc xla_ffi/*.cc; do
    case $source in csrc/cpu/best_kernels.cc | xla_ffi/module_cuda*) ;; *) echo "all.${source//\//_} $source" ;; esac
  done
  for level in $levels; do
    echo "$level.best_kernels.cc csrc/cpu/best_kernels.cc -DJAXTBE_HAVE_$level"
    for source in csrc/cpu/simd/*.cc; do
      echo "$level.simd.$(basename "$source") $source -DJAXTBE_SIMD=$level $(simd_flags "$level")"
    done
  done
} | sed "s, *$,," | xargs -P 2 -L 1 sh -c "object=\$1 source=\$2; shift 2; $compile -pthread \"\$@\" -c \$source -o $build/\$object.o" sh
asan=$("${CXX:-g++}" -print-file-name=libasan.so) stdcxx=$("${CXX:-g++}" -print-file-name=libstdc++.so)
export JAXTBE_FUZZ_PRELOAD="$asan $stdcxx" PYTHONPATH="$PWD/tests/fuzz"
for level in $levels; do
  echo "$sanitize, $level"
  parts=("$build"/all.* "$build/$level".*)
  JAXTBE_FUZZ=$times tests=(tests/fuzz/test_misfits.py tests/fuzz/test_public_misfits.py)
  if [ "$level" != baseline ]; then
    parts+=("$build"/baseline.simd.*)                # a choice among two: the baseline is always there
    JAXTBE_FUZZ=$(awk "BEGIN { print $times / 4 }")  # the handlers are the same, only the kernels are others
    tests=(tests/fuzz/test_misfits.py)
  fi
  export JAXTBE_FUZZ
  "${CXX:-g++}" -pthread -shared "$sanitize" "${parts[@]}" -o "$build/_cpu.$level.so"
  export JAXTBE_FUZZ_LIBRARY="$PWD/$build/_cpu.$level.so" JAXTBE_FUZZ_SIMD=$level
  "$python" -m pytest -q -n 2 -p no:cacheprovider "${tests[@]}"
  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD="$asan $stdcxx" \
    "$python" -m pytest -q -n 2 -p no:cacheprovider -p other_library tests/fuzz/test_values.py
done
