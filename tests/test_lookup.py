"""The forward pass against the oracle: dtypes, dims, poolings, weights, shared tables, ragged and padded batches."""

import hypothesis
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from cases import (
    BATCH_SIZE,
    DIMS,
    DTYPES,
    Case,
    cases,
    every_dtype_and_pooling,
    every_pooling,
    feature,
    lookup,
    quick_jit,
    random_batch,
    to_bags,
)
from compare import assert_same_bits, assert_within
from oracle import Batch

import jaxtbe


def assert_acts_match(acts, case, values, batch, rtol=1e-5):
    want = oracle.lookup(case.tables, case.features, values, batch)
    magnitude = oracle.lookup_magnitude(case.tables, case.features, values, batch)
    assert set(acts) == set(want)
    for name in want:
        assert acts[name].dtype == jnp.float32, f"{name}: activations are float32, got {acts[name].dtype}"
        assert_within(acts[name], want[name], rtol * magnitude[name], f"acts[{name!r}]")


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("dim", DIMS)
def test_every_dim_dtype_and_pooling(implementation, dim, weights):
    case = every_dtype_and_pooling(dim)
    emb = case.module(implementation)
    batch = case.batch(weights=weights)
    assert_acts_match(lookup(emb, case.params(), to_bags(emb, batch)), case, case.values(), batch)


@hypothesis.given(case=cases(accesses=("read_write", "read_only")))
def test_random_specs_and_batches(implementation, case):
    emb = case.module(implementation)
    batch = case.batch(faults=True)
    acts = lookup(emb, case.params(), to_bags(emb, batch))
    assert_acts_match(acts, case, case.values(), batch)


def test_concat_is_the_features_side_by_side(implementation):
    case = every_dtype_and_pooling(dim=3)
    emb = case.module(implementation)
    bags = to_bags(emb, case.batch())
    acts = lookup(emb, case.params(), bags)
    side_by_side = np.concatenate([np.reshape(acts[f.name], (BATCH_SIZE, -1)) for f in case.features], axis=1)
    concat = quick_jit(emb.concat)(case.params(), bags)
    assert_same_bits(concat, side_by_side, "concat")


