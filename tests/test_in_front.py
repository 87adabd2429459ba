"""The tools that stand in for optax's where gradients are partly sparse, against optax's own over dense gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxtbe

EMB = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=7, dim=3)], [jaxtbe.Feature("x", table="t")])
BATCHES = [EMB.bags({"x": ids}, capacity=16) for ids in ([[1, 2, 2], [3]], [[3], [5, 1]], [[], [6, 6]], [[0], [1]])]
optim = jaxtbe.optim


def loss(params, bags, factor=1.0):
    return factor * jnp.sum(jnp.sin(EMB(params["emb"], bags)["x"] @ params["w"]))


def start():
    return {"emb": EMB.init(jax.random.key(0)), "w": jnp.arange(3.0)}


def partition():
    return optax.partition({"tables": optim.sgd(0.1), "dense": optax.sgd(0.1)}, optim.labels)


def example():
    return jax.eval_shape(jaxtbe.grad(loss), start(), BATCHES[0])


def train(tx, grad, factors=(1.0,) * 8):
    """Parameters and state after a step on each batch, again and again."""

    @jax.jit
    def step(params, state, bags, factor):
        updates, state = tx.update(grad(loss)(params, bags, factor), state, params)
        return optax.apply_updates(params, updates), state

    params, history = start(), []
    state = tx.init(params)
    for i, factor in enumerate(factors):
        params, state = step(params, state, BATCHES[i % len(BATCHES)], factor)
        history.append(params)
    return history, state


TWINS = {
    "clip_by_global_norm": (
        lambda tx: optax.chain(optim.clip_by_global_norm(0.5), tx),
        lambda tx: optax.chain(optax.clip_by_global_norm(0.5), tx),
    ),
    "scale": (lambda tx: optax.chain(optim.scale(0.3), tx), lambda tx: optax.chain(optax.scale(0.3), tx)),
    "scale_by_schedule": (
        lambda tx: optax.chain(optim.scale_by_schedule(optax.linear_schedule(1.0, 0.1, 4)), tx),
        lambda tx: optax.chain(optax.scale_by_schedule(optax.linear_schedule(1.0, 0.1, 4)), tx),
    ),
    "multi_steps": (
        lambda tx: optim.multi_steps(tx, 3, example()),
        lambda tx: optax.MultiSteps(tx, 3).gradient_transformation(),
    ),
    "multi_steps of sums": (
        lambda tx: optim.multi_steps(tx, 2, example(), use_grad_mean=False),
        lambda tx: optax.MultiSteps(tx, 2, use_grad_mean=False).gradient_transformation(),
    ),
    "apply_if_finite": (lambda tx: optim.apply_if_finite(tx, 2), lambda tx: optax.apply_if_finite(tx, 2)),
    "named_chain": (
        lambda tx: optax.named_chain(("clip", optim.clip_by_global_norm(0.5)), ("step", tx)),
        lambda tx: optax.chain(optax.clip_by_global_norm(0.5), tx),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_equals_optax_over_dense_gradients(name):
    ours, theirs = TWINS[name]
    factors = (1.0, jnp.nan, 2.0, jnp.inf, jnp.inf, 1.0) if name == "apply_if_finite" else (1.0,) * 8
    got, state = train(ours(partition()), jaxtbe.grad, factors)
    want, expected_state = train(theirs(optax.sgd(0.1)), jax.grad, factors)
    for step, pair in enumerate(zip(got, want, strict=True)):
        for a, b in zip(*map(jax.tree.leaves, pair), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=f"step {step}")
    jaxtbe.check(state)
    if name == "apply_if_finite":
        for field in ("notfinite_count", "last_finite", "total_notfinite"):
            np.testing.assert_array_equal(getattr(state, field), getattr(expected_state, field))
    if name == "multi_steps":
        assert (int(state.mini_step), int(state.gradient_step)) == (2, 2)


def test_apply_if_finite_gives_up_after_too_many_in_a_row():
    got, state = train(optim.apply_if_finite(partition(), 1), jaxtbe.grad, (jnp.nan, jnp.nan))
    assert np.isfinite(got[0]["w"]).all() and np.isnan(got[1]["w"]).any()
    assert int(state.notfinite_count) == 2 and not bool(state.last_finite)


def test_accumulated_steps_copy_no_table():
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", rows=50_001, dim=8)], [jaxtbe.Feature("x", table="t")])
    params, bags = emb.init(jax.random.key(0)), emb.bags({"x": np.arange(64)})
    of_batch = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))
    tx = optim.multi_steps(optim.rowwise_adagrad(0.1), 2, jax.eval_shape(of_batch, params))

    def step(params, state):
        updates, state = tx.update(of_batch(params), state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params)).compile()
    assert "f32[50001,8]{1,0} copy(" not in compiled.as_text()
    assert compiled.memory_analysis().temp_size_in_bytes < 50_001 * 8 * 4


@pytest.mark.parametrize("every_k", [0, 1.5, True, "2"])
def test_accumulation_over_no_whole_number_of_steps(every_k):
    with pytest.raises(ValueError, match=r"^jaxtbe.optim.multi_steps: every_k: expected a whole number of at least 1"):
        optim.multi_steps(partition(), every_k, example())


def test_accumulation_of_another_capacity():
    tx = optim.multi_steps(partition(), 2, example())
    params = start()
    other = jaxtbe.grad(loss)(params, EMB.bags({"x": [[1], [2]]}, capacity=32))
    with pytest.raises(TypeError, match=r"^jaxtbe.optim.multi_steps: gradient: expected the structure and shapes"):
        tx.update(other, tx.init(params), params)


def test_summed_micro_batches_of_a_scan():
    params = start()
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *BATCHES)
    grads = jax.lax.scan(lambda c, bags: (c, jaxtbe.grad(loss)(params, bags)), 0, stacked)[1]
    tx = partition()
    updates, _ = tx.update(optim.sum_stacked(grads), tx.init(params), params)
    got = optax.apply_updates(params, updates)
    dense = jax.grad(lambda p: sum(loss(p, bags) for bags in BATCHES))(params)
    for a, b in zip(
        jax.tree.leaves(got),
        jax.tree.leaves(optax.apply_updates(params, jax.tree.map(lambda g: -0.1 * g, dense))),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_injected_hyperparameters_keep_their_precision(dtype):
    emb = jaxtbe.EmbeddingBags([jaxtbe.Table("t", 7, 3, dtype=dtype)], [jaxtbe.Feature("x", table="t")])
    bags, params = emb.bags({"x": [[1, 2], [3]]}), emb.init(jax.random.key(0))
    grads = jaxtbe.grad(lambda p: jnp.sum(emb(p, bags)["x"]))(params)

    def stepped(tx):
        updates, _ = tx.update(grads, tx.init(params), params)
        return np.asarray(optax.apply_updates(params, updates).tables["t"], np.float32)

    want = stepped(optim.adam(0.1))
    exact = optax.inject_hyperparams(optim.adam, hyperparam_dtype=jnp.float32)(learning_rate=0.1)
    np.testing.assert_array_equal(stepped(exact), want)
    np.testing.assert_array_equal(stepped(optim.inject_hyperparams(optim.adam)(learning_rate=0.1)), want)
    of_params = optax.inject_hyperparams(optim.adam)(learning_rate=0.1)
    if dtype == jnp.float32:
        np.testing.assert_array_equal(stepped(of_params), want)
        return
    with pytest.raises(TypeError, match=r"^jaxtbe.optim: hyperparameters: expected float32 or Python numbers, got"):
        stepped(of_params)


def test_a_fault_count_stays_at_the_most_that_it_can_hold():
    bags, tx, params = EMB.bags({"x": [[9, 8], [7]]}), partition(), start()
    state = tx.init(params)
    full = jax.tree.map(lambda x: x.at[0, 1].set(2**31 - 2) if x.shape == (1, 4) else x, state)
    _, state = tx.update(jaxtbe.grad(loss)(params, bags), full, params)
    with pytest.raises(ValueError, match="got 2147483647 at or past it"):
        jaxtbe.check(state)


@pytest.mark.parametrize(
    "nothing", [lambda: start(), lambda: BATCHES[0], lambda: {}, lambda: optax.adam(0.1).init(start())]
)
def test_nothing_to_check_is_an_error(nothing):
    with pytest.raises(TypeError, match=r"^jaxtbe.check: arguments: expected a state of a jaxtbe.optim optimizer"):
        jaxtbe.check(nothing())
