"""The peers: one a file. This list names them without importing what they need."""

import dataclasses
import importlib

from benchmarks.cases import BACKWARDS, OPS, STEPS, Case


@dataclasses.dataclass(frozen=True)
class Peer:
    """One implementation.

    Args:
      name: of its module here.
      about: one line for reports.
      ops: what it can do.
      dtypes: of the tables it can hold.
      environment: "jax" (that of the driver) or "peers" (made by `make bench-peers`).
      one_pooled_table: whether it can do no more than one table with pooled bags.
      table_copies: how many arrays of a table's size it needs at its worst.
    """

    name: str
    about: str
    ops: tuple[str, ...]
    dtypes: tuple[str, ...] = ("float32", "float16", "bfloat16")
    environment: str = "jax"
    one_pooled_table: bool = False
    table_copies: int = 2

    def supports(self, case: Case) -> bool:
        if self.one_pooled_table and not (case.workload.pooled and case.workload.tables == 1):
            return False
        return case.is_sensible() and case.op in self.ops and case.workload.dtype in self.dtypes

    def build(self, case: Case, data):
        """Its `Implementation`, in the process that runs it."""
        return importlib.import_module(f"{__name__}.{self.name}").Implementation(case, data)


_FLOAT = ("float32",)

PEERS = {
    p.name: p
    for p in (
        Peer("jaxtbe", "jaxtbe", OPS),
        Peer(
            "jax_dense",
            "jnp.take, segment_sum, dense gradient, optax",
            ("forward", "step_sgd", "step_adagrad"),
            _FLOAT,
            table_copies=4,
        ),
        Peer(
            "jax_sparse",
            "jnp.unique, segment_sum, scatter-add into a donated table",
            ("forward", *BACKWARDS, *STEPS, "assign"),
            _FLOAT,
        ),
        Peer("plain_loop", "a plain prefetching C++ loop", ("forward", "backward_rowwise_adagrad"), _FLOAT,
             one_pooled_table=True, table_copies=1),
        Peer("fbgemm", "fbgemm-gpu-cpu, SplitTableBatchedEmbeddingBagsCodegen",
             ("forward", *BACKWARDS, *STEPS, "writeback"), ("float32", "float16"), "peers"),
        Peer("torch_bag", "torch.nn.EmbeddingBag(sparse=True), torch.optim; w[ids] = v",
             ("forward", "backward_sgd", "backward_adagrad", "step_sgd", "step_adagrad", "assign"), _FLOAT, "peers",
             table_copies=3),
    )
}  # fmt: skip
