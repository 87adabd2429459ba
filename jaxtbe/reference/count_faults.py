"""`ops.count_faults` in plain jax.numpy."""

import jax.numpy as jnp

from jaxtbe.batch.positions import positions


def count_faults(ids, offsets, rows):
    if ids.shape[0] == 0:
        return jnp.tile(jnp.asarray([0, -1], jnp.int32), (len(rows), 1))
    feature = positions(ids.shape[0], offsets, len(rows)).feature
    faults = []
    for f, limit in enumerate(rows):
        faulty = (feature == f) & (ids >= limit)
        count = jnp.sum(faulty, dtype=jnp.int32)
        faults.append(jnp.stack([count, jnp.where(count > 0, ids[jnp.argmax(faulty)], -1)]))
    return jnp.stack(faults)
