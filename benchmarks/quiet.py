"""How busy others keep this machine, and waiting until they do not."""

import pathlib
import time

_STAT = pathlib.Path("/proc/stat")
_SAMPLE_SECONDS = 0.1
_QUIET = 0.1


def busy() -> float:
    """The share of all cores in use over a tenth of a second, or nan where /proc is missing."""
    if not _STAT.exists():
        return float("nan")
    before = _counters()
    time.sleep(_SAMPLE_SECONDS)
    used, total = (b - a for a, b in zip(before, _counters(), strict=True))
    return used / total if total else 0.0


def wait_until_quiet(patience: float) -> float:
    """Waits up to `patience` seconds for others to stop; returns the last `busy()`."""
    end = time.monotonic() + patience
    while True:
        share = busy()
        if not share > _QUIET or time.monotonic() >= end:
            return share


def _counters() -> tuple[int, int]:
    """Used and total ticks of all cores."""
    ticks = [int(x) for x in _STAT.read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)
