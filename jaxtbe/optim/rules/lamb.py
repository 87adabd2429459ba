"""LAMB."""

import jax.numpy as jnp

from jaxtbe.ops.rule import Rule, State
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding
from jaxtbe.optim.rules.moments import moment_hypers


def trust_ratio(w, r):
    """f32[R, 1]: norm(w) / norm(r) of each row, 1 where either is 0."""
    w_norm, r_norm = (jnp.sqrt(jnp.sum(x * x, axis=1, keepdims=True)) for x in (w, r))
    return jnp.where((w_norm > 0) & (r_norm > 0), w_norm / jnp.where(r_norm > 0, r_norm, 1), 1)


def _lamb(w, g, states, lr, decay, b1, b2, eps, c1, c2):
    mu = b1 * states[0] + (1 - b1) * g
    nu = b2 * states[1] + (1 - b2) * g * g
    r = mu / c1 / (jnp.sqrt(nu / c2) + eps) + decay * w
    return w - lr * trust_ratio(w, r) * r, [mu, nu]


LAMB = Rule("lamb", (State("mu"), State("nu")), _lamb)


def lamb(
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
    """LAMB on the touched rows, each row a layer of its own. eps is outside the root.

        r = mu / (1 - b1^t) / (sqrt(nu / (1 - b2^t)) + eps) + decay * w, with Adam's moments
        ratio = norm(w) / norm(r), 1 where either norm is 0
        w -= lr * ratio * r

    Args:
      learning_rate: number, scalar array or optax schedule.
      b1, b2: decay rates of the moments.
      eps: added to the root, to keep the quotient finite.
      mu_dtype: dtype of the state `mu`, float32 (also None) or bfloat16.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, with the states `mu` and `nu`,
      [rows, dim].

    References:
      You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2019.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(LAMB, learning_rate, moment_hypers(b1, b2, eps), options, mu_dtype)
