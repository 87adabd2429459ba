"""Two implementations in turns, and the ratio of their times."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.processes import Process

_TURN_SECONDS = 0.12  # about how long a turn lasts
_MOST_RUNS = 24
_COOL_SECONDS = 0.02  # lets the worker threads of the turn before fall asleep


class Ratio(NamedTuple):
    """Of peer time to our time: over 1, we are faster. Quartiles over the rounds."""

    low: float
    median: float
    high: float


class Comparison(NamedTuple):
    """Seconds of every turn (the median of its runs), and the load by others just before each round."""

    ours: list[float]
    peer: list[float]
    busy: list[float]

    @property
    def ratio(self) -> Ratio:
        ratios = [p / o for o, p in zip(self.ours, self.peer, strict=True)]
        if len(ratios) == 1:
            return Ratio(ratios[0], ratios[0], ratios[0])
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return Ratio(low, median, high)


def compare(ours: Process, peer: Process, rounds: int, quiet: Callable[[], float] = lambda: 0.0) -> Comparison:
    """Alternates turns: ours, peer, ours, peer, ... Each begins with a run that is not counted, and ids change with every run.

    Args:
      ours, peer: prepared workers.
      rounds: turns of each.
      quiet: called before each round; may wait for a quiet moment. Returns the share of the machine that others use.
    """
    counts = {process: _runs_a_turn(process) for process in (ours, peer)}
    result = Comparison([], [], [])
    for _ in range(rounds):
        result.busy.append(quiet())
        for process, times in ((ours, result.ours), (peer, result.peer)):
            time.sleep(_COOL_SECONDS)
            times.append(statistics.median(process.run(1 + counts[process])[1:]))
    return result


def _runs_a_turn(process: Process) -> int:
    seconds = min(process.run(3)[1:])
    return max(1, min(_MOST_RUNS, round(_TURN_SECONDS / seconds)))
