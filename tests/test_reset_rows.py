"""Evicted rows back to their beginning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxtbe import ops, pack_ids
from jaxtbe.reference.reset_rows import initial_rows

ROWS = 50


def assert_same_bits(got, want, what):
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape, what
    assert got.tobytes() == want.tobytes(), f"{what}: expected {want}, got {got}"


def reset(implementation, table, states, slots, ids, seed=3, **options):
    options = {"table_number": 12345, "scale": 0.3, **options}
    run = jax.jit(lambda *args: ops.reset_rows(*args, implementation=implementation, **options))
    return run(table, states, np.asarray(slots, np.int32), pack_ids(np.asarray(ids, np.int64)), seed)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("dim", [1, 3, 64, 65])
def test_both_implementations_give_the_same_bits(dtype, dim):
    rng = np.random.default_rng(dim)
    table = jnp.asarray(rng.normal(size=(ROWS, dim)), dtype)
    states = [
        jnp.asarray(rng.normal(size=(ROWS, dim)), jnp.float32),
        jnp.asarray(rng.normal(size=(ROWS, dim)), jnp.bfloat16),
        jnp.asarray(rng.normal(size=ROWS), jnp.float32),
    ]
    slots, ids = [0, 7, 8, 49, -1, -1], [5, -9, 2**63 - 1, -(2**63), -1, -1]
    native, xla = (reset(i, table, states, slots, ids) for i in ("native", "xla"))
    for got, want, before in zip(jax.tree.leaves(native), jax.tree.leaves(xla), [table, *states], strict=True):
        assert_same_bits(got, want, "native")
        kept = np.setdiff1d(np.arange(ROWS), slots)
        assert_same_bits(got[kept], before[kept], "rows that stay")
    for state in native[1]:
        assert not np.asarray(state[np.asarray([0, 7, 8, 49])], np.float32).any()
    fresh = initial_rows(pack_ids(np.asarray(ids[:4], np.int64)), dim, 3, table_number=12345, scale=0.3)
    assert_same_bits(native[0][np.asarray(slots[:4])], fresh.astype(dtype), "fresh rows")


def test_values_depend_on_seed_table_id_and_column_alone():
    table = jnp.full((ROWS, 16), jnp.nan)
    base = reset("native", table, [], [4], [77])[0][4]
    assert_same_bits(reset("native", table, [], [31], [77])[0][31], base, "another slot")
    assert np.unique(np.asarray(base)).size == 16
    others = [
        reset("native", table, [], [4], [78])[0][4],
        reset("native", table, [], [4], [77 + 2**32])[0][4],
        reset("native", table, [], [4], [77], seed=4)[0][4],
        reset("native", table, [], [4], [77], table_number=1)[0][4],
    ]
    for other in others:
        assert not np.isin(other, base).any()


def test_values_are_uniform():
    ids = pack_ids(np.arange(4000))
    values = np.asarray(initial_rows(ids, 64, 0, table_number=0, scale=0.5), np.float64).ravel()
    assert -0.5 <= values.min() < -0.4999 and 0.4999 < values.max() < 0.5
    assert abs(values.mean()) < 4 * 0.5 / np.sqrt(3 * values.size)
    histogram, _ = np.histogram(values, 64, (-0.5, 0.5))
    expected = values.size / 64
    assert ((histogram - expected) ** 2 / expected).sum() < 63 + 5 * np.sqrt(2 * 63)


def test_rows_are_reset_in_place():
    states = [jnp.ones((ROWS, 4)), jnp.ones(ROWS)]
    arguments = (jnp.ones((ROWS, 4)), states, jnp.asarray([3, -1], jnp.int32), jnp.zeros((2, 2), jnp.uint32))
    run = jax.jit(lambda t, s, i, w: ops.reset_rows(t, s, i, w, 0, table_number=0, scale=1.0), donate_argnums=(0, 1))
    compiled = run.lower(*arguments).compile()
    assert f"[{ROWS},4]{{1,0}} copy(" not in compiled.as_text()
    before = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(arguments[:2])]
    assert [x.unsafe_buffer_pointer() for x in jax.tree.leaves(run(*arguments))] == before
