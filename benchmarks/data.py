"""`Data`: the ids, gradients and initial rows of a workload, the same in every process. NumPy only."""

import functools

import numpy as np

from benchmarks.workloads import UNIFORM, Workload

SETS = 6  # batches with ids of their own, used in turn
PERIOD = 4093  # initial rows repeat with this prime period, so that any of them is known without the table
_EXPONENT = 1.05


class Data:
    """All inputs of a workload.

    Args:
      workload: what to make.
    """

    def __init__(self, workload: Workload):
        self.workload = workload

    @functools.cached_property
    def ids(self) -> list[np.ndarray]:
        """i32[T, B, L] for each set."""
        w = self.workload
        draw = _uniform if w.distribution == UNIFORM else _zipf
        shape = (w.tables, w.batch, w.hotness)
        return [draw(np.random.default_rng([7, i]), w.rows, shape).astype(np.int32) for i in range(SETS)]

    @functools.cached_property
    def d_acts(self) -> list[np.ndarray]:
        """f32[B, columns] for each set: the gradient of the activations, or what a step fits or a store writes."""
        w = self.workload
        shape = (w.batch, w.columns)
        return [np.random.default_rng([8, i]).standard_normal(shape, np.float32) for i in range(SETS)]

    def by_table(self, acts: np.ndarray) -> list[np.ndarray]:
        """[B, columns] split into [B, D] for each table, or [B, L, D] where bags are not pooled."""
        w = self.workload
        parts = np.split(acts, w.tables, axis=1)
        return parts if w.pooled else [p.reshape(w.batch, w.hotness, w.dim) for p in parts]

    def period(self, table: int) -> np.ndarray:
        """f32[PERIOD, D]: row r of the initial table is that at r modulo PERIOD."""
        rows = np.random.default_rng([9, table]).uniform(-0.1, 0.1, (PERIOD, self.workload.dim)).astype(np.float32)
        if self.workload.dtype == "bfloat16":  # whatever rounds it next, rounds nothing
            return (rows.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        return rows.astype(self.workload.dtype).astype(np.float32)

    def initial_rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        """f32[len(rows), D]."""
        return self.period(table)[rows % PERIOD]


def _uniform(rng: np.random.Generator, rows: int, shape) -> np.ndarray:
    return rng.integers(0, rows, shape)


def _zipf(rng: np.random.Generator, rows: int, shape) -> np.ndarray:
    """Zipf's law without a bound, taken modulo the rows; the hot rows are then scattered over the table."""
    return (rng.zipf(_EXPONENT, shape) - 1) % rows * 2_654_435_761 % rows
