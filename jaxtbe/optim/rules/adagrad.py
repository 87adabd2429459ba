"""Adagrad."""

import jax.numpy as jnp

from jaxtbe.ops.rule import Rule, State
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding


def _adagrad(w, g, states, lr, decay, eps):
    s = states[0] + g * g
    return w - lr * (g / (jnp.sqrt(s) + eps) + decay * w), [s]


ADAGRAD = Rule("adagrad", (State("sum_of_squares"),), _adagrad)


def adagrad(
    learning_rate,
    eps=1e-8,
    *,
    weight_decay=0.0,
    decay: Decay = "none",
    clip=None,
    max_norm=None,
    rounding: Rounding = "nearest",
    seed=0,
) -> TableOptimizer:
    """Adagrad on the touched rows. eps is added outside the root, and the accumulator starts at
    zero.

        s += g * g
        w -= lr * (g / (sqrt(s) + eps) + decay * w)

    Args:
      learning_rate: number, scalar array or optax schedule.
      eps: added to the root, to keep the quotient finite.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, with the state `sum_of_squares`
      f32[rows, dim].

    References:
      Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and Stochastic
      Optimization, JMLR 2011.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(ADAGRAD, learning_rate, {"eps": eps}, options)
