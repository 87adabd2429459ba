"""`TableConfig`: what an optimizer does to one table."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax

from jaxtbe.optim.group import Group


class TableConfig(Protocol):
    """`Fused`, `Lazy` and `Frozen` are. Tables whose configurations agree in `group_key` share a
    call.
    """

    def init(self, table: jax.Array) -> dict[str, Any]:
        """The states of a table dtype[rows, dim]."""
        ...

    def states_for(self, shape: tuple[int, ...], dtype: Any) -> Mapping[str, Any]:
        """The shape and dtype of each of these states."""
        ...

    def group_key(self, table: str, shape: tuple[int, int], overwrites: bool) -> Any:
        """Tables of one dtype and equal keys can share a call. `overwrites`: whether write_only
        features write the table.
        """
        ...

    def update(
        self,
        group: Group,
        tables: Sequence[jax.Array],
        states: Sequence[Any],
        configs: Sequence[Any],
        count: jax.Array,
    ) -> tuple[Sequence[jax.Array], Sequence[Any]]:
        """New tables and states of a group, `configs` being those of its tables, at the 0-based
        step `count`.
        """
        ...
