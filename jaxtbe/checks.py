"""Host-side checks of ids: before a step (`Bags.validate`) and after it (`check`)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import ops
from jaxtbe.embedding_grad import EmbeddingGrad
from jaxtbe.errors import value_error
from jaxtbe.ids import unpack_ids
from jaxtbe.names import name_of, stable_id
from jaxtbe.sharding.route import OVERFLOW
from jaxtbe.spec import Spec
from jaxtbe.text import array_text


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class FaultCounts:
    """Faulty ids seen so far, for each table of an optimizer.

    Args:
      counts: i32[T, 3]: number of faulty ids, the first of them, and the number (`names.stable_id`) of its feature.
      tables: static, the T table names.
    """

    counts: Any
    tables: tuple[str, ...] = dataclasses.field(metadata={"static": True})

    @classmethod
    def zeros(cls, tables: tuple[str, ...]) -> "FaultCounts":
        return cls(jnp.zeros((len(tables), 3), jnp.int32), tables)

    def __repr__(self) -> str:
        return f"FaultCounts({array_text(self.counts)} of {', '.join(self.tables)})"

    def add(self, spec: Spec, faults: jax.Array) -> "FaultCounts":
        """Counts the faults i32[F, 2] of one lookup as well."""
        features = [(i, f) for i, f in enumerate(spec.features) if f.table in self.tables]
        table = np.asarray([self.tables.index(f.table) for _, f in features], np.int32)
        feature_ids = jnp.asarray([stable_id(f.name) for _, f in features], jnp.int32)
        faults = faults[np.asarray([i for i, _ in features], np.int32)]
        num_tables, num_features = len(self.tables), len(features)
        count = jax.ops.segment_sum(faults[:, 0], table, num_tables)
        place = jnp.where(faults[:, 0] > 0, jnp.arange(num_features), num_features)
        first = jnp.minimum(jax.ops.segment_min(place, table, num_tables), num_features - 1)
        now = jnp.stack([faults[first, 1], feature_ids[first]], axis=1)
        is_first = (self.counts[:, 0] == 0) & (count > 0)
        details = jnp.where(is_first[:, None], now, self.counts[:, 1:])
        return FaultCounts(jnp.concatenate([(self.counts[:, 0] + count)[:, None], details], axis=1), self.tables)


def check(*trees) -> None:
    """Raises if any id was at or past the end of its table; waits for the arrays it looks at.

    Pass what a step returned: optimizer states of `jaxtbe.optim` (which count over all steps so far), gradients of
    `jaxtbe.value_and_grad`, or trees that hold them. Nothing was lost: such ids contributed nothing, trained nothing, and no
    other row stands in for them.

    Args:
      *trees: pytrees with optimizer states or `EmbeddingGrad`s.

    Raises:
      ValueError: names the table, the feature, how many ids, and the first of them.
    """
    kinds = (FaultCounts, EmbeddingGrad)
    found = [x for x in jax.tree.leaves(trees, is_leaf=lambda x: isinstance(x, kinds)) if isinstance(x, kinds)]
    for item in found:
        if isinstance(item, EmbeddingGrad):
            for share in item.lookups:
                _raise_faults(share.spec, np.asarray(share.faults))
        else:
            for table, (count, first, feature) in zip(item.tables, np.asarray(item.counts), strict=True):
                if count > 0:
                    raise _fault(name_of(feature), table, None, int(count), int(first))


def count_faults(spec: Spec, bags) -> jax.Array:
    """i32[F, 2], as a lookup counts them: how many ids of each feature are past their table's end, and the first."""
    bags = jax.tree.map(jnp.asarray, bags)
    rows = tuple(spec.table_of(f).rows for f in spec.features)
    return ops.count_faults(bags.ids, bags.offsets, rows=rows, implementation=spec.implementation)


def check_bags(bags, spec: Spec) -> None:
    """Raises unless offsets are in order and every id is a row of its table."""
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
    return value_error(
        "jaxtbe.check",
        f"feature {feature!r} of table {table!r}",
        f"ids below {limit}",
        f"{count} at or past it, the first {first}",
        "Those ids contributed nothing and every table is intact: correct the ids, or enlarge the table",
    )
