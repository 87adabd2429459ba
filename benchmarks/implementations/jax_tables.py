"""Tables and batches of the JAX implementations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def make_table(period: np.ndarray, rows: int, dtype) -> jax.Array:
    """dtype[rows, D]: the rows of `period` over and over, in memory that JAX owns, so that it can be donated."""

    @functools.partial(jax.jit, static_argnums=1)
    def repeat(period, rows):
        return period[jnp.arange(rows) % period.shape[0]].astype(dtype)

    return repeat(jnp.asarray(period), rows)


def join(acts: list[jax.Array]) -> jax.Array:
    """[B, columns] of the activations of all tables."""
    return jnp.concatenate([a.reshape(a.shape[0], -1) for a in acts], axis=1)
