"""`inject_hyperparams`: optax's, with numbers that keep their precision beside 16-bit tables."""

from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import optax


def inject_hyperparams(
    inner_factory: Callable[..., optax.GradientTransformation],
    static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = jnp.float32,
) -> Callable[..., optax.GradientTransformation]:
    """`optax.inject_hyperparams` with float32 numbers.

    optax gives the numbers the widest dtype of the parameters. Beside bfloat16 tables alone, Adam's
    0.999 is then 1, which the table optimizers refuse.

    Args:
      inner_factory: an optimizer's factory, `jaxtbe.optim.adam` for instance.
      static_args: names of arguments that are no numbers and no schedules.
      hyperparam_dtype: of the numbers.

    Returns:
      A factory whose optimizer has its numbers in `state.hyperparams`, where they can be set
      between steps.
    """
    return optax.inject_hyperparams(inner_factory, static_args, hyperparam_dtype)
