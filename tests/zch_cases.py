"""Random batches of raw ids for hashed ZCHs, and comparisons with the sequential specification."""

import functools

import jax
import numpy as np

from jaxtbe import ops, pack_ids, zch
from jaxtbe.reference import zch as specification

ACCESSES = [
    ("read_write", "read_only", "read_write"),
    ("write_only", None, "read_only"),
    ("read_only", "read_write", None),
]


def empty_slots(config: zch.Zch, rows: int) -> ops.ZchSlots:
    return ops.ZchSlots(
        np.full((rows, 2), 0xFFFFFFFF, np.uint32),
        np.full(rows, -1, np.int32),
        np.zeros((), np.int32),
        np.zeros(rows, np.int32) if config.track_counts else None,
    )


def random_config(rng, **chosen) -> tuple[zch.Zch, int]:
    """A configuration and the rows of a table that it fits."""
    policy = chosen.pop("policy")
    buckets = int(rng.choice([1, 1, 2, 4]))
    reserved = int(rng.integers(1, 3)) if chosen["on_full"] == "reserved" else 0
    config = zch.Zch(
        max_probe=int(rng.choice([1, 2, 3, 5, 128])),
        buckets=buckets,
        policy=policy,
        ttl=None if policy is None else 1,
        reserved=reserved,
        admit_after=int(rng.choice([1, 1, 2, 3])),
        track_counts=bool(rng.integers(2)),
        **chosen,
    )
    return config, buckets * (reserved + int(rng.choice([1, 2, 3, 4, 7, 16])) + (4 // buckets if buckets < 4 else 0))


def random_ids(rng, rows: int, count: int) -> np.ndarray:
    """int64[count] from a pool about as large as the table, with duplicates and some -1."""
    pool = rng.integers(-(2**63), 2**63 - 1, int(rng.integers(2, 3 * rows + 2)), dtype=np.int64)
    pool[rng.random(pool.size) < 0.3] %= 100
    ids = rng.choice(pool, count)
    ids[rng.random(count) < 0.1] = -1
    return ids


def random_batch(rng, ids: np.ndarray, features: int, now: int, masked: bool, scored: bool) -> ops.ZchBatch:
    """Ids of ragged bags, with padding at the end."""
    count, batch_size = ids.size, 2
    inner = np.sort(rng.integers(0, count + 1, features * batch_size))
    return ops.ZchBatch(
        pack_ids(ids),
        np.concatenate([[0], inner]).astype(np.int32),
        rng.random(count) < 0.8 if masked else None,
        rng.integers(now - 3, now + 4, count).astype(np.int32) if scored else None,
    )


def specified(slots, batch, now, ttl, config, access) -> ops.ZchInserted:
    return ops.ZchInserted(*specification.zch_insert(slots, batch, int(now), int(ttl), zch=config, access=access))


@functools.partial(jax.jit, static_argnames=("config", "access", "implementation"))
def insert(slots, batch, now, ttl, *, config, access, implementation="native") -> ops.ZchInserted:
    return ops.zch_insert(slots, batch, now, ttl, zch=config, access=access, implementation=implementation)


def assert_same(got, want, what: str) -> None:
    """The same dtypes and bits in every array of two pytrees."""
    got_leaves, want_leaves = jax.tree_util.tree_leaves_with_path(got), jax.tree_util.tree_leaves_with_path(want)
    assert len(got_leaves) == len(want_leaves), what
    for (path, g), (_, w) in zip(got_leaves, want_leaves, strict=True):
        g, w = np.asarray(g), np.asarray(w)
        name = f"{what}: {jax.tree_util.keystr(path)}"
        assert g.dtype == w.dtype, f"{name}: expected {w.dtype}, got {g.dtype}"
        assert np.array_equal(g, w), f"{name}: expected {w.tolist()}, got {g.tolist()}"
