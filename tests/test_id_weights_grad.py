"""The gradient with respect to the id weights against the oracle."""

import dataclasses

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from cases import DIMS, Case, cases, every_dtype_and_pooling, every_pooling, feature, quick_jit, to_bags
from compare import assert_same_bits, assert_within

import jaxtbe


def loss(emb, params, bags, id_weights, d_acts):
    acts = emb(params, dataclasses.replace(bags, id_weights=id_weights))
    return sum(jnp.vdot(acts[name], d_acts[name]) for name in acts)


gradient = quick_jit(jax.grad(loss, argnums=3), static_argnums=0)


def flat(ragged, length: int) -> np.ndarray:
    """Feature-major, as ids lie in `Bags`, zero-padded."""
    numbers = [number for bags in ragged.values() for bag in bags for number in bag]
    return np.pad(np.array(numbers, np.float64), (0, length - len(numbers)))


def assert_gradient_matches(got, case, batch, d_acts):
    values = case.values()
    absolute = {name: np.abs(v.astype(np.float64)) for name, v in values.items()}
    abs_d_acts = {name: np.abs(d) for name, d in d_acts.items()}
    want = oracle.id_weight_gradients(case.tables, case.features, values, batch, d_acts)
    magnitude = oracle.id_weight_gradients(case.tables, case.features, absolute, batch, abs_d_acts)
    assert_within(got, flat(want, got.size), 1e-5 * flat(magnitude, got.size), "gradient of id_weights")


@hypothesis.given(case=cases())
def test_random_specs_and_batches(implementation, case):
    emb = case.module(implementation)
    batch, d_acts = case.batch(faults=True), case.d_acts()
    bags = to_bags(emb, batch)
    got = gradient(emb, case.params(), bags, bags.id_weights, d_acts)
    assert got.dtype == jnp.float32
    assert_gradient_matches(got, case, batch, d_acts)


@pytest.mark.parametrize("dim", DIMS)
def test_every_dim_dtype_and_pooling(implementation, dim):
    case = every_dtype_and_pooling(dim)
    emb = case.module(implementation)
    batch, d_acts = case.batch(), case.d_acts()
    bags = to_bags(emb, batch)
    got = gradient(emb, case.params(), bags, bags.id_weights, d_acts)
    assert_gradient_matches(got, case, batch, d_acts)


def test_masked_ids_and_read_only_features_still_train_their_weights(implementation):
    """They are read, so the output depends on their weights; only the table is left alone."""
    table = jaxtbe.Table("t", rows=5, dim=4)
    case = Case((table,), (feature("rw", "t"), feature("ro", "t", "mean", access="read_only")))
    emb = case.module(implementation)
    batch, d_acts = case.batch(mask=True), case.d_acts()
    bags = to_bags(emb, batch)
    got = gradient(emb, case.params(), bags, bags.id_weights, d_acts)
    assert_gradient_matches(got, case, batch, d_acts)


def test_write_only_features_do_not(implementation):
    case = Case((jaxtbe.Table("t", rows=5, dim=4),), (feature("w", "t", access="write_only"),))
    emb = case.module(implementation)
    bags = to_bags(emb, case.batch())
    got = gradient(emb, case.params(), bags, bags.id_weights, case.d_acts())
    assert_within(got, np.zeros(got.shape), 0, "gradient of write-only id_weights")


def test_together_with_the_sparse_gradient(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    batch, d_acts = case.batch(), case.d_acts()
    bags = to_bags(emb, batch)

    def of_params_and_weights(params, id_weights):
        return loss(emb, params, bags, id_weights, d_acts)

    _, got = quick_jit(jaxtbe.grad(of_params_and_weights, argnums=(0, 1)))(case.params(), bags.id_weights)
    assert_gradient_matches(got, case, batch, d_acts)
    alone = gradient(emb, case.params(), bags, bags.id_weights, d_acts)
    assert_same_bits(got, alone, "gradient of id_weights")
