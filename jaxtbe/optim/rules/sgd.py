"""Stochastic gradient descent."""

from jaxtbe.ops.rule import Rule
from jaxtbe.optim.base import TableOptimizer, table_optimizer
from jaxtbe.optim.options import Decay, Options, Rounding


def _sgd(w, g, states, lr, decay):
    return w - lr * (g + decay * w), states


SGD = Rule("sgd", reference=_sgd)


def sgd(
    learning_rate,
    *,
    weight_decay=0.0,
    decay: Decay = "none",
    clip=None,
    max_norm=None,
    rounding: Rounding = "nearest",
    seed=0,
) -> TableOptimizer:
    """Stochastic gradient descent on the touched rows.

        w -= lr * (g + decay * w)

    For a table that write-only features write, rows are overwritten instead: w = -lr * g.

    Args:
      learning_rate: number, scalar array or optax schedule.
      weight_decay, decay, clip, max_norm, rounding, seed: see `jaxtbe.optim.Options`.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`, without state arrays.
    """
    options = Options(weight_decay, decay, clip, max_norm, rounding, seed)
    return table_optimizer(SGD, learning_rate, {}, options)
