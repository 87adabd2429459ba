"""`examples/distributed.py`: one process, two and four learn the same."""

import pathlib
import re
import subprocess
import sys

import pytest

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "distributed.py"


def run(processes):
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--processes", str(processes), "--steps", "20"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    losses = [float(x) for x in re.findall(r"loss (\S+)", done.stdout)]
    return losses, re.search(r"(\d+) of 16384 user rows in each, (\d+) users seen", done.stdout).groups()


@pytest.mark.slow
def test_processes_learn_what_one_does():
    alone, (rows, users) = run(1)
    assert len(alone) == 2 and int(rows) == 16384
    for processes in (2, 4):
        losses, (part, seen) = run(processes)
        assert losses == pytest.approx(alone, rel=1e-4)
        assert int(part) == 16384 // processes and seen == users
