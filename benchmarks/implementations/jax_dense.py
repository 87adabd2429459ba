"""What most JAX programs do: `jnp.take`, a gradient as large as the table, and optax over all of it."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.cases import EPS, Case
from benchmarks.data import Data
from benchmarks.implementations.jax_tables import join, make_table


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        self.case = case
        self.ids = [jnp.asarray(ids) for ids in data.ids]
        self.targets = [jnp.asarray(d) for d in data.d_acts]
        self.tables = [make_table(data.period(t), w.rows, w.dtype) for t in range(w.tables)]
        self.tx = _optimizer(case)
        self.state = self.tx.init(self.tables)
        self.acts = None
        self.forward = jax.jit(lambda tables, ids: join(_lookup(case, tables, ids)))
        self.step = jax.jit(_train(case, self.tx), donate_argnums=(0, 1))

    def run(self, batch: int) -> float:
        ids, target = self.ids[batch], self.targets[batch]
        start = time.perf_counter()
        if self.case.op == "forward":
            self.acts = jax.block_until_ready(self.forward(self.tables, ids))
        else:
            self.tables, self.state = jax.block_until_ready(self.step(self.tables, self.state, ids, target))
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        return np.asarray(self.acts)

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.tables[table][rows])


def _optimizer(case: Case) -> optax.GradientTransformation:
    if case.optimizer == "adagrad":
        return optax.adagrad(case.learning_rate, initial_accumulator_value=0.0, eps=EPS**2)  # inside the root
    return optax.sgd(case.learning_rate)


def _lookup(case: Case, tables, ids) -> list[jax.Array]:
    """Bags are ragged in general, so rows are added with `segment_sum`."""
    w = case.workload
    acts = []
    for table, of_table in zip(tables, ids, strict=True):
        rows = jnp.take(table, of_table.reshape(-1), axis=0)
        if w.pooled:
            bags = jnp.repeat(jnp.arange(w.batch), w.hotness)
            rows = jax.ops.segment_sum(rows, bags, w.batch, indices_are_sorted=True)
        acts.append(rows.reshape(w.batch, -1))
    return acts


def _train(case: Case, tx):
    def step(tables, state, ids, target):
        def loss(tables):
            return 0.5 * jnp.sum(jnp.square(join(_lookup(case, tables, ids)) - target))

        updates, state = tx.update(jax.grad(loss)(tables), state, tables)
        return optax.apply_updates(tables, updates), state

    return step
