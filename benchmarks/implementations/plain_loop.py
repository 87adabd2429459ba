"""The plain C++ loops of plain_loop.cc: what this machine's memory lets one do."""

import ctypes
import os
import pathlib
import subprocess
import tempfile
import time

import numpy as np

from benchmarks.cases import EPS, Case
from benchmarks.data import PERIOD, Data

_SOURCE = pathlib.Path(__file__).resolve().parent.parent / "plain_loop.cc"


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        self.case, self.library = case, _compile()
        self.ids = [np.ascontiguousarray(ids) for ids in data.ids]
        self.d_acts = data.d_acts
        self.table = np.empty((w.rows, w.dim), np.float32)
        period = data.period(0)
        for start in range(0, w.rows, PERIOD):
            self.table[start : start + PERIOD] = period[: w.rows - start]
        self.state = np.full(w.rows if case.op != "forward" else 1, 0, np.float32)
        self.acts = np.empty((w.batch, w.dim), np.float32)

    def run(self, batch: int) -> float:
        w = self.case.workload
        shape = [ctypes.c_int64(n) for n in (w.batch, w.hotness, w.dim)]
        table, state, ids = map(_pointer, (self.table, self.state, self.ids[batch]))
        start = time.perf_counter()
        if self.case.op == "forward":
            self.library.PlainForward(table, ids, _pointer(self.acts), *shape)
        else:
            rates = ctypes.c_float(self.case.learning_rate), ctypes.c_float(EPS)
            d_acts = _pointer(self.d_acts[batch])
            self.library.PlainRowwiseAdagrad(table, state, ids, d_acts, *shape, ctypes.c_int64(w.rows), *rates)
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        return self.acts

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        del table
        return self.table[rows]


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _compile() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder) / "plain_loop.so"
        compiler = os.environ.get("CXX", "c++")
        flags = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
        subprocess.run([compiler, *flags, str(_SOURCE), "-o", str(library)], check=True)
        return ctypes.CDLL(str(library))
