"""Arrays that no arithmetic may touch: what a sparse gradient holds beside its linear part.

A pytree of arrays lets any `tree.map` compute with row numbers, offsets and counts, and nobody
would notice. In a dtype of their own they cross jit, scan, vmap and shard_map like any other array,
and every arithmetic on them raises a TypeError with `key<jaxtbe row ids>` in it. They are stored so
that zeros mean "nothing": `jnp.zeros_like` of a gradient trains no row.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.support.errors import type_error

TAG = "jaxtbe row ids"


def _refuse(*_: Any, **__: Any) -> Any:
    raise type_error(
        "jaxtbe.EmbeddingGrad",
        TAG,
        "a tool of jaxtbe.optim",
        "a function of jax.random",
        "Draw random numbers from a key of jax.random.key",
    )


@functools.cache
def _implementation() -> Any:
    from jax.extend.random import define_prng_impl  # slow to import, and needed only where there is a gradient

    return define_prng_impl(
        key_shape=(1,),
        seed=_refuse,
        split=_refuse,
        random_bits=_refuse,
        fold_in=_refuse,
        name="jaxtbe_row_ids",
        tag=TAG,
    )


def seal(array: jax.Array, minus_one_is_none: bool = False) -> jax.Array:
    """An i32, u32, f32 or bool array as an opaque one of the same shape.

    Args:
      array: what to seal.
      minus_one_is_none: stores ids plus one, so that zeros are "no id".
    """
    array = jnp.asarray(array)
    words = array.astype(jnp.uint32) if array.dtype == jnp.bool_ else jax.lax.bitcast_convert_type(array, jnp.uint32)
    words = words + jnp.uint32(minus_one_is_none)
    return jax.random.wrap_key_data(words[..., None], impl=_implementation())


def unseal(sealed: jax.Array, dtype: Any, minus_one_is_none: bool = False) -> jax.Array:
    """The array behind a sealed one. Compiled programs hold no copy for it."""
    words = jax.random.key_data(sealed)[..., 0] - jnp.uint32(minus_one_is_none)
    return words != 0 if dtype == jnp.bool_ else jax.lax.bitcast_convert_type(words, dtype)


def is_sealed(x: Any) -> bool:
    """Whether this is an array that `seal` made, traced or not."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and TAG in str(dtype)


def gather_sealed(sealed: jax.Array, axis_name: Any) -> jax.Array:
    """`jax.lax.all_gather` of a sealed array."""
    words = jax.lax.all_gather(jax.random.key_data(sealed), axis_name)
    return jax.random.wrap_key_data(words, impl=_implementation())
