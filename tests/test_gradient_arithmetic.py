"""Arithmetic on sparse gradients and on updates: exact where it has a meaning, an error that names jaxtbe elsewhere."""

import functools
import operator
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import quick_jit

import jaxtbe

ROWS, DIM = 8, 3
EMB = jaxtbe.EmbeddingBags(
    [jaxtbe.Table("t", rows=ROWS, dim=DIM)],
    [jaxtbe.Feature("x", table="t", pooling="mean"), jaxtbe.Feature("y", table="t")],
)
PARAMS = EMB.init(jax.random.key(0))


def batch(seed: int, weights: bool = True):
    rng = np.random.default_rng(seed)
    ids = {name: [rng.integers(-1, ROWS, n).tolist() for n in (3, 0, 2)] for name in "xy"}
    if seed == 2:
        ids["x"][0][0] = ROWS  # a fault
    given = {name: [rng.normal(size=len(b)) for b in bags] for name, bags in ids.items()}
    mask = {name: [rng.random(len(b)) < 0.7 for b in bags] for name, bags in ids.items()}
    return EMB.bags(ids, id_weights=given if weights else None, update_mask=mask if weights else None, capacity=16)


def loss(params, bags):
    return jnp.sum(jnp.sin(EMB.concat(params, bags)))


def gradient(seed: int):
    return jaxtbe.grad(loss)(PARAMS, batch(seed))


@quick_jit
def dense(grads):
    """The table-shaped gradient: what a step of SGD at rate 1 takes off a table of zeros."""
    zeros, tx = jax.tree.map(jnp.zeros_like, PARAMS), jaxtbe.optim.sgd(1.0)
    updates, _ = tx.update(grads, tx.init(zeros), zeros)
    return -optax.apply_updates(zeros, updates).tables["t"]


@pytest.mark.parametrize("combine", [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: -a,
    lambda a, b: 2 * a,
    lambda a, b: a * np.float32(0.5) + jnp.float32(3) * b,
    lambda a, b: np.float64(2) * a,
    lambda a, b: a / 4 - b / jnp.float32(0.5),
    lambda a, b: sum([a, b, a]),
    lambda a, b: 0 - a,
    lambda a, b: functools.reduce(operator.add, [a, b]),
])  # fmt: skip
def test_sums_and_scalar_multiples_are_exact(combine):
    a, b = gradient(0), gradient(1)
    np.testing.assert_allclose(dense(combine(a, b)), combine(dense(a), dense(b)), rtol=1e-5, atol=1e-6)


def test_zeros_of_a_gradient_train_nothing():
    zeros = jax.tree.map(jnp.zeros_like, gradient(2))
    np.testing.assert_array_equal(dense(zeros), 0)
    assert zeros.lookups[0].bags.ids.tolist() == [-1] * 16
    jaxtbe.check(zeros)


@pytest.mark.parametrize("refused", [
    lambda a, b: jax.tree.map(jnp.add, a, b),
    lambda a, b: jax.tree.map(lambda x: 0.5 * x, a),
    lambda a, b: jax.tree.map(operator.neg, a),
    lambda a, b: jax.tree.map(jnp.abs, a),
    lambda a, b: jax.tree.map(jnp.sign, a),
    lambda a, b: jax.vmap(lambda x: jax.lax.psum(x, "i"), axis_name="i")(jax.tree.map(lambda x: x[None], a)),
    lambda a, b: jax.tree.map(lambda x, y: jnp.where(True, x, 0 * y), a, b),
    lambda a, b: optax.scale(0.5).update(a, optax.EmptyState()),
    lambda a, b: jax.jit(lambda a: optax.clip_by_global_norm(1.0).update(a, optax.EmptyState()))(a),
    lambda a, b: jax.jit(optax.tree.norm)(a),
    lambda a, b: jnp.add(a, b),
    lambda a, b: a * b,
    lambda a, b: a * jnp.ones(3),
    lambda a, b: a + 1,
    lambda a, b: "2" * a,
])  # fmt: skip
def test_other_arithmetic_is_a_type_error_that_names_jaxtbe(refused):
    with pytest.raises((TypeError, ValueError), match=r"jaxtbe row ids|EmbeddingGrad"):
        refused(gradient(0), gradient(1))


@pytest.mark.parametrize("change", [
    lambda x: None if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
    lambda x: jax.random.key_data(x)[..., 0] if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x,
], ids=["filtered", "opened"])  # fmt: skip
def test_a_gradient_without_its_row_ids_is_refused(change):
    grads = jax.tree.map(change, gradient(0))
    tx = jaxtbe.optim.sgd(1.0)
    with pytest.raises(TypeError, match=r"^jaxtbe.EmbeddingGrad: lookup of features .* expected its .* as the lookup"):
        tx.update(grads, tx.init(PARAMS), PARAMS)


@pytest.mark.parametrize("steps", [3, 40])
def test_gradients_stacked_by_scan_are_their_sum(implementation, steps):
    emb = jaxtbe.EmbeddingBags(EMB.tables, EMB.features, implementation=implementation)
    batches = [batch(seed) for seed in range(steps)]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *batches)

    @quick_jit
    def scanned(params, stacked):
        of_batch = jaxtbe.grad(lambda p, bags: jnp.sum(jnp.sin(emb.concat(p, bags))))
        return jax.lax.scan(lambda c, bags: (c, of_batch(params, bags)), 0, stacked)[1]

    grads = scanned(PARAMS, stacked)
    want = sum(dense(jaxtbe.grad(loss)(PARAMS, bags)) for bags in batches)
    np.testing.assert_allclose(dense(grads), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dense(grads / steps + grads), want * (1 + 1 / steps), rtol=1e-4, atol=1e-5)
    norm = np.sqrt(np.sum(np.square(want)))
    np.testing.assert_allclose(jaxtbe.optim.global_norm(grads), norm, rtol=1e-4)
    with pytest.raises(ValueError, match="past it"):
        jaxtbe.check(grads)


