"""Every message of the configuration and of remap."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxtbe import pack_ids, zch

CONFIG_ERRORS = [
    (
        {"max_probe": 0},
        ValueError,
        r"jaxtbe\.Zch: max_probe: expected 1 <= max_probe < 2\*\*31, got 0\. Correct the number\.",
    ),
    ({"buckets": -1}, ValueError, r"buckets: expected 1 <= buckets < 2\*\*31, got -1"),
    ({"admit_after": 0}, ValueError, r"admit_after: expected 1 <= admit_after < 2\*\*31, got 0"),
    ({"reserved": -2}, ValueError, r"reserved: expected 0 <= reserved < 2\*\*31, got -2"),
    ({"policy": "ttl", "ttl": -5}, ValueError, r"ttl: expected 0 <= ttl < 2\*\*31, got -5"),
    ({"max_probe": 2.0}, TypeError, r"max_probe: expected an int, got 2\.0\. Pass a whole number\."),
    ({"buckets": True}, TypeError, "buckets: expected an int, got True"),
    ({"policy": "lfu"}, ValueError, r"policy: expected None or 'ttl' or 'lru', got 'lfu'\. Choose one of them\."),
    ({"on_full": "drop"}, ValueError, "on_full: expected 'miss' or 'share' or 'reserved', got 'drop'"),
    ({"priority": "age"}, ValueError, "priority: expected 'id' or 'first', got 'age'"),
    ({"track_counts": 1}, TypeError, "track_counts: expected True or False, got 1"),
    (
        {"ttl": 3},
        ValueError,
        r"ttl: expected None without a policy, got 3\. Add policy='ttl' or policy='lru', or leave ttl out",
    ),
    (
        {"policy": "ttl"},
        ValueError,
        r"ttl: expected a number with policy='ttl', got None\. Say how long an unseen id stays\.",
    ),
    (
        {"reserved": 3},
        ValueError,
        "reserved: expected rows exactly with on_full='reserved', got reserved=3 with on_full='miss'",
    ),
    ({"on_full": "reserved"}, ValueError, "got reserved=0 with on_full='reserved'. Set both or neither"),
]


@pytest.mark.parametrize("options, error, message", CONFIG_ERRORS)
def test_configuration(options, error, message):
    with pytest.raises(error, match=message):
        zch.Zch(**options)


def test_rows():
    with pytest.raises(ValueError, match="Zch: table 'user': expected rows divisible by buckets=3, got 8 rows"):
        zch.Zch(buckets=3).check("user", 8)
    message = (
        "Zch: table 'user': expected fewer reserved rows than the 4 of a bucket, got 4. Reserve fewer, or use fewer"
    )
    with pytest.raises(ValueError, match=message):
        zch.Zch(buckets=2, reserved=4, on_full="reserved").check("user", 8)
    with pytest.raises(ValueError, match="Zch: rows: expected rows divisible by buckets=3, got 8 rows"):
        zch.init_zch(zch.Zch(buckets=3), 8)


CONFIG = zch.Zch()
IDS, OFFSETS = pack_ids(np.arange(4)), np.asarray([0, 4], np.int32)


def remap(**changes):
    arguments = {"state": zch.init_zch(CONFIG, 8), "ids": IDS, "offsets": OFFSETS, "access": ("read_write",), **changes}
    return zch.remap(arguments.pop("state"), arguments.pop("ids"), arguments.pop("offsets"), zch=CONFIG, **arguments)


REMAP_ERRORS = [
    (
        {"ids": np.arange(4)},
        TypeError,
        r"jaxtbe\.zch\.remap: ids: expected uint32\[N, 2\] or an int64 device array, got a NumPy array of int64\. "
        r"Pass jaxtbe\.pack_ids\(ids\)",
    ),
    ({"ids": jnp.arange(4)}, TypeError, r"ids: expected uint32\[N, 2\], got int32\[4\]"),
    ({"ids": np.zeros((4, 3), np.uint32)}, TypeError, r"ids: expected uint32\[N, 2\], got uint32\[4, 3\]"),
    ({"offsets": np.asarray([0, 4])}, TypeError, r"offsets: expected int32, got int64\. Convert them with"),
    (
        {"offsets": np.zeros((2, 1), np.int32)},
        ValueError,
        r"offsets: expected \[F\*B\+1\] numbers for F=1 features, got \[2, 1\]",
    ),
    (
        {"access": ("read_write", "read_only")},
        ValueError,
        r"offsets: expected \[F\*B\+1\] numbers for F=2 features, got \[2\]\. Pass the offsets of all features of the batch\.",
    ),
    (
        {"access": ("write",)},
        ValueError,
        r"access: expected a tuple of 'read_write', .* got \('write',\)\. Give one for each",
    ),
    ({"access": ["read_write"]}, ValueError, "access: expected a tuple of"),
    (
        {"update_mask": np.ones(4)},
        TypeError,
        r"update_mask: expected bool, got float64\. Convert it with \.astype\('bool'\)",
    ),
    (
        {"update_mask": np.ones(3, bool)},
        ValueError,
        r"update_mask: expected shape \(4,\), got \(3,\)\. Give one value for each id",
    ),
    ({"scores": np.ones(4)}, TypeError, "scores: expected int32, got float64"),
    ({"scores": np.ones(5, np.int32)}, ValueError, r"scores: expected shape \(4,\), got \(5,\)"),
    ({"now": 0.5}, TypeError, r"now: expected an integer scalar, got float32\[\]\. Count time in whole units\."),
    ({"ttl": np.ones(2, np.int32)}, TypeError, r"ttl: expected an integer scalar, got int32\[2\]"),
    ({"state": 3}, TypeError, r"state: expected jaxtbe\.zch\.ZchState, got int\. Pass what init_zch or remap returned"),
    (
        {"state": zch.init_zch(zch.Zch(track_counts=True), 8)},
        ValueError,
        r"state\.counts: expected None without track_counts, got an array\. Use the Zch that the state was made with",
    ),
    (
        {"state": zch.ZchState(jnp.zeros((8, 2), jnp.uint32), jnp.zeros(7, jnp.int32), None, jnp.int32(0))},
        ValueError,
        r"state\.last_seen: expected int32\[8\], got int32\[7\]",
    ),
]


@pytest.mark.parametrize("changes, error, message", REMAP_ERRORS)
def test_remap(changes, error, message):
    with pytest.raises(error, match=message):
        remap(**changes)


def test_missing_counts():
    config = zch.Zch(track_counts=True)
    with pytest.raises(ValueError, match=r"zch\.find: state\.counts: expected int32\[8\], got None"):
        zch.find(zch.init_zch(CONFIG, 8), IDS, zch=config)
