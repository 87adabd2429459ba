"""The suite again, through the CUDA handlers, which are compiled for the CPU and run there: see tests/cuda_emulation.

No GPU is needed, and no CUDA toolkit. Each group is a pytest of its own, in a process without the CPU kernels.
"""

import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent

GROUPS = {
    "lookup": ("test_lookup.py test_faults.py test_id_weights_grad.py", "not large and not long"),
    "gradient": ("test_sparse_grad.py test_dense_grad.py", "not large and not thousands"),
    "update": ("test_optimizers.py test_rounding.py", "not thousands"),
    "tools": ("test_optimizer_tools.py", ""),
    "offsets": ("test_hostile_offsets.py fuzz/test_handlers.py", ""),
    "writeback": ("test_access.py test_in_place.py", "not 2_gib"),
    "zch_find": ("test_zch_find.py test_zch_read_only.py", ""),
    "zch_insert": ("test_zch_insert.py", "(not random_batches or reserved)"),
    "zch_wide": ("test_zch_wide_windows.py", ""),
    "zch_rows": ("test_zch_in_place.py test_zch_bags.py test_reset_rows.py", ""),
}
"""Name to test files, and which of their tests."""

OTHER_SCHEDULES = {
    "lookup": "every_dim",
    "gradient": "two_lookups or dense_grad",
    "update": "clip_then or duplicates or twice",
    "offsets": "every_op or every_offset or more_offsets",
    "writeback": "write_only or assign",
    "zch_insert": "crowd or (random_batches and reserved and first)",
    "zch_wide": "specification and (config0 or config1)",
    "zch_rows": "evicted or bits",
}
"""Group to those of its tests that run in other orders of threads, too: each kernel, where it matters."""


@pytest.fixture(scope="module")
def folder() -> pathlib.Path:
    sys.path.insert(0, str(TESTS))
    try:
        from cuda_emulation.build import build
    finally:
        sys.path.remove(str(TESTS))
    return build()


def run(folder: pathlib.Path, group: str, schedule: str, only: str = "") -> None:
    files, selected = GROUPS[group]
    select = " and ".join(filter(None, ("not xla", selected, only)))
    options = ["-q", "-x", "-p", "cuda_emulation.plugin", "-p", "no:cacheprovider", "-k", select]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(str(TESTS / name) for name in files.split())],
        env={**os.environ, "PYTHONPATH": str(TESTS), "JAXTBE_EMULATION": str(folder), "JAXTBE_SCHEDULE": schedule},
        cwd=TESTS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,  # a kernel that waits for ever
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_group(folder, group):
    run(folder, group, "first_in")


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["last_in", "random:7"])
@pytest.mark.parametrize("group", OTHER_SCHEDULES)
def test_other_schedules(folder, group, schedule):
    run(folder, group, schedule, f"({OTHER_SCHEDULES[group]})")
