"""`lazy`: any elementwise optax transformation, on the touched rows only."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxtbe import ops
from jaxtbe.arguments import check_transformation
from jaxtbe.errors import type_error, value_error
from jaxtbe.optim.base import TableOptimizer, optimizer_of
from jaxtbe.optim.group import Group
from jaxtbe.tables import DTYPES

API = "jaxtbe.optim.lazy"


def lazy(tx: optax.GradientTransformation) -> TableOptimizer:
    """Applies an elementwise optax transformation to the touched rows and their state rows alone.

    The moments of other rows do not decay, as those of a dense update would; counters advance every step. Shapes are bounded
    by the batch, so a step costs the same whatever the table's size.

    Args:
      tx: for instance `optax.adabelief(1e-3)`, `optax.lion(1e-4)` or `optax.rmsprop(1e-3)`. Its state may hold arrays shaped
        like the parameter, and scalars. It computes in float32; 16-bit tables are rounded to nearest.

    Returns:
      An `optax.GradientTransformation` over `EmbeddingParams`.

    Raises:
      ValueError: a transformation that mixes elements (trust ratios, norms, factored moments), when the state is made.
    """
    check_transformation(API, "transformation", tx)
    config = Lazy(tx)
    return optimizer_of(lambda table: config)


@dataclasses.dataclass(frozen=True)
class Lazy:
    """The configuration behind `lazy`."""

    tx: Any

    def init(self, table: jax.Array) -> dict[str, Any]:
        """The transformation's state for a table dtype[rows, dim], and the initial value of each of its leaves."""
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
        _check_elementwise(self.tx)
        # Of one row: reading an element of the whole state would gather one that is split over devices.
        of_a_row = jax.tree.leaves(self.tx.init(jnp.zeros((1, table.shape[1]), table.dtype)))
        return {"inner": inner, "initial": [jnp.ravel(leaf)[0] for leaf in of_a_row]}

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


def _check_elementwise(tx) -> None:
    """Runs the transformation on a small block and on each element alone: they must agree."""
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
    with jax.ensure_compile_time_eval():
        rng = np.random.default_rng(0)
        w, g = (jnp.asarray(rng.normal(size=(2, 3)), jnp.float32) for _ in range(2))

        def two_steps(w, g):
            state = tx.init(w)
            for _ in range(2):
                updates, state = tx.update(g, state, w)
                w = w + updates
            return w

        together = np.asarray(jax.jit(two_steps)(w, g))
        alone = np.asarray(jax.jit(jax.vmap(two_steps))(w.reshape(6, 1, 1), g.reshape(6, 1, 1))).reshape(2, 3)
    if not np.allclose(together, alone, rtol=1e-4, atol=1e-6):
        raise value_error(
            API,
            "transformation",
            "an elementwise one",
            "updates of an element that depend on the others",
            "Use an elementwise transformation, or an optimizer of jaxtbe.optim such as lamb",
        )
