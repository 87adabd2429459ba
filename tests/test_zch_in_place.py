"""The ZCH's state, and the tables whose rows are reset, change in place inside a jitted, donated step."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxtbe import ops, pack_ids, zch

ROWS, DIM, COUNT = 60_000, 8, 200
CONFIG = zch.Zch(policy="ttl", ttl=1, track_counts=True)


def step(state, table, moments, ids, offsets, now):
    state, rows, report = zch.remap(
        state, ids, offsets, zch=CONFIG, access=("read_write",), now=now, implementation="native"
    )
    table, moments = ops.reset_rows(
        table, moments, report.evicted, report.evicted_ids, 0, table_number=1, scale=0.1, implementation="native"
    )
    acts = table[jnp.maximum(rows, 0)]
    return state, table, moments, jnp.sum(acts), report.counters


def batch(now):
    ids = np.random.default_rng(now).integers(-(2**63), 2**63 - 1, COUNT)
    return pack_ids(ids), np.asarray([0, COUNT], np.int32), np.int32(now)


def arrays():
    table = jnp.full((ROWS, DIM), 0.5, jnp.float32)
    return zch.init_zch(CONFIG, ROWS), table, [jnp.zeros((ROWS, DIM)), jnp.zeros((ROWS,))]


def copies(compiled) -> list[str]:
    """The copies of whole arrays of the table's rows."""
    return re.findall(rf"\w+\[{ROWS}(?:,\d+)?\]\S* copy\(.*", compiled.as_text())


def pointers(tree) -> list[int]:
    return [x.unsafe_buffer_pointer() for x in jax.tree.leaves(tree)]


def test_a_donated_step_copies_nothing():
    jitted = jax.jit(step, donate_argnums=(0, 1, 2))
    state, table, moments = arrays()
    compiled = jitted.lower(state, table, moments, *batch(0)).compile()
    assert not copies(compiled)
    assert compiled.memory_analysis().temp_size_in_bytes < ROWS * DIM
    before = pointers((state.identities, state.last_seen, state.counts, table, moments))
    for now in range(3):
        state, table, moments, *_ = jitted(state, table, moments, *batch(now))
        assert pointers((state.identities, state.last_seen, state.counts, table, moments)) == before


def test_steps_inside_scan_copy_nothing():
    def steps(state, table, moments, batches):
        def body(carry, inputs):
            *carry, loss, counters = step(*carry, *inputs)
            return tuple(carry), (loss, counters)

        return jax.lax.scan(body, (state, table, moments), batches)

    batches = jax.tree.map(lambda *x: np.stack(x), *(batch(now) for now in range(3)))
    compiled = jax.jit(steps, donate_argnums=(0, 1, 2)).lower(*arrays(), batches).compile()
    assert not copies(compiled)


def test_two_remaps_in_one_step_copy_nothing():
    """Reports carry what later steps need, so nothing reads the old state after it has changed."""

    def two_steps(state, table, moments, first, second):
        *arrays, _, _ = step(state, table, moments, *first)
        return step(*arrays, *second)

    compiled = jax.jit(two_steps, donate_argnums=(0, 1, 2)).lower(*arrays(), batch(0), batch(1)).compile()
    assert not copies(compiled)


def test_without_donation_the_old_state_stays_as_it_was():
    state, table, moments = arrays()
    kept = jax.tree.map(np.array, state)
    new_state, *_ = jax.jit(step)(state, table, moments, *batch(0))
    assert int(new_state.occupancy) == COUNT
    for old, same in zip(jax.tree.leaves(state), jax.tree.leaves(kept), strict=True):
        np.testing.assert_array_equal(old, same)


@pytest.mark.parametrize("implementation", ["native", "xla"])
def test_32_bit_mode_needs_no_64_bit_array(implementation):
    assert not jax.config.jax_enable_x64
    state = zch.init_zch(CONFIG, 16)
    ids, offsets, now = batch(0)
    _, rows, _ = jax.jit(
        lambda s: zch.remap(
            s,
            ids[:8],
            offsets * 0 + np.asarray([0, 8]).astype(np.int32),
            zch=CONFIG,
            access=("read_write",),
            now=now,
            implementation=implementation,
        )
    )(state)
    assert rows.dtype == jnp.int32 and len(set(rows.tolist())) == 8