def test_scans_within_scans_and_vmap_stack_as_well():
    batches = [[batch(2 * i + j) for j in range(2)] for i in range(3)]
    stack = lambda *x: jnp.stack([jnp.asarray(a) for a in x])  # noqa: E731
    stacked = jax.tree.map(stack, *[jax.tree.map(stack, *row) for row in batches])
    inner = lambda bags: jax.lax.scan(lambda c, b: (c, jaxtbe.grad(loss)(PARAMS, b)), 0, bags)[1]  # noqa: E731
    want = sum(dense(jaxtbe.grad(loss)(PARAMS, b)) for row in batches for b in row)
    scanned = jax.lax.scan(lambda c, bags: (c, inner(bags)), 0, stacked)[1]
    np.testing.assert_allclose(dense(scanned), want, rtol=1e-4, atol=1e-5)
    mapped = jax.vmap(lambda bags: jaxtbe.grad(loss)(PARAMS, bags))(jax.tree.map(lambda x: x[0], stacked))
    want = sum(dense(jaxtbe.grad(loss)(PARAMS, b)) for b in batches[0])
    np.testing.assert_allclose(dense(mapped), want, rtol=1e-4, atol=1e-5)


def write_only():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("m", 5, 2)], [jaxtbe.Feature("w", "m", access="write_only")])
    params, target = emb.init(jax.random.key(0)), jnp.asarray([[3.0, 4.0]])
    grads = jaxtbe.grad(lambda p: jaxtbe.writeback_loss(emb(p, emb.bags({"w": [2]}))["w"], target))(params)
    return params, grads, target


def test_scalars_leave_what_write_only_features_store():
    params, grads, target = write_only()
    tx = jaxtbe.optim.sgd(1.0)
    for scaled in (0.5 * grads, grads / 3, jaxtbe.optim.scale_gradients(grads, 7.0)):
        updates, _ = tx.update(scaled, tx.init(params), params)
        np.testing.assert_array_equal(optax.apply_updates(params, updates).tables["m"][2], target[0])
    for subtracted in (lambda: -grads, lambda: grads - grads):
        with pytest.raises(ValueError, match=r"^jaxtbe.EmbeddingGrad: subtraction, feature 'w': expected a gradient"):
            subtracted()


def updates_of(params=PARAMS):
    tx = jaxtbe.optim.sgd(1.0)
    return tx.update(gradient(0), tx.init(params), params)[0]


@pytest.mark.parametrize("apply", [
    optax.apply_updates,
    lambda p, u: jax.tree.map(lambda a, b: a + b, p, u),
], ids=["optax", "by hand"])  # fmt: skip
@pytest.mark.parametrize("convert", [lambda p: p, lambda p: jax.tree.map(np.asarray, p)], ids=["jax", "NumPy"])
def test_updates_are_stored(convert, apply):
    params = convert(PARAMS)
    new = apply(params, updates_of(params)).tables["t"]
    np.testing.assert_allclose(PARAMS.tables["t"] - new, dense(gradient(0)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("refused", [
    lambda u: 0.5 * u,
    lambda u: u * 0.5,
    lambda u: -u,
    lambda u: u + u,
    lambda u: u - 1,
    lambda u: abs(u),
    lambda u: u / 2,
    lambda u: u @ u,
    lambda u: u == u,
    lambda u: u[0],
    lambda u: jnp.clip(u, -1, 1),
    lambda u: jnp.multiply(u, 2),
    lambda u: np.asarray(u),
    lambda u: np.float32(2) * u,
    lambda u: jnp.float32(2) * u,
    lambda u: u.astype(jnp.float16),
    lambda u: jnp.ones((2, 2)) + u,
    lambda u: jnp.zeros((ROWS, DIM)) + u,
    lambda u: np.zeros((ROWS, DIM), np.float32) + u,
    lambda u: jnp.copy(u.old) + u,
    lambda u: "table" + u,
    lambda u: setattr(u, "value", 1),
    lambda u: jax.jit(lambda: u)(),
    lambda u: bool(u),
    lambda u: float(u),
])  # fmt: skip
def test_any_other_use_of_an_update_names_jaxtbe(refused):
    with pytest.raises((TypeError, ValueError, AttributeError), match=r"jaxtbe\.|Overwrite"):
        refused(updates_of().tables["t"])


@pytest.mark.parametrize(("of_gradient", "words"), [
    (lambda g: optax.tree.cast(g, jnp.bfloat16), "Cannot call abstract method astype"),
    (jax.jit(lambda g: optax.tree.cast(g, jnp.bfloat16)), "Cannot convert_element_type from key<jaxtbe row ids> to bfloat16"),
    (lambda g: jax.tree.map(lambda x: jnp.stack([x, x]).mean(0), g), "Cannot call abstract method mean"),
    (lambda g: jax.tree.map(np.asarray, g), "JAX array with PRNGKey dtype cannot be converted to a NumPy array"),
])  # fmt: skip
def test_what_jax_says_of_other_functions_is_on_the_page(of_gradient, words):
    page = (pathlib.Path(__file__).resolve().parent.parent / "docs" / "troubleshooting.md").read_text()
    assert words in page
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=re.escape(words)):
        of_gradient(gradient(0))
