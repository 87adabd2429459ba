"""`Case`: one operation on one workload."""

import dataclasses

from benchmarks.workloads import Workload

LEARNING_RATE = 0.01
EPS = 1e-12  # so small that it makes no difference whether it stands inside or outside the root

OPTIMIZERS = ("sgd", "adagrad", "rowwise_adagrad")
BACKWARDS = tuple(f"backward_{o}" for o in OPTIMIZERS)  # the gradient of the activations in, new tables out
STEPS = tuple(f"step_{o}" for o in OPTIMIZERS)  # forward, a quadratic loss, backward and optimizer
OPS = ("forward", *BACKWARDS, *STEPS, "writeback", "assign")


@dataclasses.dataclass(frozen=True)
class Case:
    """An operation of `OPS` on a workload.

    "writeback" is SGD at rate 1 in which the first occurrence of a row wins; "assign" stores rows and computes nothing.
    """

    op: str
    workload: Workload

    def __post_init__(self):
        if self.op not in OPS:
            raise ValueError(f"benchmarks.Case: op: expected one of {OPS}, got {self.op!r}. Choose one of them.")

    def is_sensible(self) -> bool:
        """Whether the operation means something on the workload. FBGEMM's writeback takes one id a bag, so ours does here."""
        if self.op not in ("writeback", "assign"):
            return True
        return not self.workload.pooled and (self.op == "assign" or self.workload.hotness == 1)

    @property
    def optimizer(self) -> str:
        """One of `OPTIMIZERS`."""
        return "sgd" if self.op == "writeback" else self.op.partition("_")[2]

    @property
    def learning_rate(self) -> float:
        return 1.0 if self.op == "writeback" else LEARNING_RATE

    @property
    def is_step(self) -> bool:
        return self.op in STEPS

    @property
    def follows_forward(self) -> bool:
        """Whether the op comes after a forward of the same batch, which is not timed but leaves rows in cache."""
        return self.op.startswith("backward")

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> "Case":
        return cls(data["op"], Workload(**data["workload"]))
