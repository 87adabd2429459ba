"""Checkpoints by orbax: restored onto another mesh, training continues bit for bit; a killed save loses nothing before it."""

import pathlib
import subprocess
import sys

import pytest

PROGRAM = pathlib.Path(__file__).with_name("checkpoint_program.py")
pytestmark = pytest.mark.slow


def run(task, folder):
    return subprocess.run([sys.executable, PROGRAM, task, str(folder)], capture_output=True, text=True)


@pytest.fixture(autouse=True)
def orbax():
    pytest.importorskip("orbax.checkpoint", reason="needs orbax-checkpoint", exc_type=ImportError)


def test_a_checkpoint_moves_between_meshes(tmp_path):
    done = run("move", tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_killed_save_leaves_the_checkpoint_before_it(tmp_path):
    assert run("killed", tmp_path).returncode == 9
    done = run("after_killed", tmp_path)
    assert done.returncode == 0 and "restored" in done.stdout, done.stderr
