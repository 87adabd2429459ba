"""`Rule`: what the fused update needs to know of an optimizer."""

import dataclasses
from collections.abc import Callable


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
      reference: the same rule in jax.numpy, over R rows at once: `(w, g, states, lr, decay, *own) -> (w, states)` with
        w, g: f32[R, dim], states f32[R, dim] or f32[R], and scalars.
    """

    name: str
    states: tuple[State, ...] = ()
    reference: Callable | None = dataclasses.field(default=None, compare=False)
