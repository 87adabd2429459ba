"""An optimizer step in a branch of `jax.lax.cond`: taken or not, tables change in place or stay."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxtbe.model.params import is_params
from jaxtbe.writes.overwrite import Overwrite


def update_if(condition: jax.Array, tx: optax.GradientTransformation, grads: Any, state: Any, params: Any) -> Any:
    """`tx.update`, or where `condition` is false, updates that change nothing and the state as it
    was.

    Tables are neither copied nor read for that: the new table leaves the branch as an array, and
    becomes an update outside.

    Args:
      condition: bool[].
      tx: the optimizer.
      grads, state, params: its arguments.
    """

    def step(grads, state, params):
        updates, state = tx.update(grads, state, params)
        return _tables_as_arrays(updates), state

    def skip(grads, state, params):
        del grads
        return jax.tree.map(lambda p: p if is_params(p) else jnp.zeros_like(p), params, is_leaf=is_params), state

    updates, state = jax.lax.cond(condition, step, skip, grads, state, params)
    return jax.tree.map(_as_update, params, updates, is_leaf=is_params), state


def _tables_as_arrays(updates: Any) -> Any:
    return jax.tree.map(lambda u: u.value if isinstance(u, Overwrite) else u, updates)


def _as_update(old: Any, new: Any) -> Any:
    if not is_params(old):
        return new
    return dataclasses.replace(new, tables={n: Overwrite(table, old.tables[n]) for n, table in new.tables.items()})
