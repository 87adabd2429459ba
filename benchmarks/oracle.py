"""What every implementation must compute on the first batch: float64 NumPy over the touched rows."""

from typing import NamedTuple

import numpy as np

from benchmarks.cases import EPS, Case
from benchmarks.data import Data


class Expected(NamedTuple):
    """Rows of a table after one run."""

    rows: np.ndarray  # i64[U]
    values: np.ndarray  # f64[U, D]


def activations(data: Data) -> np.ndarray:
    """f64[B, columns] of the first batch."""
    w = data.workload
    parts = []
    for table in range(w.tables):
        rows = data.initial_rows(table, data.ids[0][table]).astype(np.float64)  # [B, L, D]
        parts.append(rows.sum(axis=1) if w.pooled else rows.reshape(w.batch, -1))
    return np.concatenate(parts, axis=1)


def updated_rows(case: Case, data: Data, table: int) -> Expected:
    """The touched rows of a table after the first batch."""
    d_acts = data.d_acts[0].astype(np.float64)
    if case.is_step:
        d_acts = activations(data) - d_acts
    of_table = data.by_table(d_acts)[table]
    per_id = of_table[:, None, :] if case.workload.pooled else of_table
    per_id = np.broadcast_to(per_id, (*data.ids[0][table].shape, case.workload.dim)).reshape(-1, case.workload.dim)
    ids = data.ids[0][table].reshape(-1).astype(np.int64)

    order = np.argsort(ids, kind="stable")
    rows, starts, counts = np.unique(ids[order], return_index=True, return_counts=True)
    if case.op == "assign":  # which of several occurrences stays, peers leave open
        once = counts == 1
        return Expected(rows[once], per_id[order][starts[once]])
    first = case.op == "writeback"
    gradient = per_id[order][starts] if first else np.add.reduceat(per_id[order], starts, axis=0)
    return Expected(rows, data.initial_rows(table, rows) - case.learning_rate * _direction(case.optimizer, gradient))


def _direction(optimizer: str, gradient: np.ndarray) -> np.ndarray:
    """The first step's, from states of zero."""
    if optimizer == "sgd":
        return gradient
    square = gradient**2
    if optimizer == "rowwise_adagrad":
        square = square.mean(axis=1, keepdims=True)
    return gradient / (np.sqrt(square) + EPS)
