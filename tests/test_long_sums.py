"""How far a long sum in float32 may be off: the formula of docs/numerics.md."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe


@pytest.mark.parametrize("count", [1_000, 30_000, 1_000_000])
def test_sums_are_within_the_formula(implementation, count):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=4, dim=2)], [jaxtbe.Feature("x", table="t")], implementation=implementation
    )
    rng = np.random.default_rng(0)
    rows = np.array([[0.1, 0.1], [0.1, -0.3], [0.1, 0.7], [0.1, 1e-3]], np.float32)
    ids = rng.integers(0, 4, count).astype(np.int32)
    params = jaxtbe.EmbeddingParams({"t": jnp.asarray(rows)})
    got = np.asarray(emb(params, emb.bags({"x": (ids, [count])}))["x"][0], np.float64)
    exact = rows.astype(np.float64)[ids]
    assert (np.abs(got - exact.sum(axis=0)) <= count * 2.0**-24 * np.abs(exact).sum(axis=0)).all()

    d_acts = np.tile(rows[:1], (count, 1))
    bags = emb.bags({"x": np.zeros(count, np.int32)})
    tx = jaxtbe.optim.sgd(1.0)
    zeros = jaxtbe.EmbeddingParams({"t": jnp.zeros((4, 2))})
    updates, _ = tx.update(emb.gradient(bags, {"x": jnp.asarray(d_acts)}), tx.init(zeros), zeros)
    hot = -np.asarray(optax.apply_updates(zeros, updates).tables["t"][0], np.float64)
    exact = rows[0].astype(np.float64) * count
    assert (np.abs(hot - exact) <= count * 2.0**-24 * exact).all()
