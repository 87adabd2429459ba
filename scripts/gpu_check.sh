#!/usr/bin/env bash
# Everything that needs a GPU, part by part: scripts/gpu_check.sh [build|test|sanitize|bench]... (all, if none is named).
# Needs CUDA 13, jax with its CUDA plugin, and the tools of requirements/dev.txt; no network. Each part ends well inside
# nine minutes and prints a short table last.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

build() {
  JAXTBE_CUDA=ON "$python" -m pip install -q --no-build-isolation --no-deps .
  (cd / && "$python" -m jaxtbe)
}

# The suite as it is: with a GPU, `native` means the CUDA kernels.
run_tests() {
  JAX_PLATFORMS=cuda,cpu XLA_PYTHON_CLIENT_PREALLOCATE=false timeout 500 \
    "$python" -m pytest -q -p no:cacheprovider --override-ini testpaths=tests -m "gpu or not slow" \
    tests/test_gpu.py tests/test_lookup.py tests/test_access.py tests/test_faults.py tests/test_id_weights_grad.py \
    tests/test_in_place.py tests/test_optimizers.py tests/test_rounding.py tests/test_reset_rows.py \
    tests/test_sparse_grad.py tests/test_zch_find.py tests/test_zch_insert.py tests/test_zch_bags.py -k "not xla"
}

# compute-sanitizer on a few small cases: it is fifty times slower than the GPU.
sanitize() {
  local tool
  for tool in memcheck racecheck initcheck synccheck; do
    printf '%-10s ' "$tool"
    JAX_PLATFORMS=cuda,cpu XLA_PYTHON_CLIENT_PREALLOCATE=false timeout 120 \
      compute-sanitizer --tool "$tool" --error-exitcode 9 --kernel-regex kns=jaxtbe "$python" -m pytest -q -x \
      -p no:cacheprovider tests/test_gpu.py -k small >/tmp/jaxtbe_$tool.log 2>&1 && echo ok || { echo FAILED; tail -20 /tmp/jaxtbe_$tool.log; }
  done
}

bench() {
  timeout 500 "$python" -m benchmarks.gpu
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(build test sanitize bench)
for part in "${parts[@]}"; do
  printf '\n== %s\n' "$part"
  case $part in
    build) build ;;
    test) run_tests ;;
    sanitize) sanitize ;;
    bench) bench ;;
    *) echo "gpu_check.sh: expected build, test, sanitize or bench, got '$part'"; exit 2 ;;
  esac
done
