"""`ZchState`: what one hashed ZCH holds."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.ops.targets.zch_insert import ZchSlots
from jaxtbe.support.arguments import check_array, check_type, is_array
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import array_text
from jaxtbe.zch.config import Zch, check_config


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class ZchState:
    """The slots of one table: plain integer arrays, a pytree, kept apart from the float parameters.

    Args:
      identities: u32[slots, 2]: the id that each slot holds, as the two words of an int64, the low
        one first. All ones: empty.
      last_seen: i32[slots]: the eviction score, in the unit of `now`. -1 in an empty slot.
      counts: i32[slots]: occurrences since the id was inserted, or None without `track_counts`.
      occupancy: i32[]: how many slots are taken.
      now: i32[]: the latest `now` of a remap, or None: it is not known.
    """

    identities: Any
    last_seen: Any
    counts: Any
    occupancy: Any
    now: Any = None

    @property
    def rows(self) -> int:
        """Slots, which are the table's rows."""
        return self.identities.shape[0]

    def __repr__(self) -> str:
        fields = ("identities", "last_seen", "counts", "occupancy")
        return f"ZchState({', '.join(f'{f}={array_text(getattr(self, f))}' for f in fields)})"

    def slots(self) -> ZchSlots:
        """The same arrays as `jaxtbe.ops` takes them."""
        return ZchSlots(self.identities, self.last_seen, self.occupancy, self.counts)

    @classmethod
    def from_slots(cls, slots: ZchSlots, now: Any = None) -> "ZchState":
        return cls(slots.identities, slots.last_seen, slots.counts, slots.occupancy, now)


def init_zch(zch: Zch, rows: int) -> ZchState:
    """An empty ZCH.

    Args:
      zch: its configuration.
      rows: the rows of its table.

    Returns:
      A `ZchState` without ids.

    Raises:
      ValueError: the rows cannot be split as configured.
    """
    check_config("jaxtbe.zch.init_zch", zch)
    zch.check("", rows)
    if not 1 <= rows < 2**31:
        raise value_error("jaxtbe.zch.init_zch", "rows", "1 <= rows < 2**31", str(rows), "Pass the rows of the table")
    return ZchState(
        identities=jnp.full((rows, 2), 0xFFFFFFFF, jnp.uint32),
        last_seen=jnp.full((rows,), -1, jnp.int32),
        counts=jnp.zeros((rows,), jnp.int32) if zch.track_counts else None,
        occupancy=jnp.zeros((), jnp.int32),
        now=jnp.zeros((), jnp.int32),
    )


def serving_state(state: ZchState) -> ZchState:
    """What `find` needs of a state: without scores and counts, 8 bytes a slot. `remap` refuses it."""
    check_is_state("jaxtbe.zch.serving_state", state)
    return ZchState(state.identities, None, None, state.occupancy)


def check_is_state(api: str, state: ZchState) -> None:
    """Raises unless this is a `ZchState` with identities u32[slots, 2]."""
    check_type(api, "state", state, ZchState, "jaxtbe.zch.ZchState", "Pass what init_zch or remap returned")
    check_array(api, "state.identities", state.identities, "an array u32[slots, 2]", 2)
    if state.identities.dtype != jnp.uint32 or state.identities.shape[1] != 2:
        got = array_text(state.identities)
        raise type_error(api, "state.identities", "an array u32[slots, 2]", got, "Pass what init_zch or remap returned")


def check_state(api: str, zch: Zch, state: ZchState, reads_only: bool = False) -> None:
    """Raises unless the state's arrays have the dtypes and shapes that go with the configuration.

    Args:
      api: for the message.
      zch: the configuration.
      state: of one table, or of a device's part of it.
      reads_only: scores and counts may be left out.
    """
    check_type(api, "state", state, ZchState, "jaxtbe.zch.ZchState", "Pass what init_zch or remap returned")
    check_config(api, zch)
    serves = reads_only and state.last_seen is None
    slots = jnp.shape(state.identities)[0] if jnp.ndim(state.identities) else 0
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "identities": (jnp.uint32, (slots, 2)),
        "last_seen": (jnp.int32, (slots,)),
        "occupancy": (jnp.int32, ()),
    }
    if zch.track_counts:
        wanted["counts"] = (jnp.int32, (slots,))
    elif state.counts is not None:
        raise value_error(
            api, "state.counts", "None without track_counts", "an array", "Use the Zch that the state was made with"
        )
    if state.now is not None:
        wanted["now"] = (jnp.int32, ())
    for name, (dtype, shape) in wanted.items():
        array = getattr(state, name)
        if array is None and serves and name in ("last_seen", "counts"):
            continue
        if not is_array(array) or array.dtype != dtype or array.shape != shape:
            got = (
                f"{array.dtype}{list(array.shape)}"
                if is_array(array)
                else "None"
                if array is None
                else f"a {type(array).__name__}"
            )
            expected = f"{jnp.dtype(dtype).name}{list(shape)}"
            raise value_error(api, f"state.{name}", expected, got, "Use the Zch that the state was made with")
    zch.check("", slots)
