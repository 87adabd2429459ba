#!/usr/bin/env bash
# Builds the C++ stress tests under ThreadSanitizer, then under AddressSanitizer and UBSan, and runs them with the kernels of each
# instruction set that this machine has.
# Usage: tests/csrc/run.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/csrc/simd_levels.sh
source tests/csrc/simd_levels.sh
rounds=${1:-120}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
levels=$(simd_levels)
for sanitizer in thread address,undefined; do
  compile() {  # object, source, flags
    # -O1 keeps what GCC would remove as unused.
    "${CXX:-g++}" -std=c++17 -O1 -g -Wall -Wextra -Wno-psabi -fno-sanitize-recover=all "-fsanitize=$sanitizer" -I. -pthread \
      "${@:3}" -c "$2" -o "$build/$1.o"
  }
  kernels() {  # level: the files under csrc/cpu/simd
    local source
    for source in csrc/cpu/simd/*.cc; do
      # shellcheck disable=SC2046
      compile "$1.$(basename "$source")" "$source" "-DJAXTBE_SIMD=$1" $(simd_flags "$1")
    done
  }
  rm -f "$build"/*
  for source in csrc/cpu/*.cc; do
    [ "$source" = csrc/cpu/best_kernels.cc ] || compile "all.$(basename "$source")" "$source"
  done
  for stress in zch_stress embedding_stress; do compile "$stress" "tests/csrc/$stress.cc"; done
  kernels baseline
  for level in $levels; do
    echo "-fsanitize=$sanitizer, $level"
    [ "$level" = baseline ] || kernels "$level"
    compile "$level.best" csrc/cpu/best_kernels.cc "-DJAXTBE_HAVE_$level"
    parts=("$build"/all.* "$build/$level".*)  # a choice among two: the baseline is always there
    [ "$level" = baseline ] || parts+=("$build"/baseline.*kernel*)
    for stress in zch_stress embedding_stress; do
      "${CXX:-g++}" "-fsanitize=$sanitizer" -pthread "$build/$stress.o" "${parts[@]}" -o "$build/$stress"
      "$build/$stress" "$rounds"
    done
  done
done
