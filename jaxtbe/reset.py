"""Evicted rows back to their beginning, with their optimizer state."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import ops, zch
from jaxtbe.errors import type_error
from jaxtbe.names import stable_id
from jaxtbe.params import EmbeddingParams
from jaxtbe.spec import Spec
from jaxtbe.tables import Table

API = "jaxtbe.EmbeddingBags.reset_rows"


def reset_rows(
    spec: Spec, params: EmbeddingParams, opt_state: Any, reports: Mapping[str, zch.ZchReport], seed: Any
) -> tuple[EmbeddingParams, Any]:
    """See `EmbeddingBags.reset_rows`."""
    from jaxtbe.optim.table_states import map_table_states

    if not isinstance(params, EmbeddingParams):
        raise type_error(
            API,
            "parameters",
            "jaxtbe.EmbeddingParams",
            type(params).__name__,
            "Pass the EmbeddingParams alone, and put it back",
        )
    tables = dict(params.tables)
    for table in spec.tables:
        if table.name in reports:
            array = params.table(table, API)
            tables[table.name] = _reset_table(spec, table, array, reports[table.name], seed)

    def reset_state(name: str, state: Any) -> Any:
        if name not in reports:
            return state
        rows, evicted = params.tables[name].shape[0], reports[name].evicted
        starts = jnp.asarray([0, evicted.shape[0]], jnp.int32)

        def reset(array, initial):
            if array.shape[:1] != (rows,):
                return array
            return fill_rows(array, evicted, starts, initial, spec.implementation)

        if "initial" not in state:  # of a rule: states begin with zeros
            return {k: reset(array, 0.0) for k, array in state.items()}
        leaves = [reset(a, i) for a, i in zip(jax.tree.leaves(state["inner"]), state["initial"], strict=True)]
        return {**state, "inner": jax.tree.unflatten(jax.tree.structure(state["inner"]), leaves)}

    if opt_state is not None:
        opt_state = map_table_states(API, opt_state, params.tables, reset_state)
    return dataclasses.replace(params, tables=tables), opt_state


def _reset_table(spec: Spec, table: Table, array: jax.Array, report: zch.ZchReport, seed: Any) -> jax.Array:
    if table.initializer is None:
        new, _ = ops.reset_rows(
            array,
            [],
            report.evicted,
            report.evicted_ids,
            seed,
            table_number=stable_id(table.name),
            scale=1.0 / math.sqrt(table.dim),
            implementation=spec.implementation,
        )
        return new
    # Any initializer, one row at a time, from a key of (seed, table, id).
    initializer = table.initializer
    key = jax.random.fold_in(jax.random.key(jnp.asarray(seed, jnp.uint32)), stable_id(table.name))

    def row(words):
        of_id = jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])
        return initializer(of_id, (1, table.dim), table.dtype)[0].astype(jnp.float32)

    starts = jnp.asarray([0, report.evicted.shape[0]], jnp.int32)
    values = jax.vmap(row)(report.evicted_ids)
    return ops.store_rows([array], report.evicted, starts, values, implementation=spec.implementation)[0]


def fill_rows(
    array: jax.Array, rows: jax.Array, starts: jax.Array, value: Any, implementation: str | None
) -> jax.Array:
    """One value in the given rows of a state array, [rows, dim] or [rows], in place."""
    values = jnp.full((rows.shape[0], array.size // array.shape[0]), value, jnp.float32)
    return ops.store_rows([array], rows, starts, values, implementation=implementation)[0]
