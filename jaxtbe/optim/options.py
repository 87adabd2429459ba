"""`Options`: what every table optimizer can do beside its rule."""

import dataclasses
import math
from typing import Any

from jaxtbe.errors import value_error

DECAYS = ("none", "l2", "decoupled")
ROUNDINGS = ("nearest", "stochastic")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of every table optimizer, as keywords of its factory.

    In this order: the row's gradient is clipped, L2 decay is added to it, the rule runs, and the row's norm is limited.

    Args:
      weight_decay: rate of the weight decay of touched rows, a number or scalar array.
      decay: "none"; "l2": `g += weight_decay * w` before the rule, so that it enters moments; or "decoupled":
        `w -= lr * weight_decay * w`. LAMB and LARS put decoupled decay where their papers have it.
      clip: elementwise limit of the row's gradient (summed over its occurrences), or None.
      max_norm: rows longer than this are scaled back to it after the update, or None.
      rounding: how 16-bit tables are stored: to the "nearest" value, or "stochastic": up or down at random so that small
        updates are not lost on average. The random bits are a function of (seed, step, table, row, column) alone.
      seed: of stochastic rounding, a whole number.
    """

    weight_decay: Any = 0.0
    decay: str = "none"
    clip: Any = None
    max_norm: Any = None
    rounding: str = "nearest"
    seed: Any = 0

    def __post_init__(self):
        api = "jaxtbe.optim"
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
                "Say decay='decoupled' or decay='l2'",
            )
        for name in ("clip", "max_norm"):
            limit = getattr(self, name)
            if isinstance(limit, (int, float)) and not limit > 0:
                raise value_error(api, name, "a number above 0, or None", repr(limit), "Leave it out to switch it off")

    def hypers(self) -> list[Any]:
        """decay, l2, clip, max_norm and stochastic: the common numbers after the learning rate."""
        return [
            self.weight_decay if self.decay == "decoupled" else 0.0,
            self.weight_decay if self.decay == "l2" else 0.0,
            math.inf if self.clip is None else self.clip,
            math.inf if self.max_norm is None else self.max_norm,
            1.0 if self.rounding == "stochastic" else 0.0,
        ]
