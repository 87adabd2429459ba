#!/usr/bin/env bash
# Builds the C++ stress test of the ZCH under ThreadSanitizer, then under AddressSanitizer and UBSan, and runs both.
# Usage: tests/csrc/run.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-120}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
sources=(tests/csrc/zch_stress.cc tests/csrc/baseline_kernels.cc csrc/cpu/zch_find.cc csrc/cpu/zch_insert.cc
         csrc/cpu/zch_matching.cc csrc/cpu/radix_sort.cc csrc/cpu/simd/zch_locate_kernel.cc)
for sanitizer in thread address,undefined; do
  echo "-fsanitize=$sanitizer"
  # -O1 keeps what GCC would remove as unused; baseline is the only instruction set that sanitizers fully see.
  "${CXX:-g++}" -std=c++17 -O1 -g -Wall -Wextra -Wno-psabi -fno-sanitize-recover=all "-fsanitize=$sanitizer" -I. \
    -DJAXTBE_SIMD=baseline "${sources[@]}" -o "$build/stress" -pthread
  "$build/stress" "$rounds"
done
