"""Which cells of (transformation, place) are equal to the dense computation. All others are refused, and have a cure."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxtbe
from composition.model import BATCHES, RATE, dense_partition, loss, sparse_partition, start
from composition.transformations import PLAIN, SCHEDULE

optim = jaxtbe.optim


class Place(NamedTuple):
    """Where a transformation stands."""

    words: str
    sparse: Callable  # a maker of transformations to the optimizer over sparse gradients
    dense: Callable  # and to the same over dense ones


PLACES = {
    "front": Place(
        "in front of everything",
        lambda make: optax.chain(make(), sparse_partition()),
        lambda make: optax.chain(make(), optax.sgd(RATE)),
    ),
    "front of tables": Place(
        "in front of the table optimizer, inside `optax.partition`",
        lambda make: sparse_partition(tables=optax.chain(make(), optim.sgd(RATE))),
        lambda make: dense_partition(tables=optax.chain(make(), optax.sgd(RATE))),
    ),
    "behind": Place(
        "behind everything",
        lambda make: optax.chain(sparse_partition(), make()),
        lambda make: optax.chain(optax.sgd(RATE), make()),
    ),
    "behind tables": Place(
        "behind the table optimizer, inside `optax.partition`",
        lambda make: sparse_partition(tables=optax.chain(optim.sgd(RATE), make())),
        lambda make: dense_partition(tables=optax.chain(optax.sgd(RATE), make())),
    ),
    "dense": Place(
        "for the dense parameters, inside `optax.partition`",
        lambda make: sparse_partition(dense=optax.chain(make(), optax.sgd(RATE))),
        lambda make: dense_partition(dense=optax.chain(make(), optax.sgd(RATE))),
    ),
    "lazy": Place(
        "inside `jaxtbe.optim.lazy`, every row in the batch",
        lambda make: sparse_partition(tables=optim.lazy(optax.chain(make(), optax.sgd(RATE)))),
        lambda make: dense_partition(tables=optax.chain(make(), optax.sgd(RATE))),
    ),
}

NOT_LAZY = {
    "adafactor", "adaptive_grad_clip", "add_noise", "centralize", "clip_by_block_rms", "clip_by_global_norm", "fromage", "lamb",
    "lars", "noisy_sgd", "normalize_by_update_norm", "novograd", "polyak_sgd", "scale_by_distance_over_gradients",
    "scale_by_novograd", "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak", "scale_by_sm3",
    "scale_by_trust_ratio", "sm3",
}  # fmt: skip

EQUAL = {
    "front": {"identity", "set_to_zero", "zero_nans"},
    "front of tables": {"identity", "set_to_zero", "zero_nans"},
    "behind": {"identity", "set_to_zero"},
    "behind tables": {"identity", "set_to_zero"},
    "dense": set(PLAIN),
    "lazy": set(PLAIN) - NOT_LAZY,
}

# A tool of the same meaning, for the places in front.
TOOLS = {
    "scale": ("jaxtbe.optim.scale", lambda: optim.scale(0.5)),
    "scale_by_schedule": ("jaxtbe.optim.scale_by_schedule", lambda: optim.scale_by_schedule(SCHEDULE)),
    "scale_by_learning_rate": ("jaxtbe.optim.scale", lambda: optim.scale(-0.1)),
    "sgd": ("jaxtbe.optim.scale", lambda: optim.scale(-0.5)),
    "stateless": ("jaxtbe.optim.scale", lambda: optim.scale(0.5)),
    "stateless_with_tree_map": ("jaxtbe.optim.scale", lambda: optim.scale(0.5)),
    "clip_by_global_norm": ("jaxtbe.optim.clip_by_global_norm", lambda: optim.clip_by_global_norm(0.05)),
}

DENSE_GRADIENT = "`jax.grad` for this table, with the whole of optax"


UNTIL_2 = lambda step: jnp.where(step < 2, RATE, 0.0)  # noqa: E731


def example_gradient():
    return jax.eval_shape(jaxtbe.grad(loss), start(), BATCHES[0])


# What is put around an optimizer: equal, or refused with a tool of the same meaning.
AROUND_TOOLS = {
    "MultiSteps": ("`jaxtbe.optim.multi_steps`", lambda: optim.multi_steps(sparse_partition(), 2, example_gradient())),
    "apply_if_finite": ("`jaxtbe.optim.apply_if_finite`", lambda: optim.apply_if_finite(sparse_partition(), 3)),
    "conditionally_mask": (
        "a learning rate that is a schedule: 0 where nothing is to change",
        lambda: sparse_partition(optim.sgd(UNTIL_2), optax.sgd(UNTIL_2)),
    ),
    "conditionally_transform": (DENSE_GRADIENT, None),
    "flatten": ("leave it out: table optimizers are fused already", sparse_partition),
}


def cure_of(name: str, place: str) -> tuple[str, Callable | None]:
    """What to write instead, and the optimizer over sparse gradients that it makes; None: dense gradients."""
    make = PLAIN[name]
    if place.startswith("front") and name in TOOLS:
        words, tool = TOOLS[name]
        return f"`{words}`", lambda: PLACES[place].sparse(tool)
    if name in NOT_LAZY:
        return DENSE_GRADIENT, None
    words = f"`jaxtbe.optim.lazy(optax.chain({'optax.sgd, ' if place.startswith('behind') else ''}optax.{name}, ...))`"
    if place.startswith("front"):
        both = lambda: optax.chain(make(), optax.sgd(RATE))  # noqa: E731
    else:
        both = lambda: optax.chain(optax.sgd(RATE), make())  # noqa: E731
    dense = both if place in ("front", "behind") else lambda: optax.sgd(RATE)
    return words, lambda: sparse_partition(tables=optim.lazy(both()), dense=dense())
