"""Table optimizers as optax transformations: they call the fused update and hand back the new tables."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxtbe import ops
from jaxtbe.checks import FaultCounts
from jaxtbe.embedding_grad import EmbeddingGrad
from jaxtbe.errors import type_error, value_error
from jaxtbe.names import stable_id
from jaxtbe.ops.overwrite import OVERWRITE
from jaxtbe.ops.rule import Rule
from jaxtbe.optim.config import Config
from jaxtbe.optim.options import Options
from jaxtbe.params import EmbeddingParams, Overwrite
from jaxtbe.update_plan import plan_update

API = "jaxtbe.optim"


class TableOptimizerState(NamedTuple):
    """State of a table optimizer.

    Args:
      count: i32[], steps taken.
      tables: the params tree, with {table: {state: array}} in place of each `EmbeddingParams`.
      faults: the params tree, with a `FaultCounts` in place of each `EmbeddingParams`. See `jaxtbe.check`.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's name, which tuples use too
    tables: Any
    faults: Any


class TableOptimizer(optax.GradientTransformation):
    """An `optax.GradientTransformation` over `EmbeddingParams` that can say what it does to each table."""

    config_of: Callable[[str], Config]


def table_optimizer(
    rule: Rule, learning_rate: Any, own: Mapping[str, Any], options: Options, mu_dtype: Any = None
) -> TableOptimizer:
    """One rule for every table. See `Config` for the arguments."""
    config = Config(rule, learning_rate, own, options, mu_dtype)
    return optimizer_of(lambda table: config)


def optimizer_of(config_of: Callable[[str], Config]) -> TableOptimizer:
    """The transformation that treats each table as `config_of` says."""

    def init(params):
        _check_params(params)

        def states(p):
            return {name: config_of(name).init_states(table) for name, table in p.tables.items()}

        return TableOptimizerState(
            count=jnp.zeros((), jnp.int32),
            tables=jax.tree.map(states, params, is_leaf=_is_params),
            faults=jax.tree.map(lambda p: FaultCounts.zeros(tuple(sorted(p.tables))), params, is_leaf=_is_params),
        )

    def update(grads, state, params=None):
        if params is None:
            raise value_error(
                API, "update", "the parameters", "None", "Call tx.update(grads, state, params): tables change in place"
            )
        _check_params(params)
        leaves = jax.tree.leaves(params, is_leaf=_is_params)
        structure: Any = jax.tree.structure(params, is_leaf=_is_params)
        all_grads = jax.tree.leaves(grads, is_leaf=_is_grad)
        _check_grads(all_grads, leaves)
        new_params, new_states, new_faults = [], [], []
        for p, grad, states, faults in zip(
            leaves, all_grads, structure.flatten_up_to(state.tables), structure.flatten_up_to(state.faults), strict=True
        ):
            tables, states = update_tables(p.tables, states, grad, state.count, config_of)
            new_params.append(dataclasses.replace(p, tables={name: Overwrite(t) for name, t in tables.items()}))
            new_states.append(states)
            for share in grad.lookups:
                faults = faults.add(share.spec, share.faults)
            new_faults.append(faults)
        return structure.unflatten(new_params), TableOptimizerState(
            optax.safe_increment(state.count), structure.unflatten(new_states), structure.unflatten(new_faults)
        )

    optimizer = TableOptimizer(init, update)
    optimizer.config_of = config_of
    return optimizer


def update_tables(tables, states, grad: EmbeddingGrad, count, config_of):
    """New tables and states of one `EmbeddingParams`: one fused call for each (dtype, rule)."""
    tables, states = dict(tables), dict(states)
    for group in _groups(tables, grad, config_of):
        names, rule = group.tables, group.rule
        shares = [plan_update(l.spec, l.bags, l.d_acts, names) for l in grad.lookups]
        seed = jnp.asarray(group.seed).astype(jnp.uint32)
        new_tables, new_states = ops.update(
            [tables[n] for n in names],
            [[states[n][s.name] for s in rule.states] for n in names],
            jnp.stack([config_of(n).hypers(count)[: group.num_hypers] for n in names]),
            jnp.stack([seed, count.astype(jnp.uint32)]),
            [s for s in shares if s is not None],
            grad.tokens,
            rule=rule,
            duplicates=group.duplicates,
            table_ids=tuple(stable_id(n) for n in names),
            implementation=group.implementation,
        )
        tables.update(zip(names, new_tables, strict=True))
        for name, new in zip(names, new_states, strict=True):
            states[name] = dict(zip((s.name for s in rule.states), new, strict=True))
    return tables, states


