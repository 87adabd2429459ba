#!/usr/bin/env bash
# Builds the C++ stress tests under ThreadSanitizer, then under AddressSanitizer and UBSan, and runs them.
# Usage: tests/csrc/run.sh [rounds]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-120}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
for sanitizer in thread address,undefined; do
  echo "-fsanitize=$sanitizer"
  # -O1 keeps what GCC would remove as unused; baseline is the only instruction set that sanitizers fully see.
  compile=("${CXX:-g++}" -std=c++17 -O1 -g -Wall -Wextra -Wno-psabi -fno-sanitize-recover=all "-fsanitize=$sanitizer" -I.
           -DJAXTBE_SIMD=baseline -pthread)
  objects=()
  for source in csrc/cpu/*.cc csrc/cpu/simd/*.cc; do
    objects+=("$build/$(basename "$source").o")
    "${compile[@]}" -c "$source" -o "${objects[-1]}"
  done
  for stress in zch_stress embedding_stress; do
    "${compile[@]}" "tests/csrc/$stress.cc" "${objects[@]}" -o "$build/$stress"
    "$build/$stress" "$rounds"
  done
done
