"""`ops.reset_rows` in plain jax.numpy, with the bits of csrc/common/initial_value.h."""

import jax.numpy as jnp
import numpy as np

from jaxtbe.reference.rounding import mix32

_U32 = jnp.uint32


def initial_rows(ids, dim: int, seed, *, table_number: int, scale: float):
    """f32[n, dim]: the values that the rows of the ids u32[n, 2] start from, uniform in [-scale,
    scale).

    A pure function of (seed, table number, id, column). The native reset gives the same bits,
    rounded to the table's dtype.
    """
    key = mix32(mix32(jnp.asarray(seed, _U32) ^ _U32(0xC2B2AE35)) ^ _U32(table_number))
    row_key = mix32(mix32(key + mix32(ids[:, 0] ^ _U32(0x85EBCA6B))) ^ ids[:, 1])
    columns = jnp.arange(dim, dtype=_U32) * _U32(0x9E3779B9)
    steps = (mix32(row_key[:, None] + columns[None]) >> 8).astype(jnp.int32) - (1 << 23)
    return steps.astype(jnp.float32) * (np.float32(scale) * np.float32(2.0**-23))


def reset_rows(table, states, slots, ids, seed, *, table_number, scale):
    rows, dim = table.shape
    place = jnp.where(slots < 0, rows, slots)  # past the end: dropped
    fresh = initial_rows(ids, dim, seed, table_number=table_number, scale=scale)
    table = table.at[place].set(fresh.astype(table.dtype), mode="drop")
    return table, [s.at[place].set(0, mode="drop") for s in states]
