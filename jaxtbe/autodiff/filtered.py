"""`filter_value_and_grad`: gradients of the arrays of floating point numbers in a model, which may
hold anything else.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.autodiff.value_and_grad import value_and_grad
from jaxtbe.model.params import is_params


def filter_value_and_grad(fun: Callable, has_aux: bool = False, *, dense_tables: Sequence[str] = ()) -> Callable:
    """Like `equinox.filter_value_and_grad`, but each `EmbeddingParams` of the model gets an
    `EmbeddingGrad`.

    Args:
      fun: `fun(model, *args, **kwargs)` returns a scalar loss, or `(loss, aux)` with `has_aux`. The
        model may be any pytree.
      has_aux: whether `fun` returns auxiliary data beside the loss.
      dense_tables: as in `jaxtbe.value_and_grad`.

    Returns:
      A function that returns `(value, gradient)`. The gradient has the structure of the model, with
      None in place of anything that is no array of floating point numbers.
    """

    @functools.wraps(fun)
    def wrapped(model, *args, **kwargs):
        leaves, structure = jax.tree.flatten(model, is_leaf=is_params)
        trained = [_is_trained(leaf) for leaf in leaves]
        params = jax.tree.unflatten(structure, [x if yes else None for x, yes in zip(leaves, trained, strict=True)])

        def of_params(params):
            seen = iter(jax.tree.leaves(params, is_leaf=is_params))
            whole = [next(seen) if yes else leaf for leaf, yes in zip(leaves, trained, strict=True)]
            return fun(jax.tree.unflatten(structure, whole), *args, **kwargs)

        return value_and_grad(of_params, has_aux=has_aux, dense_tables=dense_tables)(params)

    return wrapped


def _is_trained(leaf: Any) -> bool:
    is_array = isinstance(leaf, jax.Array) or type(leaf).__module__ == "numpy"
    return is_params(leaf) or (is_array and jnp.issubdtype(leaf.dtype, jnp.inexact))
