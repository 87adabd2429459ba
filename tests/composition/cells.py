"""Which cells of (transformation, place) are equal to the dense computation. All others are refused, and have a cure."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxtbe
from composition.model import BATCHES, RATE, dense_partition, loss, sparse_partition, start
from composition.transformations import AROUND, PLAIN, SCHEDULE

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
    "adafactor", "adaptive_grad_clip", "add_noise", "apply_every", "centralize", "clip_by_block_rms",
    "clip_by_global_norm", "fromage", "lamb",
    "lars", "noisy_sgd", "normalize_by_update_norm", "novograd", "polyak_sgd", "scale_by_distance_over_gradients",
    "scale_by_novograd", "scale_by_param_block_norm", "scale_by_param_block_rms", "scale_by_polyak", "scale_by_sm3",
    "scale_by_trust_ratio", "sm3", "contrib.dadapt_adamw", "contrib.dog", "contrib.dowg", "contrib.galore", "contrib.momo",
    "contrib.momo_adam", "contrib.muon", "contrib.normalize", "contrib.prodigy", "contrib.reduce_on_plateau",
    "contrib.scale_by_galore", "contrib.scale_by_muon",
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
    "contrib.normalize": (
        "jaxtbe.optim.scale_gradients(g, 1 / jaxtbe.optim.global_norm(g))",
        lambda: optax.stateless(lambda g, _: optim.scale_gradients(g, 1 / optim.global_norm(g))),
    ),
}

DENSE_GRADIENT = "`jax.grad` for this table, with the whole of optax"


UNTIL_2 = lambda step: jnp.where(step < 2, RATE, 0.0)  # noqa: E731


def example_gradient():
    return jax.eval_shape(jaxtbe.grad(loss), start(), BATCHES[0])


def accumulated(place: str):
    """The optimizers of a place, each update with the sum of two gradients."""
    if place != "behind tables":
        return optim.multi_steps(sparse_partition(), 2, example_gradient(), use_grad_mean=False)
    of_tables = {**example_gradient(), "w": optax.MaskedNode()}
    return sparse_partition(tables=optim.multi_steps(optim.sgd(RATE), 2, of_tables, use_grad_mean=False))


def on_plateau(place: str):
    """The optimizers of a place with `reduce_on_plateau`, whose state says by how much to scale the rate."""
    plateau = PLAIN["contrib.reduce_on_plateau"]()

    def at(scale):
        return sparse_partition(optim.sgd(RATE * scale), optax.sgd(RATE * (scale if place != "behind tables" else 1)))

    def update(grads, state, params, *, value):
        _, of_plateau = plateau.update({}, state[0], value=value)
        updates, of_tx = at(of_plateau.scale).update(grads, state[1], params)
        return updates, (of_plateau, of_tx)

    return optax.GradientTransformationExtraArgs(lambda params: (plateau.init(params), at(1.0).init(params)), update)


# Another way to write the whole optimizer.
WHOLE = {
    "apply_every": ("`jaxtbe.optim.multi_steps(..., use_grad_mean=False)`", accumulated),
    "contrib.reduce_on_plateau": (
        "`_, plateau = tx.update({}, plateau, value=loss)`, and a learning rate times `plateau.scale`",
        on_plateau,
    ),
}

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
    "contrib.mechanize": (DENSE_GRADIENT, None),
    "contrib.sam": (DENSE_GRADIENT, None),
    "contrib.schedule_free": (
        "`jaxtbe.optim.lazy(optax.contrib.schedule_free(...))` for the tables",
        lambda: sparse_partition(
            optim.lazy(AROUND["contrib.schedule_free"](optax.sgd(RATE))),
            AROUND["contrib.schedule_free"](optax.sgd(RATE)),
        ),
    ),
}


def cure_of(name: str, place: str) -> tuple[str, Callable | None]:
    """What to write instead, and the optimizer over sparse gradients that it makes; None: dense gradients."""
    make = PLAIN[name]
    if name in WHOLE:
        words, whole = WHOLE[name]
        return words, lambda: whole(place)
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
