"""Plain `jax.grad` through a lookup: the dense gradient, against the oracle."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from cases import DIMS, Case, cases, every_dtype_and_pooling, every_pooling, feature, quick_jit, random_batch, to_bags
from compare import assert_within, rounding
from oracle import Batch

import jaxtbe


def loss(emb, params, bags, d_acts):
    acts = emb(params, bags)
    return sum(jnp.vdot(acts[name], d_acts[name]) for name in acts)


gradient = quick_jit(jax.grad(loss, argnums=1), static_argnums=0)


def magnitudes(case, lookups):
    """The sum of the absolute values of the terms of each number of the gradient."""
    absolute = []
    for batch, d_acts in lookups:
        weights = batch.id_weights
        if weights is not None:
            weights = {name: [[abs(w) for w in bag] for bag in bags] for name, bags in weights.items()}
        d_acts = {name: np.abs(d) for name, d in d_acts.items()}
        absolute.append((Batch(batch.ids, weights, batch.update_mask), d_acts))
    return oracle.dense_gradients(case.tables, case.features, absolute)


def assert_gradient_matches(grads, case, *lookups):
    want = oracle.dense_gradients(case.tables, case.features, lookups)
    magnitude = magnitudes(case, lookups)
    for table in case.tables:
        got = grads.tables[table.name]
        assert got.dtype == table.dtype, f"gradient of {table.name!r} has dtype {got.dtype}, its table {table.dtype}"
        allowed = 1e-5 * magnitude[table.name]
        if table.dtype.itemsize == 2:
            allowed = allowed + rounding(want[table.name], table.dtype)
        assert_within(got, want[table.name], allowed, f"dense gradient of {table.name!r}")


@hypothesis.given(case=cases())
def test_random_specs_and_batches(implementation, case):
    emb = case.module(implementation)
    batch, d_acts = case.batch(faults=True), case.d_acts()
    grads = gradient(emb, case.params(), to_bags(emb, batch), d_acts)
    assert_gradient_matches(grads, case, (batch, d_acts))


@pytest.mark.parametrize("dim", DIMS)
def test_every_dim_dtype_and_pooling(implementation, dim):
    case = every_dtype_and_pooling(dim)
    emb = case.module(implementation)
    batch, d_acts = case.batch(), case.d_acts()
    grads = gradient(emb, case.params(), to_bags(emb, batch), d_acts)
    assert_gradient_matches(grads, case, (batch, d_acts))


def test_two_lookups_add_up(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    lookups = []
    for batch_size in (4, 2):
        rng = np.random.default_rng(batch_size)
        batch = random_batch(case.tables, case.features, rng, batch_size=batch_size)
        lookups.append((batch, case.d_acts(batch_size, batch_size)))

    def both(params):
        return sum(loss(emb, params, to_bags(emb, batch), d_acts) for batch, d_acts in lookups)

    assert_gradient_matches(quick_jit(jax.grad(both))(case.params()), case, *lookups)


def test_read_only_features_and_masked_ids_contribute_nothing(implementation):
    table = jaxtbe.Table("t", rows=5, dim=4)
    case = Case((table,), (feature("rw", "t"), feature("ro", "t", access="read_only")))
    emb = case.module(implementation)
    batch, d_acts = case.batch(mask=True), case.d_acts()
    grads = gradient(emb, case.params(), to_bags(emb, batch), d_acts)
    assert_gradient_matches(grads, case, (batch, d_acts))


def test_write_only_features_have_no_dense_gradient(implementation):
    case = Case((jaxtbe.Table("t", rows=5, dim=4),), (feature("w", "t", access="write_only"),))
    emb = case.module(implementation)
    with pytest.raises(ValueError, match=r"'w': expected access read_write or read_only.*jaxtbe\.value_and_grad"):
        gradient(emb, case.params(), to_bags(emb, case.batch()), case.d_acts())


def test_any_optax_optimizer_takes_the_dense_gradient(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    batch, d_acts = case.batch(), case.d_acts()
    params = case.params()
    tx = optax.sgd(0.5)
    grads = gradient(emb, params, to_bags(emb, batch), d_acts)
    updates, _ = tx.update(grads, tx.init(params), params)
    want = case.values()["t"] - 0.5 * oracle.dense_gradients(case.tables, case.features, [(batch, d_acts)])["t"]
    assert_within(optax.apply_updates(params, updates).tables["t"], want, 1e-4, "table after optax.sgd")


@pytest.mark.parametrize("duplicates", ["first", "last"])
def test_duplicates_concern_updates_and_not_the_dense_gradient(implementation, duplicates):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=2, dim=1, duplicates=duplicates)],
        [jaxtbe.Feature("f", "t")],
        implementation=implementation,
    )
    bags = emb.bags({"f": [[1, 1, 1]]})
    grads = jax.grad(lambda p: jnp.sum(emb(p, bags)["f"]))(emb.init(jax.random.key(0)))
    np.testing.assert_array_equal(grads.tables["t"], [[0], [3]])
