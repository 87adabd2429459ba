"""LRU with windows so wide that all new ids want the same slots: the outcome of one claim after another, at a cost that grows
with ids times window (a full table of 4000 rows and 8000 new ids took 83 s when it grew with the cube)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxtbe
from jaxtbe import zch


def batches(rng, rows, steps=4):
    """Fewer ids than rows, then more than there is room for, some of them again, some seen twice; none at last."""
    known = np.zeros(0, np.int64)
    edges = [2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, 0, 1, -2, -3, 2**32 - 1, 2**32, 2**31, -(2**31), 2**62]
    for step in range(steps):
        new = rng.integers(-(2**62), 2**62, rows // 2 if step == 0 else 2 * rows)
        new[: len(edges)] = edges  # alike in either half
        ids = np.concatenate([new, rng.choice(new, rows // 3), rng.choice(known, rows // 4) if known.size else new[:0]])
        known = np.concatenate([known, new])
        yield rng.permutation(ids), 10 * step, rng.integers(0, 60, ids.size).astype(np.int32)
    yield known[:0], 10 * steps, np.zeros(0, np.int32)


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("config", [
    {}, {"priority": "first"}, {"buckets": 2}, {"on_full": "reserved", "reserved": 5}, {"admit_after": 2}, {"max_probe": 200},
    {"ttl": 15, "track_counts": True},
])  # fmt: skip
def test_equals_the_sequential_specification(config, scored):
    rows, rng = 600, np.random.default_rng(0)
    config = zch.Zch(**{"policy": "lru", "max_probe": rows, **config})
    states = {implementation: zch.init_zch(config, rows) for implementation in ("native", "xla")}
    for ids, now, scores in batches(rng, rows):
        outcome = {}
        for implementation in states:
            states[implementation], found, report = zch.remap(
                states[implementation],
                jaxtbe.pack_ids(ids),
                np.array([0, ids.size], np.int32),
                zch=config,
                access=("read_write",),
                now=now,
                scores=jnp.asarray(scores) if scored else None,
                implementation=implementation,
            )
            outcome[implementation] = (states[implementation], found, report)
        jax.tree.map(np.testing.assert_array_equal, outcome["native"], outcome["xla"])


def test_a_full_table_of_thousands_of_rows_ends():
    rows, rng = 4000, np.random.default_rng(0)
    config = zch.Zch(policy="lru", max_probe=rows)
    state = zch.init_zch(config, rows)
    for count, now in ((rows, 1), (2 * rows, 5)):
        ids = jaxtbe.pack_ids(rng.integers(0, 2**62, count))
        state, _, report = zch.remap(
            state,
            ids,
            np.array([0, count], np.int32),
            zch=config,
            access=("read_write",),
            now=now,
            implementation="native",
        )
    counters = dict(zip(zch.COUNTERS, np.asarray(report.counters).tolist(), strict=True))
    assert (counters["evictions"], counters["failures"], counters["occupancy"]) == (rows, rows, rows)


@pytest.mark.parametrize("policy", ["ttl", "lru", None])
@pytest.mark.parametrize("max_probe", [5, 300])
def test_states_that_no_insert_leaves_behind_end_too(policy, max_probe):
    """Ids outside their windows, twice in the table, holes, scores at the limits, a wrong occupancy."""
    rows, rng = 256, np.random.default_rng(1)
    config = zch.Zch(policy=policy, ttl=None if policy is None else 3, max_probe=max_probe)
    for _ in range(5):
        words = rng.integers(0, 2**32, (rows, 2), dtype=np.uint32)
        words[rng.random(rows) < 0.3] = 0xFFFFFFFF
        words[1::7] = words[0]
        seen = rng.choice(np.array([-(2**31), -1, 0, 2**31 - 1], np.int32), rows)
        state = zch.ZchState(jnp.asarray(words), jnp.asarray(seen), None, jnp.int32(-5), jnp.int32(0))
        ids = np.concatenate(
            [rng.integers(-(2**63), 2**63 - 1, 300), np.ascontiguousarray(words).view("<i8").reshape(-1)]
        )
        offsets = np.array([0, ids.size], np.int32)
        new, found, _ = zch.remap(
            state, jaxtbe.pack_ids(ids), offsets, zch=config, access=("read_write",), now=7, implementation="native"
        )
        found = np.asarray(found)
        assert ((found >= -1) & (found < rows)).all()
        rows_again, _ = zch.find(new, jaxtbe.pack_ids(ids), offsets, zch=config, implementation="native")
        assert ((np.asarray(rows_again) >= -1) & (np.asarray(rows_again) < rows)).all()
