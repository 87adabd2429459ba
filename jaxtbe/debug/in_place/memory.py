"""The verdict of a compiled program's memory, which needs nothing of its text."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax

from jaxtbe.debug.in_place.leaves import Leaf
from jaxtbe.debug.in_place.lost import Outputs
from jaxtbe.debug.in_place.report import Finding

_LOOK = "Donate what the step changes, and look at the program: step.lower(...).compile().as_text()"


@dataclasses.dataclass(frozen=True)
class Memory:
    """What `compiled.memory_analysis()` says, on each device; None where the backend does not say.

    Args:
      alias_bytes: of outputs that take the memory of arguments.
      temp_bytes: beside arguments and results.
      places: the shardings of the arguments' arrays, in their order.
    """

    alias_bytes: int | None
    temp_bytes: int | None
    places: tuple[Any, ...]

    @classmethod
    def of(cls, compiled: Any) -> "Memory":
        try:
            analysis = compiled.memory_analysis()
            sizes = int(analysis.alias_size_in_bytes), int(analysis.temp_size_in_bytes)
        except (AttributeError, NotImplementedError):
            return cls(None, None, ())
        return cls(*sizes, tuple(jax.tree.leaves(getattr(compiled, "input_shardings", ()))))

    def with_shares(self, leaves: list[Leaf]) -> list[Leaf]:
        """The leaves with what they take on one device, at least."""
        if len(self.places) != len(leaves):
            return leaves  # of a program that leaves some out
        parts = [1 if place.is_fully_replicated else len(place.device_set) for place in self.places]
        return [dataclasses.replace(x, nbytes=x.nbytes // n) for x, n in zip(leaves, parts, strict=True)]

    def find_lost(self, leaves: list[Leaf], outputs: Outputs) -> Iterator[Finding]:
        """One finding if the outputs take less memory over than the watched arrays that come back."""
        if self.alias_bytes is None:
            return
        is_read = any(leaf.shape is not None for leaf in leaves)  # then others do not reach the program
        free, back = Counter(outputs.count), []
        for leaf in leaves:
            if free[leaf.text] > 0 and (leaf.shape is not None or not is_read):
                free[leaf.text] -= 1
                back.append(leaf)
        missing = sum(leaf.device_bytes for leaf in back) - self.alias_bytes
        if missing > 0:
            why = f"the results take over {self.alias_bytes} bytes of arguments, {missing} fewer than come back"
            yield Finding("memory", tuple(leaf.name for leaf in back), missing, why, _LOOK)
