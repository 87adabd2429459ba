"""Functions of leaves that are no arithmetic: what they do to a sparse gradient trains nothing, and `check` says so."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe
from jaxtbe.autodiff import embedding_grad

ROWS, DIM, SAMPLES = 12, 3, 4
EMB = jaxtbe.EmbeddingBags(
    [jaxtbe.Table("t", rows=ROWS, dim=DIM), jaxtbe.Table("u", rows=ROWS, dim=DIM)],
    [jaxtbe.Feature("x", table="t", pooling="mean"), jaxtbe.Feature("y", table="u")],
)
PARAMS = EMB.init(jax.random.key(0))
TX = jaxtbe.optim.adagrad(0.5)
BAGS = EMB.bags({"x": [[1, 2], [2], [], [5]], "y": [[0], [3, 3], [7], [1, 2]]}, capacity=10)
WEIGHTS = jnp.arange(1.0, SAMPLES + 1)[:, None]
NAN = WEIGHTS.at[1].set(jnp.nan)
INF = WEIGHTS.at[3].set(jnp.inf)


def loss(params, bags, weights):
    acts = EMB(params, bags)
    return jnp.sum((acts["x"] + 2 * acts["y"]) * jnp.broadcast_to(weights, acts["x"].shape))


def zero_nans(grads):
    tx = optax.zero_nans()
    return tx.update(grads, tx.init(grads))[0]


def of_leaves(change):
    return lambda grads: jax.tree.map(lambda x: change(x) if x.ndim else x, grads)


ALTERING = {
    "flip": (WEIGHTS, of_leaves(jnp.flip)),
    "flip the last axis": (WEIGHTS, of_leaves(lambda x: jnp.flip(x, -1))),
    "slice backwards": (WEIGHTS, of_leaves(lambda x: x[::-1])),
    "roll": (WEIGHTS, of_leaves(lambda x: jnp.roll(x, 1))),
    "take": (WEIGHTS, of_leaves(lambda x: x[jnp.zeros(x.shape[0], jnp.int32)])),
    "tile a part": (WEIGHTS, of_leaves(lambda x: jnp.concatenate([x[:1], x[:-1]]))),
    "half of it zeroed": (WEIGHTS, of_leaves(lambda x: jnp.concatenate([x[:-1], jnp.zeros_like(x[:1])]))),
    "dropout": (
        WEIGHTS,
        of_leaves(lambda x: jnp.where(jax.random.bernoulli(jax.random.key(3), 0.5, x.shape), x, jnp.zeros_like(x))),
    ),
    "zero_nans": (NAN, zero_nans),
    "nan_to_num of NaN": (NAN, of_leaves(jnp.nan_to_num)),
    "nan_to_num of an infinity": (INF, of_leaves(jnp.nan_to_num)),
    "where isfinite": (INF, of_leaves(lambda x: jnp.where(jnp.isfinite(x), x, jnp.zeros_like(x)))),
    "scaled afterwards": (WEIGHTS, lambda g: 0.5 * of_leaves(jnp.flip)(g)),
    "scaled before and afterwards": (NAN, lambda g: 0.5 * zero_nans(g * 2)),
    "clipped afterwards": (
        WEIGHTS,
        lambda g: jaxtbe.optim.clip_by_global_norm(1.0).update(of_leaves(jnp.flip)(g), optax.EmptyState())[0],
    ),
    "added to nothing": (WEIGHTS, lambda g: sum([of_leaves(jnp.flip)(g)])),
}
KEEPING = {
    "identity": (WEIGHTS, lambda g: g, 1.0),
    "copies": (WEIGHTS, lambda g: jax.tree.map(jnp.copy, g), 1.0),
    "zeros_like": (WEIGHTS, lambda g: jax.tree.map(jnp.zeros_like, g), 0.0),
    "zero_nans without any": (WEIGHTS, zero_nans, 1.0),
    "nan_to_num without any": (WEIGHTS, of_leaves(jnp.nan_to_num), 1.0),
    "scaled": (WEIGHTS, lambda g: 2 * g / 4, 0.5),
    "chosen as a whole": (
        WEIGHTS,
        lambda g: jax.tree.map(lambda a, b: jnp.where(WEIGHTS[0, 0] > 0, a, b), g, g * 7),
        1.0,
    ),
}


def step(change, weights, path):
    """(parameters after one step, its optimizer state) where `path` is how the parts of the step are compiled."""

    def take(params, weights):
        return jaxtbe.grad(loss)(params, BAGS, weights)

    def update(grads, params, state):
        updates, state = TX.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def all_of_it(params, state):
        if path == "after a loop":
            grads = jax.lax.scan(lambda c, w: (c, take(params, w)), 0, jnp.stack([weights, weights]))[1] / 2
        elif path == "in a loop":
            zero_and_once = jnp.stack([0 * WEIGHTS, weights])
            return update(jax.lax.scan(lambda c, w: (c, change(take(params, w))), 0, zero_and_once)[1], params, state)
        else:
            grads = take(params, weights)
        return update(change(grads), params, state)

    if path == "three programs":
        return jax.jit(update)(jax.jit(change)(jax.jit(take)(PARAMS, weights)), PARAMS, TX.init(PARAMS))
    return (all_of_it if path == "eager" else jax.jit(all_of_it))(PARAMS, TX.init(PARAMS))


PATHS = ["one program", "three programs", "eager", "in a loop", "after a loop"]
OF_ELEMENTS = ["flip the last axis", "zero_nans", "nan_to_num of NaN", "nan_to_num of an infinity", "where isfinite"]


@pytest.mark.parametrize(
    ("name", "path"),
    # What moves things along the first axis of stacked gradients moves whole gradients: their sum stays.
    [(n, p) for p in PATHS for n in ALTERING if p != "after a loop" or n in OF_ELEMENTS],
)
def test_altered_gradients_train_nothing_and_are_reported(name, path):
    weights, change = ALTERING[name]
    params, state = step(change, weights, path)
    for table in PARAMS.tables:
        np.testing.assert_array_equal(params.tables[table], PARAMS.tables[table])
    with pytest.raises(
        ValueError, match=r"jaxtbe.check: feature 'x' of table 't': expected gradients as the loss made them"
    ):
        jaxtbe.check(state)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", KEEPING)
def test_gradients_as_they_were_train(name, path):
    weights, change, scale = KEEPING[name]
    params, state = step(change, weights, path)
    jaxtbe.check(state)
    expected, _ = step(lambda g: scale * g, weights, "one program")
    for table in PARAMS.tables:
        np.testing.assert_allclose(params.tables[table], expected.tables[table], rtol=1e-6)
        assert (np.asarray(params.tables[table]) != np.asarray(PARAMS.tables[table])).any() == (scale != 0)


def test_check_of_an_altered_gradient_says_so():
    grads = of_leaves(jnp.flip)(jaxtbe.grad(loss)(PARAMS, BAGS, WEIGHTS))
    with pytest.raises(ValueError, match="1 whose arrays were rearranged"):
        jaxtbe.check(grads)


def test_values_of_write_only_features_are_watched_too():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=ROWS, dim=DIM)], [jaxtbe.Feature("w", table="t", access="write_only")]
    )
    params, bags = emb.init(jax.random.key(1)), emb.bags({"w": [[1], [4], [7]]})
    grads = emb.gradient(bags, {"w": jnp.ones((3, DIM))})
    tx = jaxtbe.optim.sgd(1.0)
    updates, state = tx.update(of_leaves(jnp.flip)(grads), tx.init(params), params)
    np.testing.assert_array_equal(optax.apply_updates(params, updates).tables["t"], params.tables["t"])
    with pytest.raises(ValueError, match="as the loss made them"):
        jaxtbe.check(state)


def test_a_step_in_one_program_computes_no_digest_twice(monkeypatch):
    """The arrays that reach the update are the very ones of the loss, so there is nothing to compare."""
    monkeypatch.setattr(embedding_grad, "is_altered", None)
    tx = optax.chain(jaxtbe.optim.clip_by_global_norm(1.0), optax.partition({"e": TX}, {"emb": "e"}))

    @jax.jit
    def step(params, state):
        grads = jaxtbe.grad(lambda p: loss(p["emb"], BAGS, WEIGHTS))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = {"emb": PARAMS}
    step(params, tx.init(params))


def test_a_digest_of_another_shape_is_refused():
    grads = jaxtbe.grad(loss)(PARAMS, BAGS, WEIGHTS)
    share = grads.lookups[0]
    cut = dataclasses.replace(share, sealed={**share.sealed, "digest": share.sealed["digest"][:-1]})
    with pytest.raises(ValueError, match=r"expected a digest of shape \(3,\), got \(2,\)"):
        TX.update(dataclasses.replace(grads, lookups=(cut,)), TX.init(PARAMS), PARAMS)
