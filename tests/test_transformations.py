"""Lookups and updates under JAX's transformations: vmap folds batches into one call, checkpoint and jit nest."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import every_dtype_and_pooling, every_pooling, to_bags

import jaxtbe


def stack(batches):
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *batches)


def weighted_loss(emb, params, bags, weights):
    acts = emb(params, bags.replace(id_weights=weights))
    return sum(jnp.sum(jnp.sin(x)) for x in acts.values())


@pytest.mark.parametrize("dim", [1, 5])
def test_vmap_over_batches_is_each_batch_alone(implementation, dim):
    case = every_dtype_and_pooling(dim)
    emb, params = case.module(implementation), case.params()
    batches = [to_bags(emb, case.batch(seed, faults=True)) for seed in range(3)]
    mapped = jax.jit(jax.vmap(emb, in_axes=(None, 0)))(params, stack(batches))
    for i, bags in enumerate(batches):
        for name, acts in emb(params, bags).items():
            np.testing.assert_array_equal(mapped[name][i], acts)


def test_vmap_of_the_gradient_of_id_weights(implementation):
    case = every_pooling()
    emb, params = case.module(implementation), case.params()
    batches = [to_bags(emb, case.batch(seed)) for seed in range(3)]
    gradient = jax.grad(functools.partial(weighted_loss, emb, params), argnums=1)
    stacked = stack(batches)
    mapped = jax.jit(jax.vmap(gradient))(stacked, stacked.id_weights)
    for i, bags in enumerate(batches):
        np.testing.assert_allclose(mapped[i], gradient(bags, jnp.asarray(bags.id_weights)), rtol=1e-4, atol=1e-6)


def test_vmap_within_vmap():
    case = every_pooling()
    emb, params = case.module("native"), case.params()
    batches = [[to_bags(emb, case.batch(10 * i + j)) for j in range(2)] for i in range(3)]
    look = jax.vmap(jax.vmap(emb, in_axes=(None, 0)), in_axes=(None, 0))
    mapped = jax.jit(look)(params, stack([stack(row) for row in batches]))
    for i in range(3):
        for j in range(2):
            for name, acts in emb(params, batches[i][j]).items():
                np.testing.assert_array_equal(mapped[name][i, j], acts)


def test_vmap_makes_one_call_and_broadcasts_no_table():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=5000, dim=7)], [jaxtbe.Feature("f", table="t")], implementation="native"
    )
    params = emb.init(jax.random.key(0))
    batches = stack([emb.bags({"f": np.arange(4) + i}) for i in range(6)])
    compiled = jax.jit(jax.vmap(emb, in_axes=(None, 0))).lower(params, batches).compile()
    text = compiled.as_text()
    assert len(re.findall(r'custom_call_target="jaxtbe_lookup"', text)) == 1
    assert "while" not in text
    assert "6,5000,7" not in text and "5000,6,7" not in text
    assert compiled.memory_analysis().temp_size_in_bytes < 5000 * 7 * 4


def test_vmap_over_tables_is_refused(implementation):
    case = every_pooling()
    emb, params = case.module(implementation), case.params()
    bags = to_bags(emb, case.batch())
    with pytest.raises(
        ValueError, match=r"^jaxtbe.ops.lookup: tables under jax.vmap: expected one set of tables for all"
    ):
        jax.vmap(emb, in_axes=(0, None))(stack([params, params]), bags)


def test_updates_under_vmap_are_refused(implementation):
    case = every_pooling()
    emb, params = case.module(implementation), case.params()
    tx = jaxtbe.optim.sgd(0.1)
    state = tx.init(params)
    batches = stack([to_bags(emb, case.batch(seed)) for seed in range(3)])

    def update(bags):
        grads = jaxtbe.grad(lambda p: jnp.sum(emb.concat(p, bags)))(params)
        return tx.update(grads, state, params)

    def assign(bags):
        return emb.assign(params, bags, {"sum": jnp.ones((bags.batch_size, 5))})

    for change in (update, assign):
        with pytest.raises(ValueError, match=r"^jaxtbe.ops.update: operands under jax.vmap: expected a call outside"):
            jax.vmap(change)(batches)


def test_dense_gradient_through_checkpoint_and_nested_jit(implementation):
    case = every_pooling()
    emb, params = case.module(implementation), case.params()
    bags = to_bags(emb, case.batch())

    def loss(p):
        return jnp.sum(jnp.sin(emb.concat(p, bags)))

    want = jax.grad(loss)(params).tables["t"]
    for wrap in (jax.checkpoint, jax.jit, lambda f: jax.jit(jax.checkpoint(jax.jit(f)))):
        np.testing.assert_allclose(jax.grad(wrap(loss))(params).tables["t"], want, rtol=1e-6)


def test_checkpoint_after_the_lookup_keeps_the_sparse_gradient():
    case = every_pooling()
    emb, params = case.module("native"), case.params()
    bags = to_bags(emb, case.batch())

    def loss(wrap, p):
        return wrap(lambda acts: jnp.sum(jnp.sin(acts)))(emb.concat(p, bags))

    plain, checkpointed = (
        jax.jit(jaxtbe.grad(functools.partial(loss, wrap)))(params) for wrap in (lambda f: f, jax.checkpoint)
    )
    for name, d in plain.lookups[0].d_acts.items():
        np.testing.assert_allclose(checkpointed.lookups[0].d_acts[name], d, rtol=1e-6)


def test_a_jitted_step_within_a_jitted_step():
    case = every_pooling()
    emb, params = case.module("native"), case.params()
    bags = to_bags(emb, case.batch())
    tx = jaxtbe.optim.adagrad(0.1)

    def step(params, state, bags):
        grads = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb.concat(p, bags))))(params)
        updates, state = tx.update(grads, state, params)
        return jax.tree.map(lambda p, u: p + u, params, updates, is_leaf=lambda x: isinstance(x, jax.Array)), state

    once, _ = jax.jit(step)(params, tx.init(params), bags)
    nested, _ = jax.jit(lambda *a: jax.jit(step)(*a))(params, tx.init(params), bags)
    np.testing.assert_array_equal(once.tables["t"], nested.tables["t"])


def test_vmap_of_find():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=64, dim=2, zch=jaxtbe.Zch()), jaxtbe.Table("u", rows=9, dim=2)],
        [jaxtbe.Feature("f", table="t"), jaxtbe.Feature("g", table="u")],
    )
    rng = np.random.default_rng(0)
    batches = [
        emb.bags({"f": rng.integers(0, 2**60, 5), "g": [[1], [], [2, 3], [4], []]}, capacity=16) for _ in range(3)
    ]
    state = emb.init_zch()
    for bags in batches[:2]:
        state, _, _ = emb.remap(state, bags)
    mapped = jax.jit(jax.vmap(emb.find, in_axes=(None, 0)))(state, stack(batches))
    for i, bags in enumerate(batches):
        np.testing.assert_array_equal(mapped.ids[i], emb.find(state, bags).ids)
    with pytest.raises(ValueError, match=r"^jaxtbe.ops.zch_insert: operands under jax.vmap: expected a call outside"):
        jax.vmap(emb.remap, in_axes=(None, 0))(state, stack(batches))
