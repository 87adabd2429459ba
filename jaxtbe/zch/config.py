"""`Zch`: the static description of a hashed ZCH."""

import dataclasses
from typing import Literal, get_args

import numpy as np

from jaxtbe.support.arguments import check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import config_text

_API = "jaxtbe.Zch"
_LIMIT = 2**31
Policy = Literal["ttl", "lru"]
OnFull = Literal["miss", "share", "reserved"]
Priority = Literal["id", "first"]
_CHOICES: dict[str, tuple[str | None, ...]] = {
    "policy": (None, *get_args(Policy)),
    "on_full": get_args(OnFull),
    "priority": get_args(Priority),
}


@dataclasses.dataclass(frozen=True, repr=False)
class Zch:
    """Keys a table by raw 64-bit ids: an open-addressing hash table whose slot numbers are the
    table's row numbers.

    Hash and probe order are those of FBGEMM's `zero_collision_hash` and TorchRec's multi-probe ZCH,
    so that filled tables can be exchanged. The insert is deterministic: the same bits for any
    number of threads and on any backend.

    Args:
      max_probe: how many slots of its window an id may live in, at least 1.
      buckets: equal parts of the table, and an id never leaves its own. A table can be spread over
        any number of devices that divides it. The table's rows must be a multiple of it.
      policy: which occupied slots a new id may take. None: none. `"ttl"`: the nearest to its home
        that is empty or whose id has expired. `"lru"`: the nearest empty one, else the one longest
        unseen among the expired.
      ttl: how long an id stays after it was last seen, in the unit of `now`: it has expired at
        `now` if it was last seen before `now - ttl`. `"ttl"` needs it; for `"lru"` the default is
        0: anything not seen at this `now`.
      on_full: the row of an id that has no slot. `"miss"`: none, it reads as zeros and trains
        nothing. `"share"`: that of its home slot, which belongs to another id. `"reserved"`: one of
        the bucket's reserved rows.
      reserved: rows of each bucket that hold no ids, with `on_full="reserved"`.
      admit_after: occurrences within one batch that a new id needs to be inserted, at least 1.
      track_counts: count the occurrences of each id since it was inserted.
      priority: which of two new ids gets a slot that both want: `"id"`, the smaller one as a signed
        number (the result then does not depend on the order of the batch), or `"first"`, the one
        seen first in (feature, sample, position) order.

    Raises:
      TypeError: a number that is no int.
      ValueError: a number out of range, an unknown choice, or options that contradict each other.

    Example:
      >>> import jaxtbe
      >>> jaxtbe.Zch(policy="ttl", ttl=3600).max_probe
      128
    """

    max_probe: int = 128
    buckets: int = 1
    policy: Policy | None = None
    ttl: int | None = None
    on_full: OnFull = "miss"
    reserved: int = 0
    admit_after: int = 1
    track_counts: bool = False
    priority: Priority = "id"

    def __post_init__(self):
        for name, least in (("max_probe", 1), ("buckets", 1), ("reserved", 0), ("admit_after", 1), ("ttl", 0)):
            if name != "ttl" or self.ttl is not None:
                self._check_int(name, least)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise value_error(_API, name, " or ".join(map(repr, choices)), repr(value), "Choose one of them")
        if not isinstance(self.track_counts, bool):
            raise type_error(_API, "track_counts", "True or False", repr(self.track_counts), "Choose one of them")
        self._check_ttl()
        if (self.on_full == "reserved") != (self.reserved > 0):
            raise value_error(
                _API,
                "reserved",
                "rows exactly with on_full='reserved'",
                f"reserved={self.reserved} with on_full={self.on_full!r}",
                "Set both or neither",
            )

    def __repr__(self) -> str:
        return config_text(self)

    def _check_int(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise type_error(_API, name, "an int", repr(value), "Pass a whole number")
        if not least <= value < _LIMIT:
            raise value_error(_API, name, f"{least} <= {name} < 2**31", str(value), "Correct the number")
        object.__setattr__(self, name, int(value))

    def _check_ttl(self) -> None:
        if self.policy == "ttl" and self.ttl is None:
            raise value_error(_API, "ttl", "a number with policy='ttl'", "None", "Say how long an unseen id stays")
        if self.policy is None and self.ttl is not None:
            raise value_error(
                _API,
                "ttl",
                "None without a policy",
                str(self.ttl),
                "Add policy='ttl' or policy='lru', or leave ttl out",
            )

    def check(self, table_name: str, rows: int) -> None:
        """Raises a ValueError unless a table of `rows` rows can be split as configured."""
        obj = f"table {table_name!r}" if table_name else "rows"
        if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)):
            raise type_error(_API, obj, "an int", repr(rows), "Pass a whole number of rows")
        if rows % self.buckets:
            raise value_error(
                _API,
                obj,
                f"rows divisible by buckets={self.buckets}",
                f"{rows} rows",
                f"Use {rows - rows % self.buckets + self.buckets} rows or other buckets",
            )
        if self.reserved >= rows // self.buckets:
            raise value_error(
                _API,
                obj,
                f"fewer reserved rows than the {rows // self.buckets} of a bucket",
                str(self.reserved),
                "Reserve fewer, or use fewer buckets",
            )


def check_config(api: str, zch: Zch) -> None:
    """Raises unless this is a `Zch`."""
    check_type(api, "zch", zch, Zch, "a jaxtbe.Zch", "Pass that of the table")
