"""`EmbeddingBags.assign`: storing rows outside any gradient."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import ops
from jaxtbe.batch.bags import Bags
from jaxtbe.model.feature import Feature
from jaxtbe.model.params import EmbeddingParams
from jaxtbe.model.spec import Spec
from jaxtbe.support.arguments import check_type
from jaxtbe.support.errors import value_error
from jaxtbe.writes.plan import plan_update, written_by_dtype
from jaxtbe.writes.reset import map_row_states
from jaxtbe.writes.store import fill_rows, store

API = "jaxtbe.EmbeddingBags.assign"


def check_values(api: str, spec: Spec, bags: Bags, feature: Feature, values: Mapping[str, Any]) -> jax.Array:
    """The values of a feature, one for each of its outputs, their shape checked."""
    obj, shape = f"feature {feature.name!r}", spec.acts_shape(feature, bags.batch_size)
    if feature.name not in values:
        raise value_error(
            api, obj, "an array for it", f"only {sorted(values)}", "Add it, or make the feature read_only"
        )
    array = jnp.asarray(values[feature.name])
    if array.shape != shape:
        raise value_error(api, obj, f"shape {shape}", str(array.shape), "Give it the shape of the lookup's output")
    return array


def assign(spec: Spec, params: EmbeddingParams, bags: Bags, values, opt_state, reset_state: bool, after) -> Any:
    """See `EmbeddingBags.assign`."""
    remedy = "Pass the EmbeddingParams alone, and put it back"
    check_type(API, "parameters", params, EmbeddingParams, "jaxtbe.EmbeddingParams", remedy)
    check_type(API, "values", values, Mapping, "a dict from feature name to array", "Pass {feature: values}")
    features = {f.name: f for f in spec.writing_features}
    unknown = [name for name in values if name not in features]
    if unknown or not values:
        got = str(unknown) if unknown else "none"
        raise value_error(
            API, "values", f"features among the writing ones, {sorted(features)}", got, "Correct the names"
        )
    checked = {name: check_values(API, spec, bags, features[name], values) for name in values}
    tokens = [jnp.asarray(x) for x in jax.tree.leaves(after)]

    tables = {t.name: params.table(t, API) for t in spec.tables}
    new_tables = _store(spec, bags, checked, tables, tokens)
    new_params = dataclasses.replace(params, tables={**params.tables, **new_tables})
    if not reset_state:
        return new_params
    return new_params, _reset(spec, params, bags, checked, opt_state)


def _store(spec, bags, values, tables: Mapping[str, jax.Array], tokens=()) -> dict[str, jax.Array]:
    """The tables that `values` change."""
    changed: dict[str, jax.Array] = {}
    for names in written_by_dtype(spec, values):
        share = plan_update(spec, bags, values, names, as_values=True)
        duplicates = tuple(spec.tables_by_name[n].duplicates for n in names)
        changed.update(store(spec, tables, names, share, tokens, duplicates=duplicates))
    return changed


def _reset(spec: Spec, params: EmbeddingParams, bags: Bags, values, opt_state):
    """The optimizer state, the rows that `values` assign as they begin."""
    from jaxtbe.writes.check_states import check_state_rows
    from jaxtbe.writes.optimizer_state import map_table_states

    assigned = {f.table for f in spec.writing_features if f.name in values}

    def reset(name, state):
        if name not in assigned:
            return state
        check_state_rows(API, name, params.tables[name].shape, state)
        return _restart_rows(spec, bags, values, name, state)

    return map_table_states(API, opt_state, params.tables, reset)


def _restart_rows(spec: Spec, bags: Bags, values, name: str, state):
    """What they begin with, zeros mostly, into the assigned rows of every state array of one table."""
    table = spec.tables_by_name[name]
    share = plan_update(spec, bags, values, [name], as_values=True)
    shares = [share] if share else []

    def restart(shares, states, tokens, _):
        del tokens
        shapes, _ = spec.placement.local_shapes([name], [(table.rows, table.dim)])
        rows, assigned, starts = ops.row_gradients(
            shares, shapes=shapes, duplicates=(table.duplicates,), implementation=spec.implementation
        )

        def fill(array, initial):
            if jnp.shape(array)[:1] != shapes[0][:1]:
                return array
            if initial is None:
                return ops.store_rows([array], rows, starts, assigned, implementation=spec.implementation)[0]
            return fill_rows(array, rows, starts, initial, spec.implementation)

        return [map_row_states(fill, state) for state in states]

    return spec.placement.change_rows(restart, [name], [(table.rows, table.dim)], shares, [state])[0]
