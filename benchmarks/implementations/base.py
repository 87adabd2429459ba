"""What the driver asks of an implementation."""

from typing import Protocol

import numpy as np


class Implementation(Protocol):
    """Tables with their initial rows, every batch at hand, nothing left to compile after the first run."""

    def run(self, batch: int) -> float:
        """Does the operation once on a batch, and returns the seconds it took, finished results included."""
        ...

    def output(self) -> np.ndarray:
        """f[B, columns]: the activations of the last run, for "forward"."""
        ...

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        """f[len(rows), D]: rows of a table."""
        ...
