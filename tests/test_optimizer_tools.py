"""Mixed and lazy optimizers, and the tools over gradients that are partly sparse."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

ROWS = (40, 30, 25)


def make(implementation=None, dtype=jnp.float32, duplicates="sum"):
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table(n, rows=r, dim=5, dtype=dtype, duplicates=duplicates) for n, r in zip("abc", ROWS, strict=True)],
        [
            jaxtbe.Feature("x", table="a"),
            jaxtbe.Feature("y", table="b", pooling="mean"),
            jaxtbe.Feature("z", table="a"),
            jaxtbe.Feature("u", table="c", pooling="none", max_length=2),
        ],
        implementation=implementation,
    )
    return emb, emb.init(jax.random.key(0))


def batch(emb, seed=0, size=6):
    rng = np.random.default_rng(seed)
    ragged = lambda rows: [list(rng.integers(0, rows, rng.integers(0, 5))) for _ in range(size)]  # noqa: E731
    return emb.bags({"x": ragged(4), "y": ragged(5), "z": ragged(6), "u": ragged(7)}, capacity=128)


def loss_fn(emb, params, bags):
    return jnp.sum(jnp.sin(3 * emb.concat(params, bags)) ** 2)


def norm(tree):
    return np.sqrt(sum(np.sum(np.float64(x) ** 2) for x in jax.tree.leaves(tree)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def step(emb, tx, params, state, bags):
    grads = jaxtbe.grad(lambda p: loss_fn(emb, p, bags))(params)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def train(emb, tx, params, steps=3):
    state = tx.init(params)
    for seed in range(steps):
        params, state = step(emb, tx, params, state, batch(emb, seed))
    return params, state


def assert_close(a, b, rtol=2e-5, atol=1e-6):
    for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(
            np.float64(x), np.float64(y), rtol=rtol, atol=atol, err_msg=jax.tree_util.keystr(path)
        )


def touched(emb, bags, table, rows):
    """bool[rows]: which rows of a table the batch has."""
    grads = jax.grad(lambda p: jnp.sum(emb.concat(p, bags)))(emb.init(jax.random.key(1)))
    return np.any(np.asarray(grads.tables[table]) != 0, axis=1)


# per_table


def test_per_table_equals_each_optimizer_alone(implementation):
    emb, params = make(implementation)
    mixed = {
        "a": jaxtbe.optim.adagrad(0.3),
        "b": jaxtbe.optim.adam(0.1),
        "c": jaxtbe.optim.adagrad(0.01, weight_decay=0.1, decay="l2"),
    }
    together, state = train(emb, jaxtbe.optim.per_table(mixed), params, steps=1)
    for name, tx in mixed.items():
        alone, alone_state = train(emb, tx, params, steps=1)
        np.testing.assert_array_equal(together.tables[name], alone.tables[name])
        for x, y in zip(jax.tree.leaves(state.tables[name]), jax.tree.leaves(alone_state.tables[name]), strict=True):
            np.testing.assert_array_equal(x, y)


def test_tables_with_one_rule_share_one_call():
    emb, params = make("native")
    tx = jaxtbe.optim.per_table(
        {"a": jaxtbe.optim.adagrad(0.3), "b": jaxtbe.optim.adam(0.1)}, default=jaxtbe.optim.adagrad(0.1)
    )
    text = step.lower(emb, tx, params, tx.init(params), batch(emb)).as_text()
    assert len(re.findall(r"custom_call @jaxtbe_update", text)) == 2


def test_per_table_messages():
    _, params = make()
    with pytest.raises(
        TypeError, match=r"optimizer of 'a': expected one of jaxtbe.optim, got GradientTransformation.*lazy"
    ):
        jaxtbe.optim.per_table({"a": optax.sgd(0.1)})
    with pytest.raises(ValueError, match=r"table 'b': expected an optimizer among those of \['a'\], got none. Add it"):
        jaxtbe.optim.per_table({"a": jaxtbe.optim.sgd(0.1)}).init(params)


# lazy


@functools.partial(jax.jit, static_argnums=(0, 1))
def dense_step(emb, tx, params, state, bags):
    updates, state = tx.update(jax.grad(lambda p: loss_fn(emb, p, bags))(params), state, params)
    return optax.apply_updates(params, updates), state


ELEMENTWISE = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.1, momentum=0.9),
    "adabelief": lambda: optax.adabelief(0.05),
    "lion": lambda: optax.lion(0.01),
    "rmsprop": lambda: optax.rmsprop(0.05),
    "adamw": lambda: optax.adamw(0.05, weight_decay=0.1),
    "scheduled": lambda: optax.adam(optax.linear_schedule(0.1, 0.0, 3)),
}


@pytest.mark.parametrize(("name", "implementation"), [*((n, "native") for n in ELEMENTWISE), ("adamw", "xla")])
def test_lazy_equals_the_dense_update_of_touched_rows(name, implementation):
    emb, params = make(implementation)
    tx = ELEMENTWISE[name]()
    bags = batch(emb)
    lazy = jaxtbe.optim.lazy(ELEMENTWISE[name]())
    got, state, want = params, lazy.init(params), params
    dense_state = tx.init(params)
    for _ in range(3):  # the same rows every step, so that dense moments of touched rows evolve alike
        got, state = step(emb, lazy, got, state, bags)
        want, dense_state = dense_step(emb, tx, want, dense_state, bags)
    for table, rows in zip("abc", ROWS, strict=True):
        mine = touched(emb, bags, table, rows)
        np.testing.assert_allclose(
            got.tables[table][mine], want.tables[table][mine], rtol=1e-4, atol=1e-5, err_msg=table
        )
        np.testing.assert_array_equal(got.tables[table][~mine], params.tables[table][~mine])


def test_lazy_states_of_other_rows_stay():
    emb, params = make()
    tx = jaxtbe.optim.lazy(optax.adam(0.1))
    _, state = train(emb, tx, params, steps=1)
    mine = touched(emb, batch(emb), "a", ROWS[0])
    mu = np.asarray(state.tables["a"]["inner"][0].mu)
    assert np.any(mu[mine] != 0)
    np.testing.assert_array_equal(mu[~mine], 0)
    assert int(state.tables["a"]["inner"][0].count) == 1


@pytest.mark.parametrize(
    ("tx", "message"),
    [
        (lambda: optax.lamb(0.1), "expected an elementwise one, got updates of an element that depend on the others"),
        (lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(0.1)), "expected an elementwise one"),
        (
            lambda: optax.adafactor(0.1, min_dim_size_to_factor=4),
            r"state .*: expected the parameter's shape \(30, 5\), or a",
        ),
        # Rates learned from norms, which begin far below any tolerance.
        (lambda: optax.contrib.prodigy(0.1), "expected an elementwise one"),
        (lambda: optax.contrib.dog(1.0), "expected an elementwise one"),
        # One decision for all elements.
        (lambda: optax.apply_if_finite(optax.adam(0.1), 3), "expected an elementwise one"),
        # What is kept for later is lost if the later batch does not hold the row.
        (
            lambda: optax.chain(optax.apply_every(2), optax.sgd(0.1)),
            "keeps gradients for later steps, with ApplyEvery in",
        ),
        (
            lambda: optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
            "with MultiStepsState in its state. .*multi_steps",
        ),
    ],
    ids=["lamb", "clip", "adafactor", "prodigy", "dog", "apply_if_finite", "apply_every", "MultiSteps"],
)
def test_lazy_refuses_what_is_not_per_element_and_step(tx, message):
    _, params = make()
    with pytest.raises(ValueError, match=f"jaxtbe.optim.lazy: .*{message}"):
        jaxtbe.optim.lazy(tx()).init(jaxtbe.EmbeddingParams({"b": params.tables["b"]}))


def test_lazy_refuses_states_that_begin_with_a_function_of_the_row():
    _, params = make()
    norms = optax.GradientTransformation(lambda p: jnp.square(p) + 1, lambda g, state, p=None: (g * state, state))
    with pytest.raises(
        ValueError, match=r"state .*: expected one that begins with a number or with the parameter, got"
    ):
        jaxtbe.optim.lazy(norms).init(params)


def test_lazy_refuses_hyperparameters_of_16_bits():
    params = jaxtbe.EmbeddingParams({"t": jnp.ones((4, 2), jnp.bfloat16)})
    with pytest.raises(
        TypeError, match=r"hyperparameters: expected float32 or Python numbers, got bfloat16. Use jaxtbe"
    ):
        jaxtbe.optim.lazy(optax.inject_hyperparams(optax.adam)(0.1)).init(params)
    jaxtbe.optim.lazy(jaxtbe.optim.inject_hyperparams(optax.adam)(0.1)).init(params)


def test_lazy_checks_itself_where_nans_are_errors():
    _, params = make()
    with jax.debug_nans(True):
        jaxtbe.optim.lazy(optax.adam(0.1)).init(params)
        with pytest.raises(ValueError, match="expected an elementwise one"):
            jaxtbe.optim.lazy(optax.contrib.prodigy(0.1)).init(params)


def test_lazy_is_bounded_by_the_batch_and_in_place():
    rows = 50_000
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=rows, dim=8)], [jaxtbe.Feature("x", table="t")])
    params, tx = emb.init(jax.random.key(0)), jaxtbe.optim.lazy(optax.adam(0.1))
    bags = emb.bags({"x": np.arange(64)})

    def one(params, state):
        grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(one, donate_argnums=(0, 1)).lower(params, tx.init(params)).compile()
    assert not re.findall(rf"f32\[{rows},8\]\S* copy\(", compiled.as_text())
    assert compiled.memory_analysis().temp_size_in_bytes < rows * 8 * 4 / 4


# gradient tools


def both_gradients(emb, params, bags, dense):
    tree = {"emb": params, "w": dense}
    fun = lambda t: loss_fn(emb, t["emb"], bags) * jnp.sum(t["w"])  # noqa: E731
    return jax.jit(jaxtbe.grad(fun))(tree), jax.jit(jax.grad(fun))(tree)


@functools.partial(jax.jit, static_argnums=0)
def applied(tx, grads, state, params):
    return optax.apply_updates(params, tx.update(grads, state, params)[0])


def test_global_norm_is_that_of_the_dense_gradient(implementation):
    emb, params = make(implementation)
    sparse, dense = both_gradients(emb, params, batch(emb), jnp.arange(3.0))
    np.testing.assert_allclose(jax.jit(jaxtbe.optim.global_norm)(sparse), norm(dense), rtol=1e-5)


@pytest.mark.parametrize("duplicates", ["first", "last"])
def test_global_norm_counts_the_occurrences_that_train(duplicates):
    emb, params = make(duplicates=duplicates)
    grads = jaxtbe.grad(lambda p: loss_fn(emb, p, batch(emb)))(params)
    tx = jaxtbe.optim.sgd(1.0)
    updates, _ = tx.update(grads, tx.init(params), params)
    moved = jax.tree.map(lambda a, b: a - b, params, optax.apply_updates(params, updates))
    np.testing.assert_allclose(jaxtbe.optim.global_norm(grads), norm(moved), rtol=1e-4)


def test_clipping_equals_dense_clipping(implementation):
    emb, params = make(implementation)
    bags = batch(emb)
    sparse, dense = both_gradients(emb, params, bags, jnp.arange(3.0))
    for limit in (0.5 * float(norm(dense)), 1e9):
        clip = jaxtbe.optim.clip_by_global_norm(limit)
        clipped, _ = jax.jit(clip.update)(sparse, clip.init(params))
        expected, _ = optax.clip_by_global_norm(limit).update(dense, optax.EmptyState())
        np.testing.assert_allclose(clipped["w"], expected["w"], rtol=1e-5)
        tx = jaxtbe.optim.sgd(1.0)
        moved = jax.tree.map(lambda a, b: a - b, params, applied(tx, clipped["emb"], tx.init(params), params))
        assert_close(moved, expected["emb"], rtol=1e-4, atol=1e-5)


def test_clipping_goes_first_in_a_chain():
    emb, params = make()
    tree = {"emb": params, "w": jnp.arange(3.0)}
    tx = optax.chain(
        jaxtbe.optim.clip_by_global_norm(1e-3),
        optax.partition({"emb": jaxtbe.optim.sgd(1.0), "w": optax.sgd(1.0)}, {"emb": "emb", "w": "w"}),
    )
    grads, _ = both_gradients(emb, params, batch(emb), tree["w"])
    updates, _ = tx.update(grads, tx.init(tree), tree)
    moved = jax.tree.map(lambda a, b: np.asarray(a - b, np.float64), tree, optax.apply_updates(tree, updates))
    assert np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(moved))) == pytest.approx(1e-3, rel=1e-2)


def test_clipping_leaves_what_write_only_features_store():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("m", 5, 2)], [jaxtbe.Feature("w", "m", access="write_only")])
    params, tx = emb.init(jax.random.key(0)), optax.chain(jaxtbe.optim.clip_by_global_norm(1e-6), jaxtbe.optim.sgd(1.0))
    target = jnp.asarray([[3.0, 4.0]])
    grads = jaxtbe.grad(lambda p: jaxtbe.writeback_loss(emb(p, emb.bags({"w": [2]}))["w"], target))(params)
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_array_equal(optax.apply_updates(params, updates).tables["m"][2], target[0])


def test_micro_batches_add_up_to_one_batch(implementation):
    emb, params = make(implementation)
    tx = jaxtbe.optim.adagrad(0.1)
    parts = [batch(emb, seed) for seed in range(3)]
    grads = [
        jax.jit(jaxtbe.grad(lambda t, b=b: loss_fn(emb, t["emb"], b)))({"emb": params, "w": jnp.ones(2)}) for b in parts
    ]
    total = jaxtbe.optim.scale_gradients(jaxtbe.optim.add_gradients(*grads), 1 / 3)
    np.testing.assert_array_equal(total["w"], 0)
    got = applied(tx, total["emb"], tx.init(params), params)
    whole = jax.jit(jaxtbe.grad(lambda p: sum(loss_fn(emb, p, b) for b in parts) / 3))(params)
    assert_close(got, applied(tx, whole, tx.init(params), params))


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_nonfinite_gradient_skips_the_step(bad):
    emb, params = make()
    bags = batch(emb)
    tx = jaxtbe.optim.skip_nonfinite(
        optax.partition({"emb": jaxtbe.optim.adam(0.1), "w": optax.adam(0.1)}, {"emb": "emb", "w": "w"})
    )

    @jax.jit
    def train_step(tree, state, factor):
        fun = lambda t: factor * loss_fn(emb, t["emb"], bags) * jnp.sum(t["w"])  # noqa: E731
        grads = jaxtbe.grad(fun)(tree)
        updates, state = tx.update(grads, state, tree)
        return optax.apply_updates(tree, updates), state

    tree = {"emb": params, "w": jnp.arange(3.0)}
    good, state = train_step(tree, tx.init(tree), 1.0)
    kept, after = train_step(good, state, bad)
    for x, y in zip(jax.tree.leaves((good, state.inner)), jax.tree.leaves((kept, after.inner)), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (int(state.skipped), int(after.skipped)) == (0, 1)
    moved, _ = train_step(kept, after, 1.0)
    assert not np.array_equal(moved["w"], kept["w"])


def test_skipping_copies_no_table():
    rows = 50_000
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=rows, dim=8)], [jaxtbe.Feature("x", table="t")])
    params = emb.init(jax.random.key(0))
    tx = jaxtbe.optim.skip_nonfinite(jaxtbe.optim.rowwise_adagrad(0.1))
    bags = emb.bags({"x": np.arange(64)})

    def one(params, state):
        grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(one, donate_argnums=(0, 1)).lower(params, tx.init(params)).compile()
    assert not re.findall(rf"f32\[{rows},8\]\S* copy\(", compiled.as_text())
