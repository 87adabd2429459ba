"""Each position of a batch: its bag, and its place within the bag."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Positions(NamedTuple):
    """All i32[N] or bool[N]. Padding has bag F*B."""

    bag: jax.Array  # feature * B + sample
    feature: jax.Array
    sample: jax.Array
    place: jax.Array  # within its bag


def rising(offsets: jax.Array, num_ids: int) -> jax.Array:
    """What broken offsets mean: each is the largest so far, cut to [0, N], so that bags never
    overlap.
    """
    return jax.lax.cummax(jnp.clip(offsets, 0, num_ids), axis=offsets.ndim - 1)


def positions(num_ids: int, offsets: jax.Array, num_features: int) -> Positions:
    batch = (offsets.shape[0] - 1) // num_features
    offsets = rising(offsets, num_ids)
    position = jnp.arange(num_ids, dtype=jnp.int32)
    bag = jnp.searchsorted(offsets, position, side="right").astype(jnp.int32) - 1
    return Positions(bag, bag // batch, bag % batch, position - offsets[bag])


def valid_counts(valid: jax.Array, bag: jax.Array, num_bags: int) -> jax.Array:
    """f32[num_bags]: how many valid ids each bag has."""
    return jax.ops.segment_sum(valid.astype(jnp.float32), bag, num_bags, indices_are_sorted=True)
