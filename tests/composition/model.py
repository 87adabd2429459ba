"""A model small enough to train in every cell, and its twin: the same numbers by `jnp.take`, with dense gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxtbe

ROWS, DIM, STEPS, RATE = 6, 3, 3, 0.1
EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=ROWS, dim=DIM)], [jaxtbe.Feature("x", table="t")])
# Every row in every batch: transformations with moments then do the same to sparse and dense gradients.
IDS = [np.array([[0, 1], [2, 3], [4, 5], [2, 2]]), np.array([[5, 4], [3, 2], [1, 0], [0, 1]])]
BATCHES = [EMB.bags({"x": ids}, capacity=8) for ids in IDS]


def start():
    rng = np.random.default_rng(0)
    return {
        "emb": jaxtbe.EmbeddingParams({"t": jnp.asarray(rng.normal(size=(ROWS, DIM)), jnp.float32)}),
        "w": jnp.asarray(rng.normal(size=DIM), jnp.float32),
    }


def loss(params, batch):
    """Of a batch of jaxtbe."""
    return jnp.mean(jnp.square(jnp.sin(EMB(params["emb"], batch)["x"] @ params["w"]) - 0.5))


def twin_loss(params, ids):
    """The same of plain ids [B, L]: nothing of jaxtbe but the container of the table."""
    acts = jnp.sum(jnp.take(params["emb"].tables["t"], ids, axis=0), axis=1)
    return jnp.mean(jnp.square(jnp.sin(acts @ params["w"]) - 0.5))


def sparse_partition(tables=None, dense=None):
    """SGD for the table and for the dense parameter, each through its own optimizer."""
    parts = {"tables": tables or jaxtbe.optim.sgd(RATE), "dense": dense or optax.sgd(RATE)}
    return optax.partition(parts, jaxtbe.optim.labels)


def dense_partition(tables=None, dense=None):
    parts = {"tables": tables or optax.sgd(RATE), "dense": dense or optax.sgd(RATE)}
    return optax.partition(parts, {"emb": "tables", "w": "dense"})


def train(tx, sparse: bool, jit: bool = True, steps: int = STEPS, with_state: bool = False):
    """Parameters after some steps, or these and the optimizer's state."""
    of_loss, batches = (loss, BATCHES) if sparse else (twin_loss, IDS)
    value_and_grad = jaxtbe.value_and_grad if sparse else jax.value_and_grad

    def step(params, state, batch):
        value, grads = value_and_grad(of_loss)(params, batch)
        extra = {} if not isinstance(tx, optax.GradientTransformationExtraArgs) else {"value": value}
        updates, state = tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, compiler_options={"xla_backend_optimization_level": 0}) if jit else step
    params = start()
    state = tx.init(params)
    for i in range(steps):
        params, state = step(params, state, batches[i % len(batches)])
    return (params, state) if with_state else params


def differs(got, want) -> str:
    """Where two parameter trees differ, or an empty text."""
    for path, a in jax.tree_util.tree_leaves_with_path(got):
        b = dict(jax.tree_util.tree_leaves_with_path(want))[path]
        if not np.allclose(a, b, rtol=2e-4, atol=2e-5, equal_nan=True):
            return f"{jax.tree_util.keystr(path)}: {np.asarray(a)} is not {np.asarray(b)}"
    return ""
