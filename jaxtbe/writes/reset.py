"""Re-initialises evicted rows, with their optimizer state."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import ops, zch
from jaxtbe.model.params import EmbeddingParams
from jaxtbe.model.spec import Spec
from jaxtbe.model.table import Table
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.names import stable_id
from jaxtbe.writes.store import fill_rows

API = "jaxtbe.EmbeddingBags.reset_rows"


def reset_rows(
    spec: Spec, params: EmbeddingParams, opt_state: Any, reports: Mapping[str, zch.ZchReport], seed: Any
) -> tuple[EmbeddingParams, Any]:
    """See `EmbeddingBags.reset_rows`."""
    from jaxtbe.writes.check_states import check_state_rows
    from jaxtbe.writes.optimizer_state import map_table_states

    if not isinstance(params, EmbeddingParams):
        raise type_error(
            API,
            "parameters",
            "jaxtbe.EmbeddingParams",
            type(params).__name__,
            "Pass the EmbeddingParams alone, and put it back",
        )
    _check_reports(spec, reports)
    tables = dict(params.tables)
    for table in spec.tables:
        if table.name in reports:
            array = params.table(table, API)
            tables[table.name] = _reset_table(spec, table, array, reports[table.name], seed)

    def reset_state(name: str, state: Any) -> Any:
        if name not in reports:
            return state
        check_state_rows(API, name, tables[name].shape, state)
        return _reset_state(spec, name, tables[name], state, reports[name])

    if opt_state is not None:
        opt_state = map_table_states(API, opt_state, params.tables, reset_state)
    return dataclasses.replace(params, tables=tables), opt_state


def _check_reports(spec: Spec, reports: Mapping[str, zch.ZchReport]) -> None:
    unknown = [name for name in reports if name not in spec.tables_by_name]
    if unknown:
        raise value_error(
            API, "reports", f"tables among {sorted(spec.tables_by_name)}", str(unknown), "Correct the names"
        )
    for name, report in reports.items():
        count = jnp.shape(report.evicted)
        if len(count) != 1 or jnp.shape(report.evicted_ids) != (*count, 2):
            raise value_error(
                API,
                f"report of table {name!r}",
                "evicted i32[N] and evicted_ids u32[N, 2]",
                f"shapes {count} and {jnp.shape(report.evicted_ids)}",
                "Pass the report as remap returned it",
            )


def _reset_table(spec: Spec, table: Table, array: jax.Array, report: zch.ZchReport, seed: Any) -> jax.Array:
    def from_hash(array, evicted, ids, seed):
        new, _ = ops.reset_rows(
            array,
            [],
            evicted,
            ids,
            seed,
            table_number=stable_id(table.name),
            scale=1.0 / math.sqrt(table.dim),
            implementation=spec.implementation,
        )
        return new

    initializer: Any = table.initializer

    def from_initializer(array, evicted, ids, seed):
        # Any initializer, one row at a time, from a key of (seed, table, id).
        key = jax.random.fold_in(jax.random.key(seed), stable_id(table.name))

        def row(words):
            of_id = jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])
            return initializer(of_id, (1, table.dim), table.dtype)[0].astype(jnp.float32)

        starts = jnp.asarray([0, evicted.shape[0]], jnp.int32)
        values = jax.vmap(row)(ids)
        return ops.store_rows([array], evicted, starts, values, implementation=spec.implementation)[0]

    reset = from_hash if initializer is None else from_initializer
    return spec.placement.on_evicted_rows(table, reset, array, report, jnp.asarray(seed, jnp.uint32))


def _reset_state(spec: Spec, name: str, weights: jax.Array, state: Any, report: zch.ZchReport) -> Any:
    table = spec.tables_by_name[name]

    def fill(leaf_and_initial, evicted, ids, _):
        del ids
        array, initial = leaf_and_initial
        starts = jnp.asarray([0, evicted.shape[0]], jnp.int32)
        return fill_rows(array, evicted, starts, initial, spec.implementation), initial

    def copy(leaf_and_weights, evicted, ids, _):
        del ids
        array, weights = leaf_and_weights
        starts = jnp.asarray([0, evicted.shape[0]], jnp.int32)
        rows = ops.gather_rows([weights], evicted, starts, implementation=spec.implementation)
        new = ops.store_rows([array], evicted, starts, rows, implementation=spec.implementation)[0]
        return new, weights[:0]  # of a table's rank, and not a table

    def of_leaf(array, initial):
        if jnp.shape(array)[:1] != (table.rows,):
            return array
        if initial is None:
            return spec.placement.on_evicted_rows(table, copy, (array, weights), report, ())[0]
        return spec.placement.on_evicted_rows(table, fill, (array, jnp.asarray(initial)), report, ())[0]

    return map_row_states(of_leaf, state)


def map_row_states(change: Callable[[jax.Array, Any], jax.Array], state: Any) -> Any:
    """`change(array, initial)` of each state of a table, `initial` being the number that it begins
    with, or None: the row.
    """
    if "initial" not in state:  # of a rule: states begin with zeros
        return {k: change(array, 0.0) for k, array in state.items()}
    leaves = [change(a, i) for a, i in zip(jax.tree.leaves(state["inner"]), state["initial"], strict=True)]
    return {**state, "inner": jax.tree.unflatten(jax.tree.structure(state["inner"]), leaves)}
