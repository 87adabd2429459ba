"""Training loops as Flax and Equinox users write them, against the same model with dense gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training import train_state

import jaxtbe

EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=7, dim=3)], [jaxtbe.Feature("x", table="t")])
BAGS = EMB.bags({"x": [[1, 2, 2], [3], [], [5, 6]]})
FAULTY = EMB.bags({"x": [[1, 7, 2], [3], [], [5, 6]]})
STEPS = 3


def sparse_tx():
    return optax.partition({"tables": jaxtbe.optim.sgd(0.1), "dense": optax.sgd(0.1)}, jaxtbe.optim.labels)


class Model(nnx.Module):
    """With statistics and random numbers that change in every step."""

    def __init__(self, rngs: nnx.Rngs):
        self.tables = nnx.Param(EMB.init(rngs.params()))
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.linear = nnx.Linear(3, 1, rngs=rngs)

    def __call__(self, bags):
        return self.linear(self.dropout(self.norm(EMB(self.tables.get_value(), bags)["x"])))


def nnx_loss(model, bags):
    return jnp.mean(jnp.square(model(bags) - 1.0))


def nnx_step(value_and_grad):
    def step(model, optimizer, bags):
        loss, grads = value_and_grad(nnx_loss)(model, bags)
        optimizer.update(model, grads)
        return loss

    return step


@pytest.mark.parametrize("wrap", [lambda f: f, nnx.jit], ids=["eager", "nnx.jit"])
def test_the_ordinary_nnx_loop(wrap):
    results = []
    for tx, value_and_grad in ((sparse_tx(), jaxtbe.nnx.value_and_grad), (optax.sgd(0.1), nnx.value_and_grad)):
        model = Model(nnx.Rngs(0))
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
        step = wrap(nnx_step(value_and_grad))
        losses = [float(step(model, optimizer, BAGS)) for _ in range(STEPS)]
        results.append((losses, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngState)))))
        if tx is not None and value_and_grad is jaxtbe.nnx.value_and_grad:
            jaxtbe.check(optimizer)
            step(model, optimizer, FAULTY)
            with pytest.raises(
                ValueError, match="feature 'x' of table 't': expected ids below its rows, got 1 at or past"
            ):
                jaxtbe.check(optimizer)
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_an_nnx_optimizer_of_tables_alone():
    model = Model(nnx.Rngs(0))
    before = model.tables.get_value().tables["t"]
    is_table = lambda path, _: "tables" in path  # noqa: E731
    optimizer = nnx.Optimizer(model, jaxtbe.optim.adagrad(0.1), wrt=is_table)
    for _ in range(STEPS):
        (_, aux), grads = jaxtbe.nnx.value_and_grad(
            lambda model, bags: (nnx_loss(model, bags), "aux"), wrt=is_table, has_aux=True
        )(model, BAGS)
        assert aux == "aux"
        optimizer.update(model, grads)
    jaxtbe.check(optimizer)
    moved = np.abs(np.asarray(model.tables.get_value().tables["t"] - before)).sum(axis=1) > 0
    assert moved.tolist() == [False, True, True, True, False, True, True]
    assert jaxtbe.nnx.grad(nnx_loss, wrt=is_table)(model, BAGS)["tables"].get_value().lookups


class Module(eqx.Module):
    """With an array of integers, which has no gradient."""

    tables: jaxtbe.EmbeddingParams
    linear: eqx.nn.Linear
    steps: jax.Array

    def __call__(self, bags):
        return jax.vmap(self.linear)(EMB(self.tables, bags)["x"])


def eqx_loss(model, bags):
    return jnp.mean(jnp.square(model(bags) - 1.0))


@pytest.mark.parametrize("sparse", ["partition and combine", "filter_value_and_grad"])
def test_the_ordinary_equinox_loop(sparse):
    def partitioned(model, bags):
        params, static = eqx.partition(model, eqx.is_inexact_array)
        return jaxtbe.value_and_grad(lambda p: eqx_loss(eqx.combine(p, static), bags))(params)

    filtered = jaxtbe.filter_value_and_grad(eqx_loss)
    of_kind = partitioned if sparse == "partition and combine" else filtered
    results = []
    for tx, value_and_grad in ((sparse_tx(), of_kind), (optax.sgd(0.1), eqx.filter_value_and_grad(eqx_loss))):

        @eqx.filter_jit
        def step(model, state, bags, tx=tx, value_and_grad=value_and_grad):
            loss, grads = value_and_grad(model, bags)
            updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
            return eqx.apply_updates(model, updates), state, loss

        model = Module(EMB.init(jax.random.key(0)), eqx.nn.Linear(3, 1, key=jax.random.key(1)), jnp.arange(2))
        state = tx.init(eqx.filter(model, eqx.is_inexact_array))
        for _ in range(STEPS):
            model, state, loss = step(model, state, BAGS)
        results.append((loss, eqx.filter(model, eqx.is_array)))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_flax_train_state():
    def loss(params):
        return jnp.sum(jnp.square(EMB(params["emb"], BAGS)["x"] @ params["w"] - 1.0))

    results = []
    for tx, grad in ((sparse_tx(), jaxtbe.grad), (optax.sgd(0.1), jax.grad)):
        params = {"emb": EMB.init(jax.random.key(0)), "w": jnp.arange(3.0)}
        state = train_state.TrainState.create(apply_fn=None, params=params, tx=tx)
        step = jax.jit(lambda state, grad=grad: state.apply_gradients(grads=grad(loss)(state.params)))
        for _ in range(STEPS):
            state = step(state)
        results.append(state.params)
        if grad is jaxtbe.grad:
            jaxtbe.check(state)
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
