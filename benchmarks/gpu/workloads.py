"""The workloads of the GPU targets, and their data."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

SETS = 4  # batches with ids of their own, used in turn


@dataclasses.dataclass(frozen=True)
class Workload:
    """Tables of one shape, one feature each, every bag with the same number of ids.

    Args:
      name: how the printed table refers to it.
      hotness: ids in a bag, L.
      dtype: of the tables.
      zipf: exponent of Zipf's law, the hot rows scattered over the table; None: uniform ids.
      tables, rows, dim, batch: T, rows of each, D, B.
    """

    name: str
    hotness: int
    dtype: str = "float32"
    zipf: float | None = None
    tables: int = 1
    rows: int = 10_000_000
    dim: int = 128
    batch: int = 65_536

    @property
    def count(self) -> int:
        """Ids of one table in a batch."""
        return self.batch * self.hotness

    @property
    def forward_bytes(self) -> int:
        """What a forward must move: a row for each id, and the outputs."""
        itemsize = jnp.dtype(self.dtype).itemsize
        return self.tables * self.dim * (self.count * itemsize + 4 * self.batch)

    @functools.cached_property
    def ids(self) -> list[np.ndarray]:
        """i32[T, B, L] for each set."""
        return [self._draw(np.random.default_rng([7, i])) for i in range(SETS)]

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.tables, self.batch, self.hotness)
        if self.zipf is None:
            return rng.integers(0, self.rows, shape, np.int32)
        return ((rng.zipf(self.zipf, shape) - 1) % self.rows * 2_654_435_761 % self.rows).astype(np.int32)

    @functools.cached_property
    def d_acts(self) -> np.ndarray:
        """f32[B, T * D]: the gradient of the activations."""
        return np.random.default_rng(8).standard_normal((self.batch, self.tables * self.dim), np.float32)

    def table(self, number: int) -> jax.Array:
        """dtype[rows, D], made where it is used."""
        key = jax.random.fold_in(jax.random.key(9), number)
        return jax.random.uniform(key, (self.rows, self.dim), self.dtype, -0.1, 0.1)


WORKLOADS = {
    w.name: w
    for w in (
        Workload("f32 L=10", 10),
        Workload("f32 L=64", 64),
        Workload("f16 L=10", 10, "float16"),
        Workload("f16 L=64", 64, "float16"),
        Workload("f32 L=64 zipf 1.05", 64, zipf=1.05),
        Workload("f32 L=64 zipf 1.15", 64, zipf=1.15),
        Workload("10 tables", 10, tables=10, rows=1_680_000, batch=10_486),
    )
}
ANCHOR = "10 tables"


def tiny(workload: Workload) -> Workload:
    """The same kind of work, small enough for any machine."""
    return dataclasses.replace(
        workload, rows=997, batch=33, hotness=min(workload.hotness, 5), tables=min(workload.tables, 3), dim=20
    )
