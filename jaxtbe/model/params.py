"""`EmbeddingParams`: the tables of an `EmbeddingBags`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from jaxtbe.model.table import Table
from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import tree_text


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class EmbeddingParams:
    """The parameters of an `EmbeddingBags`: ordinary named arrays, so they shard, checkpoint and
    print like any other.

    Args:
      tables: table name to dtype[rows, dim].
    """

    tables: dict[str, Any]

    def __repr__(self) -> str:
        return f"EmbeddingParams({tree_text(self.tables)})"

    def table(self, spec_table, api: str):
        """The array of a `Table`, its shape and dtype checked."""
        check_type(api, "table", spec_table, Table, "a jaxtbe.Table", "Pass one of EmbeddingBags.tables")
        check_tables(api, self)
        obj = f"table {spec_table.name!r}"
        if spec_table.name not in self.tables:
            raise value_error(
                api,
                obj,
                "an array in EmbeddingParams.tables",
                f"only {sorted(self.tables)}",
                "Pass the parameters that EmbeddingBags.init made for these tables",
            )
        array = self.tables[spec_table.name]
        shape, dtype = (spec_table.rows, spec_table.dim), spec_table.dtype
        if getattr(array, "shape", None) != shape:
            raise value_error(
                api, obj, f"shape {shape}", str(getattr(array, "shape", type(array))), "Make Table and parameters agree"
            )
        if array.dtype != dtype:
            raise type_error(api, obj, f"dtype {dtype.name}", array.dtype.name, "Cast the table or change Table.dtype")
        return array


def check_tables(api: str, params: EmbeddingParams, arrays: bool = False) -> None:
    """Raises unless the parameters hold a dict; with `arrays`, one of tables [rows, dim]."""
    remedy = "Pass the parameters that EmbeddingBags.init made"
    check_type(api, "EmbeddingParams.tables", params.tables, Mapping, "a dict from table name to array", remedy)
    for name, table in params.tables.items() if arrays else ():
        check_array(api, f"table {name!r}", table, "an array dtype[rows, dim]", 2, shapes=True)


def is_params(x: Any) -> bool:
    """Whether this is an `EmbeddingParams`: the leaf of a tree of parameters."""
    return isinstance(x, EmbeddingParams)
