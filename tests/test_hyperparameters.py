"""Numbers that steer an optimizer: out of range, of another type, or where they do not apply."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

optim = jaxtbe.optim
EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=6, dim=4)], [jaxtbe.Feature("x", table="t")])
BAGS = EMB.bags({"x": [[1, 2], [3]]})


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: optim.sgd("0.1"), TypeError, "learning_rate: expected a number, a scalar array or a schedule, got '0.1'"),
    (lambda: optim.sgd(None), TypeError, "learning_rate: expected a number, a scalar array or a schedule, got None"),
    (lambda: optim.sgd(True), TypeError, "learning_rate: expected a number, a scalar array or a schedule, got True"),
    (lambda: optim.sgd(float("nan")), ValueError, "learning_rate: expected a finite number, got nan"),
    (lambda: optim.sgd(float("inf")), ValueError, "learning_rate: expected a finite number, got inf"),
    (lambda: optim.sgd(jnp.ones(3)), TypeError, r"learning_rate: expected a scalar of numbers, got f32\[3\]"),
    (lambda: optim.adam(0.1, b2=1.0), ValueError, "b2: expected at least 0 and below 1, got 1.0"),
    (lambda: optim.adam(0.1, b1=-0.1), ValueError, "b1: expected at least 0 and below 1, got -0.1"),
    (lambda: optim.adam(0.1, eps=-1), ValueError, "eps: expected at least 0, got -1"),
    (lambda: optim.lamb(0.1, b1="0.9"), TypeError, "b1: expected a number"),
    (lambda: optim.partial_rowwise_adam(0.1, eps=np.float32("nan")), ValueError, "eps: expected at least 0, got"),
    (lambda: optim.partial_rowwise_lamb(0.1, b2=2), ValueError, "b2: expected at least 0 and below 1, got 2"),
    (lambda: optim.lars_sgd(0.1, momentum=1.0), ValueError, "momentum: expected at least 0 and below 1, got 1.0"),
    (lambda: optim.lars_sgd(0.1, eta=-1.0), ValueError, "eta: expected at least 0, got -1.0"),
    (lambda: optim.adagrad(0.1, eps=None), TypeError, "eps: expected a number"),
    (lambda: optim.rowwise_adagrad(0.1, weight_decay=-0.1, decay="l2"), ValueError, "weight_decay: expected at least 0"),
    (lambda: optim.sgd(0.1, clip="1"), ValueError, "clip: expected a number above 0, or None, got '1'"),
    (lambda: optim.sgd(0.1, clip=float("nan")), ValueError, "clip: expected a number above 0, or None, got nan"),
    (lambda: optim.sgd(0.1, max_norm=True), ValueError, "max_norm: expected a number above 0, or None, got True"),
    (lambda: optim.sgd(0.1, seed=1.5), ValueError, r"seed: expected a whole number from 0 to 2\*\*32 - 1, got 1.5"),
    (lambda: optim.sgd(0.1, seed=-1), ValueError, r"seed: expected a whole number from 0 to 2\*\*32 - 1, got -1"),
    (lambda: optim.sgd(0.1, seed="1"), ValueError, r"seed: expected a whole number from 0 to 2\*\*32 - 1, got '1'"),
])  # fmt: skip
def test_numbers_out_of_range_or_type(make, error, message):
    with pytest.raises(error, match=rf"^jaxtbe.optim: {message}"):
        make()


@pytest.mark.parametrize(
    "rate", [0.1, np.float32(0.1), jnp.float32(0.1), 1, lambda step: 0.1, optax.constant_schedule(0.1), -0.1]
)
def test_numbers_of_any_kind_are_taken(rate):
    params, tx = EMB.init(jax.random.key(0)), optim.adam(rate, seed=np.int64(3))
    grads = jaxtbe.grad(lambda p: jnp.sum(EMB(p, BAGS)["x"]))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert np.isfinite(optax.apply_updates(params, updates).tables["t"]).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_limit_of_the_norm_holds_for_rows_whose_squares_overflow(implementation, dtype):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", 6, 4, dtype=dtype)], [jaxtbe.Feature("x", table="t")], implementation=implementation
    )
    rows = np.array([[1e30] * 4, [3e38, 0, 0, 0], [2, 0, 0, 0], [0.25, 0, 0, 0], [1e-30, 0, 0, 0], [-1e25, 1e25, 0, 0]])
    params = jaxtbe.EmbeddingParams({"t": jnp.asarray(rows, dtype)})
    bags = emb.bags({"x": [0, 1, 2, 3, 4, 5]})
    grads = emb.gradient(bags, {"x": jnp.zeros((6, 4))})
    tx = optim.sgd(1.0, max_norm=1.0)
    updates, _ = tx.update(grads, tx.init(params), params)
    got = np.asarray(optax.apply_updates(params, updates).tables["t"], np.float64)
    half = np.sqrt(0.5)
    want = [[0.5] * 4, [1, 0, 0, 0], [1, 0, 0, 0], [0.25, 0, 0, 0], [1e-30, 0, 0, 0], [-half, half, 0, 0]]
    np.testing.assert_allclose(got, want, rtol=1e-2 if dtype == jnp.bfloat16 else 1e-6)


STORES = {
    "mean of two": ({"pooling": "mean"}, None, {}),
    "weights": ({}, [[0.5, 0.25], [3.0]], {}),
    "mean and weights": ({"pooling": "mean"}, [[0.5, 0.25], [3.0]], {}),
    "clip": ({}, None, {"clip": 0.1}),
    "max_norm": ({}, None, {"max_norm": 0.1}),
    "decay": ({}, None, {"weight_decay": 0.5, "decay": "decoupled"}),
    "l2": ({}, None, {"weight_decay": 0.5, "decay": "l2"}),
}


@pytest.mark.parametrize("name", STORES)
def test_write_only_features_store_the_target_bit_for_bit(implementation, name):
    feature, weights, options = STORES[name]
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=6, dim=4, duplicates="first")],
        [jaxtbe.Feature("x", table="t", access="write_only", **feature)],
        implementation=implementation,
    )
    bags = emb.bags({"x": [[1, 2], [3]]}, id_weights=None if weights is None else {"x": weights})
    params = jaxtbe.EmbeddingParams({"t": jnp.full((6, 4), jnp.nan)})
    target = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4)) * 1e8, jnp.float32)
    grads = jaxtbe.grad(lambda p: jaxtbe.writeback_loss(emb(p, bags)["x"], target))(params)
    tx = optim.sgd(1.0, **options)
    updates, _ = tx.update(grads, tx.init(params), params)
    got = optax.apply_updates(params, updates).tables["t"]
    np.testing.assert_array_equal(got[np.array([1, 2, 3])], target[np.array([0, 0, 1])])


def test_nothing_of_ours_is_infinite():
    """With jax_debug_infs, JAX looks at every operand of an eager operation."""
    params = EMB.init(jax.random.key(0))
    with jax.debug_infs(True), jax.debug_nans(True):
        stored = EMB.assign(params, BAGS, {"x": jnp.ones((2, 4))})
        np.testing.assert_array_equal(stored.tables["t"][1], 1)
        jax.grad(lambda p: jnp.sum(EMB(p, BAGS)["x"]))(params)
        tx = optim.adam(0.1)
        tx.update(jaxtbe.grad(lambda p: jnp.sum(EMB(p, BAGS)["x"]))(params), tx.init(params), params)


@pytest.mark.parametrize("options", [{}, {"clip": 0.3, "max_norm": 0.5, "weight_decay": 0.1, "decay": "l2"}])
def test_jit_may_be_disabled(implementation, options):
    emb = jaxtbe.EmbeddingBags(EMB.tables, EMB.features, implementation=implementation)
    tx, params = optim.sgd(0.1, **options), EMB.init(jax.random.key(0))

    def step(params):
        grads = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(emb(p, BAGS)["x"])))(params)
        return optax.apply_updates(params, tx.update(grads, tx.init(params), params)[0]).tables["t"]

    want = jax.jit(step)(params)
    with jax.disable_jit():
        np.testing.assert_allclose(step(params), want, rtol=1e-6)
        raw = jaxtbe.EmbeddingBags(
            [jaxtbe.Table("t", rows=8, dim=2, zch=jaxtbe.Zch())],
            [jaxtbe.Feature("x", table="t")],
            implementation=implementation,
        )
        bags = raw.bags({"x": [2**40, 7]})
        state = jax.tree.map(jnp.asarray, raw.init_zch())
        state, rows, _ = raw.remap(state, bags)
        np.testing.assert_array_equal(raw.find(state, bags).ids, rows.ids)


def test_specs_that_differ_show_what_differs():
    readers = [
        jaxtbe.EmbeddingBags(EMB.tables, [jaxtbe.Feature("x", "t", access=a)]) for a in ("read_write", "write_only")
    ]
    params = EMB.init(jax.random.key(0))
    grads = sum(emb.gradient(BAGS, {"x": jnp.ones((2, 4))}) for emb in readers)
    tx = optim.sgd(0.1)
    with pytest.raises(ValueError, match=r"trained by its features, and Table\('t', .*\), overwritten by its features"):
        tx.update(grads, tx.init(params), params)


def test_fbgemms_writeback_arguments_are_taken():
    emb, _ = jaxtbe.migrate.from_fbgemm_writeback({"m": (5, 2)}, {"x": "m"}, precompute_writeback=True)
    assert emb.features[0].name == "x"


def test_an_optimizer_is_the_same_for_numbers_and_arrays():
    params = EMB.init(jax.random.key(0))
    grads = jaxtbe.grad(lambda p: jnp.sum(jnp.sin(EMB(p, BAGS)["x"])))(params)

    @functools.partial(jax.jit, static_argnums=())
    def step(clip):
        tx = optim.sgd(0.1, clip=clip)
        return optax.apply_updates(params, tx.update(grads, tx.init(params), params)[0]).tables["t"]

    tx = optim.sgd(0.1, clip=0.3)
    want = optax.apply_updates(params, tx.update(grads, tx.init(params), params)[0]).tables["t"]
    np.testing.assert_array_equal(step(0.3), want)
