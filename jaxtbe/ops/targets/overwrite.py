"""Rules that store rows regardless of what they held. Users reach them through access modes and
`assign`, not as optimizers.
"""

from jaxtbe.ops.rule import Rule


def _overwrite(w, g, states, lr, decay):
    del w, decay
    return g * -lr, states


def _assign(w, g, states, lr, decay):
    del w, lr, decay
    return g, states


OVERWRITE = Rule("overwrite", reference=_overwrite)
"""w = -lr * g: the rows that write-only features write."""

ASSIGN = Rule("assign", reference=_assign)
"""w = g."""
