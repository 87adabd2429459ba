#!/usr/bin/env bash
# Everything that needs a GPU, part by part: scripts/gpu_check.sh [part]... (all of them, if none is named).
#
#   build                                                     the package with its CUDA kernels, into $PYTHON's environment
#   test-lookup test-update test-writeback test-zch           the suite, in which `native` now means the CUDA kernels
#   memcheck racecheck initcheck synccheck                    compute-sanitizer on small cases
#   bench-ceilings bench-forward bench-update bench-anchor bench-zch
#
# Needs CUDA 13, jax with its CUDA plugin, and the tools of requirements/dev.txt; no network. Each part ends inside nine
# minutes and prints a short table last. PYTHON=... chooses the interpreter. Logs: out/gpu_check.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
parts=(build test-lookup test-update test-writeback test-zch memcheck racecheck initcheck synccheck
  bench-ceilings bench-forward bench-update bench-anchor bench-zch)
[ $# -gt 0 ] || set -- "${parts[@]}"
logs=out/gpu_check
mkdir -p "$logs"
export JAX_PLATFORMS=${JAX_PLATFORMS:-cuda,cpu} XLA_PYTHON_CLIENT_PREALLOCATE=false

build() {
  JAXTBE_CUDA=ON timeout 500 "$python" -m pip install -q --no-build-isolation --no-deps . && (cd / && "$python" -m jaxtbe)
}

suite() {  # test files
  timeout 500 "$python" -m pytest -q -p no:cacheprovider -m "gpu or not slow" -k "not xla" "${@/#/tests/test_}"
}

sanitize() {  # tool
  command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not on the PATH"; return 1; }
  timeout 500 compute-sanitizer --tool "$1" --error-exitcode 9 --kernel-regex kns=jaxtbe \
    "$python" -m pytest -q -x -p no:cacheprovider tests/test_gpu.py -k small
}

run() {  # part
  case $1 in
    build) build ;;
    test-lookup) suite lookup.py faults.py id_weights_grad.py dense_grad.py ;;
    test-update) suite gpu.py optimizers.py rounding.py sparse_grad.py optimizer_tools.py ;;
    test-writeback) suite access.py in_place.py ;;
    test-zch) suite zch_find.py zch_insert.py zch_read_only.py zch_bags.py zch_in_place.py reset_rows.py ;;
    memcheck | racecheck | initcheck | synccheck) sanitize "$1" ;;
    bench-*) timeout 500 "$python" -m benchmarks.gpu "${1#bench-}" ${BENCH_OPTIONS:-} ;;
    *) echo "expected one of: ${parts[*]}"; return 2 ;;
  esac
}

failed=0
summary=()
for part in "$@"; do
  printf '\n== %s\n' "$part"
  start=$SECONDS
  if run "$part" >"$logs/$part.log" 2>&1; then result=ok; else result="FAILED ($?)" failed=1; fi
  tail -n 60 "$logs/$part.log"
  summary+=("$(printf '%-16s %-12s %4d s' "$part" "$result" $((SECONDS - start)))")
done
printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
exit $failed
