"""`ops.count_faults` in plain jax.numpy."""

import jax.numpy as jnp

from jaxtbe.reference.positions import positions


def count_faults(ids, offsets, rows):
    feature = positions(ids.shape[0], offsets, len(rows)).feature
    faults = []
    for f, limit in enumerate(rows):
        faulty = (feature == f) & (ids >= limit)
        count = jnp.sum(faulty, dtype=jnp.int32)
        faults.append(jnp.stack([count, jnp.where(count > 0, ids[jnp.argmax(faulty)], -1)]))
    return jnp.stack(faults)
