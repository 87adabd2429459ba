"""Tables to and from FBGEMM's layout, and lookups of our tables by FBGEMM itself where it is installed."""

import dataclasses

import jax
import numpy as np
import pytest
from zch_cases import assert_same

from jaxtbe import pack_ids, unpack_ids, zch


def filled(config, rows, count, seed=0):
    ids = np.random.default_rng(seed).integers(-(2**63), 2**63 - 1, count)
    state = zch.init_zch(config, rows)
    state, *_ = zch.remap(
        state, pack_ids(ids), np.asarray([0, count], np.int32), zch=config, access=("read_write",), now=7
    )
    return state, ids


@pytest.mark.parametrize("buckets, max_probe, count", [(1, 128, 90), (4, 128, 300), (4, 3, 500), (1, 5, 1000)])
def test_round_trip(buckets, max_probe, count):
    config = zch.Zch(policy="ttl", ttl=5, buckets=buckets, max_probe=max_probe)
    state, _ = filled(config, 256, count)
    identities, metadata = zch.to_fbgemm(state)
    assert identities.shape == metadata.shape == (256, 1)
    assert identities.dtype == np.int64 and metadata.dtype == np.int32
    held = identities[:, 0] != -1
    np.testing.assert_array_equal(metadata[held], 12)
    np.testing.assert_array_equal(metadata[~held], -1)
    # FBGEMM's layout has no latest `now`.
    assert_same(zch.from_fbgemm(config, identities, metadata), dataclasses.replace(state, now=None), "round trip")


def test_without_metadata_every_id_has_score_0():
    config = zch.Zch(track_counts=True)
    state, _ = filled(config, 64, 20)
    again = zch.from_fbgemm(config, zch.to_fbgemm(state)[0][:, 0])
    held = np.asarray(state.last_seen) != -1
    np.testing.assert_array_equal(again.last_seen, np.where(held, 0, -1))
    np.testing.assert_array_equal(again.counts, held)
    assert int(again.occupancy) == 20


def test_tables_that_lookups_would_misread_are_refused():
    config = zch.Zch(max_probe=16)
    identities, metadata = zch.to_fbgemm(filled(config, 64, 60)[0])
    with pytest.raises(
        ValueError, match=r"from_fbgemm: identities: expected every id in the window of its hash, got \d+ wrong"
    ):
        zch.from_fbgemm(config, np.roll(identities, 20), metadata)
    with pytest.raises(ValueError, match="from_fbgemm: identities: expected every id in the window"):
        zch.from_fbgemm(zch.Zch(buckets=2), identities, metadata)
    far = np.full((64, 1), -1, np.int64)
    home = np.flatnonzero(zch.to_fbgemm(filled(config, 64, 1)[0])[0][:, 0] != -1)[0]
    far[(home + 3) % 64] = filled(config, 64, 1)[1][0]
    with pytest.raises(ValueError, match="identities: expected no empty slot between an id and its home, got 1 wrong"):
        zch.from_fbgemm(config, far)
    twice = np.full((64, 1), -1, np.int64)
    twice[[home, (home + 1) % 64]] = filled(config, 64, 1)[1][0]
    with pytest.raises(ValueError, match="identities: expected every id once, got 1 wrong"):
        zch.from_fbgemm(config, twice)


def test_messages():
    ok = np.full((8, 1), -1, np.int64)
    with pytest.raises(
        TypeError, match=r"from_fbgemm: identities: expected int64, got int32\. Pass the table's arrays"
    ):
        zch.from_fbgemm(zch.Zch(), ok.astype(np.int32))
    with pytest.raises(TypeError, match="from_fbgemm: metadata: expected int32, got int64"):
        zch.from_fbgemm(zch.Zch(), ok, ok)
    with pytest.raises(ValueError, match=r"identities: expected shape \[slots, 1\] or \[slots\], got \[4, 2\]"):
        zch.from_fbgemm(zch.Zch(), ok.reshape(4, 2))
    with pytest.raises(ValueError, match="metadata: expected 8 scores, got 7"):
        zch.from_fbgemm(zch.Zch(), ok, np.zeros((7, 1), np.int32))
    with pytest.raises(ValueError, match=r"jaxtbe\.Zch: rows: expected rows divisible by buckets=3, got 8 rows"):
        zch.from_fbgemm(zch.Zch(buckets=3), ok)


@pytest.mark.parametrize(
    "buckets, max_probe, count", [(1, 128, 2_000), (1, 128, 4_500), (1, 8, 4_500), (8, 128, 2_000), (8, 8, 4_500)]
)
def test_fbgemm_finds_our_ids_in_our_slots(buckets, max_probe, count):
    torch = pytest.importorskip("torch", reason="needs torch and fbgemm-gpu-cpu")
    pytest.importorskip("fbgemm_gpu", reason="needs fbgemm-gpu-cpu")
    rows = 4096
    config = zch.Zch(max_probe=max_probe, buckets=buckets, policy="lru")
    state, ids = filled(config, rows, count)
    strangers = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 1000)
    asked = np.concatenate([ids, strangers])
    bucket = (asked.astype(np.uint64) % np.uint64(buckets)).astype(np.int64)
    found, _ = torch.ops.fbgemm.zero_collision_hash(
        input=torch.from_numpy(asked),
        identities=torch.from_numpy(zch.to_fbgemm(state)[0]),
        max_probe=max_probe,
        circular_probe=True,
        exp_hours=-1,
        readonly=True,
        local_sizes=torch.full((asked.size,), rows // buckets),
        offsets=torch.from_numpy(bucket * (rows // buckets)),
        disable_fallback=True,
    )
    rows_, status = zch.find(state, pack_ids(asked), zch=config)
    assert set(np.asarray(status)) == {zch.ZchStatus.READ_HIT, zch.ZchStatus.READ_MISS}
    np.testing.assert_array_equal(found.numpy(), rows_)


def test_pack_ids_is_a_view():
    ids = np.asarray([0, -1, 2**40, -(2**63)])
    packed = pack_ids(ids)
    assert packed.shape == (4, 2) and packed.dtype == np.uint32 and np.shares_memory(packed, ids)
    np.testing.assert_array_equal(unpack_ids(packed), ids)
    np.testing.assert_array_equal(unpack_ids(np.asarray(jax.device_put(packed))), ids)
