"""Puts the rows of several tables together: each remap fills the positions of its own table and
leaves -1 elsewhere.
"""

import functools

import jax
import jax.numpy as jnp

from jaxtbe.batch.ids import id_words
from jaxtbe.support.arguments import check_array, check_shape, check_type
from jaxtbe.support.errors import value_error

TOO_LARGE = 2**31 - 1
"""Stands in the place of a row number that no int32 holds: a fault in every table."""


def merge_rows(*rows: jax.Array) -> jax.Array:
    """i32[N]: of each position the row that its table gave it, or -1. Every position belongs to at
    most one table.
    """
    api = "jaxtbe.zch.merge_rows"
    if not rows:
        raise value_error(api, "rows", "those of one table at least", "none", "Pass what remap or find returned")
    check_array(api, "rows", rows[0], "an array i32[N]", 1)
    for other in rows[1:]:
        check_shape(api, "rows", other, tuple(rows[0].shape))
    return functools.reduce(jnp.maximum, rows)


def row_numbers(ids: jax.Array, offsets: jax.Array, plain: tuple[bool, ...]) -> jax.Array:
    """Rows for the features of tables without a ZCH, whose ids are row numbers already.

    Args:
      ids: u32[N, 2].
      offsets: i32[F*B+1], feature-major.
      plain: static, for each of the F features whether its ids are row numbers.

    Returns:
      i32[N]: the id; -1 for negative ids and for positions of other features. An id that no int32
      holds becomes 2**31 - 1, which is a fault in every table.
    """
    api = "jaxtbe.zch.row_numbers"
    ids = id_words(ids, api)
    check_type(api, "plain", plain, tuple, "a tuple of bools", "Give one for each feature")
    check_array(api, "offsets", offsets, "an array i32[F*B+1]", 1)
    if not plain or offsets.shape[0] < 1 or (offsets.shape[0] - 1) % len(plain):
        found = str(list(offsets.shape))
        raise value_error(
            api, "offsets", f"[F*B+1] numbers for F={len(plain)} features", found, "Pass those of all features"
        )
    low = jax.lax.bitcast_convert_type(ids[:, 0], jnp.int32)
    high = jax.lax.bitcast_convert_type(ids[:, 1], jnp.int32)
    rows = jnp.where(high < 0, -1, jnp.where((high > 0) | (low < 0), TOO_LARGE, low))
    place, batch = jnp.arange(ids.shape[0]), (offsets.shape[0] - 1) // len(plain)
    mine = jnp.zeros(rows.shape, bool)
    for f, of in enumerate(plain):
        if of:
            mine |= (place >= offsets[f * batch]) & (place < offsets[(f + 1) * batch])
    return jnp.where(mine, rows, -1)
