"""Which comparisons to make."""

from collections.abc import Iterator, Sequence

from benchmarks.cases import Case
from benchmarks.implementations import PEERS
from benchmarks.sweeps import SWEEPS
from benchmarks.targets import TARGETS
from benchmarks.workloads import Workload

OURS = "jaxtbe"
_SWEPT_OPS = ("forward", "backward_rowwise_adagrad")
_MEMORY = 14 * 2**30  # of the tables and states of one implementation


def targets() -> Iterator[tuple[Case, str]]:
    """Those that have targets."""
    for target in TARGETS:
        yield target.case, target.peer


def chosen(ops: Sequence[str], workloads: Sequence[Workload], peers: Sequence[str]) -> Iterator[tuple[Case, str]]:
    """Every combination that exists and fits into memory."""
    for workload in workloads:
        for op in ops:
            for peer in peers:
                case = Case(op, workload)
                fits = PEERS[peer].table_copies * workload.table_bytes <= _MEMORY
                if peer != OURS and fits and all(PEERS[p].supports(case) for p in (OURS, peer)):
                    yield case, peer


def swept(name: str, ops: Sequence[str], peers: Sequence[str]) -> Iterator[tuple[Case, str]]:
    """A sweep, by default of the forward and of one backward."""
    yield from chosen(ops or _SWEPT_OPS, SWEEPS[name], peers)
