"""`Fused`: an optimizer that is a rule of the fused update, with its numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import ops
from jaxtbe.ops.rule import Rule
from jaxtbe.ops.targets.overwrite import OVERWRITE
from jaxtbe.optim.group import Group
from jaxtbe.optim.options import Options, check_number
from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.names import stable_id

STATE_DTYPES = (jnp.dtype(jnp.float32), jnp.dtype(jnp.bfloat16))


@dataclasses.dataclass(frozen=True)
class Fused:
    """A rule, its hyperparameters and options.

    Args:
      rule: the update rule.
      learning_rate: number, scalar array, or optax schedule (a function of the 0-based step).
      own: the rule's own numbers, in its order. A function `(step, values)` is computed from the
        1-based step.
      options: decay, clipping and rounding.
      mu_dtype: dtype of the state `mu`, float32 (also None) or bfloat16.
    """

    rule: Rule
    learning_rate: Any
    own: Mapping[str, Any]
    options: Options
    mu_dtype: Any = None

    def __post_init__(self):
        check_type("jaxtbe.optim", "rule", self.rule, Rule, "a jaxtbe.optim.Rule", "Pass the rule of an optimizer")
        check_type("jaxtbe.optim", "own", self.own, Mapping, "a dict from name to number", "Pass the rule's numbers")
        check_number("learning_rate", self.learning_rate)
        for name, number in self.own.items():
            check_number(name, number)
        # None, as in optax: a dtype is callable, and inject_hyperparams would take it for a schedule.
        object.__setattr__(self, "mu_dtype", jnp.dtype(self.mu_dtype or jnp.float32))
        if self.mu_dtype not in STATE_DTYPES:
            raise type_error(
                "jaxtbe.optim", "mu_dtype", "float32 or bfloat16", self.mu_dtype.name, "Choose one of the two"
            )

    def init(self, table: jax.Array) -> dict[str, jax.Array]:
        """Zero states for a table dtype[rows, dim]."""
        expected = self.states_for(table.shape, table.dtype)
        return {name: _zeros_beside(table, state.shape, state.dtype) for name, state in expected.items()}

    def states_for(self, shape: tuple[int, ...], dtype: Any) -> dict[str, jax.ShapeDtypeStruct]:
        """The shape and dtype of each state of a table dtype[rows, dim]."""
        del dtype  # float32 whatever the table is
        states = {}
        for state in self.rule.states:
            of_state = self.mu_dtype if state.name == "mu" else jnp.float32
            states[state.name] = jax.ShapeDtypeStruct(shape[:1] if state.per_row else shape, of_state)
        return states

    def group_key(self, table: str, shape: tuple[int, int], overwrites: bool) -> Any:
        """Tables of one dtype and equal keys can share a call."""
        del shape
        if overwrites and self.rule.name != "sgd":
            raise value_error(
                "jaxtbe.optim",
                f"table {table!r}",
                "optimizer sgd, since write_only features overwrite its rows",
                self.rule.name,
                "Give this table jaxtbe.optim.sgd, with jaxtbe.optim.per_table if others need another",
            )
        seed = self.options.seed
        return OVERWRITE if overwrites else self.rule, self.mu_dtype, seed if isinstance(seed, int) else id(seed)

    def hypers(self, count: jax.Array, overwrites: bool) -> jax.Array:
        """f32[K], the table's row of the update's `hyper` operand, at the 0-based step `count`."""
        lr = self.learning_rate(count) if callable(self.learning_rate) else self.learning_rate
        step = (count + 1).astype(jnp.float32)
        values: dict[str, Any] = {}
        for name, number in self.own.items():
            values[name] = number(step, values) if callable(number) else number
        numbers = [*self.options.hypers(lr, overwrites), *([] if overwrites else values.values())]
        for number in numbers:
            check_precision(number)
        return jnp.stack([_number(x) for x in numbers])

    def update(self, group: Group, tables, states, configs, count: jax.Array):
        """New tables and states of a group, `configs` being those of its tables."""
        rule = OVERWRITE if group.overwrites else self.rule
        new_tables, new_states = ops.update(
            tables,
            [[of_table[s.name] for s in rule.states] for of_table in states],
            jnp.stack([config.hypers(count, group.overwrites) for config in configs]),
            jnp.stack([_words(x) for x in (self.options.seed, count, *group.first_rows)]),
            group.lookups,
            group.tokens,
            rule=rule,
            duplicates=group.duplicates,
            table_ids=tuple(stable_id(n) for n in group.tables),
            implementation=group.implementation,
        )
        return new_tables, [dict(zip((s.name for s in rule.states), new, strict=True)) for new in new_states]


def _number(x: Any) -> jax.Array:
    """f32[]. A schedule may return anything."""
    if not isinstance(x, int | float) or isinstance(x, bool):
        check_array("jaxtbe.optim", "hyperparameters", x, "numbers or scalar arrays", 0)
    return jnp.asarray(float(x) if isinstance(x, int) else x, jnp.float32)


def _words(number: Any) -> jax.Array:
    """u32[]. A Python number past int32 goes through NumPy: JAX would refuse it."""
    return jnp.asarray(np.uint32(number) if isinstance(number, int | np.integer) else number).astype(jnp.uint32)


def check_precision(number: Any) -> None:
    """`optax.inject_hyperparams` gives numbers the dtype of the parameters, in which 0.999 is 1."""
    dtype = getattr(number, "dtype", jnp.dtype(jnp.float32))
    if dtype in (jnp.bfloat16, jnp.float16):
        raise type_error(
            "jaxtbe.optim",
            "hyperparameters",
            "float32 or Python numbers",
            dtype.name,
            "Use jaxtbe.optim.inject_hyperparams, or hyperparam_dtype=jnp.float32 of optax's; let schedules return float32",
        )


def _zeros_beside(table: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Zeros on the devices of the table's rows."""
    place = None if isinstance(table, jax.core.Tracer) else getattr(table, "sharding", None)
    if isinstance(place, jax.sharding.NamedSharding):
        rows = place.spec[:1]
        return jnp.zeros(shape, dtype, device=jax.sharding.NamedSharding(place.mesh, jax.sharding.PartitionSpec(*rows)))
    return jnp.zeros(shape, dtype)
