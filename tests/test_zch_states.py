"""ZCH states that do not fit their table or configuration, counters at their limits, time that falls, states for serving."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe
from jaxtbe import ops, zch

IDS = jaxtbe.pack_ids(np.arange(5))
OFFSETS = np.array([0, 5], np.int32)


def make(rows=64, implementation=None, **config):
    return jaxtbe.EmbeddingBags(
        [jaxtbe.Table("t", rows=rows, dim=2, zch=zch.Zch(**config))],
        [jaxtbe.Feature("x", table="t")],
        implementation=implementation,
    )


@pytest.mark.parametrize("slots", [32, 63, 128])
def test_a_state_of_another_size_than_the_table(implementation, slots):
    emb = make(implementation=implementation)
    bags, state = emb.bags({"x": np.arange(3)}), {"t": zch.init_zch(zch.Zch(), slots)}
    for call in (emb.remap, emb.find, jax.jit(emb.remap)):
        with pytest.raises(
            ValueError, match=f"zch_state of table 't': expected a state of 64 slots, .* got one of {slots} slots"
        ):
            call(state, bags)


@pytest.mark.parametrize(("slots", "config", "message"), [
    (32, {"buckets": 64}, "expected rows divisible by buckets=64, got 32 rows"),
    (64, {"on_full": "reserved", "reserved": 100}, "expected fewer reserved rows than the 64 of a bucket, got 100"),
    (64, {"buckets": 64, "on_full": "reserved", "reserved": 1}, "expected fewer reserved rows than the 1 of a bucket, got 1"),
])  # fmt: skip
def test_a_state_that_the_configuration_cannot_split(implementation, slots, config, message):
    state, config = zch.init_zch(zch.Zch(), slots), zch.Zch(**config)
    calls = [
        lambda: zch.find(state, IDS, zch=config, implementation=implementation),
        lambda: zch.remap(state, IDS, OFFSETS, zch=config, access=("read_write",), implementation=implementation),
        lambda: ops.zch_find(state.identities, jnp.asarray(IDS), zch=config, implementation=implementation),
        lambda: ops.zch_insert(
            state.slots(), ops.ZchBatch(jnp.asarray(IDS), jnp.asarray(OFFSETS)), jnp.int32(0), jnp.int32(0),
            zch=config, access=("read_write",), implementation=implementation,
        ),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


def test_counts_stay_at_the_most_that_they_can_hold(implementation):
    config = zch.Zch(track_counts=True)
    state = zch.init_zch(config, 16)
    ids = jaxtbe.pack_ids(np.full(3, 7))
    state, rows, _ = zch.remap(state, ids, np.array([0, 3], np.int32), zch=config, access=("read_write",))
    slot = int(rows[0])
    state = dataclasses.replace(state, counts=state.counts.at[slot].set(2**31 - 2))
    for _ in range(2):
        state, _, _ = zch.remap(
            state, ids, np.array([0, 3], np.int32), zch=config, access=("read_write",), implementation=implementation
        )
        assert int(state.counts[slot]) == 2**31 - 1


def test_time_that_falls_is_reported(implementation):
    emb = make(implementation=implementation, policy="ttl", ttl=5)
    state, metrics, fell = emb.init_zch(), zch.ZchMetrics(), []
    for now in (1, 9, 9, 3, 5, 10):
        state, _, reports = emb.remap(state, emb.bags({"x": np.arange(3)}), now=now)
        fell.append(int(reports["t"].now_fell))
        metrics.update(reports)
    assert fell == [0, 0, 0, 1, 1, 0]
    assert metrics.scalars()["zch/t/now_falls"] == 2 and int(state["t"].now) == 10
    old = {"t": dataclasses.replace(state["t"], now=None)}  # of a checkpoint from before
    state, _, reports = emb.remap(old, emb.bags({"x": np.arange(3)}), now=0)
    assert reports["t"].now_fell is None and state["t"].now is None


def test_a_state_for_serving_has_what_find_needs(implementation):
    emb = make(implementation=implementation, policy="ttl", ttl=5, track_counts=True)
    bags = emb.bags({"x": np.array([3, 2**40, -7])})
    state, rows, _ = emb.remap(emb.init_zch(), bags, now=1)
    served = {"t": zch.serving_state(state["t"])}
    assert [x.shape for x in jax.tree.leaves(served)] == [(64, 2), ()]
    np.testing.assert_array_equal(emb.find(served, bags).ids, rows.ids)
    found, reports = emb.find_with_reports(served, bags)
    np.testing.assert_array_equal(found.ids, rows.ids)
    assert reports["t"].counters.shape == (len(ops.ZchStatus) + 1,)
    with pytest.raises(ValueError, match=r"zch\.remap: state\.last_seen: expected int32\[64\], got None"):
        emb.remap(served, bags, now=2)
