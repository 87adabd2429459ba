"""Faulty ids counted over the steps of an optimizer: one plain array for each table, so that any framework keeps them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.names import stable_id
from jaxtbe.spec import Spec

_MOST = np.iinfo(np.int32).max


def no_faults(tables: tuple[str, ...]) -> dict[str, jax.Array]:
    """For each table i32[3]: the number of faulty ids, at most 2**31 - 1; the first of them; and the number
    (`names.stable_id`) of its feature."""
    return {name: jnp.zeros((3,), jnp.int32) for name in tables}


def add_faults(counts: dict[str, jax.Array], spec: Spec, faults: jax.Array) -> dict[str, jax.Array]:
    """The counts, with the faults i32[F, 2] of one lookup."""
    new = dict(counts)
    for table in dict.fromkeys(f.table for f in spec.features if f.table in counts):
        mine = [i for i, f in enumerate(spec.features) if f.table == table]
        ids = jnp.asarray([stable_id(spec.features[i].name) for i in mine], jnp.int32)
        new[table] = _add(counts[table], faults[np.asarray(mine, np.int32)], ids)
    return new


def _add(old: jax.Array, faults: jax.Array, feature_ids: jax.Array) -> jax.Array:
    """i32[3]: the counts of a table with the faults [features, 2] of its features."""
    count = jnp.sum(faults[:, 0])
    first = jnp.argmax(faults[:, 0] > 0)
    seen = jnp.where((old[0] == 0) & (count > 0), jnp.stack([faults[first, 1], feature_ids[first]]), old[1:])
    total = jnp.where(count > _MOST - old[0], _MOST, old[0] + count)
    return jnp.concatenate([total[None], seen])
