"""Writeback: storing computed rows, through a loss or directly."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.support.errors import value_error


def writeback_loss(acts, target):
    """0.5 * sum((acts - stop_gradient(target))**2): the loss whose gradient step at rate 1 stores
    `target`.

    With `jaxtbe.optim.sgd(1.0)`, a `write_only` feature stores the target bit for bit, regardless
    of what the rows held; a `read_write` feature moves rows by `row -= lr * (row - target)`. Use
    `Table(duplicates="first")` (or `"last"`) where a row may occur more than once in a batch; with
    the default, their sum is stored. What `read_only` features read is not stored.

    The value is a distance and no measure of a model: return the model's own loss beside it, with
    `has_aux`.

    Args:
      acts: activations, or a pytree of them such as `EmbeddingBags.__call__` returns.
      target: what to store, of the same structure and shapes; in dicts, some of the features are
        enough. Not differentiated.

    Returns:
      f32[]. Differentiable in `acts`.

    Raises:
      ValueError: the shapes differ.
    """
    if isinstance(acts, Mapping) and isinstance(target, Mapping):
        unknown = [name for name in target if name not in acts]
        if unknown:
            raise value_error(
                "jaxtbe.writeback_loss", "target", f"features among {sorted(acts)}", str(unknown), "Correct the names"
            )
        acts = {name: acts[name] for name in target}
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
    losses = [_half_square(a, jax.lax.stop_gradient(t)) for a, t in zip(acts_leaves, target_leaves, strict=True)]
    return sum(losses, jnp.zeros((), jnp.float32))


@jax.custom_jvp
def _half_square(acts, target):
    return 0.5 * jnp.sum(jnp.square(acts - target))


@_half_square.defjvp
def _half_square_jvp(primals, tangents):
    # The gradient is acts - target and nothing else: 0.5 * (2 * difference) would overflow for large targets.
    acts, target = primals
    return _half_square(acts, target), jnp.sum((acts - target) * tangents[0])
