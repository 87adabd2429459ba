"""How much of this machine others use: before a measurement, to wait, and during it, to judge it."""

import os
import pathlib
import time
from collections.abc import Callable, Iterable

_STAT = pathlib.Path("/proc/stat")
_SAMPLE_SECONDS = 0.1
QUIET = 0.1  # of all cores


class Others:
    """The share of all cores that processes other than some use, since the last question.

    Args:
      own: the process ids that do not count.
    """

    def __init__(self, own: Iterable[int]):
        self._own = [*own, os.getpid()]
        self._last = self._counters()

    def share(self) -> float:
        """Between 0 and 1; nan where /proc is missing."""
        now = self._counters()
        used, total = (after - before for before, after in zip(self._last, now, strict=True))
        self._last = now
        return max(0.0, used / total) if total else float("nan")

    def _counters(self) -> tuple[int, int]:
        """Ticks of all cores: used by others, and in all."""
        if not _STAT.exists():
            return 0, 0
        ticks = [int(x) for x in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
        idle = ticks[3] + ticks[4]
        return sum(ticks) - idle - sum(map(_ticks_of, self._own)), sum(ticks)


def wait_until_quiet(others: Others, patience: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Waits up to `patience` seconds for others to leave the machine alone."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        others.share()
        sleep(_SAMPLE_SECONDS)
        if not others.share() > QUIET:
            return


def _ticks_of(pid: int) -> int:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
