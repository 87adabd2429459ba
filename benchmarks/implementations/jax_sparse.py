"""What a careful JAX user writes by hand: unique rows, `segment_sum`, and scatter-adds into donated tables."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.cases import EPS, Case
from benchmarks.data import Data
from benchmarks.implementations.jax_tables import join, make_table


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        self.case = case
        self.ids = [jnp.asarray(ids) for ids in data.ids]
        self.d_acts = [jnp.asarray(d) for d in data.d_acts]
        self.tables = [make_table(data.period(t), w.rows, w.dtype) for t in range(w.tables)]
        self.states = [_state(case, table) for table in self.tables]
        self.acts = None
        self.forward = jax.jit(lambda tables, ids: join(_lookup(case, tables, ids)))
        self.step = jax.jit(_step(case), donate_argnums=(0, 1))

    def run(self, batch: int) -> float:
        ids, d_acts = self.ids[batch], self.d_acts[batch]
        start = time.perf_counter()
        if self.case.op == "forward":
            self.acts = jax.block_until_ready(self.forward(self.tables, ids))
        else:
            self.tables, self.states = jax.block_until_ready(self.step(self.tables, self.states, ids, d_acts))
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        return np.asarray(self.acts)

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.tables[table][rows])


def _state(case: Case, table: jax.Array) -> jax.Array:
    shapes = {"adagrad": table.shape, "rowwise_adagrad": table.shape[:1]}
    return jnp.zeros(shapes.get(case.optimizer, (1,)), jnp.float32)


def _lookup(case: Case, tables, ids) -> list[jax.Array]:
    """Bags have one length here, which spares a `segment_sum`."""
    rows = [table[of_table] for table, of_table in zip(tables, ids, strict=True)]
    return [r.sum(axis=1) for r in rows] if case.workload.pooled else rows


def _step(case: Case):
    w = case.workload

    def update(table, state, ids, d_acts):
        if w.pooled:
            d_acts = jnp.broadcast_to(d_acts[:, None, :], (w.batch, w.hotness, w.dim))
        values, ids = d_acts.reshape(-1, w.dim), ids.reshape(-1)
        if case.op == "assign":
            return table.at[ids].set(values), state
        # Past the distinct rows, `rows` is filled with a row that does not exist, which scatters drop.
        rows, places = jnp.unique(ids, size=ids.size, fill_value=w.rows, return_inverse=True)
        gradient = jax.ops.segment_sum(values, places, ids.size)
        change, state = _apply(case, state, rows, gradient)
        return table.at[rows].add(change, mode="drop", indices_are_sorted=True), state

    def step(tables, states, ids, d_acts):
        if case.is_step:
            d_acts = join(_lookup(case, tables, ids)) - d_acts
        parts = jnp.split(d_acts, w.tables, axis=1)
        new = [update(*args) for args in zip(tables, states, ids, parts, strict=True)]
        return [table for table, _ in new], [state for _, state in new]

    return step


def _apply(case: Case, state, rows, gradient):
    """What to add to the rows, and the new state."""
    if case.optimizer == "sgd":
        return -case.learning_rate * gradient, state
    square = gradient**2 if case.optimizer == "adagrad" else jnp.mean(gradient**2, axis=1)
    state = state.at[rows].add(square, mode="drop", indices_are_sorted=True)
    root = jnp.sqrt(state.at[rows].get(mode="fill", fill_value=1.0, indices_are_sorted=True)) + EPS
    root = root if case.optimizer == "adagrad" else root[:, None]
    return -case.learning_rate * gradient / root, state
