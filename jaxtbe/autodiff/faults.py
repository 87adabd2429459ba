"""`check`: raises on the host if ids of a step were faulty."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import ops
from jaxtbe.autodiff.embedding_grad import ALTERED, EmbeddingGrad
from jaxtbe.autodiff.unstack import unstack
from jaxtbe.batch.ids import OVERFLOW
from jaxtbe.model.spec import Spec
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.names import name_of
from jaxtbe.writes.optimizer_state import TableOptimizerState
from jaxtbe.zch.rows import TOO_LARGE


def check(*trees) -> None:
    """Raises if any id was at or past the end of its table; waits for the arrays it looks at.

    Pass what a step returned: optimizer states of `jaxtbe.optim` (which count over all steps so
    far), gradients of `jaxtbe.value_and_grad`, or trees and optimizers that hold them. Nothing was
    lost: such ids contributed nothing, trained nothing, and no other row is used in their place.

    Args:
      *trees: pytrees with optimizer states or `EmbeddingGrad`s.

    Raises:
      ValueError: names the table, the feature, how many ids, and the first of them.
      TypeError: there is neither a table optimizer's state nor a sparse gradient in the trees.
    """
    kinds = (TableOptimizerState, EmbeddingGrad)
    found = [x for x in jax.tree.leaves(trees, is_leaf=lambda x: isinstance(x, kinds)) if isinstance(x, kinds)]
    if not found:
        raise type_error(
            "jaxtbe.check",
            "arguments",
            "a state of a jaxtbe.optim optimizer, or an EmbeddingGrad",
            ", ".join(type(tree).__name__ for tree in trees) or "nothing",
            "Pass the optimizer state that a step returned",
        )
    for item in found:
        if isinstance(item, EmbeddingGrad):
            for share in unstack(item).lookups:
                _raise_faults(share.spec, np.asarray(share.faults))
        else:
            for counts in jax.tree.leaves(item.faults):
                for table, count, first, feature in np.asarray(counts):
                    if count > 0:
                        raise _fault(name_of(feature), name_of(table), None, int(count), int(first))


def count_faults(spec: Spec, bags) -> jax.Array:
    """i32[F, 2], as a lookup counts them: how many ids of each feature are past their table's end,
    and the first.
    """
    bags = jax.tree.map(jnp.asarray, bags)
    rows = tuple(spec.table_of(f).rows for f in spec.features)
    return ops.count_faults(bags.ids, bags.offsets, rows=rows, implementation=spec.implementation)


def _raise_faults(spec: Spec, faults: np.ndarray) -> None:
    for feature, (count, first) in zip(spec.features, faults, strict=True):
        if count > 0:
            raise _fault(feature.name, feature.table, spec.table_of(feature).rows, int(count), int(first))


def _fault(feature: str, table: str, rows: int | None, count: int, first: int) -> ValueError:
    if first == ALTERED:
        return value_error(
            "jaxtbe.check",
            f"feature {feature!r} of table {table!r}",
            "gradients as the loss made them",
            f"{count} whose arrays were rearranged, or whose NaNs and infinities were replaced",
            "They trained nothing and every table is intact: use the tools of jaxtbe.optim, skip_nonfinite for NaNs",
        )
    if first == OVERFLOW:
        return value_error(
            "jaxtbe.check",
            f"feature {feature!r} of table {table!r}",
            "rows that fit the table's peer_capacity",
            f"{count} ids whose rows did not",
            "Those ids contributed nothing and every table is intact: enlarge it",
        )
    limit = "its rows" if rows is None else f"{rows}"
    number = f"{first}" if first < TOO_LARGE else "past every int32"
    return value_error(
        "jaxtbe.check",
        f"feature {feature!r} of table {table!r}",
        f"ids below {limit}",
        f"{count} at or past it, the first {number}",
        "Those ids contributed nothing and every table is intact: correct the ids, or enlarge the table",
    )
