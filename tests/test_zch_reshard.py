"""Tables move between device counts by buckets, with the same rows and the same results."""

import jax
import numpy as np
import pytest
from zch_cases import assert_same, insert

from jaxtbe import ops, pack_ids, zch

CONFIG = zch.Zch(buckets=8, policy="lru", ttl=1, max_probe=4, track_counts=True)
ROWS = 8 * 12


def fill(seed, state, now):
    ids = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, 70)
    batch = ops.ZchBatch(pack_ids(ids), np.asarray([0, ids.size], np.int32))
    args = (np.int32(now), np.int32(1))
    return ids, insert(state.slots(), batch, *args, config=CONFIG, access=("read_write",))


def split(tree, parts):
    leaves = [np.split(np.asarray(x), parts) for x in jax.tree.leaves(tree)]
    return [jax.tree.unflatten(jax.tree.structure(tree), [leaf[p] for leaf in leaves]) for p in range(parts)]


def test_every_row_keeps_its_place():
    state = zch.ZchState.from_slots(fill(0, zch.init_zch(CONFIG, ROWS), 0)[1].slots)
    params = {"table": np.random.default_rng(0).normal(size=(ROWS, 3)), "momentum": np.arange(ROWS)}
    one = zch.reshard([state], [params], 1, 4, zch=CONFIG)
    assert [s.rows for s in one[0]] == [ROWS // 4] * 4
    assert sum(int(s.occupancy) for s in one[0]) == int(state.occupancy)
    eight = zch.reshard(*one, 4, 8, zch=CONFIG)
    back_states, back_params = zch.reshard(*eight, 8, 1, zch=CONFIG)
    assert_same(back_states[0], jax.tree.map(np.asarray, state), "state")
    assert_same(back_params[0], params, "params")


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_parts_do_what_the_whole_does(devices):
    whole = zch.init_zch(CONFIG, ROWS)
    parts, _ = zch.reshard([whole], [{}], 1, devices, zch=CONFIG)
    config = zch.shard_config(CONFIG, devices)
    for now in range(4):
        ids, done = fill(now, whole, now)
        whole = zch.ZchState.from_slots(done.slots)
        shard = zch.shard_of(ids, CONFIG, devices)
        rows = np.empty(ids.size, np.int64)
        for d in range(devices):
            own = np.where(shard == d, ids, -1)
            batch = ops.ZchBatch(pack_ids(own), np.asarray([0, own.size], np.int32))
            part = insert(parts[d].slots(), batch, np.int32(now), np.int32(1), config=config, access=("read_write",))
            parts[d] = zch.ZchState.from_slots(part.slots)
            local = np.asarray(part.rows)
            rows[shard == d] = np.where(local < 0, -1, local + d * (ROWS // devices))[shard == d]
        np.testing.assert_array_equal(rows, done.rows)
    joined, _ = zch.reshard(parts, [{}] * devices, devices, 1, zch=CONFIG)
    assert_same(joined[0], jax.tree.map(np.asarray, whole), "state")


def test_messages():
    state = zch.init_zch(CONFIG, ROWS)
    with pytest.raises(
        ValueError, match=r"reshard: devices: expected a number that divides the 8 buckets, got 3\. Choose"
    ):
        zch.reshard([state], [{}], 1, 3, zch=CONFIG)
    with pytest.raises(ValueError, match=r"reshard: states: expected 2 parts, got 1\. Pass one for each device"):
        zch.reshard([state], [{}, {}], 2, 4, zch=CONFIG)
    with pytest.raises(ValueError, match="reshard: params: expected 1 parts, got 2"):
        zch.reshard([state], [{}, {}], 1, 4, zch=CONFIG)
    with pytest.raises(ValueError, match="shard_of: devices: expected a number that divides the 8 buckets, got 5"):
        zch.shard_of(np.arange(3), CONFIG, 5)
