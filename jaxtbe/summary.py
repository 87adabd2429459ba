"""The tables and features of an `EmbeddingBags` as text, with what they cost in memory."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxtbe import zch
from jaxtbe.model.params import EmbeddingParams, is_params
from jaxtbe.model.spec import Spec
from jaxtbe.model.table import Table
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import array_bytes, bytes_text, columns_text, dtype_text, tree_text

API = "jaxtbe.EmbeddingBags.summary"


def summarize(spec: Spec, params: Any = None, opt_state: Any = None) -> str:
    """See `EmbeddingBags.summary`.

    Example:
      >>> import jaxtbe
      >>> emb = jaxtbe.EmbeddingBags(
      ...     [jaxtbe.Table("item", rows=1000, dim=8)], [jaxtbe.Feature("history", table="item", pooling="mean")])
      >>> print(emb.summary())
      table   rows  dim  dtype     bytes
      ----------------------------------
      item   1,000    8    f32  31.2 KiB
      total  1,000              31.2 KiB
      <BLANKLINE>
      feature  table  pooling  access      output
      ---------------------------------------------
      history  item   mean     read_write  f32[B,8]
    """
    arrays = None if params is None else _find_params(spec, params).tables
    states = None if opt_state is None else _find_states(spec, opt_state)
    parts = [_tables_text(spec, arrays, states), _features_text(spec)]
    return "\n\n".join([*parts, spec.placement.text()]).rstrip()


def spec_text(spec: Spec) -> str:
    """The arguments of the `EmbeddingBags`, an item a line."""
    parts = ("tables", spec.tables), ("features", spec.features)
    text = "".join(f"\n  {name}=[" + "".join(f"\n    {x!r}," for x in items) + "\n  ]," for name, items in parts)
    if spec.implementation is not None:
        text += f"\n  implementation={spec.implementation!r},"
    place = spec.placement.text()
    return text + (f"\n  # {place}\n" if place else "\n")


def _tables_text(spec: Spec, arrays: Mapping[str, Any] | None, states: Mapping[str, Any] | None) -> str:
    header = ["table", "rows", "dim", "dtype", "bytes"]
    hashed = any(t.zch is not None for t in spec.tables)
    header += ["ZCH bytes"] if hashed else []
    header += ["state bytes"] if states is not None else []
    header += ["bytes a device"] if any(_is_split(x) for x in (arrays or {}).values()) else []
    rows, totals = [], np.zeros(4, np.int64)
    notes = []
    for table in spec.tables:
        numbers = (
            table.rows * table.dim * table.dtype.itemsize,
            _zch_bytes(table),
            0 if states is None else array_bytes(states[table.name]),
            0 if arrays is None else _bytes_a_device(arrays[table.name], table),
        )
        totals += numbers
        rows.append([table.name, table.rows, table.dim, dtype_text(table.dtype), *_cells(numbers, header)])
        notes += _notes(table, states)
    rows.append(["total", sum(t.rows for t in spec.tables), "", "", *_cells(totals, header)])
    return "\n".join([columns_text(header, rows), *notes])


def _cells(numbers, header: list[str]) -> list[str]:
    """Those of the four numbers of bytes that have a column."""
    shown = zip(("bytes", "ZCH bytes", "state bytes", "bytes a device"), numbers, strict=True)
    return [bytes_text(int(n)) for name, n in shown if name in header]


def _notes(table: Table, states: Mapping[str, Any] | None) -> list[str]:
    notes = []
    if states is not None:
        notes.append(f"  state of {table.name}: {tree_text(states[table.name]) if states[table.name] else 'none'}")
    if table.zch is not None:
        notes.append(f"  ids of {table.name}: {table.zch!r}")
    if table.duplicates != "sum":
        notes.append(f"  duplicates in {table.name}: the {table.duplicates} occurrence wins")
    return notes


def _features_text(spec: Spec) -> str:
    rows = []
    for feature in spec.features:
        shape = spec.acts_shape(feature, 0)[1:]
        output = f"f32[B,{','.join(map(str, shape))}]"
        rows.append([feature.name, feature.table, feature.pooling, feature.access, output])
    used = {f.table for f in spec.features}
    unused = [t.name for t in spec.tables if t.name not in used]
    text = columns_text(["feature", "table", "pooling", "access", "output"], rows, left=5)
    return text + (f"\n  no feature reads {', '.join(unused)}" if unused else "")


def _zch_bytes(table: Table) -> int:
    if table.zch is None:
        return 0
    return array_bytes(jax.eval_shape(functools.partial(zch.init_zch, table.zch, table.rows)))


def _shape_a_device(array: Any) -> tuple[int, ...]:
    place = getattr(array, "sharding", None)
    return array.shape if place is None else place.shard_shape(array.shape)


def _is_split(array: Any) -> bool:
    """Whether no device holds the whole array."""
    return _shape_a_device(array) != array.shape


def _bytes_a_device(array: Any, table: Table) -> int:
    """Bytes of the array on each device, as it is placed."""
    return int(np.prod(_shape_a_device(array), dtype=np.int64)) * table.dtype.itemsize


def _find_params(spec: Spec, tree: Any) -> EmbeddingParams:
    names = {t.name for t in spec.tables}
    found = [x for x in jax.tree.leaves(tree, is_leaf=is_params) if is_params(x) and names <= set(x.tables)]
    if not found:
        raise type_error(
            API,
            "params",
            f"jaxtbe.EmbeddingParams with the tables {sorted(names)}, or a tree that holds it",
            type(tree).__name__,
            "Pass what EmbeddingBags.init returned",
        )
    for table in spec.tables:
        found[0].table(table, API)
    return found[0]


def _find_states(spec: Spec, opt_state: Any) -> dict[str, Any]:
    """Table name to the optimizer state of the first parameters with all these tables."""
    from jaxtbe.writes.optimizer_state import is_optimizer

    names = {t.name for t in spec.tables}

    def is_tables(x):
        return isinstance(x, Mapping) and names <= set(x)

    for state in filter(is_optimizer, jax.tree.leaves(opt_state, is_leaf=is_optimizer)):
        for tables in filter(is_tables, jax.tree.leaves(state.tables, is_leaf=is_tables)):
            return {name: tables[name] for name in names}
    raise value_error(
        API,
        "opt_state",
        f"an optimizer state with a jaxtbe.optim state of the tables {sorted(names)} in it",
        type(opt_state).__name__,
        "Pass the state that tx.init made for these parameters",
    )
