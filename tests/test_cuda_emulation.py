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
    "writeback": ("test_access.py test_in_place.py", "not 2_gib"),
    "zch": (
        "test_zch_find.py test_zch_insert.py test_zch_read_only.py test_zch_metrics.py",
        "not large and not thread",
    ),
    "zch_rows": ("test_zch_in_place.py test_zch_bags.py test_reset_rows.py", "not thread"),
}


@pytest.fixture(scope="module")
def folder() -> pathlib.Path:
    sys.path.insert(0, str(TESTS))
    try:
        from cuda_emulation.build import build
    finally:
        sys.path.remove(str(TESTS))
    return build()


def run(folder: pathlib.Path, group: str, schedule: str, only: str = "") -> None:
    files, without = GROUPS[group]
    select = " and ".join(filter(None, ("not xla", without, only)))
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "cuda_emulation.plugin",
            "-p",
            "no:cacheprovider",
            "-k",
            select,
        ]
        + [str(TESTS / name) for name in files.split()],
        env={**os.environ, "PYTHONPATH": str(TESTS), "JAXTBE_EMULATION": str(folder), "JAXTBE_SCHEDULE": schedule},
        cwd=TESTS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-5000:]
    assert " passed" in result.stdout, result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_group(folder, group):
    run(folder, group, "first_in")


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["last_in", "random:7"])
@pytest.mark.parametrize(
    ("group", "only"),
    [("lookup", "every_dim"), ("gradient", "two_lookups"), ("writeback", "assign"), ("zch", "insert")],
)
def test_other_schedules(folder, group, only, schedule):
    run(folder, group, schedule, only)
