"""Steps that are left out where a gradient is not finite."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxtbe.optim.tools.branch import update_if
from jaxtbe.optim.tools.gradient_tools import all_finite
from jaxtbe.support.arguments import check_transformation, check_type
from jaxtbe.support.errors import type_error

_OF_INIT = "a state of this optimizer", "Pass the state that tx.init or the last update returned"


class SkipNonfiniteState(NamedTuple):
    """State of `skip_nonfinite`: the inner state, and how many steps were skipped, i32[]."""

    inner: Any
    skipped: jax.Array


def skip_nonfinite(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """Leaves parameters and optimizer state as they are where a gradient holds a NaN or an
    infinity.

    Tables are neither copied nor read for that: the update runs in a branch of its own.

    Args:
      tx: the whole optimizer, for instance an `optax.partition`.

    Returns:
      An `optax.GradientTransformation` whose state counts the skipped steps.
    """

    check_transformation("jaxtbe.optim.skip_nonfinite", "tx", tx)

    def init(params):
        return SkipNonfiniteState(tx.init(params), jnp.zeros((), jnp.int32))

    def update(grads, state, params=None):
        check_type("jaxtbe.optim.skip_nonfinite", "state", state, SkipNonfiniteState, *_OF_INIT)
        finite = all_finite(grads)
        updates, inner = update_if(finite, tx, grads, state.inner, params)
        return updates, SkipNonfiniteState(inner, jnp.where(finite, state.skipped, optax.safe_increment(state.skipped)))

    return optax.GradientTransformation(init, update)


class ApplyIfFiniteState(NamedTuple):
    """State of `apply_if_finite`, with the names of optax's.

    Args:
      notfinite_count: i32[], consecutive gradients that were not finite.
      last_finite: bool[], whether the last one was finite.
      total_notfinite: i32[], all that were not.
      inner_state: of the optimizer.
    """

    notfinite_count: jax.Array
    last_finite: jax.Array
    total_notfinite: jax.Array
    inner_state: Any


def apply_if_finite(inner: optax.GradientTransformation, max_consecutive_errors: int) -> optax.GradientTransformation:
    """`optax.apply_if_finite` for gradients with sparse parts: leaves out steps whose gradient is
    not finite.

    After more than `max_consecutive_errors` such gradients in a row, they are applied, so that the
    run fails and does not hang. `skip_nonfinite` never applies them.

    Args:
      inner: the whole optimizer, for instance an `optax.partition`.
      max_consecutive_errors: how many to leave out in a row.

    Returns:
      An `optax.GradientTransformation`.
    """

    api = "jaxtbe.optim.apply_if_finite"
    check_transformation(api, "inner", inner)
    if isinstance(max_consecutive_errors, bool) or not isinstance(max_consecutive_errors, int):
        found = repr(max_consecutive_errors)
        raise type_error(api, "max_consecutive_errors", "a whole number", found, "Pass an int")
    most = min(max(max_consecutive_errors, -1), 2**31 - 1)  # as many as an i32 counts

    def init(params):
        zero = jnp.zeros((), jnp.int32)
        return ApplyIfFiniteState(zero, jnp.asarray(True), zero, inner.init(params))

    def update(grads, state, params=None):
        check_type(api, "state", state, ApplyIfFiniteState, *_OF_INIT)
        finite = all_finite(grads)
        in_a_row = jnp.where(finite, 0, optax.safe_increment(state.notfinite_count))
        take = finite | (in_a_row > most)
        updates, inner_state = update_if(take, inner, grads, state.inner_state, params)
        total = jnp.where(finite, state.total_notfinite, optax.safe_increment(state.total_notfinite))
        return updates, ApplyIfFiniteState(in_a_row, finite, total, inner_state)

    return optax.GradientTransformation(init, update)
