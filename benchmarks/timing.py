"""Two implementations in turns, and the ratio of their times."""

import statistics
import time
from typing import NamedTuple

from benchmarks.processes import Process
from benchmarks.quiet import QUIET, Others, wait_until_quiet

_TURN_SECONDS = 0.12  # about how long a turn lasts
_MOST_RUNS = 24
_COOL_SECONDS = 0.02  # lets the worker threads of the turn before fall asleep
_FEWEST_CLEAN = 3
_MOST_ROUNDS = 3  # times the rounds asked for, where others disturb them


class Ratio(NamedTuple):
    """Of peer time to our time: over 1, we are faster. Quartiles over the rounds."""

    low: float
    median: float
    high: float


class Round(NamedTuple):
    """A turn of each: the median seconds of its runs, and the share of the machine that others used meanwhile."""

    ours: float
    peer: float
    busy: float

    @property
    def is_clean(self) -> bool:
        return not self.busy > QUIET


class Comparison(NamedTuple):
    """All rounds. Judged by the undisturbed ones if there are a few, else by all."""

    rounds: list[Round]

    @property
    def judged(self) -> list[Round]:
        clean = [r for r in self.rounds if r.is_clean]
        return clean if len(clean) >= _FEWEST_CLEAN else self.rounds

    @property
    def ratio(self) -> Ratio:
        ratios = [r.peer / r.ours for r in self.judged]
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        return Ratio(*statistics.quantiles(ratios, n=4, method="inclusive"))


def compare(ours: Process, peer: Process, rounds: int, patience: float) -> Comparison:
    """Alternates turns: ours, peer, ours, peer, ... Each begins with a run that is not counted, and ids change with every run.

    Args:
      ours, peer: prepared workers.
      rounds: how many undisturbed rounds to make; gives up after three times as many.
      patience: seconds to wait before each round until others leave the machine alone.
    """
    counts = [_runs_a_turn(process) for process in (ours, peer)]
    others = Others((ours.pid, peer.pid))
    done: list[Round] = []
    while sum(r.is_clean for r in done) < rounds and len(done) < _MOST_ROUNDS * rounds:
        wait_until_quiet(others, patience)
        others.share()
        times = [_turn(process, count) for process, count in zip((ours, peer), counts, strict=True)]
        done.append(Round(*times, others.share()))
    return Comparison(done)


def _turn(process: Process, count: int) -> float:
    time.sleep(_COOL_SECONDS)
    return statistics.median(process.run(1 + count)[1:])


def _runs_a_turn(process: Process) -> int:
    seconds = min(process.run(3)[1:])
    return max(1, min(_MOST_RUNS, round(_TURN_SECONDS / seconds)))
