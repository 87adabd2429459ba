"""`OneDevice`: every table whole on one device, or whole on each without knowing of the others."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxtbe import ops, zch
from jaxtbe.batch.bags import Bags
from jaxtbe.model.acts import acts_by_feature, concat_d_acts
from jaxtbe.model.guard import refuse_split_table, whole_token
from jaxtbe.model.table import Table
from jaxtbe.support.errors import value_error


def _refuse(method: str) -> ValueError:
    return value_error(
        f"jaxtbe.EmbeddingBags.{method}",
        "EmbeddingBags",
        "one over a mesh",
        "one of a single device",
        "Call it on what EmbeddingBags.shard returned",
    )


@dataclasses.dataclass(frozen=True)
class OneDevice:
    """See `Placement`."""

    devices: ClassVar[int] = 1
    merges_batches: ClassVar[bool] = True
    nests_lookups: ClassVar[bool] = True

    def text(self) -> str:
        return ""

    def is_split(self, table: str) -> bool:
        return False

    def is_exchanged(self, table: str) -> bool:
        return False

    def init_table(self, table: Table, key: jax.Array) -> jax.Array:
        return table.init(key)

    def place(self, spec: Any, tree: Any) -> Any:
        return tree

    def shardings(self, spec: Any, tree: Any) -> Any:
        raise _refuse("shardings")

    def global_bags(self, bags: Bags, capacity: int | None) -> Bags:
        raise _refuse("global_bags")

    def whole(self, spec: Any, bags: Bags, scores: jax.Array | None = None) -> tuple[Bags, jax.Array | None]:
        if bags.shards != 1:
            raise value_error(
                "jaxtbe.EmbeddingBags",
                "batch",
                "an ordinary one",
                f"one in {bags.shards} parts",
                "Build it with EmbeddingBags.bags, or call what EmbeddingBags.shard returned",
            )
        return bags, scores

    def limit(self, spec: Any, bags: Bags) -> Bags:
        return bags

    def check_tables(self, tables: Mapping[str, jax.Array]) -> None:
        for name, table in tables.items():
            refuse_split_table(name, table)

    def check_batch_size(self, batch_size: int) -> None:
        pass

    def zeros_of_samples(self, shape: tuple[int, ...]) -> jax.Array:
        return jnp.zeros(shape, jnp.float32)

    def zeros_of_table(self, table: Table) -> jax.Array:
        return jnp.zeros((table.rows, table.dim), table.dtype)

    def lookup(
        self, spec: Any, tables: Mapping[str, jax.Array], ids: jax.Array, offsets: jax.Array, id_weights: Any
    ) -> tuple[dict[str, jax.Array], jax.Array]:
        token = whole_token(tables.values())
        ids = ids if token is None else ids + token
        acts: dict[str, jax.Array] = {}
        faults = jnp.zeros((len(spec.features), 2), jnp.int32)
        for group in spec.lookup_groups:
            out, group_faults = ops.lookup(
                [tables[name] for name in group.tables],
                ids,
                offsets,
                id_weights,
                features=group.layout,
                columns=group.columns,
                implementation=spec.implementation,
            )
            acts.update(acts_by_feature(spec, group, out))
            mine = jnp.asarray([layout.table >= 0 for layout in group.layout])[:, None]
            faults = group_faults if len(spec.lookup_groups) == 1 else jnp.where(mine, group_faults, faults)
        return {f.name: acts[f.name] for f in spec.features}, faults

    def id_weights_gradient(self, spec: Any, tables: Mapping[str, jax.Array], bags: Bags, d_acts: Any) -> jax.Array:
        total = jnp.zeros(bags.ids.shape, jnp.float32)
        for group in spec.lookup_groups:
            mine = [f for f, layout in zip(spec.features, group.layout, strict=True) if layout.table >= 0]
            total = total + ops.id_weights_grad(
                concat_d_acts(mine, d_acts),
                [tables[name] for name in group.tables],
                bags.ids,
                bags.offsets,
                features=group.layout,
                implementation=spec.implementation,
            )
        return total

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
        return change(lookups, arrays, tokens, more)

    def local_shapes(
        self, names: Sequence[str], shapes: Sequence[tuple[int, int]]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[Any, ...]]:
        return tuple(shapes), (0,) * len(names)

    def square_norms(
        self,
        norms: Callable[..., jax.Array],
        names: Sequence[str],
        shapes: tuple[tuple[int, int], ...],
        lookups: Sequence[Any],
    ) -> jax.Array:
        return norms(lookups, shapes=shapes)

    def on_evicted_rows(self, table: Table, reset: Callable[..., Any], arrays: Any, report: Any, more: Any) -> Any:
        return reset(arrays, report.evicted, report.evicted_ids, more)

    def remap(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        assert table.zch is not None
        return zch.remap(state, ids, offsets, zch=table.zch, **options)

    def find(self, table: Table, state: Any, ids: jax.Array, offsets: jax.Array, **options: Any) -> Any:
        assert table.zch is not None
        return zch.find(state, ids, offsets, zch=table.zch, **options)
