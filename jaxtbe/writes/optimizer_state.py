"""`TableOptimizerState`: the state of a table optimizer, found wherever it is held in an optimizer
state.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax

from jaxtbe.support.errors import value_error
from jaxtbe.support.text import array_text, tree_text


class TableOptimizerState(NamedTuple):
    """State of a table optimizer.

    Args:
      count: i32[], steps taken.
      tables: the params tree, with {table: {state: array}} in place of each `EmbeddingParams`.
      faults: the params tree, with an i32[T, 4] in place of each `EmbeddingParams`. See
        `jaxtbe.check`.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's name, which tuples use too
    tables: Any
    faults: Any

    def __repr__(self) -> str:
        return f"TableOptimizerState(count={array_text(self.count)}, tables={tree_text(self.tables)})"


def is_optimizer(x: Any) -> bool:
    """Whether this is the state of a table optimizer."""
    return isinstance(x, TableOptimizerState)


def map_table_states(api: str, opt_state: Any, tables: Iterable[str], change: Callable[[str, Any], Any]) -> Any:
    """The optimizer state, with `change(table, state)` in place of the state of each table.

    Args:
      api: for the message.
      opt_state: any optimizer state that holds a `TableOptimizerState`, at any depth.
      tables: all table names of the `EmbeddingParams` that it belongs to.
      change: gets a table's name and {state name: array or pytree}.

    Raises:
      ValueError: no state of these tables is in it.
    """
    names, found = set(tables), []

    def change_tables(of_params):
        if not is_tables(of_params):
            return of_params
        found.append(of_params)
        return {name: change(name, state) for name, state in of_params.items()}

    def is_tables(x):
        return isinstance(x, dict) and set(x) == names

    def change_optimizer(state):
        if not is_optimizer(state):
            return state
        return state._replace(tables=jax.tree.map(change_tables, state.tables, is_leaf=is_tables))

    changed = jax.tree.map(change_optimizer, opt_state, is_leaf=is_optimizer)
    if not found:
        raise value_error(
            api,
            "opt_state",
            f"an optimizer state with a jaxtbe.optim state of the tables {sorted(names)} in it",
            type(opt_state).__name__,
            "Pass the state that tx.init made for these parameters",
        )
    return changed
