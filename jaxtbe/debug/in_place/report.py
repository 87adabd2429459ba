"""`InPlaceReport`: what `check_in_place` found."""

import dataclasses

from jaxtbe.debug.in_place.leaves import Leaf
from jaxtbe.support.text import bytes_text

_SHOWN = 8  # watched arrays that a report lists


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that costs the memory or the time of a whole table.

    Args:
      kind: "not donated", "not returned", "copy", "constant" (a table that the step closes over),
        "dense" (a table-sized array is computed) or "memory" (less memory is taken over than there
        is to change in place, for a reason that the program's text did not show).
      names: the arrays it is about, by their paths in the arguments.
      nbytes: bytes on each device.
      why: what happens, and the reason where it can be told.
      remedy: what to do about it.
      source: `file:line` of the operation, or an empty string.
    """

    kind: str
    names: tuple[str, ...]
    nbytes: int
    why: str
    remedy: str
    source: str = ""

    def __str__(self) -> str:
        names = ", ".join(self.names[:3]) + (f" and {len(self.names) - 3} more" if len(self.names) > 3 else "")
        place = f" ({self.source})" if self.source else ""
        return f"{self.kind}, {bytes_text(self.nbytes)}: {names}\n    {self.why}{place}. {self.remedy}."


@dataclasses.dataclass(frozen=True, repr=False)
class InPlaceReport:
    """Whether a step changes its tables in place; `print` it to read why not.

    Args:
      step: the step's name.
      leaves: the arrays that were watched: tables, their optimizer states, ZCH states.
      findings: what costs the memory or the time of a whole table; empty if nothing does.
      temp_bytes: memory that the step takes beside its arguments and results, on each device; None
        if the backend does not say.
      unread: why the text of the compiled program was not understood; then the verdict is that of
        its memory alone. Empty otherwise.
    """

    step: str
    leaves: tuple[Leaf, ...]
    findings: tuple[Finding, ...]
    temp_bytes: int | None
    unread: str = ""

    @property
    def in_place(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        count = len(self.findings)
        verdict = "in place" if self.in_place else f"not in place, {count} finding{'s' if count > 1 else ''}"
        temp = "unknown" if self.temp_bytes is None else bytes_text(self.temp_bytes)
        if self.temp_bytes and self.temp_bytes >= max((leaf.device_bytes for leaf in self.leaves), default=0):
            temp += ", more than the largest of these"
        lines = [f"{self.step}: {verdict}; temporary memory {temp}"]
        if self.unread:
            lines.append(f"  judged by its memory alone, as its text was not understood ({self.unread})")
        lines += [f"  {finding}" for finding in self.findings]
        largest = sorted(self.leaves, key=lambda leaf: -leaf.nbytes)[:_SHOWN]
        lines += [f"  watched: {leaf.kind} {leaf.name} {leaf.text}, {bytes_text(leaf.nbytes)}" for leaf in largest]
        more = len(self.leaves) - len(largest)
        return "\n".join(lines + ([f"  and {more} smaller ones"] if more else []))

    __repr__ = __str__
