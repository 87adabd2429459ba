"""`per_table`: a table optimizer for each table."""

from collections.abc import Mapping

from jaxtbe.optim.base import TableOptimizer, optimizer_of
from jaxtbe.support.arguments import check_type
from jaxtbe.support.errors import type_error, value_error


def per_table(optimizers: Mapping[str, TableOptimizer], default: TableOptimizer | None = None) -> TableOptimizer:
    """Mixes optimizers and rates over tables, with one fused call for each (dtype, rule) and step.

    Args:
      optimizers: table name to a `jaxtbe.optim` optimizer.
      default: the optimizer of tables that are not named, or None: there must be none.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`.

    Raises:
      TypeError: something else than an optimizer of this package.
      ValueError: a table without an optimizer, when the state is made.
    """
    api = "jaxtbe.optim.per_table"
    check_type(api, "optimizers", optimizers, Mapping, "a dict from table name to optimizer", "Pass {table: optimizer}")
    named = {**optimizers, **({"default": default} if default is not None else {})}
    for name, optimizer in named.items():
        if not isinstance(optimizer, TableOptimizer) or not hasattr(optimizer, "config_of"):
            raise type_error(
                api,
                f"optimizer of {name!r}",
                "one of jaxtbe.optim",
                type(optimizer).__name__,
                "Wrap an optax transformation in jaxtbe.optim.lazy",
            )

    def config_of(table: str):
        optimizer = optimizers.get(table, default)
        if optimizer is None:
            raise value_error(
                api,
                f"table {table!r}",
                f"an optimizer among those of {sorted(optimizers)}",
                "none",
                "Add it, or a default",
            )
        return optimizer.config_of(table)

    return optimizer_of(config_of)
