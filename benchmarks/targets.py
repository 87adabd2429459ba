"""The CPU targets: how many times faster than a peer each operation is meant to be."""

from typing import NamedTuple

from benchmarks.cases import Case
from benchmarks.workloads import WORKLOADS


class Target(NamedTuple):
    """Peer time divided by our time, at least `ratio`."""

    workload: str
    op: str
    peer: str
    ratio: float

    @property
    def case(self) -> Case:
        return Case(self.op, WORKLOADS[self.workload])


TARGETS = (
    Target("one_table", "forward", "fbgemm", 1.7),
    Target("one_table", "backward_rowwise_adagrad", "fbgemm", 1.7),
    Target("one_table", "backward_sgd", "fbgemm", 3.0),
    Target("one_table", "backward_adagrad", "fbgemm", 5.0),
    Target("large_table", "forward", "fbgemm", 1.8),
    Target("large_table", "backward_rowwise_adagrad", "fbgemm", 2.0),
    Target("four_zipf", "forward", "fbgemm", 1.7),
    Target("four_zipf", "backward_sgd", "fbgemm", 4.0),
    Target("four_wide", "backward_adagrad", "fbgemm", 5.0),
    Target("four_float16", "backward_sgd", "fbgemm", 4.0),
    Target("four_unpooled", "backward_sgd", "fbgemm", 10.0),
    Target("writeback", "writeback", "fbgemm", 15.0),
    Target("one_table", "forward", "plain_loop", 1 / 1.15),
    Target("one_table", "backward_rowwise_adagrad", "plain_loop", 1 / 1.25),
    Target("large_table", "step_adagrad", "jax_dense", 100.0),
    Target("large_table", "step_rowwise_adagrad", "jax_sparse", 8.0),
)


def target_of(workload: str, op: str, peer: str) -> float | None:
    """The ratio to reach, or None: no target was set."""
    return next((t.ratio for t in TARGETS if t[:3] == (workload, op, peer)), None)
