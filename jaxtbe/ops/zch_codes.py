"""The words of a hashed ZCH as numbers: FFI attributes, the status of a position, and the places of
the counters.
"""

import enum

import numpy as np

from jaxtbe.ops.operands import check_choice, check_list

_ACCESS = {None: -1, "read_write": 0, "read_only": 1, "write_only": 2}
_EVICTION = {None: 0, "ttl": 1, "lru": 2}
_PRIORITY = {"id": 0, "first": 1}
_ON_FULL = {"miss": 0, "share": 1, "reserved": 2}


class ZchStatus(enum.IntEnum):
    """What became of one position of a batch."""

    NO_ID = 0
    """No id there, or a position of another table."""
    HIT = 1
    """The id was in the table before the batch."""
    INSERTED = 2
    """It took an empty slot."""
    EVICTED = 3
    """It took the slot of another id."""
    FAILED = 4
    """It found no slot."""
    UNADMITTED = 5
    """It occurred less often than `admit_after`."""
    READ_HIT = 6
    """Read-only or masked: the id is in the table after the batch."""
    READ_MISS = 7
    """Read-only or masked: it is not."""


COUNTERS = (
    "positions",
    "hits",
    "inserts",
    "evictions",
    "failures",
    "unadmitted",
    "read_hits",
    "read_misses",
    "occupancy",
)
"""What each number of an insert's counters counts: positions for the positions, hits and reads; ids for inserts (evicting ones
included), evictions, failures and unadmitted; and the ids in the table after the batch."""


def check_access(api: str, access) -> None:
    """Raises unless it is an access for each of one or more features."""
    check_list(api, "access", access)
    for f, of in enumerate(access):
        check_choice(api, f"access[{f}]", of, tuple(_ACCESS))


def encode_access(access: tuple[str | None, ...]) -> np.ndarray:
    return np.asarray([_ACCESS[a] for a in access], np.int64)


def probe_attributes(zch) -> dict[str, np.int64]:
    """The attributes that find and insert share."""
    return {
        "buckets": np.int64(zch.buckets),
        "reserved": np.int64(zch.reserved),
        "max_probe": np.int64(zch.max_probe),
        "on_full": np.int64(_ON_FULL[zch.on_full]),
    }


def insert_attributes(zch) -> dict[str, np.int64]:
    return {
        **probe_attributes(zch),
        "eviction": np.int64(_EVICTION[zch.policy]),
        "priority": np.int64(_PRIORITY[zch.priority]),
        "admit_after": np.int64(zch.admit_after),
    }
