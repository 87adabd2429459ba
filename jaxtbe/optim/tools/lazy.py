"""`lazy`: any elementwise optax transformation, on the touched rows only."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxtbe import ops
from jaxtbe.model.table import DTYPES
from jaxtbe.optim.base import TableOptimizer, optimizer_of
from jaxtbe.optim.fused import check_precision
from jaxtbe.optim.group import Group
from jaxtbe.support.arguments import check_transformation
from jaxtbe.support.errors import type_error, value_error

API = "jaxtbe.optim.lazy"


def lazy(tx: optax.GradientTransformation) -> TableOptimizer:
    """Applies an elementwise optax transformation to the touched rows and their state rows alone.

    The moments of other rows do not decay, as those of a dense update would; counters advance every
    step. Shapes are bounded by the batch, so a step costs the same for any size of table.

    Args:
      tx: for instance `optax.adabelief(1e-3)`, `optax.lion(1e-4)` or `optax.rmsprop(1e-3)`. Its
        state may hold arrays shaped like the parameter, and scalars. It computes in float32; 16-bit
        tables are rounded to nearest.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`.

    Raises:
      ValueError: a transformation that mixes elements (trust ratios, norms, factored moments, rates
        learned from them) or that keeps gradients for later steps, when the state is made.
    """
    check_transformation(API, "transformation", tx)
    config = Lazy(tx)
    return optimizer_of(lambda table: config)


@dataclasses.dataclass(frozen=True)
class Lazy:
    """The configuration behind `lazy`."""

    tx: Any

    def init(self, table: jax.Array) -> dict[str, Any]:
        """The transformation's state for a table dtype[rows, dim], and what each of its leaves
        begins with: see `_beginnings`.
        """
        inner = self.tx.init(table)
        for path, leaf in jax.tree_util.tree_leaves_with_path(inner):
            if jnp.shape(leaf) not in ((), table.shape):
                raise value_error(
                    API,
                    f"state {jax.tree_util.keystr(path)}",
                    f"the parameter's shape {table.shape}, or a scalar",
                    f"shape {jnp.shape(leaf)}",
                    "Use a transformation whose state is per element, or an optimizer of jaxtbe.optim",
                )
            if jnp.ndim(leaf) and jnp.result_type(leaf) not in DTYPES:
                raise type_error(
                    API,
                    f"state {jax.tree_util.keystr(path)}",
                    "float32, bfloat16 or float16",
                    jnp.result_type(leaf).name,
                    "Use a transformation whose state is of floats, or an optimizer of jaxtbe.optim",
                )
        _check_kinds(inner)
        _check_elementwise(self.tx)
        return {"inner": inner, "initial": _beginnings(self.tx, table)}

    def states_for(self, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
        """The shapes and dtypes of the transformation's state, for a table of these."""
        return {"inner": jax.eval_shape(self.tx.init, jax.ShapeDtypeStruct(shape, dtype))}

    def group_key(self, table: str, shape: tuple[int, int], overwrites: bool) -> Any:
        """Tables of one dim and one transformation share a block."""
        if overwrites:
            raise value_error(
                API,
                f"table {table!r}",
                "optimizer sgd, since write_only features overwrite its rows",
                "a lazy transformation",
                "Give this table jaxtbe.optim.sgd, with jaxtbe.optim.per_table if others need another",
            )
        return id(self.tx), shape[1]

    def update(self, group: Group, tables, states, configs, count: jax.Array):
        """New tables and states of a group."""
        del configs, count
        rows, gradients, starts = ops.row_gradients(
            group.lookups, shapes=group.shapes, duplicates=group.duplicates, implementation=group.implementation
        )

        def gather(arrays):
            return ops.gather_rows(arrays, rows, starts, implementation=group.implementation)

        def store(arrays, block):
            return ops.store_rows(arrays, rows, starts, block, group.tokens, implementation=group.implementation)

        weights = gather(tables)
        inner_states = [s["inner"] for s in states]
        old = jax.tree.leaves(inner_states)
        per_table = len(old) // len(tables)
        old = [old[k::per_table] for k in range(per_table)]  # one list a leaf, over the tables
        block = [gather(x).astype(x[0].dtype) if jnp.ndim(x[0]) else x[0] for x in old]
        updates, new_inner = self.tx.update(gradients, _unflatten(inner_states[0], block), weights)
        new_tables = store(tables, weights + updates)
        new = []
        for arrays, leaf in zip(old, jax.tree.leaves(new_inner), strict=True):
            new.append(store(arrays, leaf.astype(jnp.float32)) if jnp.ndim(arrays[0]) else [leaf] * len(tables))
        by_table = [leaf for of_table in zip(*new, strict=True) for leaf in of_table] if new else []
        new_inner_states = _unflatten(inner_states, by_table)
        return new_tables, [{**s, "inner": x} for s, x in zip(states, new_inner_states, strict=True)]


def _unflatten(like: Any, leaves: list) -> Any:
    """The leaves, in the structure of `like`."""
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _beginnings(tx, table) -> list[Any]:
    """For each leaf of the state the number that it begins with, or None: with the parameter
    itself.
    """
    found: list[Any] = []
    with jax.ensure_compile_time_eval():
        # Of one row: reading an element of the whole state would gather one that is split over devices.
        rows = [jnp.full((1, table.shape[1]), x, table.dtype) for x in (0, 2)]
        of_zeros, of_twos = (tx.init(row) for row in rows)
        for (path, zero), two in zip(
            jax.tree_util.tree_leaves_with_path(of_zeros), jax.tree.leaves(of_twos), strict=True
        ):
            is_number = np.array_equal(zero, two, equal_nan=True)
            if not is_number and not (np.all(np.asarray(zero) == 0) and np.all(np.asarray(two) == 2)):
                raise value_error(
                    API,
                    f"state {jax.tree_util.keystr(path)}",
                    "one that begins with a number or with the parameter",
                    "another function of the parameter",
                    "Use a transformation whose state begins alike in every row, or an optimizer of jaxtbe.optim",
                )
            found.append(jnp.ravel(zero)[0] if is_number else None)
    return found


def _check_kinds(state: Any) -> None:
    """Refuses what accumulates gradients, and hyperparameters in 16 bits.

    A row whose gradient is accumulated need not be in the batch of the step that applies it.
    """
    kept = (optax.ApplyEvery, optax.MultiStepsState)
    for leaf in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kept) or hasattr(x, "hyperparams")):
        for number in getattr(leaf, "hyperparams", {}).values():
            check_precision(number)
        if isinstance(leaf, kept):
            raise value_error(
                API,
                "transformation",
                "one that trains a row in the step that touches it",
                f"one that keeps gradients for later steps, with {type(leaf).__name__} in its state",
                "Accumulate with jaxtbe.optim.multi_steps around the whole optimizer",
            )


def _check_elementwise(tx) -> None:
    """Runs the transformation on a small block: each element must do what it does alone, regardless
    of the others.
    """
    zeros = jnp.zeros((1, 1))
    try:
        jax.eval_shape(tx.update, zeros, tx.init(zeros), zeros)
    except TypeError as e:
        raise type_error(
            API,
            "transformation",
            "one whose update needs gradients, state and parameters alone",
            str(e).partition("\n")[0],
            "Use a transformation without further arguments, or an optimizer of jaxtbe.optim",
        ) from e

    @jax.jit
    def steps(w, g):
        state = tx.init(w)
        for _ in range(3):
            updates, state = tx.update(g, state, w)
            w = w + updates
        return w

    with jax.ensure_compile_time_eval(), jax.debug_nans(False):
        rng = np.random.default_rng(0)
        w, g = (rng.normal(size=(2, 3)).astype(np.float32) for _ in range(2))
        together = np.asarray(steps(w, g))
        alone = np.asarray(jax.vmap(steps)(w.reshape(6, 1, 1), g.reshape(6, 1, 1))).reshape(2, 3)
        # Rates that are learned from norms begin far below any tolerance, but no NaN is too small to see.
        w_nan, g_nan = w.copy(), g.copy()
        w_nan[0, 0] = g_nan[0, 0] = np.nan
        spoilt = [np.asarray(steps(w, g_nan)), np.asarray(steps(w_nan, g))]
        same = all(np.array_equal(x.ravel()[1:], together.ravel()[1:]) for x in spoilt)
    if not same or not np.allclose(together, alone, rtol=1e-4, atol=1e-6):
        raise value_error(
            API,
            "transformation",
            "an elementwise one",
            "updates of an element that depend on the others",
            "Use an elementwise transformation, or an optimizer of jaxtbe.optim such as lamb",
        )
