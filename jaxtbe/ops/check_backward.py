"""What an update, the norms and the gradients of rows have in common: the check of their lookups
and tables.
"""

from collections.abc import Sequence
from typing import Any

from jaxtbe.ops.layout import DUPLICATES, check_sources
from jaxtbe.ops.operands import Symbols, check_choice, check_list, check_static
from jaxtbe.ops.signatures import SHARE
from jaxtbe.support.errors import type_error, value_error

MAX_ROWS = 2**32 - 1
"""Rows of all tables of one call together: a row's key has 32 bits, and one key is none."""


def check_backward(
    api: str, lookups: Any, shapes: Sequence[tuple[int, int]], duplicates: Any, kind: Any, one_dim: bool = False
) -> None:
    """Raises unless the lookups fit each other and the tables.

    Args:
      api: of the op.
      lookups: `kind`s, `UpdateLookup`.
      shapes: (rows, dim) of each table.
      duplicates: of each table.
      one_dim: whether the tables must have one dim.
    """
    _check_tables(api, shapes, duplicates, one_dim)
    check_list(api, "lookups", lookups, len(lookups) if isinstance(lookups, (list, tuple)) else None)
    capacity = 0
    lookup: Any
    for l, lookup in enumerate(lookups):
        name = f"lookups[{l}]"
        if type(lookup) is not kind:
            raise type_error(
                api,
                f"operand {name!r}",
                "a jaxtbe.ops.UpdateLookup",
                f"a {type(lookup).__name__}",
                "Wrap it in one",
            )
        num_features = check_sources(api, name, lookup.sources, shapes)
        symbols = Symbols(api, {"F": num_features})
        for field, operand in SHARE.items():
            symbols.check(f"{name}.{field}", operand, getattr(lookup, field))
        check_sources(api, name, lookup.sources, shapes, symbols["columns"])
        capacity += symbols["N"]
    if capacity >= 2**31:
        raise value_error(api, "lookups", "fewer than 2**31 ids of them all", str(capacity), "Split the update in two")


def _check_tables(api: str, shapes: Any, duplicates: Any, one_dim: bool) -> None:
    check_list(api, "shapes", shapes)
    for t, shape in enumerate(shapes):
        check_list(api, f"shapes[{t}]", shape, 2)
        for number, what in zip(shape, ("rows", "dim"), strict=True):
            check_static(api, f"{what} of table {t}", number, 1, 2**31)
    check_list(api, "duplicates", duplicates, len(shapes))
    for t, of_table in enumerate(duplicates):
        check_choice(api, f"duplicates[{t}]", of_table, DUPLICATES)
    dims = sorted({dim for _, dim in shapes})
    if one_dim and len(dims) > 1:
        raise value_error(api, "shapes", "one dim of all tables", str(dims), "Call once a dim")
    total = sum(rows for rows, _ in shapes)
    if total > MAX_ROWS:
        raise value_error(api, "tables", "at most 2**32 - 1 rows together", str(total), "Update them in several calls")
