"""`hold_interrupts`: Ctrl-C between steps, never within one."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def hold_interrupts() -> Iterator[None]:
    """Holds back SIGINT (Ctrl-C) while its block runs, and delivers it at the end.

    A step with donated arguments deletes the old parameters before its results are assigned: an
    interrupt in between leaves neither. With the step and the assignment inside the block, the last
    results are always there.

    Other threads than the main one get no signals; there it does nothing. It may be nested.

    Example:
      >>> import jax, jax.numpy as jnp, jaxtbe
      >>> step = jax.jit(lambda x: x + 1, donate_argnums=0)
      >>> params = jnp.zeros(3)
      >>> for _ in range(3):
      ...     with jaxtbe.hold_interrupts():
      ...         params = step(params)
      >>> params.tolist()
      [3.0, 3.0, 3.0]
    """
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if before is None:  # another thread, or a handler that Python did not install
        yield
        return
    held: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held and callable(before):
            before(signal.SIGINT, held[-1])
        elif held and before == signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGINT)