@pytest.mark.parametrize("pooling", ["sum", "mean"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_long_bags_lose_only_rounding(implementation, dtype, pooling):
    table = jaxtbe.Table("t", rows=50, dim=3, dtype=dtype)
    case = Case((table,), (feature("f", "t", pooling),))
    rng = np.random.default_rng(0)
    ids = {"f": [rng.integers(0, 50, 5_000).tolist(), [], [7]]}
    weights = {"f": [rng.normal(size=len(bag)).astype(np.float32).tolist() for bag in ids["f"]]}
    batch = Batch(ids, weights)
    emb = case.module(implementation)
    acts = lookup(emb, case.params(), to_bags(emb, batch, capacity=None))
    assert_acts_match(acts, case, case.values(), batch, rtol=5_000 * 2.0**-24)


def test_a_large_batch_over_many_rows(implementation):
    tables = (jaxtbe.Table("large", rows=70_001, dim=2), jaxtbe.Table("small", rows=300, dim=3, dtype=jnp.bfloat16))
    case = Case(tables, (feature("f", "large"), feature("g", "small", "none"), feature("h", "large", "mean")))
    emb = case.module(implementation)
    rng = np.random.default_rng(0)
    batch = random_batch(case.tables, case.features, rng, batch_size=1000, longest=12, faults=True)
    acts = lookup(emb, case.params(), to_bags(emb, batch, capacity=20_000))
    assert_acts_match(acts, case, case.values(), batch)


def test_all_bags_empty(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    nothing = Batch({f.name: [[] for _ in range(BATCH_SIZE)] for f in case.features})
    for capacity in (None, 16):
        for name, acts in lookup(emb, case.params(), to_bags(emb, nothing, capacity)).items():
            assert_within(acts, np.zeros(acts.shape), 0, f"acts[{name!r}] of empty bags")


def test_empty_bags_and_negative_ids_do_not_read_the_table(implementation):
    table = jaxtbe.Table("t", rows=2, dim=3)
    case = Case((table,), (feature("sum", "t"), feature("mean", "t", "mean"), feature("none", "t", "none")))
    emb = case.module(implementation)
    nan = case.params({"t": np.full((2, 3), np.nan, np.float32)})
    bags = to_bags(emb, Batch({f.name: [[-1, -5], [], [-1]] for f in case.features}))
    for name, acts in lookup(emb, nan, bags).items():
        assert_within(acts, np.zeros(acts.shape), 0, f"acts[{name!r}] without any id")


def test_padding_changes_no_bit(implementation):
    case = every_pooling(dim=65)
    emb = case.module(implementation)
    batch = case.batch()
    least = sum(len(bag) for bags in batch.ids.values() for bag in bags)
    tight = lookup(emb, case.params(), to_bags(emb, batch, capacity=least))
    for capacity in (least + 1, 1000, None):
        padded = lookup(emb, case.params(), to_bags(emb, batch, capacity))
        for name in tight:
            assert_same_bits(padded[name], tight[name], f"acts[{name!r}] with capacity {capacity}")


def test_every_form_of_ids_is_the_same_batch(implementation):
    case = Case((jaxtbe.Table("t", rows=9, dim=4),), (feature("f", "t"), feature("g", "t", "mean")))
    emb = case.module(implementation)
    lists = [[3], [8], [0]]
    forms = {
        "1-D": np.array([3, 8, 0]),
        "2-D": np.array([[3, -1], [8, -1], [0, -1]]),
        "lists": lists,
        "lengths": (np.array([3, 8, 0]), np.array([1, 1, 1])),
    }
    want = lookup(emb, case.params(), to_bags(emb, Batch({"f": lists, "g": lists})))
    for name, form in forms.items():
        acts = lookup(emb, case.params(), emb.bags({"f": form, "g": form}))
        for key in want:
            assert_same_bits(acts[key], want[key], f"acts[{key!r}] from {name} ids")


def test_every_form_of_weights_is_the_same_batch(implementation):
    case = Case((jaxtbe.Table("t", rows=9, dim=4),), (feature("f", "t"),))
    emb = case.module(implementation)
    batch = Batch({"f": [[3, 4], [8, 1], [0, 0]]}, {"f": [[1.5, 2], [-1, 0], [3, 0.25]]})
    ids, weights = np.array(batch.ids["f"]), np.array(batch.id_weights["f"], np.float32)
    lengths = np.array([2, 2, 2])
    want = lookup(emb, case.params(), to_bags(emb, batch))["f"]
    forms = {
        "2-D": emb.bags({"f": ids}, id_weights={"f": weights}),
        "lengths": emb.bags({"f": (ids.ravel(), lengths)}, id_weights={"f": (weights.ravel(), lengths)}),
    }
    for name, bags in forms.items():
        assert_same_bits(lookup(emb, case.params(), bags)["f"], want, f"acts from {name} weights")


def test_batches_of_other_sizes_use_the_same_module(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    for batch_size in (1, 7):
        batch = random_batch(case.tables, case.features, np.random.default_rng(batch_size), batch_size=batch_size)
        assert_acts_match(lookup(emb, case.params(), to_bags(emb, batch)), case, case.values(), batch)


def test_same_lookup_twice_gives_the_same_bits(implementation):
    case = every_pooling(dim=64)
    emb = case.module(implementation)
    bags = to_bags(emb, case.batch())
    first, second, jitted = emb(case.params(), bags), emb(case.params(), bags), lookup(emb, case.params(), bags)
    for name in first:
        assert_same_bits(second[name], first[name], f"acts[{name!r}] again")
        assert_same_bits(jitted[name], first[name], f"acts[{name!r}] under jit")


def test_write_only_reads_as_zeros(implementation):
    table = jaxtbe.Table("t", rows=4, dim=3)
    case = Case((table,), (feature("w", "t", access="write_only"), feature("r", "t", access="read_only")))
    emb = case.module(implementation)
    batch = case.batch()
    assert_acts_match(lookup(emb, case.params(), to_bags(emb, batch)), case, case.values(), batch)

    nan = case.params({"t": np.full((4, 3), np.nan, np.float32)})
    acts = lookup(emb, nan, to_bags(emb, batch))["w"]
    assert_within(acts, np.zeros(acts.shape), 0, "write-only activations over NaN rows")


def test_masked_ids_are_still_read(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    batch = case.batch(mask=True)
    assert_acts_match(lookup(emb, case.params(), to_bags(emb, batch)), case, case.values(), batch)
