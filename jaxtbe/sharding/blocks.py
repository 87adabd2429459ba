"""A device's view of a batch: the ids of its own rows, and what it must know of the others."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.batch.positions import Positions, positions, rising
from jaxtbe.ops.layout import SourceLayout
from jaxtbe.ops.targets.update import UpdateLookup
from jaxtbe.sharding.exchange import exchange_gradients
from jaxtbe.sharding.placement import Sharding


class Rows(NamedTuple):
    """Of each feature the rows of its table, all of them and those of a device's block. 0: a
    feature of another call.
    """

    whole: np.ndarray
    block: np.ndarray

    @classmethod
    def of(cls, sharding: Sharding, tables: Sequence[tuple[str, int] | None]) -> "Rows":
        """From (table, rows) of each feature, or None."""
        whole = np.asarray([t[1] if t else 0 for t in tables], np.int32)
        parts = np.asarray([sharding.devices if t and sharding.is_split(t[0]) else 1 for t in tables], np.int32)
        return cls(whole, whole // parts)


class Block(NamedTuple):
    """One batch, seen from one device."""

    ids: jax.Array  # i32[N], rows within the block; -1: no id, or a row of another device
    valid: jax.Array  # bool[N], whether the id is a row of the whole table
    at: Positions


def take_block(sharding: Sharding, rows: Rows, ids: jax.Array, offsets: jax.Array) -> Block:
    """On a device: the ids of its own rows, counted from its first row."""
    at = positions(ids.shape[0], offsets, len(rows.whole))
    feature = jnp.minimum(at.feature, len(rows.whole) - 1)
    whole, block = jnp.asarray(rows.whole)[feature], jnp.asarray(rows.block)[feature]
    first = jnp.where(whole == block, 0, sharding.index() * block)
    mine = (ids >= first) & (ids - first < block)
    inside = at.feature < len(rows.whole)
    return Block(jnp.where(mine & inside, ids - first, -1), (ids >= 0) & (ids < whole) & inside, at)


def count_valid(valid: jax.Array, offsets: jax.Array) -> jax.Array:
    """f32[F*B]: valid ids of each bag, at least 1: what pooling "mean" divides by."""
    offsets = rising(offsets, valid.shape[0])
    before = jnp.concatenate([jnp.zeros((1,), jnp.int32), jnp.cumsum(valid.astype(jnp.int32))])
    return jnp.maximum(before[offsets[1:]] - before[offsets[:-1]], 1).astype(jnp.float32)


def take_shares(
    sharding: Sharding, names: Sequence[str], shapes: Sequence[tuple[int, int]], lookup: UpdateLookup
) -> list[UpdateLookup]:
    """On a device: what a lookup contributes to the device's rows of the tables of a call.

    The gradients of the samples of all devices are gathered here, once, except for exchanged
    tables, which get theirs by an all-to-all. Pooling "mean" becomes "sum" with id weights that are
    divided, since a device sees only some of a bag's ids.

    Args:
      sharding: of the tables.
      names, shapes: of the tables of the call, in its order.
      lookup: ids and offsets of the whole batch, and the gradients of the device's own samples.
    """
    tables: list[tuple[str, int] | None] = [None] * lookup.sources[0].num_features
    for source in lookup.sources:
        tables[source.feature] = (names[source.table], shapes[source.table][0])
    block = take_block(sharding, Rows.of(sharding, tables), lookup.ids, lookup.offsets)
    weights, means = lookup.id_weights, {s.feature for s in lookup.sources if s.pooling == "mean"}
    if means:
        is_mean = jnp.asarray([f in means for f in range(len(tables))])[jnp.minimum(block.at.feature, len(tables) - 1)]
        scale = (1.0 / count_valid(block.valid, lookup.offsets))[jnp.minimum(block.at.bag, lookup.offsets.shape[0] - 2)]
        scale = jnp.where(is_mean, scale, 1.0)
        weights = scale if weights is None else scale * weights
    sources = [dataclasses.replace(s, pooling="sum") if s.pooling == "mean" else s for s in lookup.sources]
    gathered, exchanged = (
        [s for s in sources if (sharding.capacity_of(names[s.table]) is not None) == e] for e in (False, True)
    )
    shares = []
    if gathered:
        own, sources = _take_columns(lookup.d_acts, gathered, shapes)
        d_acts = jax.lax.all_gather(own, sharding.axis, axis=0, tiled=True)
        shares.append(UpdateLookup(block.ids, lookup.offsets, weights, lookup.update_mask, d_acts, tuple(sources)))
    if exchanged:
        of_exchanged = dataclasses.replace(lookup, sources=tuple(exchanged))
        shares += exchange_gradients(sharding, names, shapes, of_exchanged, weights)
    return shares


def _take_columns(d_acts: jax.Array, sources: Sequence[SourceLayout], shapes: Sequence[tuple[int, int]]):
    """The columns of some sources side by side, and the sources with these."""
    parts, moved, column = [], [], 0
    for s in sources:
        width = shapes[s.table][1] * (s.max_length if s.pooling == "none" else 1)
        parts.append(d_acts[:, s.column : s.column + width])
        moved.append(dataclasses.replace(s, column=column))
        column += width
    return jnp.concatenate(parts, axis=1), moved
