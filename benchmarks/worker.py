"""The process that runs one implementation: `python -m benchmarks.worker NAME`, commanded by JSON lines.

    {"do": "prepare", "case": {...}}  ->  {"error": largest error of the check, "versions": {...}}
    {"do": "run", "count": n}         ->  {"seconds": [n times, each on the next batch]}

Whatever fails is answered by {"failed": a traceback}. The end of the input ends it.
"""

import contextlib
import importlib.metadata
import json
import os
import sys
import traceback

from benchmarks.cases import Case
from benchmarks.check import check
from benchmarks.data import SETS, Data
from benchmarks.implementations import PEERS


class Worker:
    """One implementation, and the case it is prepared for."""

    def __init__(self, name: str):
        self.peer = PEERS[name]
        self.implementation = None
        self.runs = 0

    def prepare(self, case: dict) -> dict:
        self.implementation = None  # frees the tables of the case before
        parsed = Case.from_json(case)
        data = Data(parsed.workload)
        self.implementation = self.peer.build(parsed, data)
        self.implementation.run(0)
        error = check(parsed, data, self.implementation)
        self.runs = 1
        return {"error": error, "versions": _versions()}

    def run(self, count: int) -> dict:
        seconds = [self.implementation.run((self.runs + i) % SETS) for i in range(count)]
        self.runs += count
        return {"seconds": seconds}

    def answer(self, command: dict) -> dict:
        try:
            arguments = {k: v for k, v in command.items() if k != "do"}
            return {"prepare": self.prepare, "run": self.run}[command["do"]](**arguments)
        except Exception:
            return {"failed": traceback.format_exc()}


def _versions() -> dict[str, str]:
    found = {}
    for package in ("jaxtbe", "jax", "jaxlib", "optax", "torch", "fbgemm_gpu-cpu", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def main(name: str) -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to stderr, answers alone to stdout
    worker = Worker(name)
    for line in sys.stdin:
        print(json.dumps(worker.answer(json.loads(line))), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])
