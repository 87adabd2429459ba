"""`Group`: the tables that one call updates, found among those that a gradient touches."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxtbe.autodiff.embedding_grad import EmbeddingGrad
from jaxtbe.model.placement import Placement
from jaxtbe.ops import UpdateLookup
from jaxtbe.ops.implementation import Implementation
from jaxtbe.support.errors import value_error
from jaxtbe.writes.plan import plan_update, split_by_rows

API = "jaxtbe.optim"


@dataclasses.dataclass(frozen=True)
class Group:
    """Tables that one call updates.

    Args:
      tables: their names.
      lookups: what trains them.
      tokens: what must be computed before they change.
      shapes: (rows, dim) of each.
      duplicates: `Table.duplicates` of each.
      overwrites: whether write_only features write them.
      implementation: of the specs.
      placement: of the specs: where the tables are.
      first_rows: i32[] or int for each table: which row of the whole table is the first here.
    """

    tables: tuple[str, ...]
    lookups: tuple[UpdateLookup, ...]
    tokens: tuple[Any, ...]
    shapes: tuple[tuple[int, int], ...]
    duplicates: tuple[str, ...]
    overwrites: bool
    implementation: Implementation | None
    placement: Placement
    first_rows: tuple[Any, ...]


def written_tables(tables, grad: EmbeddingGrad) -> dict[str, Any]:
    """The tables that the gradient's lookups write, with the specs that describe them; raises where
    these disagree.
    """
    specs = list(dict.fromkeys(l.spec for l in grad.lookups))
    written = {}
    for name, table in tables.items():
        writers = [s for s in specs if any(f.table == name for f in s.writing_features)]
        if writers:
            _check_writers(name, table, writers)
            written[name] = writers[0]
    return written


def make_groups(tables, grad: EmbeddingGrad, group_key) -> list[Group]:
    """Groups of one dtype and one `group_key(name, shape, overwrites)`, none with too many rows for
    one call.
    """
    members: dict[Any, list[str]] = {}
    written = written_tables(tables, grad)
    for name, spec in written.items():
        table, overwrites = tables[name], spec.is_write_only(name)
        key = (
            jnp.dtype(table.dtype),
            spec.implementation,
            spec.placement,
            overwrites,
            group_key(name, table.shape, overwrites),
        )
        members.setdefault(key, []).append(name)
    calls = [
        (key, part) for key, names in members.items() for part in split_by_rows((n, tables[n].shape[0]) for n in names)
    ]
    groups, parts = [], [(l.spec, l.bags, l.d_acts) for l in grad.lookups]
    for key, names in calls:
        shares = [plan_update(*part, names) for part in parts]
        groups.append(
            Group(
                tables=names,
                lookups=tuple(s for s in shares if s is not None),
                tokens=grad.tokens,
                shapes=tuple(tables[n].shape for n in names),
                duplicates=tuple(written[n].tables_by_name[n].duplicates for n in names),
                overwrites=key[3],
                implementation=key[1],
                placement=key[2],
                first_rows=(0,) * len(names),
            )
        )
    return groups


def _check_writers(name, table, specs) -> None:
    """The gradient's specs must agree with the array, and with each other where they write one
    table.
    """
    described = specs[0].tables_by_name[name]
    if table.shape != (described.rows, described.dim) or table.dtype != described.dtype:
        raise value_error(
            API,
            f"table {name!r}",
            f"{described.dtype.name}[{described.rows}, {described.dim}] as in the gradient",
            f"{table.dtype.name}{list(table.shape)}",
            "Pass the parameters that the gradient was taken of",
        )
    for spec in specs[1:]:
        other = spec.tables_by_name[name]
        if other != described or spec.is_write_only(name) != specs[0].is_write_only(name):
            raise value_error(
                API,
                f"table {name!r}",
                "one Table and one access in all lookups",
                f"{_description(described, specs[0])} and {_description(other, spec)}",
                "Let the EmbeddingBags that share a table describe it alike",
            )


def _description(table, spec) -> str:
    return f"{table}, {'overwritten' if spec.is_write_only(table.name) else 'trained'} by its features,"
