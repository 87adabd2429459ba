"""Uses of a table beside its lookups, such as a tied output layer: their dense gradient as a share
of the sparse one.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.autodiff.embedding_grad import LookupGrad
from jaxtbe.batch.bags import Bags
from jaxtbe.model.feature import Feature
from jaxtbe.model.spec import Spec
from jaxtbe.model.table import Table
from jaxtbe.support.errors import value_error

API = "jaxtbe.value_and_grad"


def dense_share(name: str, gradient: jax.Array, specs: list[Spec]) -> LookupGrad:
    """A dense gradient as that of a lookup which reads every row once.

    Args:
      name: of the table.
      gradient: dtype[rows, dim].
      specs: of the lookups of the same parameters.
    """
    known = [s for s in specs if name in s.tables_by_name]
    rows, dim = gradient.shape
    table = known[0].tables_by_name[name] if known else Table(name, rows, dim, dtype=gradient.dtype)
    _check(table, known)
    feature = Feature(f"dense use of {name}", table=name)
    like: dict[str, Any] = {"implementation": known[0].implementation, "placement": known[0].placement} if known else {}
    spec = Spec((table,), (feature,), **like)
    numbers = jnp.arange(rows + 1, dtype=jnp.int32)
    bags: Any = Bags.tree_unflatten((spec.feature_names, rows, 1), (numbers[:-1], numbers, None, None))
    return LookupGrad.of({feature.name: gradient.astype(jnp.float32)}, bags, jnp.zeros((1, 2), jnp.int32), spec)


def _check(table: Table, specs: list[Spec]) -> None:
    overwritten = any(s.is_write_only(table.name) for s in specs)
    if table.duplicates != "sum" or overwritten:
        raise value_error(
            API,
            f"dense_tables, table {table.name!r}",
            "a table whose gradients are added up",
            "one that write_only features overwrite" if overwritten else f"one with duplicates={table.duplicates!r}",
            "Leave it out of dense_tables, and use jax.lax.stop_gradient of the table",
        )
