"""Gradient accumulation: one update for the gradients of several steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxtbe.optim.tools.branch import update_if
from jaxtbe.optim.tools.gradient_tools import scale_gradients, sum_stacked
from jaxtbe.support.arguments import check_array, check_transformation, check_type, has_shape
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.optim.multi_steps"


class MultiStepsState(NamedTuple):
    """State of `multi_steps`.

    Args:
      mini_step: i32[], gradients kept since the last update.
      gradient_step: i32[], updates done.
      inner_opt_state: of the optimizer.
      kept: the gradients, stacked: as large as `every_k` batches.
    """

    mini_step: jax.Array
    gradient_step: jax.Array
    inner_opt_state: Any
    kept: Any


def multi_steps(
    tx: optax.GradientTransformation, every_k: int, grads: Any, use_grad_mean: bool = True
) -> optax.GradientTransformation:
    """Updates once every `every_k` steps with the mean of their gradients: what `optax.MultiSteps`
    does for dense ones.

    The gradients of a batch are kept as they are, so the state is as large as `every_k` batches,
    never as a table. In the steps between, parameters stay and no table is read.

    Where the micro-batches are at hand together, `jax.lax.scan` over them is simpler: its stacked
    gradients go into an update after `jaxtbe.optim.sum_stacked`.

    Args:
      tx: the whole optimizer, for instance an `optax.partition`.
      every_k: static, at least 1.
      grads: a gradient of one step, or its shapes: `jax.eval_shape(jaxtbe.grad(loss), params,
        batch)`. Batches of all steps have its capacity.
      use_grad_mean: whether the mean or the sum of the gradients is used.

    Returns:
      An `optax.GradientTransformation`.

    Raises:
      TypeError, ValueError: `every_k` is no positive int; a gradient of another shape.
    """
    if not isinstance(every_k, int) or isinstance(every_k, bool) or every_k < 1:
        raise value_error(API, "every_k", "a whole number of at least 1", repr(every_k), "Pass a static int")

    check_transformation(API, "tx", tx)
    for x in jax.tree.leaves(grads):
        check_array(API, "gradient", x, "arrays, or their shapes", shapes=True)

    def init(params):
        zero = jnp.zeros((), jnp.int32)
        # Zeros are empty batches, and zero gradients.
        kept = jax.tree.map(lambda x: jax.lax.full_like(x, 0, shape=(every_k, *x.shape)), grads)
        return MultiStepsState(zero, zero, tx.init(params), kept)

    def update(new, state, params=None):
        remedy = "Pass the state that tx.init or the last update returned"
        check_type(API, "state", state, MultiStepsState, "a state of this optimizer", remedy)
        _check(new, grads)
        stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((every_k, *x.shape), x.dtype), grads)
        _check(state.kept, stacked)
        kept = jax.tree.map(
            lambda stack, x: jax.lax.dynamic_update_index_in_dim(stack, x, state.mini_step, 0), state.kept, new
        )
        last = state.mini_step == every_k - 1
        total = scale_gradients(sum_stacked(kept), 1.0 / every_k if use_grad_mean else 1.0)
        updates, inner = update_if(last, tx, total, state.inner_opt_state, params)
        done = jnp.where(last, optax.safe_increment(state.gradient_step), state.gradient_step)
        return updates, MultiStepsState(jnp.where(last, 0, state.mini_step + 1), done, inner, kept)

    return optax.GradientTransformation(init, update)


def _shape(x: Any) -> Any:
    return (x.shape, x.dtype) if has_shape(x) else type(x).__name__


def _check(new: Any, like: Any) -> None:
    structures: list[Any] = [jax.tree.structure(like), jax.tree.structure(new)]
    shapes = [[_shape(x) for x in jax.tree.leaves(tree)] for tree in (like, new)]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise type_error(
            API,
            "gradient",
            "the structure and shapes of the one that multi_steps was made with",
            "another",
            "Build all batches with one capacity, and pass jax.eval_shape of their gradient",
        )
