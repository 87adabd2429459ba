"""Lookups without insertion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zch_cases import ACCESSES, empty_slots, random_batch, random_config, random_ids, specified

from jaxtbe import ops, pack_ids, zch
from jaxtbe.reference.zch import Table


@pytest.mark.parametrize("on_full", ["miss", "share", "reserved"])
def test_both_implementations_find_what_was_inserted(on_full):
    rng = np.random.default_rng(["miss", "share", "reserved"].index(on_full))
    for k in range(12):
        config, rows = random_config(rng, policy="lru", priority="id", on_full=on_full)
        slots = empty_slots(config, rows)
        for now in range(4):
            batch = random_batch(rng, random_ids(rng, rows, 32), 3, now, False, False)
            slots = specified(slots, batch, now, 1, config, ("read_write",) * 3).slots
        table = Table(config, np.asarray(slots.identities).view("<i8")[:, 0], slots.last_seen, None, 0)
        ids = random_ids(rng, rows, 64)
        ids[::2] = rng.choice(np.asarray(slots.identities).view("<i8")[:, 0], 32)
        batch, access = random_batch(rng, ids, 3, 0, False, False), ACCESSES[k % 3]
        found = {}
        for implementation in ("native", "xla"):
            result = ops.zch_find(
                jnp.asarray(slots.identities),
                batch.ids,
                batch.offsets,
                zch=config,
                access=access,
                implementation=implementation,
            )
            found[implementation] = jax.tree.map(np.asarray, result)
        np.testing.assert_array_equal(found["native"][0], found["xla"][0])
        np.testing.assert_array_equal(found["native"][1], found["xla"][1])
        ends = batch.offsets[::2]
        for n, id in enumerate(ids.tolist()):
            mine = id != -1 and any(a and ends[f] <= n < ends[f + 1] for f, a in enumerate(access))
            slot = table.find(id) if mine else None
            want = slot if slot is not None else table.layout.fallback(id) if mine else -1
            status = (
                zch.ZchStatus.NO_ID if not mine else zch.ZchStatus.READ_MISS if slot is None else zch.ZchStatus.READ_HIT
            )
            assert (found["native"][0][n], found["native"][1][n]) == (want, status)


# Rows around the eight identities of a cache line, where lines are cut by blocks and by the table's end.
@pytest.mark.parametrize("rows", [1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 100])
@pytest.mark.parametrize("buckets", [1, 3])
@pytest.mark.parametrize("reserved", [0, 1, 3])
def test_full_tables_of_any_size(rows, buckets, reserved):
    block = rows
    config = zch.Zch(buckets=buckets, reserved=reserved, on_full="reserved" if reserved else "miss")
    total = buckets * (block + reserved)
    ids = np.random.default_rng(rows).integers(-(2**63), 2**63 - 1, 40 * total + 100)
    state = zch.init_zch(config, total)
    state, rows_, _ = zch.remap(
        state,
        pack_ids(ids),
        np.asarray([0, ids.size], np.int32),
        zch=config,
        access=("read_write",),
        implementation="native",
    )
    assert state.occupancy == buckets * block
    found, status = zch.find(state, pack_ids(ids), zch=config, implementation="native")
    np.testing.assert_array_equal(found, rows_)
    held = np.asarray(state.identities).view("<i8")[:, 0]
    hit = np.asarray(status) == zch.ZchStatus.READ_HIT
    assert hit.sum() == buckets * block
    np.testing.assert_array_equal(held[np.asarray(found)[hit]], ids[hit])


def test_an_int64_device_array_is_accepted_with_x64():
    config = zch.Zch()
    ids = np.asarray([1, -(2**63), 2**40, -1])
    state = zch.init_zch(config, 16)
    offsets = np.asarray([0, 4], np.int32)
    state, rows, _ = zch.remap(state, pack_ids(ids), offsets, zch=config, access=("read_write",))
    with jax.enable_x64(True):
        found, _ = jax.jit(lambda s, i: zch.find(s, i, zch=config))(state, jnp.asarray(ids))
    np.testing.assert_array_equal(found, rows)
