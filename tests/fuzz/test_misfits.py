"""Misfits of every operand of every op, in child processes: an error of ours or a right result, and never a signal.

JAXTBE_FUZZ=20 runs twenty times as many. `tests/fuzz/sanitize.sh` runs them under AddressSanitizer and UBSan.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from entries import ENTRIES, op_of

from jaxtbe import _native
from jaxtbe.ops.signatures import OPS

HERE = pathlib.Path(__file__).resolve().parent
TIMES = float(os.environ.get("JAXTBE_FUZZ", "1"))
COUNTS = {"public": 150, "raw": 60}


def environment() -> dict[str, str]:
    if "JAXTBE_FUZZ_PRELOAD" not in os.environ:
        return dict(os.environ)
    options = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {**os.environ, **options, "LD_PRELOAD": os.environ["JAXTBE_FUZZ_PRELOAD"]}


def test_every_op_has_an_entry():
    assert {op_of(name) for name in ENTRIES} == set(OPS), "add the op to tests/fuzz/entries.py"
    assert {s.target for s in OPS.values()} == set(_native.TARGETS), "add the target to jaxtbe/ops/signatures.py"


@pytest.mark.parametrize("level", COUNTS)
@pytest.mark.parametrize("name", ENTRIES)
def test_misfits(name, level):
    count = max(1, int(COUNTS[level] * min(1.0, TIMES)))
    for seed in range(max(1, round(TIMES))):  # a process each: every misfit leaves a compiled program behind
        command = [sys.executable, str(HERE / "child.py"), name, level, str(seed), str(count)]
        run = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60 + 2 * count)
        said = run.stdout.splitlines() or [""]
        assert run.returncode == 0, f"seed {seed}: exit status {run.returncode} at {said[-1]!r}:\n{run.stderr[-3000:]}"
        tally = json.loads(said[-1])
        assert tally["errors"] > 0 and tally["errors"] + tally["results"] > count / 4, (
            tally
        )  # some are refused when they are made
