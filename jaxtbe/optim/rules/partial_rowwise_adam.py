"""Partial row-wise Adam."""

import jax.numpy as jnp

from jaxtbe.ops.rule import Rule, State
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding
from jaxtbe.optim.rules.moments import moment_hypers


def _partial_rowwise_adam(w, g, states, lr, decay, b1, b2, eps, c1, c2):
    mu = b1 * states[0] + (1 - b1) * g
    nu = b2 * states[1] + (1 - b2) * jnp.mean(g * g, axis=1)
    return w - lr * (mu / c1 / (jnp.sqrt(nu / c2) + eps)[:, None] + decay * w), [mu, nu]


PARTIAL_ROWWISE_ADAM = Rule("partial_rowwise_adam", (State("mu"), State("nu", per_row=True)), _partial_rowwise_adam)


def partial_rowwise_adam(
    learning_rate,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    *,
    weight_decay=0.0,
    decay: Decay = "none",
    clip=None,
    max_norm=None,
    rounding: Rounding = "nearest",
    seed=0,
    mu_dtype=None,
) -> TableOptimizer:
    """Adam whose second moment is one number a row. eps is outside the root.

        mu = b1 * mu + (1 - b1) * g
        nu = b2 * nu + (1 - b2) * mean(g * g)
        w -= lr * (mu / (1 - b1^t) / (sqrt(nu / (1 - b2^t)) + eps) + decay * w), t the 1-based step

    Args:
      learning_rate: number, scalar array or optax schedule.
      b1, b2: decay rates of the moments.
      eps: added to the root, to keep the quotient finite.
      mu_dtype: dtype of the state `mu`, float32 (also None) or bfloat16.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, with the states `mu` [rows, dim] and
      `nu` f32[rows].

    References:
      FBGEMM's PARTIAL_ROWWISE_ADAM.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(PARTIAL_ROWWISE_ADAM, learning_rate, moment_hypers(b1, b2, eps), options, mu_dtype)
