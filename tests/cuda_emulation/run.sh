#!/usr/bin/env bash
# The emulated CUDA kernels under AddressSanitizer and UBSan, then, in tiny cases, under ThreadSanitizer.
# Usage: tests/cuda_emulation/run.sh
set -euo pipefail
here=$(dirname "$0")
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
run() {  # sanitizers, rounds
  echo "-fsanitize=$1"
  make -s -j2 -C "$here" stress SANITIZE="$1" OUT="$build/$1"
  # Address space randomization may put memory where ThreadSanitizer cannot have it.
  TSAN_OPTIONS=report_thread_leaks=0 setarch "$(uname -m)" -R "$build/$1/stress" "$2"
}
run address,undefined 12
run thread 6
