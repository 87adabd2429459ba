"""`Process`: the driver's end of a worker."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

from benchmarks.cases import Case
from benchmarks.implementations import PEERS

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"


def interpreter(name: str) -> pathlib.Path | None:
    """The Python that can run an implementation, or None: its environment is not there."""
    if PEERS[name].environment == "jax":
        return pathlib.Path(sys.executable)
    return PEERS_PYTHON if PEERS_PYTHON.exists() else None


class WorkerError(RuntimeError):
    """A worker failed; holds its traceback."""


class Process(contextlib.AbstractContextManager):
    """A worker process for one implementation with a number of threads, which must be known before its backend starts."""

    def __init__(self, name: str, threads: int):
        self.name, self.threads = name, threads
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "NPROC": str(threads),  # the size of XLA's pool
            "OMP_NUM_THREADS": str(threads),
            "NUMPY_MADVISE_HUGEPAGE": "0",  # the tables of JAX and torch have no huge pages either
            "PYTHONWARNINGS": "ignore",
        }
        self._process = subprocess.Popen(
            [str(interpreter(name)), "-m", "benchmarks.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def prepare(self, case: Case) -> dict:
        """Builds and checks; returns the error and the versions."""
        return self._ask({"do": "prepare", "case": case.to_json()})

    def run(self, count: int) -> list[float]:
        """Seconds of each of `count` runs."""
        return self._ask({"do": "run", "count": count})["seconds"]

    def _ask(self, command: dict) -> dict:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "the process ended (out of memory?)"}
        if "failed" in answer:
            raise WorkerError(f"{self.name}: {answer['failed']}")
        return answer

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
