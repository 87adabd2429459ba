"""The training step compiled for an H100, with no GPU: no table is copied. Needs jax's CUDA plugin and the CUDA kernels.

pip install jax-cuda13-plugin jax-cuda13-pjrt       # of jax's own version; Python 3.12 or newer
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
from test_in_place import LOSSES, TABLE_BYTES

from jaxtbe import _native

PROGRAM = pathlib.Path(__file__).with_name("cuda_compile_program.py")


@pytest.mark.slow
@pytest.mark.skipif(_native.cuda_architectures() is None, reason="jaxtbe was built without CUDA kernels")
@pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None, reason="needs jax-cuda13-plugin and jax-cuda13-pjrt"
)
def test_donated_steps_copy_no_table():
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    programs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(programs) == 2 * len(LOSSES)
    for program in programs:
        assert program["copies"] == 0, program
        assert program["temp_bytes"] < TABLE_BYTES / 4, program
        assert ("jaxtbe_update" in program["targets"]) == (not program["step"].startswith("without_a_lookup")), program
