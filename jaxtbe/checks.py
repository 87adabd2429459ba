"""Host-side checks of ids: before a step (`Bags.validate`) and after it (`check`)."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import ops
from jaxtbe.arguments import check_shape, check_type
from jaxtbe.bags import check_arrays
from jaxtbe.embedding_grad import EmbeddingGrad
from jaxtbe.errors import type_error, value_error
from jaxtbe.ids import unpack_ids
from jaxtbe.names import name_of
from jaxtbe.optimizer_state import TableOptimizerState
from jaxtbe.sharding.route import OVERFLOW
from jaxtbe.spec import Spec
from jaxtbe.unstack import unstack
from jaxtbe.zch.rows import TOO_LARGE


def check(*trees) -> None:
    """Raises if any id was at or past the end of its table; waits for the arrays it looks at.

    Pass what a step returned: optimizer states of `jaxtbe.optim` (which count over all steps so far), gradients of
    `jaxtbe.value_and_grad`, or trees and optimizers that hold them. Nothing was lost: such ids contributed nothing, trained
    nothing, and no other row is used in their place.

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
    """i32[F, 2], as a lookup counts them: how many ids of each feature are past their table's end, and the first."""
    bags = jax.tree.map(jnp.asarray, bags)
    rows = tuple(spec.table_of(f).rows for f in spec.features)
    return ops.count_faults(bags.ids, bags.offsets, rows=rows, implementation=spec.implementation)


def check_bags(bags, spec: Spec) -> None:
    """Raises unless offsets are in order and every id is a row of its table."""
    check_type(
        "jaxtbe.Bags.validate", "emb", spec, Spec, "a jaxtbe.EmbeddingBags", "Pass the one that the batch is for"
    )
    check_arrays("jaxtbe.Bags.validate", bags)
    if bags.features != spec.feature_names:
        raise value_error(
            "jaxtbe.Bags.validate",
            "batch",
            f"the features {spec.feature_names}",
            f"{bags.features}",
            "Pass the EmbeddingBags that built it",
        )
    check_shape("jaxtbe.Bags.validate", "offsets", bags.offsets, (len(spec.features) * bags.batch_size + bags.shards,))
    offsets, ids = np.asarray(bags.offsets), np.asarray(bags.ids)
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > ids.shape[0]:
        raise value_error(
            "jaxtbe.Bags.validate",
            "offsets",
            f"0 to at most {ids.shape[0]}, never falling",
            f"{offsets[0]} to {offsets[-1]}",
            "Build batches with EmbeddingBags.bags",
        )
    if ids.ndim == 2:
        ids = unpack_ids(ids)
    for f, feature in enumerate(spec.features):
        longest = int(np.diff(offsets[f * bags.batch_size : (f + 1) * bags.batch_size + 1]).max(initial=0))
        if feature.keep == "last" and feature.max_length is not None and longest > feature.max_length:
            raise value_error(
                "jaxtbe.Bags.validate",
                f"feature {feature.name!r}",
                f"bags of at most {feature.max_length} ids with keep='last'",
                str(longest),
                "Build batches with EmbeddingBags.bags, which cuts them",
            )
        if bags.ids.ndim == 2 and spec.table_of(feature).zch is not None:
            continue  # a raw id may be any number
        mine = ids[offsets[f * bags.batch_size] : offsets[(f + 1) * bags.batch_size]]
        faulty = mine[mine >= spec.table_of(feature).rows]
        if faulty.size:
            raise value_error(
                "jaxtbe.Bags.validate",
                f"feature {feature.name!r} of table {feature.table!r}",
                f"ids below {spec.table_of(feature).rows}",
                f"{faulty.size} at or past it, the first {int(faulty[0])}",
                "Correct the ids, or enlarge the table",
            )


def _raise_faults(spec: Spec, faults: np.ndarray) -> None:
    for feature, (count, first) in zip(spec.features, faults, strict=True):
        if count > 0:
            raise _fault(feature.name, feature.table, spec.table_of(feature).rows, int(count), int(first))


def _fault(feature: str, table: str, rows: int | None, count: int, first: int) -> ValueError:
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
