"""Rows to the devices of their samples, and gradients back to the devices of their rows, by an
all-to-all each.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import ops
from jaxtbe.batch.positions import rising
from jaxtbe.ops.layout import SourceLayout
from jaxtbe.ops.targets.update import UpdateLookup
from jaxtbe.sharding.placement import Sharding
from jaxtbe.sharding.route import Route, make_route


def exchanged_lookup(
    sharding: Sharding,
    group,
    tables: Sequence[jax.Array],
    rows: Sequence[int],
    ids,
    offsets,
    id_weights,
    implementation,
) -> tuple[jax.Array, jax.Array]:
    """On a device: f32[B/devices, columns], the activations of its samples, and zeros that depend
    on what was read.

    The rows that its samples need come from all devices. Then they are a table, and pooling is that
    of one device.

    Args:
      sharding: of the tables.
      group: a `LookupGroup` whose tables are exchanged.
      tables: the device's blocks of the group's tables.
      rows: of these tables, whole.
      ids, offsets, id_weights: the whole batch.
      implementation: of the spec.
    """
    me, capacity = sharding.index(), [sharding.capacity_of(name) or 0 for name in group.tables]
    route = make_route(sharding, [l.table if l.reads else -1 for l in group.layout], rows, ids, offsets)
    wanted = []
    for t, c in enumerate(capacity):
        mine = (route.table == t) & (route.owner == me)
        slot = jnp.where(mine, route.source * c + route.place, sharding.devices * c)
        wanted.append(jnp.full((sharding.devices * c,), -1, jnp.int32).at[slot].set(route.row, mode="drop"))
    blocks = all_to_all(sharding, _gather(tables, wanted, implementation))
    slot = route.owner * jnp.asarray(capacity, jnp.int32)[route.table] + route.place
    slot = jnp.where((route.table >= 0) & (route.source == me), slot, -1)
    own = _own_offsets(sharding, rising(offsets, ids.shape[0]), len(group.layout))
    return ops.lookup(
        blocks, slot, own, id_weights, features=group.layout, columns=group.columns, implementation=implementation
    )


def _gather(tables: Sequence[jax.Array], wanted: Sequence[jax.Array], implementation) -> list[jax.Array]:
    """f32[N, dim] for each table, the rows i32[N] that are wanted of it: one call for the tables of
    a dim.
    """
    out: dict[int, jax.Array] = {}
    for dim in dict.fromkeys(t.shape[1] for t in tables):
        same = [t for t, table in enumerate(tables) if table.shape[1] == dim]
        ends = np.cumsum([wanted[t].shape[0] for t in same], dtype=np.int32)
        starts = jnp.asarray(np.concatenate([[0], ends]), jnp.int32)
        rows = jnp.concatenate([wanted[t] for t in same])
        block = ops.gather_rows([tables[t] for t in same], rows, starts, implementation=implementation)
        out.update(zip(same, jnp.split(block, ends[:-1]), strict=True))
    return [out[t] for t in range(len(tables))]


def all_to_all(sharding: Sharding, blocks: Sequence[jax.Array]) -> list[jax.Array]:
    """Of each block f32[devices * capacity, dim] the k-th part to device k, in one collective; the
    parts of all in return.
    """
    n = sharding.devices
    flat = jnp.concatenate([b.reshape(n, -1) for b in blocks], axis=1)
    flat = jax.lax.all_to_all(flat, sharding.axis, split_axis=0, concat_axis=0, tiled=True)
    ends = np.cumsum([b.size // n for b in blocks])
    return [x.reshape(b.shape) for x, b in zip(jnp.split(flat, ends[:-1], axis=1), blocks, strict=True)]


def _own_offsets(sharding: Sharding, offsets: jax.Array, num_features: int) -> jax.Array:
    """Offsets of the bags of a device's own samples. The last bag of a feature also covers the ids
    of later samples, which the device takes for no ids.
    """
    batch = (offsets.shape[0] - 1) // num_features
    own = batch // sharding.devices
    begins = offsets[:-1].reshape(num_features, batch)
    begins = jax.lax.dynamic_slice_in_dim(begins, sharding.index() * own, own, axis=1)
    return jnp.concatenate([begins.reshape(-1), offsets[-1:]])


def exchange_gradients(
    sharding: Sharding,
    names: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    lookup: UpdateLookup,
    id_weights: jax.Array | None,
) -> list[UpdateLookup]:
    """On a device: what a lookup contributes to the device's rows of exchanged tables, a batch of
    single ids for each table.

    Args:
      sharding: of the tables.
      names, shapes: of all tables of the call, in its order.
      lookup: ids and offsets of the whole batch, the gradients of the device's own samples, and
        sources in exchanged tables.
      id_weights: with the divisors of pooling "mean".
    """
    tables = list(dict.fromkeys(s.table for s in lookup.sources))
    of_feature = {s.feature: s for s in lookup.sources}
    features = range(lookup.sources[0].num_features)
    indices = [tables.index(of_feature[f].table) if f in of_feature else -1 for f in features]
    route = make_route(sharding, indices, [shapes[t][0] for t in tables], lookup.ids, lookup.offsets)
    lengths = [_length(of_feature[f]) if f in of_feature else 0 for f in features]
    shown = route.at.place < jnp.asarray(lengths, jnp.int32)[jnp.minimum(route.at.feature, len(features) - 1)]
    route = route._replace(table=jnp.where(shown, route.table, -1))
    capacity = [sharding.capacity_of(names[t]) or 0 for t in tables]
    sent = [
        _gradients(sharding, lookup, route, k, c, shapes[t][1])
        for k, (t, c) in enumerate(zip(tables, capacity, strict=True))
    ]
    received = all_to_all(sharding, sent)
    arguments = zip(tables, capacity, received, strict=True)
    return [_single_ids(sharding, lookup, id_weights, route, k, *of_table) for k, of_table in enumerate(arguments)]


def _length(source: SourceLayout) -> int:
    """How many ids of a bag are trained."""
    return source.max_length if source.pooling == "none" else 2**31 - 1


def _gradients(sharding: Sharding, lookup: UpdateLookup, route: Route, k: int, capacity: int, dim: int) -> jax.Array:
    """f32[devices * capacity, dim]: for each row that came of the k-th table, the gradient of the
    bag that it went into.
    """
    count, at, me = lookup.ids.shape[0], route.at, sharding.index()
    mine = (route.table == k) & (route.source == me)
    slots = sharding.devices * capacity
    slot = jnp.where(mine, route.owner * capacity + route.place, slots)
    position = jnp.full((slots,), count, jnp.int32).at[slot].set(jnp.arange(count, dtype=jnp.int32), mode="drop")
    used, position = position < count, jnp.minimum(position, count - 1)
    columns = np.zeros(lookup.sources[0].num_features, np.int32)
    steps = np.zeros_like(columns)
    for s in lookup.sources:
        columns[s.feature], steps[s.feature] = s.column, dim if s.pooling == "none" else 0
    feature = jnp.minimum(at.feature[position], len(columns) - 1)
    column = jnp.asarray(columns)[feature] + jnp.asarray(steps)[feature] * at.place[position]
    sample = at.sample[position] - me * lookup.d_acts.shape[0]
    columns_of_row = jnp.where(used, column, 0)[:, None] + jnp.arange(dim)[None]
    d = lookup.d_acts[jnp.where(used, sample, 0)[:, None], columns_of_row]
    return jnp.where(used[:, None], d, 0.0)


def _single_ids(sharding, lookup: UpdateLookup, id_weights, route: Route, k: int, table: int, capacity: int, received):
    """The device's own rows of the k-th table in the order of the batch, and their gradients: bags
    of one id.
    """
    count = lookup.ids.shape[0]
    mine = (route.table == k) & (route.owner == sharding.index())
    position = jnp.nonzero(mine, size=received.shape[0], fill_value=count)[0]
    used, position = position < count, jnp.minimum(position, count - 1)
    slot = jnp.where(used, route.source[position] * capacity + route.place[position], 0)
    take = lambda x: None if x is None else x[position]  # noqa: E731
    return UpdateLookup(
        jnp.where(used, route.row[position], -1),
        jnp.arange(received.shape[0] + 1, dtype=jnp.int32),
        take(id_weights),
        take(lookup.update_mask),
        received[slot],
        (SourceLayout(feature=0, num_features=1, table=table),),
    )
