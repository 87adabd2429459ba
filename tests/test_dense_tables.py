"""Uses of a table beside its lookups: refused, or differentiated where `dense_tables` asks for it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import quick_jit

import jaxtbe

ROWS, DIM = 6, 3
MESSAGE = (
    r"^jaxtbe.value_and_grad: table '(t|other)': expected gradients through lookups of the parameters as they were"
)


def make(implementation=None, **table):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=ROWS, dim=DIM, **table), jaxtbe.Table("other", rows=4, dim=2)],
        [jaxtbe.Feature("x", table="t"), jaxtbe.Feature("y", table="other")],
        implementation=implementation,
    )
    return emb, emb.init(jax.random.key(0)), emb.bags({"x": [[1, 2, 2], [5]], "y": [[0], [3]]})


def tied(emb, p, bags):
    acts = emb(p, bags)
    return jnp.sum(jnp.tanh(acts["x"] @ p.tables["t"].T)) + jnp.sum(acts["y"] ** 2)


def l2(emb, p, bags):
    return jnp.sum(jnp.sin(emb.concat(p, bags))) + 0.5 * jnp.sum(p.tables["t"] ** 2)


def taken(emb, p, bags):
    return jnp.sum(emb.concat(p, bags)) + jnp.sum(jnp.take(p.tables["t"], jnp.array([0, 2]), axis=0) ** 2)


def scaled(emb, p, bags):
    return jnp.sum(jnp.sin(emb.concat(jaxtbe.EmbeddingParams({**p.tables, "t": 2 * p.tables["t"]}), bags)))


def alone(emb, p, bags):
    del emb, bags
    return jnp.sum(jnp.sin(p.tables["t"]))


USES = [tied, l2, taken, scaled, alone]


@pytest.mark.parametrize("use", USES)
def test_another_use_of_a_table_is_refused_by_name(use):
    emb, params, bags = make()
    with pytest.raises(TypeError, match=MESSAGE):
        jax.jit(jaxtbe.grad(lambda p: use(emb, p, bags)))(params)
    with pytest.raises(TypeError, match=MESSAGE):
        jaxtbe.grad(lambda p: use(emb, p, bags))(params)


@pytest.mark.parametrize("use", USES)
def test_dense_tables_give_the_dense_gradient(implementation, use):
    emb, params, bags = make(implementation)
    names = ("t", "other") if use is scaled else ("t",)
    tx = jaxtbe.optim.sgd(1.0)

    @quick_jit
    def step(params):
        value, grads = jaxtbe.value_and_grad(lambda p: use(emb, p, bags), dense_tables=names)(params)
        updates, _ = tx.update(grads, tx.init(params), params)
        return value, optax.apply_updates(params, updates)

    value, new = step(params)
    want, dense = jax.value_and_grad(lambda p: use(emb, p, bags))(params)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    for name, table in params.tables.items():
        np.testing.assert_allclose(table - new.tables[name], dense.tables[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make_optimizers", [
    lambda: (jaxtbe.optim.adam(0.1), optax.adam(0.1)),
    lambda: (jaxtbe.optim.adagrad(0.1, eps=1e-30), optax.adagrad(0.1, 0.0, eps=0.0)),
])  # fmt: skip
def test_a_tied_table_trains_as_with_a_dense_optimizer(make_optimizers):
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=ROWS, dim=DIM)], [jaxtbe.Feature("x", table="t")])
    bags = emb.bags({"x": [[1, 2, 2], [5]]})
    sparse_tx, dense_tx = make_optimizers()

    def loss(p):
        return jnp.sum(jnp.tanh(emb(p, bags)["x"] @ p.tables["t"].T))

    results = []
    for tx, grad in ((sparse_tx, jaxtbe.grad(loss, dense_tables="t")), (dense_tx, jax.grad(loss))):
        params = emb.init(jax.random.key(0))
        state = tx.init(params)
        for _ in range(3):
            updates, state = tx.update(grad(params), state, params)
            params = optax.apply_updates(params, updates)
        results.append(params.tables["t"])
    np.testing.assert_allclose(*results, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("measure", [
    lambda p: jax.lax.stop_gradient(p.tables["t"]).sum(),
    lambda p: jnp.sum(p.tables["t"] > 0).astype(jnp.float32),
    lambda p: jax.lax.scan(lambda c, i: (c + jax.lax.stop_gradient(p.tables["t"])[i, 0], None), 0.0, jnp.arange(3))[0],
], ids=["stop_gradient", "integers", "in scan"])  # fmt: skip
def test_metrics_of_a_table_are_allowed(measure):
    emb, params, bags = make()

    def loss(p, factor):
        value = jnp.sum(emb.concat(p, bags)) + factor * measure(p)
        return value, measure(p)

    (value, metric), grads = jax.jit(jaxtbe.value_and_grad(loss, has_aux=True))(params, 2.0)
    np.testing.assert_allclose(value, loss(params, 2.0)[0], rtol=1e-6)
    np.testing.assert_allclose(metric, measure(params), rtol=1e-6)
    for name, d in grads.lookups[0].d_acts.items():
        np.testing.assert_array_equal(d, 1.0, name)


def test_stopped_tables_get_no_gradient():
    emb, params, bags = make()
    grads = jaxtbe.grad(lambda p: jnp.sum(emb.concat(jax.lax.stop_gradient(p), bags)))(params)
    assert grads.lookups == ()


def test_a_rebuilt_tree_of_the_same_arrays_is_the_same_lookup():
    emb, params, bags = make()
    plain = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb.concat(p, bags))))(params)
    rebuilt = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb.concat(jaxtbe.EmbeddingParams(dict(p.tables)), bags))))(params)
    for a, b in zip(jax.tree.leaves(plain.lookups[0].d_acts), jax.tree.leaves(rebuilt.lookups[0].d_acts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_array_of_a_tables_size_is_made_for_the_guard():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=5003, dim=7)], [jaxtbe.Feature("x", table="t")])
    params, bags = emb.init(jax.random.key(0)), emb.bags({"x": [1, 2]})
    text = jax.jit(jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)))).lower(params).compile().as_text()
    made = [line for line in text.splitlines() if "= f32[5003,7]" in line and "parameter(" not in line]
    assert made == []


@pytest.mark.parametrize(("table", "access", "message"), [
    ({"duplicates": "first"}, "read_write", "one with duplicates='first'"),
    ({}, "write_only", "one that write_only features overwrite"),
])  # fmt: skip
def test_a_table_whose_gradients_do_not_add_up_has_no_dense_use(table, access, message):
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", 5, 2, **table)], [jaxtbe.Feature("x", "t", access=access)])
    params, bags = emb.init(jax.random.key(0)), emb.bags({"x": [1]})
    with pytest.raises(ValueError, match=f"dense_tables, table 't': expected .*, got {message}"):
        jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)) + jnp.sum(p.tables["t"]), dense_tables=["t"])(params)


def test_unknown_names_and_positions():
    emb, params, bags = make()
    with pytest.raises(ValueError, match=r"dense_tables: expected tables among \['other', 't'\], got \['s'\]"):
        jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)), dense_tables="s")(params)
    loss = lambda p: jnp.sum(emb.concat(p, bags))  # noqa: E731
    for call in (lambda: jaxtbe.grad(loss)(p=params), lambda: jaxtbe.grad(loss, argnums=2)(params)):
        with pytest.raises(
            ValueError, match=r"argnums: expected positions among the \d positional arguments of the call"
        ):
            call()
    np.testing.assert_array_equal(jaxtbe.grad(loss, argnums=-1)(params).lookups[0].d_acts["x"], 1.0)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint])
def test_a_loss_that_is_a_nested_transformation_says_so(wrap):
    emb, params, bags = make()
    with pytest.raises(
        RuntimeError, match="expected a lookup in the loss itself, got one inside a nested transformation"
    ):
        jaxtbe.grad(wrap(lambda p: jnp.sum(emb.concat(p, bags))))(params)
