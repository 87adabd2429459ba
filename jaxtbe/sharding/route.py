"""For each position: the device that needs its row, the one that has it, and its place in what they
exchange.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from jaxtbe.batch.bags import Bags
from jaxtbe.batch.ids import OVERFLOW
from jaxtbe.batch.positions import Positions, positions
from jaxtbe.sharding.placement import Sharding


class Route(NamedTuple):
    """Of each position of a whole batch, i32[N]; the same on every device."""

    table: jax.Array  # index into the tables of the call; -1: no row travels for this position
    source: jax.Array  # the device of its sample
    owner: jax.Array  # the device of its row
    row: jax.Array  # within the owner's block
    place: jax.Array  # among the positions of one table, source and owner, in the order of the batch
    at: Positions


def make_route(
    sharding: Sharding, tables: Sequence[int], rows: Sequence[int], ids: jax.Array, offsets: jax.Array
) -> Route:
    """The route of a batch that is whole on a device.

    Args:
      sharding: of the tables.
      tables: for each feature the index of its table, or -1: its rows do not travel.
      rows: of the tables, whole.
      ids, offsets: of the batch.
    """
    n, num_features = sharding.devices, len(tables)
    at = positions(ids.shape[0], offsets, num_features)
    feature = jnp.minimum(at.feature, num_features - 1)
    table = jnp.where(at.feature < num_features, jnp.asarray(tables, jnp.int32)[feature], -1)
    whole = jnp.asarray(rows, jnp.int32)[table]
    block = whole // n
    table = jnp.where((ids >= 0) & (ids < whole), table, -1)
    owner = jnp.where(table >= 0, ids // block, n)
    source = at.sample // ((offsets.shape[0] - 1) // num_features // n)
    key = jnp.where(table >= 0, (table * n + source) * n + owner, len(rows) * n * n)
    order = jnp.argsort(key, stable=True)
    key, index = key[order], jnp.arange(ids.shape[0], dtype=jnp.int32)
    begins = jnp.concatenate([jnp.ones((1,), bool), key[1:] != key[:-1]])
    place = index - jax.lax.cummax(jnp.where(begins, index, 0))
    return Route(table, source, owner, ids - owner * block, jnp.zeros_like(ids).at[order].set(place), at)


@functools.partial(jax.jit, static_argnums=(0, 1))
def mark_overflow(sharding: Sharding, spec, bags: Bags) -> Bags:
    """The batch, whole on every device, with `OVERFLOW` for the ids that find no room: they read
    and train nothing.
    """
    if not sharding.peer_capacity:
        return bags
    names = [name for name, _ in sharding.peer_capacity]
    capacity = np.asarray([c for _, c in sharding.peer_capacity], np.int32)

    def mark(ids, offsets):
        tables = [names.index(f.table) if f.table in names else -1 for f in spec.features]
        route = make_route(sharding, tables, [spec.tables_by_name[n].rows for n in names], ids, offsets)
        return jnp.where((route.table >= 0) & (route.place >= jnp.asarray(capacity)[route.table]), OVERFLOW, ids)

    return bags.replace(ids=sharding.on_each_device(mark, (P(), P()), P(), bags.ids, bags.offsets))
