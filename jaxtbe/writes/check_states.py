"""Optimizer states against the tables that they belong to, before a kernel takes their word for it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.model.table import DTYPES
from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.optim"
_AGAIN = "Make the state with tx.init for these parameters: a table that changes its shape needs a new one"


def check_states(configs: Mapping[str, Any], tables: Mapping[str, Any], states: Any) -> None:
    """Raises unless every table has the states that its configuration makes for it.

    Args:
      configs: table name to what an optimizer does to it, a `TableConfig`.
      tables: table name to array.
      states: table name to {state name: array or pytree}.
    """
    for name, config in configs.items():
        expected = config.states_for(tables[name].shape, tables[name].dtype)
        got = states.get(name) if isinstance(states, Mapping) else None
        if not isinstance(got, Mapping) or not set(expected) <= set(got):
            found = f"only {sorted(got)}" if isinstance(got, Mapping) else "none"
            raise value_error(
                API,
                f"state of table {name!r}",
                f"the states {sorted(expected)}",
                found,
                "Pass the state of this optimizer",
            )
        for state, tree in expected.items():
            _check_leaves(name, state, tree, got[state])


def _check_leaves(table: str, state: str, expected: Any, got: Any) -> None:
    """The arrays of one state, which is an array for a rule and a tree for a `lazy` transformation."""
    paths, leaves = jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(got)
    if len(leaves) != len(paths):
        raise value_error(
            API,
            f"state {state!r} of table {table!r}",
            f"{len(paths)} arrays",
            str(len(leaves)),
            "Pass the state of this optimizer",
        )
    for (path, want), leaf in zip(paths, leaves, strict=True):
        obj = f"state {state + jax.tree_util.keystr(path)!r} of table {table!r}"
        if jnp.shape(leaf) != want.shape:
            raise value_error(API, obj, f"shape {want.shape}", str(jnp.shape(leaf)), _AGAIN)
        dtype = jnp.result_type(leaf)
        if want.shape and dtype != want.dtype:
            raise type_error(API, obj, want.dtype.name, dtype.name, f"Cast it to {want.dtype.name}")


def check_state_rows(api: str, table: str, shape: tuple[int, int], state: Any) -> None:
    """Raises unless every array of a table's state is [rows], [rows, dim] or a scalar."""
    check_type(api, f"state of table {table!r}", state, Mapping, "a dict of arrays", "Pass the state that tx.init made")
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        obj = f"state {jax.tree_util.keystr(path)} of table {table!r}"
        check_array(api, obj, leaf, f"an array of shape {shape[:1]}, {shape} or ()")
        if jnp.shape(leaf) not in ((), shape[:1], shape):
            raise value_error(api, obj, f"shape {shape[:1]} or {shape}", str(jnp.shape(leaf)), _AGAIN)
        if jnp.ndim(leaf) and jnp.result_type(leaf) not in DTYPES:
            raise type_error(api, obj, "float32, bfloat16 or float16", jnp.result_type(leaf).name, "Cast it to float32")
