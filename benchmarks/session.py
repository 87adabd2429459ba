"""`Session`: runs comparisons one after another, keeping worker processes where it can."""

import contextlib

from benchmarks.cases import Case
from benchmarks.machine import describe
from benchmarks.plan import OURS
from benchmarks.processes import Process
from benchmarks.report import record
from benchmarks.timing import compare


class Session(contextlib.AbstractContextManager):
    """Prepared workers, reused while the next comparison needs the same ones.

    Args:
      rounds: undisturbed turns of each implementation in a comparison.
      patience: seconds to wait before each round until others leave the machine alone.
      run: goes into the records, see `report.record`.
    """

    def __init__(self, rounds: int, patience: float, run: float = 0.0):
        self.rounds, self.patience, self.run = rounds, patience, run
        self._processes: dict[str, Process] = {}
        self._prepared: dict[str, tuple[Case, dict]] = {}

    def compare(self, case: Case, peer: str) -> dict:
        """Checks and times both; returns a record."""
        for name in [n for n in self._processes if n not in (OURS, peer)]:
            self._end(name)  # its tables would take memory
        prepared = {name: self.prepare(case, name) for name in (OURS, peer)}
        compared = compare(self._processes[OURS], self._processes[peer], self.rounds, self.patience)
        about = {
            "errors": {name: p["error"] for name, p in prepared.items()},
            "versions": {k: v for p in prepared.values() for k, v in p["versions"].items()},
        }
        return record(case, peer, compared, about, describe(), self.run)

    def prepare(self, case: Case, name: str) -> dict:
        """Builds an implementation and checks its results."""
        process = self._processes.get(name)
        if process is not None and process.threads != case.workload.threads:
            self._end(name)
        if name not in self._processes:
            self._processes[name] = Process(name, case.workload.threads)
        if name not in self._prepared or self._prepared[name][0] != case:
            self._prepared.pop(name, None)
            self._prepared[name] = (case, self._processes[name].prepare(case))
        return self._prepared[name][1]

    def _end(self, name: str) -> None:
        self._prepared.pop(name, None)
        self._processes.pop(name).__exit__()

    def __exit__(self, *_):
        for name in list(self._processes):
            self._end(name)
