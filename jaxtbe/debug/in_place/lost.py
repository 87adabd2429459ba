"""Arguments that come back in memory of their own, or not at all."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax
from jax.tree_util import keystr

from jaxtbe.debug.in_place.leaves import Leaf
from jaxtbe.debug.in_place.report import Finding
from jaxtbe.support.text import array_text


class Outputs:
    """What a step returns: paths and dtype[shape]."""

    def __init__(self, out_info: Any):
        found = jax.tree_util.tree_leaves_with_path(out_info)
        self.by_path = [(keystr(path), array_text(x)) for path, x in found]
        self.count = Counter(text for _, text in self.by_path)

    def of(self, leaf: Leaf) -> str | None:
        """dtype[shape] of what the leaf became: the output at the same path."""
        if leaf.path:
            for path, text in self.by_path:
                if path.endswith(leaf.path):
                    return text
        return None


def find_lost(leaves: list[Leaf], outputs: Outputs) -> Iterator[Finding]:
    """A finding for each leaf that is returned and has not been donated, or donated and not taken."""
    free = outputs.count - Counter(leaf.text for leaf in leaves if leaf.aliased)
    used = [leaf for leaf in leaves if leaf.parameter is not None]
    for leaf in used:
        if not leaf.donated and free[leaf.text] > 0:
            free[leaf.text] -= 1
            why = "the step returns it, and it is not donated: the result takes memory of its own"
            remedy = f"Donate it: jax.jit(step, donate_argnames=({leaf.argument!r},))"
            yield Finding("not donated", (leaf.name,), leaf.device_bytes, why, remedy)
    donated = [leaf for leaf in used if leaf.donated]
    for text, missing in Counter(leaf.text for leaf in donated if not leaf.aliased).items():
        # Memory is taken by any output of the same shape and dtype: the path tells whose own output is not among them.
        alike = [leaf for leaf in donated if leaf.text == text]
        for leaf in sorted(alike, key=lambda leaf: outputs.of(leaf) == text)[:missing]:
            yield Finding("not returned", (leaf.name,), leaf.device_bytes, *_why(leaf, outputs, free))


def _why(leaf: Leaf, outputs: Outputs, free: Counter) -> tuple[str, str]:
    own = outputs.of(leaf)
    if own is None:
        shape = leaf.text.partition("[")[2]
        others = [text for text in outputs.count if text.partition("[")[2] == shape and text != leaf.text]
        own = others[0] if others else None
    if own is not None and own != leaf.text:
        return f"it is donated as {leaf.text} and returned as {own}", "Return it in its own dtype and shape"
    if free[leaf.text] > 0:
        why = "it is donated, and the step returns it with a different sharding or layout"
        return why, "Give what the step returns the sharding of the argument"
    why = "it is donated, and the step returns no array of its shape and dtype that could take its memory"
    return why, "Return it, or do not donate it"
