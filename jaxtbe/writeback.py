"""Writeback: storing computed rows, through a loss or directly."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.errors import value_error


def writeback_loss(acts, target):
    """0.5 * sum((acts - stop_gradient(target))**2): the loss whose gradient step at rate 1 stores `target`.

    With `jaxtbe.optim.sgd(1.0)`, a `write_only` feature stores the target bit for bit, whatever the rows held; a `read_write`
    feature moves rows by `row -= lr * (row - target)`. Use `Table(duplicates="first")` (or `"last"`) where a row may occur
    more than once in a batch.

    Args:
      acts: activations, or a pytree of them such as `EmbeddingBags.__call__` returns.
      target: what to store, of the same structure and shapes. Not differentiated.

    Returns:
      f32[]. Differentiable in `acts`.

    Raises:
      ValueError: the shapes differ.
    """
    if isinstance(acts, Mapping) and isinstance(target, Mapping):
        acts = {name: acts[name] for name in target if name in acts}
    structures: list[Any] = [jax.tree.structure(acts), jax.tree.structure(target)]
    acts_leaves, target_leaves = jax.tree.leaves(acts), jax.tree.leaves(target)
    shapes = [jnp.shape(x) for x in acts_leaves], [jnp.shape(x) for x in target_leaves]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise value_error(
            "jaxtbe.writeback_loss",
            "target",
            f"the structure and shapes of acts, {shapes[0]}",
            f"{shapes[1]}",
            "Compute a target for every activation",
        )
    losses = [
        0.5 * jnp.sum(jnp.square(a - jax.lax.stop_gradient(t))) for a, t in zip(acts_leaves, target_leaves, strict=True)
    ]
    return sum(losses, jnp.zeros((), jnp.float32))
