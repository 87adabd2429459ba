"""The rule of tables that write-only features write: rows become -lr * g. Chosen by `sgd` for such tables."""

from jaxtbe.ops.rule import Rule


def _overwrite(w, g, states, lr, decay):
    del w, decay
    return g * -lr, states


OVERWRITE = Rule("overwrite", reference=_overwrite)
