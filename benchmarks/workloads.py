"""`Workload`: what is looked up. Those of the CPU targets, by name."""

import dataclasses

ZIPF = "zipf"
UNIFORM = "uniform"


@dataclasses.dataclass(frozen=True)
class Workload:
    """Tables of one shape, one feature each, every bag with the same number of ids.

    Args:
      name: how results refer to it.
      tables: number of tables, T.
      rows: rows of each.
      dim: columns of each, D.
      batch: samples, B.
      hotness: ids in a bag, L.
      distribution: of the ids: "uniform", or "zipf" with exponent 1.05, the hot rows scattered over the table.
      dtype: of the tables.
      pooled: True: the rows of a bag are added; False: every row is an output.
      threads: worker threads of whatever runs it.
      group: the sweep it belongs to, or "".
    """

    name: str
    tables: int
    rows: int
    dim: int
    batch: int
    hotness: int
    distribution: str = UNIFORM
    dtype: str = "float32"
    pooled: bool = True
    threads: int = 2
    group: str = ""

    @property
    def columns(self) -> int:
        """Width of the activations of a sample."""
        return self.tables * self.dim * (1 if self.pooled else self.hotness)

    @property
    def itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 2

    @property
    def table_bytes(self) -> int:
        return self.tables * self.rows * self.dim * self.itemsize

    def describe(self) -> str:
        tables = f"{self.tables} table{'s' if self.tables > 1 else ''} of {_short(self.rows)} x {self.dim}"
        bags = f"B={self.batch}, L={self.hotness}, {self.distribution}"
        extra = [self.dtype] * (self.dtype != "float32") + ["unpooled"] * (not self.pooled)
        return ", ".join([tables, bags, *extra, f"{self.threads} thread{'s' if self.threads > 1 else ''}"])


def _short(count: int) -> str:
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{name}"
    return str(count)


_STANDARD = (
    Workload("one_table", tables=1, rows=10**6, dim=64, batch=4096, hotness=20),
    Workload("large_table", tables=1, rows=10**7, dim=64, batch=4096, hotness=20),
    Workload("four_zipf", tables=4, rows=10**6, dim=64, batch=4096, hotness=20, distribution=ZIPF),
    Workload("four_wide", tables=4, rows=10**5, dim=128, batch=512, hotness=20, threads=1),
    Workload("four_float16", tables=4, rows=10**5, dim=128, batch=512, hotness=20, dtype="float16", threads=1),
    Workload("four_unpooled", tables=4, rows=10**5, dim=128, batch=512, hotness=20, pooled=False, threads=1),
    Workload("writeback", tables=1, rows=10**5, dim=128, batch=20_000, hotness=1, pooled=False, threads=1),
    Workload("one_hot", tables=26, rows=10**5, dim=64, batch=2048, hotness=1),
)

WORKLOADS = {w.name: w for w in _STANDARD}


# Of these the tiny versions differ in what they exercise.
QUICK = ("one_table", "four_zipf", "four_float16", "four_unpooled", "writeback")


def tiny(workload: Workload) -> Workload:
    """The same shape of work, small enough to check in a moment. Hot rows and an odd batch stay."""
    return dataclasses.replace(
        workload,
        rows=min(workload.rows, 997),
        batch=min(workload.batch, 33),
        hotness=min(workload.hotness, 5),
        tables=min(workload.tables, 3),
    )
