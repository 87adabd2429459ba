"""Numbers by which an update sees whether the arrays of a sparse gradient are those that the loss
made.

A dtype that refuses arithmetic does not refuse what moves elements (`jnp.flip`) or replaces some of
them (`jnp.where` in `optax.zero_nans`, `jnp.nan_to_num`). The digest is made with the gradient and
compared at the update, unless the very arrays that it was made of arrive there: then nothing is
computed. A gradient from another program, or out of a loop, is read once more.
"""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

_ODD = 2654435761  # a multiplier that spreads positions over 32 bits
_ALTERED = 2**32 - 1


def digest(d_acts: Mapping[str, jax.Array], words: Mapping[str, jax.Array], names: Sequence[str]) -> jax.Array:
    """u32[..., 1 + F]: a checksum of `words`, and how many elements of each feature's gradient are
    not finite.

    All zeros are the digest of all zeros. A gradient that is scaled has at least as many elements
    that are not finite.

    Args:
      d_acts: gradients by the names of their features.
      words: name to u32[..., n], with as many leading axes as `scan` or `vmap` gave.
      names: the features of the lookup, in order.
    """
    stack = words["offsets"].shape[:-1]
    checksum: Any = jnp.uint32(0)
    for seed, name in enumerate(sorted(words)):
        flat = words[name].reshape(*stack, -1)
        place = jax.lax.iota(jnp.uint32, flat.shape[-1]) + jnp.uint32(seed << 20)
        factors = jnp.broadcast_to(place * jnp.uint32(_ODD) | jnp.uint32(1), flat.shape)
        checksum += jnp.sum(flat * factors, axis=-1, dtype=jnp.uint32)
    counts = [_count_not_finite(d_acts.get(n), stack) for n in names]
    return jnp.stack([checksum, *counts], axis=-1)


def _count_not_finite(d: Any, stack: tuple[int, ...]) -> jax.Array:
    if d is None or jnp.shape(d)[: len(stack)] != stack:  # of a wrong shape: the update says so by name
        return jnp.zeros(stack, jnp.uint32)
    return jnp.sum(~jnp.isfinite(d), axis=tuple(range(len(stack), jnp.ndim(d))), dtype=jnp.uint32)


def is_altered(recorded: jax.Array, now: jax.Array) -> jax.Array:
    """bool[...]: whether elements were moved, or ones that are not finite replaced, since
    `recorded` was made.
    """
    moved = recorded[..., 0] != now[..., 0]
    for f in range(1, recorded.shape[-1]):
        moved |= recorded[..., f] > now[..., f]
    return moved


def spoiled(altered: jax.Array, words: jax.Array) -> jax.Array:
    """The digest `words`, or where `altered` one that never fits."""
    return jnp.where(altered[..., None], jnp.uint32(_ALTERED), words)


_made_of: dict[int, tuple[Any, list[Any]]] = {}


def remember(recorded: Any, arrays: Iterable[Any]) -> None:
    """Keeps, without keeping them alive, which arrays a digest was made of."""
    key = id(recorded)
    _made_of[key] = (weakref.ref(recorded, lambda _: _made_of.pop(key, None)), [weakref.ref(x) for x in arrays])


def is_made_of(recorded: Any, arrays: Iterable[Any]) -> bool:
    """Whether a digest was made of these very arrays."""
    known, made_of = _made_of.get(id(recorded), (lambda: None, []))
    arrays = list(arrays)
    return (
        known() is recorded
        and len(arrays) == len(made_of)
        and all(x is y() for x, y in zip(arrays, made_of, strict=True))
    )
