"""Lookups inside a user's own `jax.shard_map`: a program of its own, because it needs two devices."""

import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).parent / "data_parallel_program.py"


def test_lookups_and_gradients_within_shard_map_and_pmap():
    run = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0 and "passed" in run.stdout, run.stderr
