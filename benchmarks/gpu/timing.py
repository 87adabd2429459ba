"""How long a call takes on a device that works behind the caller's back."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax


class Plan(NamedTuple):
    """How often everything is called."""

    rounds: int
    """Measurements, of which the median counts."""
    calls: int
    """Calls in a row of one measurement."""


def seconds_a_call(run: Callable[[int], object], plan: Plan) -> float:
    """Calls `run(0)`, `run(1)`, ... and waits for the last: the device is kept busy, so that dispatching is hidden.

    Args:
      run: takes the number of the call and returns what to wait for; the device works in the order of calls.
      plan: how often.
    """
    jax.block_until_ready(run(0))
    times = []
    for r in range(plan.rounds):
        start = time.perf_counter()
        for c in range(plan.calls):
            last = run(r * plan.calls + c)
        jax.block_until_ready(last)
        times.append((time.perf_counter() - start) / plan.calls)
    return statistics.median(times)
