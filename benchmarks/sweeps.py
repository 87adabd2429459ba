"""Sweeps: families of workloads in which one quantity grows."""

import dataclasses
from collections.abc import Iterator

from benchmarks.workloads import UNIFORM, ZIPF, Workload

_BASE = Workload("base", tables=1, rows=10**6, dim=64, batch=4096, hotness=20)


def _vary(group: str, field: str, values, base: Workload = _BASE) -> Iterator[Workload]:
    for value in values:
        yield dataclasses.replace(base, name=f"{group}_{value}", group=group, **{field: value})


def _tables() -> Iterator[Workload]:
    small = dataclasses.replace(_BASE, rows=10**5, batch=1024, hotness=10)
    yield from _vary("tables", "tables", (1, 2, 4, 8, 16, 32, 64), small)


def _distributions() -> Iterator[Workload]:
    for distribution in (UNIFORM, ZIPF):
        base = dataclasses.replace(_BASE, distribution=distribution)
        yield from _vary(f"hotness_{distribution}", "hotness", (1, 5, 20, 50, 100), base)


_narrow = dataclasses.replace(_BASE, dim=16)

SWEEPS: dict[str, tuple[Workload, ...]] = {
    "dim": tuple(_vary("dim", "dim", (16, 32, 64, 128, 256, 512), dataclasses.replace(_BASE, rows=10**5))),
    "hotness": tuple(_distributions()),
    "tables": tuple(_tables()),
    "dtype": tuple(_vary("dtype", "dtype", ("float32", "float16", "bfloat16"))),
    "threads": tuple(_vary("threads", "threads", (1, 2))),
    "rows": tuple(_vary("rows", "rows", tuple(10**k for k in range(4, 9)), _narrow)),
    "batch": tuple(_vary("batch", "batch", tuple(4**k for k in range(3, 9)))),
}
