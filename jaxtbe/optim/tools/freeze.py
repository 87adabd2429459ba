"""`freeze`: tables that do not train."""

import dataclasses
from typing import Any

import jax

from jaxtbe.optim.base import TableOptimizer, optimizer_of
from jaxtbe.optim.group import Group


def freeze() -> TableOptimizer:
    """Leaves tables as they are: for `optax.partition`, or for some tables with `per_table`.

    What write_only features would store is dropped as well. Faulty ids are still counted.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, without state arrays.
    """
    return optimizer_of(lambda table: Frozen())


@dataclasses.dataclass(frozen=True)
class Frozen:
    """The configuration behind `freeze`."""

    def init(self, table: jax.Array) -> dict[str, Any]:
        del table
        return {}

    def states_for(self, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
        del shape, dtype
        return {}

    def group_key(self, table: str, shape: tuple[int, int], overwrites: bool) -> Any:
        del table, shape, overwrites

    def update(self, group: Group, tables, states, configs, count: jax.Array):
        del group, configs, count
        return tables, states
