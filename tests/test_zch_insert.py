"""The parallel insert equals the sequential specification bit for bit."""

import itertools

import jax
import numpy as np
import pytest
from zch_cases import (
    ACCESSES,
    assert_same,
    empty_slots,
    insert,
    random_batch,
    random_config,
    random_ids,
    specified,
)

from jaxtbe import ops, pack_ids, zch

POLICIES, PRIORITIES, ON_FULL = (None, "ttl", "lru"), ("id", "first"), ("miss", "share", "reserved")
CONFIGS, TABLES, STEPS = 24, 4, 20  # times 18 kinds: 34,560 inserts


@pytest.mark.slow
@pytest.mark.parametrize("policy, priority, on_full", [*itertools.product(POLICIES, PRIORITIES, ON_FULL)])
def test_random_batches(policy, priority, on_full):
    rng = np.random.default_rng([POLICIES.index(policy), PRIORITIES.index(priority), ON_FULL.index(on_full)])
    outcomes = set()
    for k in range(CONFIGS):
        config, rows = random_config(rng, policy=policy, priority=priority, on_full=on_full)
        access, masked, scored = ACCESSES[k % 3], bool(rng.integers(2)), bool(rng.integers(2))
        count = int(rng.choice([4, 16, 40]))
        for _ in range(TABLES):
            slots = empty_slots(config, rows)
            for now in range(STEPS):
                batch = random_batch(rng, random_ids(rng, rows, count), len(access), now, masked, scored)
                ttl = np.int32(rng.integers(-1, 4))
                want = specified(slots, batch, now, ttl, config, access)
                got = insert(slots, batch, np.int32(now), ttl, config=config, access=access)
                assert_same(got, want, f"{config}, {rows} rows, {access}, step {now}")
                slots = want.slots
                outcomes.update(want.status.tolist())
    expected = set(ops.ZchStatus) - ({ops.ZchStatus.EVICTED} if policy is None else set())
    assert outcomes == expected, "the cases leave out an outcome"


def crowd(policy, priority, count=24_000, rows=4096):
    """Many ids for few slots: several tasks at once, chains of displaced ids, and hits with old scores."""
    config = zch.Zch(
        max_probe=12, policy=policy, ttl=None if policy is None else 1, priority=priority, track_counts=True, buckets=2
    )
    rng = np.random.default_rng(7)
    pool = rng.integers(-(2**63), 2**63 - 1, 3 * rows)
    batches = []
    for now in range(3):
        scores = rng.integers(now - 2, now + 2, count).astype(np.int32)
        offsets = np.asarray([0, count // 2, count - 5], np.int32)
        batches.append(ops.ZchBatch(pack_ids(rng.choice(pool, count)), offsets, rng.random(count) < 0.9, scores))
    return config, rows, batches, ("read_write", "read_only")


@pytest.mark.slow
@pytest.mark.parametrize("policy, priority", [*itertools.product(POLICIES, PRIORITIES)])
def test_a_crowd(policy, priority):
    config, rows, batches, access = crowd(policy, priority)
    slots = empty_slots(config, rows)
    for now, batch in enumerate(batches):
        got = insert(slots, batch, np.int32(now), np.int32(1), config=config, access=access)
        want = specified(slots, batch, now, 1, config, access)
        assert_same(got, want, f"step {now}")
        slots = want.slots
    assert want.counters[zch.COUNTERS.index("failures")] > 0
    if policy is not None:
        assert want.counters[zch.COUNTERS.index("evictions")] > 0


def test_the_xla_implementation_is_the_specification():
    config, rows = zch.Zch(policy="lru", ttl=1, track_counts=True), 8
    rng = np.random.default_rng(0)
    slots = empty_slots(config, rows)
    for now in range(4):
        batch = random_batch(rng, random_ids(rng, rows, 16), 3, now, True, True)
        args = {"config": config, "access": ACCESSES[0]}
        by_callback = insert(slots, batch, np.int32(now), np.int32(1), implementation="xla", **args)
        native = insert(slots, batch, np.int32(now), np.int32(1), implementation="native", **args)
        assert_same(native, by_callback, f"step {now}")
        slots = jax.tree.map(np.asarray, native.slots)


def remap_all(config, rows, ids, access=("read_write",), offsets=None, **options):
    """One remap of an empty table."""
    ids = np.asarray(ids, np.int64)
    offsets = np.asarray([0, ids.size] if offsets is None else offsets, np.int32)
    state = zch.init_zch(config, rows)
    return zch.remap(state, pack_ids(ids), offsets, zch=config, access=access, implementation="native", **options)


def test_occurrences_below_admit_after_are_not_inserted():
    config = zch.Zch(admit_after=2, track_counts=True)
    state, rows, report = remap_all(config, 16, [5, 6, 5, 7])
    assert [zch.ZchStatus(int(s)).name for s in report.status] == ["INSERTED", "UNADMITTED", "INSERTED", "UNADMITTED"]
    assert rows[1] == rows[3] == -1 and rows[0] == rows[2] >= 0
    assert state.counts[rows[0]] == 2 and state.occupancy == 1


def test_scores_saturate_instead_of_wrapping():
    config = zch.Zch(policy="ttl", ttl=2**31 - 1)
    state, rows, _ = remap_all(config, 4, [1], now=2**31 - 2)
    assert state.last_seen[rows[0]] == 2**31 - 1


def test_the_order_of_the_batch_matters_not_with_priority_id():
    config = zch.Zch(max_probe=3, policy="ttl", ttl=1)
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 60, 64)
    order = rng.permutation(ids.size)
    state, rows, report = remap_all(config, 24, ids)
    shuffled_state, shuffled_rows, shuffled_report = remap_all(config, 24, ids[order])
    assert_same(shuffled_state, state, "state")
    np.testing.assert_array_equal(shuffled_rows, rows[order])
    np.testing.assert_array_equal(shuffled_report.status, report.status[order])


def test_the_order_of_features_matters_not_with_priority_id():
    config = zch.Zch(max_probe=4)
    rng = np.random.default_rng(4)
    parts = {
        "read_write": rng.integers(0, 60, 30),
        "read_only": rng.integers(0, 60, 20),
        "write_only": rng.integers(0, 60, 10),
    }
    results = []
    for access in itertools.permutations(parts):
        offsets = np.concatenate([[0], np.cumsum([parts[a].size for a in access])])
        state, rows, report = remap_all(config, 24, np.concatenate([parts[a] for a in access]), access, offsets)
        pieces = dict(zip(access, np.split(np.asarray(rows), offsets[1:-1]), strict=True))
        results.append((state, {name: pieces[name] for name in sorted(pieces)}, report.counters))
    for result in results[1:]:
        assert_same(result, results[0], "another order of features")


def test_padding_is_no_id():
    config = zch.Zch()
    _, rows, report = remap_all(config, 8, [3, 4, 5, 6], offsets=[0, 1, 3], access=("read_write",))
    assert rows[3] == -1 and report.status[3] == zch.ZchStatus.NO_ID
    assert report.counters[zch.COUNTERS.index("positions")] == 3
