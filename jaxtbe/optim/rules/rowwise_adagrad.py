"""Row-wise Adagrad."""

import jax.numpy as jnp

from jaxtbe.ops.rule import Rule, State
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding


def _rowwise_adagrad(w, g, states, lr, decay, eps):
    s = states[0] + jnp.mean(g * g, axis=1)
    return w - lr * (g / (jnp.sqrt(s) + eps)[:, None] + decay * w), [s]


ROWWISE_ADAGRAD = Rule("rowwise_adagrad", (State("sum_of_squares", per_row=True),), _rowwise_adagrad)


def rowwise_adagrad(
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
    """Adagrad with one accumulator a row: the usual optimizer of large embedding tables. eps is
    outside the root.

        s += mean(g * g)
        w -= lr * (g / (sqrt(s) + eps) + decay * w)

    Args:
      learning_rate: number, scalar array or optax schedule.
      eps: added to the root, to keep the quotient finite.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, with the state `sum_of_squares`
      f32[rows].

    References:
      Gupta et al., Training Recommender Systems at Scale, 2020, section 3.2; FBGEMM's
      EXACT_ROWWISE_ADAGRAD.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(ROWWISE_ADAGRAD, learning_rate, {"eps": eps}, options)
