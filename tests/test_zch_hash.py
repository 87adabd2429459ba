"""The hash of raw ids: the check values of its description, in every implementation."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxtbe import ops, pack_ids, zch
from jaxtbe.batch.word64 import Word64, remainder, zch_hash
from jaxtbe.reference import zch as specification

CHECK_VALUES = {
    0: 0xFFD8B21EB0D00460,
    1: 0xD6290C3E64A73F15,
    2: 0x9050AF3080E325C2,
    10: 0x3CD5DA1127D1B38C,
    42: 0x4B5C06ECCA824928,
    -1: 0x7E93CB39C93543A9,
    2**31: 0xFA3E05BC16781438,
    2**63 - 1: 0x771C5084BA30E7D7,
    -(2**63): 0x142799D94B9ECEBF,
}


def words(ids) -> Word64:
    packed = jnp.asarray(pack_ids(np.asarray(ids, np.int64)))
    return Word64(packed[:, 0], packed[:, 1])


def test_specification():
    assert {id: specification.zch_hash(id) for id in CHECK_VALUES} == CHECK_VALUES


def test_jnp():
    hashed = zch_hash(words(list(CHECK_VALUES)))
    got = np.asarray(hashed.high).astype(np.uint64) << np.uint64(32) | np.asarray(hashed.low)
    assert got.tolist() == list(CHECK_VALUES.values())


# Pairwise coprime, with a product above 2**64: the homes in all of them are the whole hash.
@pytest.mark.parametrize("rows", [1, 2**16, 65521, 65519, 65497, 64661])
def test_native_homes(rows):
    config = zch.Zch(max_probe=1, on_full="share")
    ids = [id for id in CHECK_VALUES if id != -1]
    empty = jnp.full((rows, 2), 0xFFFFFFFF, jnp.uint32)
    homes, _ = ops.zch_find(empty, pack_ids(np.asarray(ids, np.int64)), zch=config, implementation="native")
    assert homes.tolist() == [CHECK_VALUES[id] % rows for id in ids]


@pytest.mark.parametrize("buckets", [1, 2, 7, 1000, 2**20 - 3])
def test_native_buckets(buckets):
    config = zch.Zch(max_probe=1, on_full="share", buckets=buckets)
    rng = np.random.default_rng(0)
    ids = rng.integers(-(2**63), 2**63 - 1, 100)
    empty = jnp.full((buckets, 2), 0xFFFFFFFF, jnp.uint32)
    rows, _ = ops.zch_find(empty, pack_ids(ids), zch=config, implementation="native")
    assert rows.tolist() == [int(id) % 2**64 % buckets for id in ids]


@pytest.mark.parametrize("divisor", [1, 2, 3, 10, 2**31 - 1])
def test_jnp_remainder(divisor):
    rng = np.random.default_rng(0)
    ids = np.concatenate([rng.integers(-(2**63), 2**63 - 1, 50), [0, 1, -1, -2, 2**63 - 1, -(2**63)]])
    assert remainder(words(ids), divisor).tolist() == [int(id) % 2**64 % divisor for id in ids]
