"""The GPU benchmarks at tiny sizes on whatever device there is: every row is checked, nothing is timed."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("part", ["ceilings", "forward", "update", "anchor", "zch"])
def test_every_row_is_correct_at_tiny_sizes(part):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--quick", part], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    title, *rows = done.stdout.split("\n\n")[1].splitlines()
    assert title == "all correct"
    assert len(rows) > 2


def test_an_unknown_part_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "no_such_part"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "invalid choice: 'no_such_part'" in done.stderr
