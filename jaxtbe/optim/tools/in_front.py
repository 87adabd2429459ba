"""Transformations for the place in front of a table optimizer: they scale dense and sparse
gradients alike.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxtbe.optim.tools.gradient_tools import global_norm, scale_gradients


def clip_by_global_norm(max_norm: Any) -> optax.GradientTransformation:
    """Scales dense and sparse gradients together so that their `global_norm` is at most `max_norm`.

    `optax.clip_by_global_norm` for gradients with sparse parts. Put it before `optax.partition` in
    `optax.chain`.

    Args:
      max_norm: number or scalar array.

    Returns:
      A stateless `optax.GradientTransformation`.
    """

    def update(grads, state, params=None):
        del params
        norm = global_norm(grads)
        return scale_gradients(grads, jnp.where(norm > max_norm, max_norm / norm, 1.0)), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def scale(step_size: Any) -> optax.GradientTransformation:
    """Multiplies dense and sparse gradients by a scalar: `optax.scale` for gradients with sparse
    parts.

    Args:
      step_size: number or scalar array.

    Returns:
      A stateless `optax.GradientTransformation`, for the place in front of a table optimizer.
    """

    def update(grads, state, params=None):
        del params
        return scale_gradients(grads, step_size), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


class ScaleByScheduleState(NamedTuple):
    """State of `scale_by_schedule`: i32[], steps taken."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, which tuples use too


def scale_by_schedule(step_size_fn: Callable[[jax.Array], Any]) -> optax.GradientTransformation:
    """Multiplies dense and sparse gradients by a schedule: `optax.scale_by_schedule` for gradients
    with sparse parts.

    A learning rate that is a schedule does the same for optimizers without moments, and belongs
    into the optimizer.

    Args:
      step_size_fn: from the 0-based step i32[] to a scalar.

    Returns:
      An `optax.GradientTransformation`, for the place in front of a table optimizer.
    """

    def init(params):
        del params
        return ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(grads, state, params=None):
        del params
        scaled = scale_gradients(grads, step_size_fn(state.count))
        return scaled, ScaleByScheduleState(optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)
