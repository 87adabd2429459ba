"""Table optimizers within optax: partition, chain, schedules, rates changed between steps, resuming."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS, DIM = 50, 6
EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=ROWS, dim=DIM)], [jaxtbe.Feature("x", table="t")])
BAGS = EMB.bags({"x": [[1, 2, 2], [3], [49, 1]]})


def params_at(seed=0):
    return {"emb": EMB.init(jax.random.key(seed)), "w": jnp.arange(DIM, dtype=jnp.float32)}


def loss_fn(params):
    return jnp.sum(jnp.sin(EMB(params["emb"], BAGS)["x"] @ params["w"]))


def make_step(tx):
    @jax.jit
    def step(params, state):
        loss, grads = jaxtbe.value_and_grad(loss_fn)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return step


def train(tx, steps=3, params=None, state=None):
    params = params or params_at()
    state = tx.init(params) if state is None else state
    step = make_step(tx)
    for _ in range(steps):
        params, state, _ = step(params, state)
    return params, state


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def partition(table_tx, dense_tx=None):
    return optax.partition({"emb": table_tx, "w": dense_tx or optax.sgd(0.1)}, {"emb": "emb", "w": "w"})


def test_partition_equals_two_dense_updates():
    params, _ = train(partition(jaxtbe.optim.sgd(0.1)))
    expected = params_at()
    for _ in range(3):
        grads = jax.grad(loss_fn)(expected)
        expected = jax.tree.map(lambda p, g: p - 0.1 * g, expected, grads)
    np.testing.assert_allclose(params["emb"].tables["t"], expected["emb"].tables["t"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(params["w"], expected["w"], rtol=1e-5)


@pytest.mark.parametrize(
    ("table_tx", "dense_tx"),
    [
        (lambda: jaxtbe.optim.sgd(0.1), lambda: optax.sgd(0.1)),
        # The formulas agree where eps, which one has inside the root and one outside, does not count, and from accumulators of 0.
        (lambda: jaxtbe.optim.adagrad(0.1, eps=1e-30), lambda: optax.adagrad(0.1, 0.0, eps=0.0)),
    ],
    ids=["sgd", "adagrad"],
)
def test_rules_equal_the_dense_optax_update_on_touched_rows(table_tx, dense_tx):
    sparse, _ = train(partition(table_tx(), optax.sgd(0.0)))
    dense, state = params_at(), dense_tx().init(params_at()["emb"])
    for _ in range(3):
        updates, state = dense_tx().update(jax.grad(loss_fn)(dense)["emb"], state)
        dense["emb"] = optax.apply_updates(dense["emb"], updates)
    touched = [1, 2, 3, 49]
    got, want = sparse["emb"].tables["t"], dense["emb"].tables["t"]
    np.testing.assert_allclose(got[np.array(touched)], want[np.array(touched)], rtol=1e-5, atol=1e-6)
    others = np.setdiff1d(np.arange(ROWS), touched)
    np.testing.assert_array_equal(got[others], params_at()["emb"].tables["t"][others])


def test_chain_and_a_chain_within_partition():
    plain, _ = train(partition(jaxtbe.optim.adam(0.1)))
    chained, _ = train(optax.chain(partition(jaxtbe.optim.adam(0.1)), optax.identity()))
    inner, _ = train(partition(jaxtbe.optim.adam(0.1), optax.chain(optax.clip_by_global_norm(1e9), optax.sgd(0.1))))
    assert_same(plain, chained)
    assert_same(plain["emb"], inner["emb"])


def test_schedules_see_the_zero_based_step():
    rates = [0.5, 0.25, 0.0]
    schedule = lambda count: jnp.asarray(rates)[count]  # noqa: E731
    scheduled, _ = train(partition(jaxtbe.optim.sgd(schedule), optax.sgd(0.0)))
    params = params_at()
    for rate in rates:
        params, _ = train(partition(jaxtbe.optim.sgd(rate), optax.sgd(0.0)), steps=1, params=params)
    assert_same(scheduled, params)


@pytest.mark.parametrize("rule", [jaxtbe.optim.sgd, jaxtbe.optim.rowwise_adagrad, jaxtbe.optim.adam])
def test_inject_hyperparams_changes_the_rate_without_recompiling(rule):
    tx = partition(optax.inject_hyperparams(rule)(learning_rate=0.5), optax.sgd(0.0))
    params = params_at()
    state = tx.init(params)
    step = make_step(tx)
    params, state, _ = step(params, state)
    injected = state.inner_states["emb"].inner_state
    injected.hyperparams["learning_rate"] = jnp.zeros_like(injected.hyperparams["learning_rate"])
    stopped, state, _ = step(params, state)
    assert_same(params["emb"], stopped["emb"])
    injected = state.inner_states["emb"].inner_state
    injected.hyperparams["learning_rate"] = jnp.full_like(injected.hyperparams["learning_rate"], 0.5)
    moved, _, _ = step(stopped, state)
    assert not np.array_equal(moved["emb"].tables["t"], stopped["emb"].tables["t"])
    assert step._cache_size() == 1


def test_a_learning_rate_may_be_traced():
    @jax.jit
    def step(params, rate):
        tx = jaxtbe.optim.sgd(rate)
        grads = jaxtbe.grad(loss_fn)(params)["emb"]
        updates, _ = tx.update(grads, tx.init(params["emb"]), params["emb"])
        return optax.apply_updates(params["emb"], updates)

    halved = step(params_at(), 0.5)
    expected, _ = train(partition(jaxtbe.optim.sgd(0.5)), steps=1)
    assert_same(halved, expected["emb"])
    step(params_at(), 0.25)
    assert step._cache_size() == 1


def test_resuming_from_a_saved_state_continues_bit_for_bit():
    tx = partition(jaxtbe.optim.adam(optax.linear_schedule(0.1, 0.01, 4)), optax.adam(0.1))
    params, state = train(tx, steps=2)
    saved = pickle.dumps(jax.tree.map(np.asarray, (params, state)))
    straight = train(tx, steps=2, params=params, state=state)
    restored = pickle.loads(saved)
    resumed = train(tx, steps=2, params=restored[0], state=restored[1])
    assert_same(straight, resumed)


def test_several_params_in_one_tree():
    tx = jaxtbe.optim.sgd(0.1)
    params = {"a": params_at(0)["emb"], "b": [params_at(1)["emb"]]}
    grads = jaxtbe.grad(lambda p: jnp.sum(EMB(p["a"], BAGS)["x"]) + jnp.sum(2 * EMB(p["b"][0], BAGS)["x"]))(params)
    updates, state = tx.update(grads, tx.init(params), params)
    new = optax.apply_updates(params, updates)
    for old, changed, factor in ((params["a"], new["a"], 1), (params["b"][0], new["b"][0], 2)):
        moved = np.asarray(old.tables["t"] - changed.tables["t"])
        np.testing.assert_allclose(moved[2], np.full(DIM, 0.2 * factor), rtol=1e-4)
        np.testing.assert_array_equal(moved[10], 0)
    assert jax.tree.structure(new) == jax.tree.structure(params)
    jaxtbe.check(state)


def test_tables_without_a_lookup_stay():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=ROWS, dim=DIM), jaxtbe.Table("unused", rows=3, dim=2)], [jaxtbe.Feature("x", table="t")]
    )
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.adam(0.1)
    grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, BAGS)["x"]))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    new = optax.apply_updates(params, updates)
    assert_same(new.tables["unused"], params.tables["unused"])


def test_frozen_tables_stay():
    params, state = train(partition(jaxtbe.optim.freeze()))
    assert_same(params["emb"], params_at()["emb"])
    assert not np.array_equal(params["w"], params_at()["w"])
    jaxtbe.check(state)
    mixed = jaxtbe.optim.per_table({"t": jaxtbe.optim.freeze()}, default=jaxtbe.optim.sgd(0.1))
    assert_same(train(partition(mixed))[0]["emb"], params_at()["emb"])


def test_two_specs_share_a_table():
    other = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=ROWS, dim=DIM)], [jaxtbe.Feature("negatives", table="t")])
    negatives = other.bags({"negatives": np.array([7, 1])})
    tx = jaxtbe.optim.sgd(1.0)
    params = params_at()["emb"]
    grads = jaxtbe.grad(lambda p: jnp.sum(EMB(p, BAGS)["x"]) - jnp.sum(other(p, negatives)["negatives"]))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    moved = np.asarray(params.tables["t"] - optax.apply_updates(params, updates).tables["t"])
    np.testing.assert_allclose(moved[[1, 2, 3, 7]][:, 0], [1, 2, 1, -1], rtol=1e-5)
