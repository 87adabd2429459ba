"""jaxtbe through its public interface."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe
from benchmarks.cases import EPS, Case
from benchmarks.data import Data
from benchmarks.implementations.jax_tables import make_table


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        self.case, self.emb = case, _embedding_bags(case)
        self.batches = [self._bags(ids) for ids in data.ids]
        self.d_acts = [jnp.asarray(d) for d in data.d_acts]
        tables = {t.name: make_table(data.period(i), w.rows, t.dtype) for i, t in enumerate(self.emb.tables)}
        self.params = jaxtbe.EmbeddingParams(tables)
        self.tx = _optimizer(case)
        self.state = self.tx.init(self.params)
        jaxtbe.use_huge_pages((self.params, self.state))
        self.acts = None
        self.forward = jax.jit(self.emb.concat)
        self.step = jax.jit(_step(case, self.emb, self.tx), donate_argnums=() if case.op == "forward" else (0, 1))

    def _bags(self, ids: np.ndarray):
        return jax.device_put(self.emb.bags({f.name: ids[i] for i, f in enumerate(self.emb.features)}))

    def run(self, batch: int) -> float:
        bags, d_acts = self.batches[batch], self.d_acts[batch]
        if self.case.follows_forward:  # as in training, and as torch's autograd makes its peers do
            jax.block_until_ready(self.forward(self.params, bags))
        start = time.perf_counter()
        if self.case.op == "forward":
            self.acts = jax.block_until_ready(self.step(self.params, bags))
        else:
            self.params, self.state = jax.block_until_ready(self.step(self.params, self.state, bags, d_acts))
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        return np.asarray(self.acts)

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.params.tables[f"t{table}"][rows].astype(jnp.float32))


def _embedding_bags(case: Case) -> jaxtbe.EmbeddingBags:
    w = case.workload
    duplicates = "first" if case.op in ("writeback", "assign") else "sum"
    dtype = jnp.dtype(w.dtype)
    pooling = ("sum", None) if w.pooled else ("none", w.hotness)
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table(f"t{i}", rows=w.rows, dim=w.dim, dtype=dtype, duplicates=duplicates) for i in range(w.tables)],
        [jaxtbe.Feature(f"f{i}", f"t{i}", pooling=pooling[0], max_length=pooling[1]) for i in range(w.tables)],
    )


def _optimizer(case: Case):
    if case.optimizer in ("adagrad", "rowwise_adagrad"):
        return getattr(jaxtbe.optim, case.optimizer)(case.learning_rate, eps=EPS)
    return jaxtbe.optim.sgd(case.learning_rate)


def split(case: Case, emb: jaxtbe.EmbeddingBags, d_acts: jax.Array) -> dict[str, jax.Array]:
    """[B, columns] as the dict that a lookup returns."""
    w = case.workload
    shape = (w.batch, w.dim) if w.pooled else (w.batch, w.hotness, w.dim)
    return {f.name: p.reshape(shape) for f, p in zip(emb.features, jnp.split(d_acts, w.tables, axis=1), strict=True)}


def _step(case: Case, emb: jaxtbe.EmbeddingBags, tx):
    """The function to compile."""

    def update(grads, state, params):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def forward(params, bags):
        return emb.concat(params, bags)

    def backward(params, state, bags, d_acts):
        return update(emb.gradient(bags, split(case, emb, d_acts)), state, params)

    def assign(params, state, bags, values):
        return emb.assign(params, bags, split(case, emb, values)), state

    def train(params, state, bags, target):
        def loss(params):
            return 0.5 * jnp.sum(jnp.square(emb.concat(params, bags) - target))

        return update(jaxtbe.grad(loss)(params), state, params)

    if case.op in ("forward", "assign"):
        return {"forward": forward, "assign": assign}[case.op]
    return train if case.is_step else backward
