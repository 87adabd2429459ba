"""`Rule`: what the fused update needs to know of an optimizer."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_OFF = float(np.finfo(np.float32).max)


class CommonHypers(NamedTuple):
    """The numbers that every rule gets first, in the order of `Hyper` in csrc/common/optim/hyper.h;
    by default neutral.
    """

    lr: Any = 1.0
    decay: Any = 0.0
    l2: Any = 0.0
    clip: Any = _OFF
    max_norm: Any = _OFF
    stochastic: Any = 0.0


NUM_COMMON_NUMBERS = 6  # lr, decay, l2, clip, max_norm, stochastic
NUM_COMMON_ARGUMENTS = 5  # w, g, states, lr, decay


@dataclasses.dataclass(frozen=True)
class State:
    """One state array of a table: [rows] if `per_row`, else [rows, dim]."""

    name: str
    per_row: bool = False


@dataclasses.dataclass(frozen=True)
class Rule:
    """The Python twin of a struct in csrc/common/optim.

    Args:
      name: the struct's `kName`.
      states: its states, [rows, dim] ones first.
      reference: the same rule in jax.numpy, over R rows at once: `(w, g, states, lr, decay, *own)
        -> (w, states)` with w, g: f32[R, dim], states f32[R, dim] or f32[R], and scalars.
    """

    name: str
    states: tuple[State, ...] = ()
    reference: Callable | None = dataclasses.field(default=None, compare=False)

    @property
    def numbers(self) -> int | None:
        """Columns of `hyper`: those common to all rules, and its own, as its reference takes them.
        None: not known.
        """
        if self.reference is None:
            return None
        return NUM_COMMON_NUMBERS + len(inspect.signature(self.reference).parameters) - NUM_COMMON_ARGUMENTS
