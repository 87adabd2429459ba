# To be sourced in the root of the repository: the instruction sets that the CPU kernels are tested for, and how each is compiled.
# shellcheck shell=bash

# The flags of one of them, as the build has them.
simd_flags() { sed -n "s/^set(JAXTBE_FLAGS_$1 \(.*\))$/\1/p" cmake/cpu.cmake; }

# Those that this machine runs, one a line. A best_kernels.cc that knows no other one chooses it.
simd_levels() {
  local known=baseline probe level
  case $(uname -m) in x86_64 | amd64) known="baseline avx2 avx512" ;; esac
  probe=$(mktemp)
  for level in $known; do
    "${CXX:-g++}" -std=c++17 -Wno-psabi -I. "-DJAXTBE_HAVE_$level" tests/csrc/simd_level.cc csrc/cpu/best_kernels.cc \
      -o "$probe" || return 1
    if [ "$("$probe")" = "$level" ]; then echo "$level"; else echo "$level: skipped, not an instruction set of this machine" >&2; fi
  done
  rm -f "$probe"
}
