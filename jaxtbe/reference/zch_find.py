"""`ops.zch_find` in plain jax.numpy."""

import jax
import jax.numpy as jnp

from jaxtbe.batch.positions import rising
from jaxtbe.batch.word64 import Word64, remainder, zch_hash

_U32 = jnp.uint32
_READ_HIT, _READ_MISS, _NO_ID = 6, 7, 0


def zch_find(identities, ids, offsets, *, zch, access):
    """See `jaxtbe.ops.zch_find`. Looks at every slot of the window."""
    bucket_slots = identities.shape[0] // zch.buckets
    block = bucket_slots - zch.reserved
    words = Word64(ids[:, 0], ids[:, 1])
    hashed = zch_hash(words)
    base, home = remainder(words, zch.buckets) * bucket_slots, remainder(hashed, block)

    def probe(distance, found):
        slot = base + (home + distance) % block
        return jnp.where((found < 0) & jnp.all(identities[slot] == ids, axis=1), slot, found)

    found = jax.lax.fori_loop(0, min(zch.max_probe, block), probe, jnp.full(ids.shape[:1], -1, jnp.int32))
    fallback = {"miss": lambda: -1, "share": lambda: base + home}.get(
        zch.on_full, lambda: base + block + remainder(hashed, zch.reserved)
    )()
    absent = jnp.all(ids == _U32(0xFFFFFFFF), axis=1) | ~_of_table(ids.shape[0], offsets, access)
    rows = jnp.where(absent, -1, jnp.where(found >= 0, found, fallback))
    status = jnp.where(absent, _NO_ID, jnp.where(found >= 0, _READ_HIT, _READ_MISS))
    return rows, status.astype(jnp.int8)


def _of_table(num_ids, offsets, access):
    """bool[N]: the positions of features that are not of another table."""
    offsets = rising(offsets, num_ids)
    place, batch = jnp.arange(num_ids), (offsets.shape[0] - 1) // len(access)
    mine = jnp.zeros((num_ids,), bool)
    for f, of in enumerate(access):
        if of is not None:
            mine |= (place >= offsets[f * batch]) & (place < offsets[(f + 1) * batch])
    return mine
