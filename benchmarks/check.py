"""The correctness check before every timing."""

import numpy as np

from benchmarks import oracle
from benchmarks.cases import Case
from benchmarks.data import Data

_RELATIVE = {"float32": 2e-5, "float16": 2e-3, "bfloat16": 1e-2}


def check(case: Case, data: Data, implementation) -> float:
    """Compares an implementation that has run the first batch once with the oracle.

    Returns:
      The largest error accepted, relative to the size of what was compared.

    Raises:
      AssertionError: it is over the tolerance.
    """
    if case.op == "forward":
        return _error(implementation.output(), oracle.activations(data), case, "activations")
    errors = []
    for table in range(case.workload.tables):
        rows, values = oracle.updated_rows(case, data, table)
        errors.append(_error(implementation.rows(table, rows), values, case, f"rows of table {table}"))
    return max(errors)


def _error(got: np.ndarray, expected: np.ndarray, case: Case, what: str) -> float:
    assert got.shape == expected.shape, f"{what}: expected shape {expected.shape}, got {got.shape}"
    errors = np.abs(got - expected) / (np.abs(expected).max() + 1e-30)
    tolerance = _RELATIVE[case.workload.dtype]
    wrong = int(np.count_nonzero(~(errors <= tolerance)))
    # Adagrad's first step is the sign of a sum, which no float32 sum gets right where its terms cancel.
    allowed = errors.size // 100_000 if case.optimizer == "adagrad" else 0
    assert wrong <= allowed, f"{what}: expected errors of at most {tolerance}, got {errors.max():.2e}, {wrong} over it"
    return float(np.sort(errors, axis=None)[-1 - wrong])
