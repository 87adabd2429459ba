"""Table optimizers as optax transformations: they call the fused update and hand back the new
tables.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxtbe.autodiff.embedding_grad import EmbeddingGrad, is_grad
from jaxtbe.autodiff.fault_counts import add_faults, no_faults
from jaxtbe.autodiff.unstack import unstack
from jaxtbe.model.params import check_tables, is_params
from jaxtbe.ops.rule import Rule
from jaxtbe.optim.fused import Fused
from jaxtbe.optim.group import Group, make_groups
from jaxtbe.optim.options import Options
from jaxtbe.optim.table_config import TableConfig
from jaxtbe.support.arguments import check_array, check_shape, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.writes.check_states import check_states
from jaxtbe.writes.optimizer_state import TableOptimizerState as TableOptimizerState
from jaxtbe.writes.overwrite import Overwrite

API = "jaxtbe.optim"


class TableOptimizer(optax.GradientTransformation):
    """An `optax.GradientTransformation` over `EmbeddingParams` that can say what it does to each
    table.
    """

    config_of: Callable[[str], TableConfig]


def table_optimizer(
    rule: Rule, learning_rate: Any, own: Mapping[str, Any], options: Options, mu_dtype: Any = None
) -> TableOptimizer:
    """One rule for every table. See `Fused` for the arguments."""
    config = Fused(rule, learning_rate, own, options, mu_dtype)
    return optimizer_of(lambda table: config)


def optimizer_of(config_of: Callable[[str], TableConfig]) -> TableOptimizer:
    """The transformation that treats each table as `config_of` says."""

    def init(params):
        _check_params(params)

        def states(p):
            return {name: config_of(name).init(table) for name, table in p.tables.items()}

        return TableOptimizerState(
            count=jnp.zeros((), jnp.int32),
            tables=jax.tree.map(states, params, is_leaf=is_params),
            faults=jax.tree.map(lambda p: no_faults(p.tables), params, is_leaf=is_params),
        )

    def update(grads, state, params=None):
        if params is None:
            raise value_error(
                API, "update", "the parameters", "None", "Call tx.update(grads, state, params): tables change in place"
            )
        _check_params(params)
        _check_state(state)
        leaves = jax.tree.leaves(params, is_leaf=is_params)
        structure: Any = jax.tree.structure(params, is_leaf=is_params)
        all_grads = jax.tree.leaves(grads, is_leaf=is_grad)
        _check_grads(all_grads, leaves)
        all_grads = [unstack(g) for g in all_grads]
        new_params, new_states, new_faults = [], [], []
        for p, grad, states, faults in zip(
            leaves, all_grads, structure.flatten_up_to(state.tables), structure.flatten_up_to(state.faults), strict=True
        ):
            check_shape(API, "faults of the optimizer state", faults, (len(p.tables), 4))
            tables, states = update_tables(p.tables, states, grad, state.count, config_of)
            new_params.append(dataclasses.replace(p, tables={n: Overwrite(t, p.tables[n]) for n, t in tables.items()}))
            new_states.append(states)
            for share in grad.lookups:
                faults = add_faults(faults, p.tables, share.spec, share.faults)
            new_faults.append(faults)
        return structure.unflatten(new_params), TableOptimizerState(
            optax.safe_increment(state.count), structure.unflatten(new_states), structure.unflatten(new_faults)
        )

    optimizer = TableOptimizer(init, update)
    optimizer.config_of = config_of
    return optimizer


def update_tables(tables, states, grad: EmbeddingGrad, count: jax.Array, config_of: Callable[[str], TableConfig]):
    """New tables and states of one `EmbeddingParams`: one fused call for each (dtype, rule)."""
    tables, states = dict(tables), dict(states)
    configs = {name: config_of(name) for name in tables}
    check_states(configs, tables, states)
    for group in make_groups(
        tables, grad, lambda name, *about: (type(configs[name]), configs[name].group_key(name, *about))
    ):
        names = group.tables
        arrays = [(tables[n], states[n]) for n in names]
        new = _update_group(group, arrays, [configs[n] for n in names], count)
        for name, (table, state) in zip(names, new, strict=True):
            tables[name], states[name] = table, state
    return tables, states


def _update_group(
    group: Group, arrays: list[tuple[Any, Any]], configs: list[TableConfig], count: Any
) -> list[tuple[Any, Any]]:
    """New (table, state) of each table of a group."""

    def change(shares, arrays, tokens, count):
        tables, states = (list(x) for x in zip(*arrays, strict=True))
        shapes, first_rows = group.placement.local_shapes(group.tables, group.shapes)
        own = dataclasses.replace(
            group, lookups=tuple(shares), tokens=tuple(tokens), shapes=shapes, first_rows=first_rows
        )
        return list(zip(*configs[0].update(own, tables, states, configs, count), strict=True))

    return group.placement.change_rows(change, group.tables, group.shapes, group.lookups, arrays, group.tokens, count)


def _check_params(params) -> None:
    for leaf in jax.tree.leaves(params, is_leaf=is_params):
        if not is_params(leaf):
            raise type_error(
                API,
                "parameters",
                "jaxtbe.EmbeddingParams only",
                f"a {type(leaf).__name__} beside them",
                "Give dense parameters their own optimizer with optax.partition",
            )
        check_tables(API, leaf, arrays=True)


def _check_state(state) -> None:
    remedy = "Pass the state that tx.init or the last update returned"
    kind = "a state of a jaxtbe.optim optimizer"
    check_type(API, "optimizer state", state, TableOptimizerState, kind, remedy)
    check_array(API, "count of the optimizer state", state.count, "an array i32[]", 0)
    if not jnp.issubdtype(state.count.dtype, jnp.integer):
        raise type_error(API, "count of the optimizer state", "an array i32[]", str(state.count.dtype), remedy)


def _check_grads(grads, params) -> None:
    wrong = [g for g in grads if not is_grad(g)]
    if wrong or len(grads) != len(params):
        got = f"a {type(wrong[0]).__name__}" if wrong else f"{len(grads)} of them"
        raise type_error(
            API,
            "gradient",
            f"{len(params)} jaxtbe.EmbeddingGrad, one for each EmbeddingParams",
            got,
            "Take the gradient with jaxtbe.value_and_grad; dense gradients of tables go to optax optimizers",
        )
