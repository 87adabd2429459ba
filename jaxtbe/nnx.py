"""Flax NNX: `nnx.value_and_grad` with sparse gradients. Imports flax when a function is called."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from jaxtbe.autodiff.value_and_grad import value_and_grad as _value_and_grad


def value_and_grad(
    fun: Callable, wrt: Any = None, has_aux: bool = False, *, dense_tables: Sequence[str] = ()
) -> Callable:
    """Like `flax.nnx.value_and_grad`, but each `EmbeddingParams` in an `nnx.Param` gets an
    `EmbeddingGrad`.

    The gradient goes to `nnx.Optimizer.update(model, grads)`. What the loss changes in the model,
    the statistics of BatchNorm and the counts of random streams for instance, is changed in the
    model afterwards.

    Args:
      fun: `fun(model, *args, **kwargs)` returns a scalar loss, or `(loss, aux)` with `has_aux`.
      wrt: filter of the variables to differentiate; None: `nnx.Param`. The same as that of the
        `nnx.Optimizer`.
      has_aux: whether `fun` returns auxiliary data beside the loss.
      dense_tables: as in `jaxtbe.value_and_grad`.

    Returns:
      A function that returns `(value, gradient)`, the gradient being an `nnx.State`.
    """

    @functools.wraps(fun)
    def wrapped(model, *args, **kwargs):
        from flax import nnx

        trained = nnx.Param if wrt is None else wrt
        graph, params, *rest = nnx.split(model, trained, ...)

        def of_params(params):
            copied = nnx.merge(graph, params, *rest, copy=True)
            out = fun(copied, *args, **kwargs)
            loss, aux = out if has_aux else (out, None)
            return loss, (aux, nnx.state(copied, nnx.Not(trained)))

        (loss, (aux, changed)), grads = _value_and_grad(of_params, has_aux=True, dense_tables=dense_tables)(params)
        nnx.update(model, changed)
        return ((loss, aux) if has_aux else loss), grads

    return wrapped


def grad(fun: Callable, wrt: Any = None, has_aux: bool = False, *, dense_tables: Sequence[str] = ()) -> Callable:
    """Like `flax.nnx.grad`, but each `EmbeddingParams` gets an `EmbeddingGrad`. See
    `value_and_grad`.

    Returns:
      A function that returns the gradient, or `(gradient, aux)` with `has_aux`.
    """
    with_value = value_and_grad(fun, wrt, has_aux, dense_tables=dense_tables)

    @functools.wraps(fun)
    def wrapped(model, *args, **kwargs):
        value, gradient = with_value(model, *args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped
