"""Stochastic rounding of 16-bit tables: within one gap, unbiased, and a function of seed and step alone."""

import jax.numpy as jnp
import numpy as np
import pytest
from cases import Case, feature, train_step
from compare import assert_same_bits, assert_within, rounding

import jaxtbe
from jaxtbe.optim.rules.sgd import SGD

ROWS, DIM = 64, 64
HALF_DTYPES = [jnp.bfloat16, jnp.float16]


def one_feature(dtype) -> Case:
    return Case((jaxtbe.Table("t", rows=ROWS, dim=DIM, dtype=dtype),), (feature("f", "t"),))


def every_row_once(emb):
    return emb.bags({"f": np.arange(ROWS)})


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_within_one_gap_of_the_exact_result(implementation, dtype):
    case = one_feature(dtype)
    emb, tx = case.module(implementation), jaxtbe.optim.sgd(0.1, rounding="stochastic")
    params, gradient = case.params(), np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(np.float32)
    got, _ = train_step(emb, tx, params, tx.init(params), every_row_once(emb), {"f": gradient})
    want = case.values()["t"].astype(np.float64) - 0.1 * gradient.astype(np.float64)
    assert_within(got.tables["t"], want, 2 * rounding(want, dtype) + 1e-6, "stochastically rounded table")


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_representable_results_are_exact(implementation, dtype):
    case = one_feature(dtype)
    emb, tx = case.module(implementation), jaxtbe.optim.sgd(0.5, rounding="stochastic")
    params = case.params({"t": np.ones((ROWS, DIM), dtype)})
    got, _ = train_step(emb, tx, params, tx.init(params), every_row_once(emb), {"f": jnp.ones((ROWS, DIM))})
    assert_within(got.tables["t"], np.full((ROWS, DIM), 0.5), 0, "table")


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_many_small_updates_arrive_on_average(implementation, dtype):
    """Updates of an eighth of a gap: nearest rounding would never move, stochastic rounding moves one time in eight."""
    case = one_feature(dtype)
    gap = float(jnp.finfo(dtype).eps)
    steps = 64
    emb, tx = case.module(implementation), jaxtbe.optim.sgd(gap / 8, rounding="stochastic", seed=3)
    params = case.params({"t": np.ones((ROWS, DIM), dtype)})
    state, bags, minus_one = tx.init(params), every_row_once(emb), jnp.full((ROWS, DIM), -1.0)
    for _ in range(steps):
        params, state = train_step(emb, tx, params, state, bags, {"f": minus_one})
    moved = (np.asarray(params.tables["t"]).astype(np.float64) - 1.0) / gap
    # A binomial count of 64 trials at 1/8 in each of 4096 places: the mean's standard deviation is 0.04 gaps.
    assert_within(moved.mean(), steps / 8, 0.25, "mean number of gaps moved")
    assert moved.std() > 1, f"places move together: standard deviation {moved.std():.3g}, expected about 2.6"


def test_bits_depend_on_seed_and_step(implementation):
    case = one_feature(jnp.bfloat16)
    emb = case.module(implementation)
    params, bags, gradient = case.params(), every_row_once(emb), {"f": jnp.full((ROWS, DIM), 0.3)}

    def step(seed, state=None):
        tx = jaxtbe.optim.sgd(0.01, rounding="stochastic", seed=seed)
        new, state = train_step(emb, tx, params, tx.init(params) if state is None else state, bags, gradient)
        return np.asarray(new.tables["t"]), state

    first, state = step(0)
    assert_same_bits(step(0)[0], first, "the same seed and step")
    assert (step(1)[0] != first).any(), "another seed gives the same bits"
    assert (step(0, state)[0] != first).any(), "the next step gives the same bits"


@pytest.mark.parametrize("dtype", HALF_DTYPES)
def test_a_part_of_a_table_rounds_as_the_whole(implementation, dtype):
    rng = np.random.default_rng(0)
    table = jnp.asarray(rng.normal(size=(ROWS, DIM)), dtype)
    d_acts = jnp.asarray(rng.normal(size=(ROWS, DIM)), jnp.float32)
    hyper = jnp.asarray([[0.01, 0, 0, jnp.inf, jnp.inf, 1]], jnp.float32)

    def update(first, last):
        ids, offsets = jnp.arange(last - first, dtype=jnp.int32), jnp.arange(last - first + 1, dtype=jnp.int32)
        source = jaxtbe.ops.SourceLayout(feature=0, num_features=1, table=0)
        lookup = jaxtbe.ops.UpdateLookup(ids, offsets, None, None, d_acts[first:last], (source,))
        new, _ = jaxtbe.ops.update(
            [table[first:last]],
            [[]],
            hyper,
            jnp.asarray([7, 1, first], jnp.uint32),
            [lookup],
            rule=SGD,
            duplicates=("sum",),
            table_ids=(3,),
            implementation=implementation,
        )
        return np.asarray(new[0])

    whole = update(0, ROWS)
    assert_same_bits(update(20, ROWS), whole[20:], "rows from the 20th")
    nearest = (table.astype(jnp.float32) - 0.01 * d_acts).astype(dtype)
    assert (whole != np.asarray(nearest)).any(), "nothing was rounded stochastically"
