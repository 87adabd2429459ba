"""Features that only read leave no trace in the table."""

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from zch_cases import assert_same, insert

from jaxtbe import ops, pack_ids, zch

ROWS, COUNT, FEATURES = 8, 24, 4
FEW_IDS = st.integers(-1, 14)
CONFIGS = [
    zch.Zch(policy=policy, ttl=None if policy is None else 1, track_counts=True, max_probe=3, priority=priority)
    for policy in (None, "ttl", "lru")
    for priority in ("id", "first")
]


@st.composite
def mixed_batches(draw):
    ids = draw(st.lists(FEW_IDS, min_size=COUNT, max_size=COUNT))
    offsets = sorted(draw(st.lists(st.integers(0, COUNT), min_size=FEATURES, max_size=FEATURES)))
    scores = draw(st.lists(st.integers(-2, 8), min_size=COUNT, max_size=COUNT))
    mask = draw(st.lists(st.booleans(), min_size=COUNT, max_size=COUNT))
    return ops.ZchBatch(
        pack_ids(np.asarray(ids, np.int64)),
        np.asarray([0, *offsets], np.int32),
        np.asarray(mask),
        np.asarray(scores, np.int32),
    )


def fill(config):
    """A table that is full of ids with different scores."""
    state = zch.init_zch(config, ROWS)
    ids, offsets = pack_ids(np.arange(10, 40)), np.asarray([0, 30], np.int32)
    scores = np.arange(30, dtype=np.int32) % 5
    return zch.remap(state, ids, offsets, zch=config, access=("read_write",), scores=scores)[0].slots()


@given(mixed_batches(), st.sampled_from(CONFIGS))
def test_a_read_only_feature_changes_no_bit(batch, config):
    mixed = ("read_write", "read_only", "read_write", "read_only")
    without = tuple(None if a == "read_only" else a for a in mixed)
    with_reads, writes_alone = (
        insert(fill(config), batch, np.int32(3), np.int32(1), config=config, access=a) for a in (mixed, without)
    )
    assert_same(with_reads.slots, writes_alone.slots, "slots")
    assert_same(with_reads.evicted, writes_alone.evicted, "evicted")
    assert_same(with_reads.evicted_ids, writes_alone.evicted_ids, "evicted ids")
    written = np.asarray(writes_alone.status) != zch.ZchStatus.NO_ID
    np.testing.assert_array_equal(np.asarray(with_reads.rows)[written], np.asarray(writes_alone.rows)[written])
    np.testing.assert_array_equal(np.asarray(with_reads.status)[written], np.asarray(writes_alone.status)[written])


@given(mixed_batches(), st.sampled_from(CONFIGS))
def test_only_reads_change_nothing_at_all(batch, config):
    slots = jax.tree.map(np.asarray, fill(config))
    done = insert(slots, batch, np.int32(5), np.int32(1), config=config, access=("read_only",) * FEATURES)
    assert_same(done.slots, slots, "slots")
    assert not np.asarray(done.evicted_age) and (np.asarray(done.evicted) == -1).all()


@given(mixed_batches(), st.sampled_from(CONFIGS))
def test_a_masked_position_is_one_of_a_read_only_feature(batch, config):
    all_masked = batch._replace(update_mask=np.zeros(COUNT, bool))
    writing = insert(
        fill(config), all_masked, np.int32(5), np.int32(1), config=config, access=("read_write",) * FEATURES
    )
    reading = insert(
        fill(config), all_masked, np.int32(5), np.int32(1), config=config, access=("read_only",) * FEATURES
    )
    assert_same(writing, reading, "masked")