@dataclasses.dataclass(frozen=True)
class _Group:
    """Tables that one fused call updates."""

    tables: tuple[str, ...]
    rule: Rule
    num_hypers: int | None
    seed: Any
    duplicates: tuple[str, ...]
    implementation: str | None


_MAX_ROWS = 2**32 - 1  # of the tables of one call together


def _groups(tables, grad: EmbeddingGrad, config_of) -> list[_Group]:
    specs = list(dict.fromkeys(l.spec for l in grad.lookups))
    groups: dict[Any, list] = {}
    rows: dict[Any, int] = {}
    for name, table in tables.items():
        writers = [s for s in specs if any(f.table == name for f in s.writing_features)]
        if not writers:
            continue
        _check_writers(name, table, writers)
        config = config_of(name)
        rule = _rule(name, config, writers[0])
        seed = config.options.seed
        key = (jnp.dtype(table.dtype), rule, config.mu_dtype, seed if isinstance(seed, int) else id(seed))
        rows[key] = rows.get(key, 0) + table.shape[0]
        key_with_part = (*key, rows[key] // _MAX_ROWS)
        groups.setdefault(key_with_part, []).append((name, config, writers[0]))
    return [
        _Group(
            tables=tuple(name for name, _, _ in members),
            rule=key[1],
            num_hypers=6 if key[1] is OVERWRITE else None,
            seed=members[0][1].options.seed,
            duplicates=tuple(spec.tables_by_name[name].duplicates for name, _, spec in members),
            implementation=members[0][2].implementation,
        )
        for key, members in groups.items()
    ]


def _rule(name: str, config: Config, spec) -> Rule:
    if not spec.is_write_only(name):
        return config.rule
    if config.rule.name != "sgd":
        raise value_error(
            API,
            f"table {name!r}",
            "optimizer sgd, since write_only features overwrite its rows",
            config.rule.name,
            "Give this table jaxtbe.optim.sgd, with jaxtbe.optim.per_table if others need another",
        )
    return OVERWRITE


def _check_writers(name, table, specs) -> None:
    """The gradient's specs must agree with the array, and with each other where they write one table."""
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
                f"{described} and {other}",
                "Let the EmbeddingBags that share a table describe it alike",
            )


def _is_params(x) -> bool:
    return isinstance(x, EmbeddingParams)


def _is_grad(x) -> bool:
    return isinstance(x, EmbeddingGrad)


def _check_params(params) -> None:
    for leaf in jax.tree.leaves(params, is_leaf=_is_params):
        if not _is_params(leaf):
            raise type_error(
                API,
                "parameters",
                "jaxtbe.EmbeddingParams only",
                f"a {type(leaf).__name__} beside them",
                "Give dense parameters their own optimizer with optax.partition",
            )


def _check_grads(grads, params) -> None:
    wrong = [g for g in grads if not _is_grad(g)]
    if wrong or len(grads) != len(params):
        got = f"a {type(wrong[0]).__name__}" if wrong else f"{len(grads)} of them"
        raise type_error(
            API,
            "gradient",
            f"{len(params)} jaxtbe.EmbeddingGrad, one for each EmbeddingParams",
            got,
            "Take the gradient with jaxtbe.value_and_grad; dense gradients of tables go to optax optimizers",
        )
    for grad in grads:
        for share in grad.lookups:
            if share.bags.ids.dtype != jnp.int32 or share.bags.offsets.dtype != jnp.int32:
                raise type_error(
                    API,
                    "gradient",
                    "int32 ids, as the lookup had them",
                    f"{share.bags.ids.dtype.name}: another transformation has computed with them",
                    "Put table optimizers first in optax.chain, or use the gradient tools of jaxtbe.optim",
                )
