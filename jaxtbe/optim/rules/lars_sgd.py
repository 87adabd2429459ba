"""LARS."""

import jax.numpy as jnp

from jaxtbe.ops.rule import Rule, State
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding


def _lars_sgd(w, g, states, lr, decay, momentum, eta):
    w_norm, g_norm = (jnp.sqrt(jnp.sum(x * x, axis=1, keepdims=True)) for x in (w, g))
    nonzero = (w_norm > 0) & (g_norm > 0)
    a = jnp.where(nonzero, lr * eta * w_norm / jnp.where(nonzero, g_norm + decay * w_norm, 1), lr)
    trace = momentum * states[0] + a * (g + decay * w)
    return w - trace, [trace]


LARS_SGD = Rule("lars_sgd", (State("trace"),), _lars_sgd)


def lars_sgd(
    learning_rate,
    momentum=0.9,
    eta=0.001,
    *,
    weight_decay=0.0,
    decay: Decay = "none",
    clip=None,
    max_norm=None,
    rounding: Rounding = "nearest",
    seed=0,
) -> TableOptimizer:
    """SGD with momentum and a layer-wise rate, each row a layer of its own.

        a = lr * eta * norm(w) / (norm(g) + decay * norm(w)), lr where norm(w) or norm(g) is 0
        m = momentum * m + a * (g + decay * w)
        w -= m

    Args:
      learning_rate: number, scalar array or optax schedule.
      momentum: decay rate of the momentum.
      eta: the trust coefficient.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, with the state `trace` f32[rows,
      dim].

    References:
      You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017; FBGEMM's
      LARS_SGD.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(LARS_SGD, learning_rate, {"momentum": momentum, "eta": eta}, options)
