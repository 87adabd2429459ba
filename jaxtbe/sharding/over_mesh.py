"""`OverMesh`: tables over a mesh as the placement of a `Spec`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxtbe import zch
from jaxtbe.batch.bags import Bags
from jaxtbe.model.table import Table
from jaxtbe.sharding.batch import gather_bags, global_bags
from jaxtbe.sharding.init import init_table
from jaxtbe.sharding.lookup import check_batch_size, sharded_id_weights_gradient, sharded_lookup
from jaxtbe.sharding.placement import Sharding
from jaxtbe.sharding.remap import sharded_find, sharded_remap
from jaxtbe.sharding.reset import on_evicted_rows
from jaxtbe.sharding.route import mark_overflow
from jaxtbe.sharding.trees import shardings_of
from jaxtbe.sharding.update import local_shapes, sharded_square_norms, update_on_devices


@dataclasses.dataclass(frozen=True)
class OverMesh(Sharding):
    """See `jaxtbe.model.placement.Placement`."""

    merges_batches: ClassVar[bool] = False
    nests_lookups: ClassVar[bool] = False

    def text(self) -> str:
        return f"over {self.devices} devices"

    def is_exchanged(self, table: str) -> bool:
        return self.is_split(table) and self.capacity_of(table) is not None

    def init_table(self, table: Table, key: jax.Array) -> jax.Array:
        return init_table(self, table, key)

    def place(self, spec: Any, tree: Any) -> Any:
        return jax.device_put(tree, self.shardings(spec, tree))

    def shardings(self, spec: Any, tree: Any) -> Any:
        return shardings_of(self, spec, tree)

    def global_bags(self, bags: Bags, capacity: int | None) -> Bags:
        return global_bags(self, bags, capacity)

    def whole(self, spec: Any, bags: Bags, scores: jax.Array | None = None) -> tuple[Bags, jax.Array | None]:
        return gather_bags(self, len(spec.features), bags, scores)

    def limit(self, spec: Any, bags: Bags) -> Bags:
        return mark_overflow(self, spec, bags)

    def check_tables(self, tables: Mapping[str, jax.Array]) -> None:
        pass  # shard_map sees to it

    def check_batch_size(self, batch_size: int) -> None:
        check_batch_size(self, batch_size)

    def zeros_of_samples(self, shape: tuple[int, ...]) -> jax.Array:
        return self.zeros(shape, jnp.float32, self.split)

    def zeros_of_table(self, table: Table) -> jax.Array:
        return self.zeros((table.rows, table.dim), table.dtype, self.spec_of(table.name))

    def lookup(
        self, spec: Any, tables: Mapping[str, jax.Array], ids: jax.Array, offsets: jax.Array, id_weights: Any
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        return sharded_lookup(self, spec, tables, ids, offsets, id_weights)

    def id_weights_gradient(self, spec: Any, tables: Mapping[str, jax.Array], bags: Bags, d_acts: Any) -> jax.Array:
        return sharded_id_weights_gradient(self, spec, tables, bags, d_acts)

    def change_rows(
        self,
        change: Callable[..., Any],
        names: Sequence[str],
        shapes: Sequence[tuple[int, int]],
        lookups: Sequence[Any],
        arrays: Sequence[Any],
        tokens: Sequence[jax.Array] = (),
        more: Any = (),
    ) -> Any:
        return update_on_devices(self, change, names, shapes, lookups, arrays, tokens, more)

    def local_shapes(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[Any, ...]]:
        return local_shapes(self, names, shapes)

    def square_norms(
        self,
        norms: Callable[..., jax.Array],
        names: Sequence[str],
        shapes: tuple[tuple[int, int], ...],
        lookups: Sequence[Any],
    ) -> jax.Array:
        return sharded_square_norms(self, norms, names, shapes, lookups)

    def on_evicted_rows(self, table: Table, reset: Callable[..., Any], arrays: Any, report: Any, more: Any) -> Any:
        return on_evicted_rows(self, table, reset, arrays, report, more)

    def remap(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        assert table.zch is not None
        if not self.is_split(table.name):
            return zch.remap(state, ids, offsets, zch=table.zch, **options)
        return sharded_remap(self, state, ids, offsets, zch_config=table.zch, **options)

    def find(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        assert table.zch is not None
        if not self.is_split(table.name):
            return zch.find(state, ids, offsets, zch=table.zch, **options)
        return sharded_find(self, state, ids, offsets, zch_config=table.zch, **options)
