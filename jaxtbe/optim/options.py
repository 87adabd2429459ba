"""`Options`: what every table optimizer can do beside its rule."""

import dataclasses
import math
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np

from jaxtbe.ops.rule import CommonHypers
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import array_text

API = "jaxtbe.optim"

Decay = Literal["none", "l2", "decoupled"]
Rounding = Literal["nearest", "stochastic"]
DECAYS, ROUNDINGS = get_args(Decay), get_args(Rounding)

# What a number may be: at least, and below.
RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (-math.inf, math.inf),
    "weight_decay": (0.0, math.inf),
    "eps": (0.0, math.inf),
    "b1": (0.0, 1.0),
    "b2": (0.0, 1.0),
    "momentum": (0.0, 1.0),
    "eta": (0.0, math.inf),
}


def check_number(name: str, value: Any) -> None:
    """Raises unless a hyperparameter is a number in its range, a scalar array, or a function of the
    step.
    """
    if callable(value):
        return
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or hasattr(value, "dtype")):
        raise type_error(API, name, "a number, a scalar array or a schedule", repr(value), "Pass a float")
    if not isinstance(value, (int, float, np.generic)):
        if jnp.shape(value) != () or not jnp.issubdtype(value.dtype, jnp.number):
            raise type_error(
                API, name, "a scalar of numbers", array_text(value), "Give each table its own with per_table"
            )
        return
    value = float(value)
    least, below = RANGES.get(name, (-math.inf, math.inf))
    if not (least <= value < below) or math.isinf(value):
        limits = (
            "a finite number"
            if math.isinf(least)
            else f"at least {least:g}" + ("" if math.isinf(below) else f" and below {below:g}")
        )
        raise value_error(API, name, f"{limits}", repr(value), "Correct the number")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every table optimizer, as keywords of its factory.

    In this order: the row's gradient is clipped, L2 decay is added to it, the rule runs, and the
    row's norm is limited.

    Args:
      weight_decay: rate of the weight decay of touched rows, a number or scalar array.
      decay: "none"; "l2": `g += weight_decay * w` before the rule, so that it enters moments; or
        "decoupled": `w -= lr * weight_decay * w`. LAMB and LARS put decoupled decay where their
        papers have it.
      clip: elementwise limit of the row's gradient (summed over its occurrences), or None.
      max_norm: rows longer than this are scaled back to it after the update, or None.
      rounding: how 16-bit tables are stored: to the "nearest" value, or "stochastic": up or down at
        random so that small updates are not lost on average. The random bits are a function of
        (seed, step, table, row, column) alone.
      seed: of stochastic rounding, a whole number.
    """

    weight_decay: Any = 0.0
    decay: Decay = "none"
    clip: Any = None
    max_norm: Any = None
    rounding: Rounding = "nearest"
    seed: Any = 0

    def __post_init__(self):
        api = "jaxtbe.optim"
        check_number("weight_decay", self.weight_decay)
        if self.decay not in DECAYS:
            raise value_error(api, "decay", "'none', 'l2' or 'decoupled'", repr(self.decay), "Choose one of the three")
        if self.rounding not in ROUNDINGS:
            raise value_error(
                api, "rounding", "'nearest' or 'stochastic'", repr(self.rounding), "Choose one of the two"
            )
        if self.decay == "none" and isinstance(self.weight_decay, (int, float)) and self.weight_decay != 0:
            raise value_error(
                api,
                "weight_decay",
                "0 with decay 'none'",
                repr(self.weight_decay),
                "Pass decay='decoupled' or decay='l2'",
            )
        for name in ("clip", "max_norm"):
            limit = getattr(self, name)
            if limit is None or hasattr(limit, "dtype"):
                continue
            if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0:
                raise value_error(api, name, "a number above 0, or None", repr(limit), "Leave it out to switch it off")
        whole = isinstance(self.seed, (int, np.integer)) and not isinstance(self.seed, bool) and 0 <= self.seed < 2**32
        if not whole and not jnp.issubdtype(getattr(self.seed, "dtype", np.float32), jnp.integer):
            raise value_error(api, "seed", "a whole number from 0 to 2**32 - 1", repr(self.seed), "Pass an int")

    def hypers(self, learning_rate: Any, overwrites: bool) -> CommonHypers:
        """The common numbers of a rule. Rows that are overwritten are stored as they come, only
        rounded.
        """
        common = CommonHypers(lr=learning_rate, stochastic=1.0 if self.rounding == "stochastic" else 0.0)
        if overwrites:
            return common
        return common._replace(
            decay=self.weight_decay if self.decay == "decoupled" else 0.0,
            l2=self.weight_decay if self.decay == "l2" else 0.0,
            clip=common.clip if self.clip is None else self.clip,
            max_norm=common.max_norm if self.max_norm is None else self.max_norm,
        )
