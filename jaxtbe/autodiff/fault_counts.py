"""Faulty ids counted over the steps of an optimizer: one plain array for all tables, so that any
framework keeps it.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.model.spec import Spec
from jaxtbe.support.names import stable_id

_MOST = np.iinfo(np.int32).max


def no_faults(tables: Iterable[str]) -> jax.Array:
    """i32[T, 4], a row for each table in the order of their names: the number (`names.stable_id`)
    of the table; how many ids were faulty, at most 2**31 - 1; the first of them; and the number of
    its feature.
    """
    return jnp.asarray([[stable_id(name), 0, 0, 0] for name in sorted(tables)], jnp.int32)


def add_faults(counts: jax.Array, tables: Iterable[str], spec: Spec, faults: jax.Array) -> jax.Array:
    """The counts of `tables`, with the faults i32[F, 2] of one lookup."""
    names = sorted(tables)
    features = [(i, f) for i, f in enumerate(spec.features) if f.table in names]
    table = np.asarray([names.index(f.table) for _, f in features], np.int32)
    feature_ids = jnp.asarray([stable_id(f.name) for _, f in features], jnp.int32)
    faults = faults[np.asarray([i for i, _ in features], np.int32)]
    count = jax.ops.segment_sum(faults[:, 0], table, len(names))
    place = jnp.where(faults[:, 0] > 0, jnp.arange(len(features)), len(features))
    first = jnp.minimum(jax.ops.segment_min(place, table, len(names)), len(features) - 1)
    now = jnp.stack([faults[first, 1], feature_ids[first]], axis=1)
    old = counts[:, 1]
    is_first = (old == 0) & (count > 0)
    details = jnp.where(is_first[:, None], now, counts[:, 2:])
    total = jnp.where(count > _MOST - old, _MOST, old + count)
    return jnp.concatenate([counts[:, :1], total[:, None], details], axis=1)
