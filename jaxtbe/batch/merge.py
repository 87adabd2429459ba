"""Merges per-device batches into one feature-major batch."""

import jax
import jax.numpy as jnp


def merge_parts(num_features: int, by_part: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Batches [parts, ...] as one, feature-major: the same arrays as if one host had built it,
    padding at the end.
    """
    offsets = by_part.pop("offsets")
    parts, capacity = by_part["ids"].shape[:2]

    def feature_major(x):
        return x.reshape(parts, num_features, -1).transpose(1, 0, 2).reshape(-1)

    ends = jnp.cumsum(feature_major(offsets[:, 1:] - offsets[:, :-1]), dtype=jnp.int32)
    merged = jnp.concatenate([jnp.zeros((1,), jnp.int32), ends])
    starts = feature_major(offsets[:, :-1] + capacity * jnp.arange(parts, dtype=jnp.int32)[:, None])
    place = jnp.arange(parts * capacity, dtype=jnp.int32)
    bag = jnp.searchsorted(merged, place, side="right").astype(jnp.int32) - 1
    padding, bag = bag >= starts.shape[0], jnp.minimum(bag, starts.shape[0] - 1)
    source = jnp.clip(starts[bag] + place - merged[bag], 0, parts * capacity - 1)
    out = {"offsets": merged}
    for name, x in by_part.items():
        taken = x.reshape(-1, *x.shape[2:])[source]
        fill = jnp.asarray(-1 if name == "ids" else 0).astype(x.dtype)
        out[name] = jnp.where(padding.reshape((-1,) + (1,) * (taken.ndim - 1)), fill, taken)
    return out
