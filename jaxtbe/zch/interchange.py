"""Tables to and from the layout of FBGEMM's `zero_collision_hash` and TorchRec's hashed ZCH, in
NumPy.
"""

import jax.numpy as jnp
import numpy as np

from jaxtbe.batch.ids import pack_ids, unpack_ids
from jaxtbe.batch.word64 import Word64, remainder, zch_hash
from jaxtbe.support.arguments import check_shape
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.zch.config import Zch, check_config
from jaxtbe.zch.state import ZchState, check_is_state

_NO_ID = -1


def to_fbgemm(state: ZchState) -> tuple[np.ndarray, np.ndarray]:
    """Copies a table to FBGEMM's layout.

    Args:
      state: of the table.

    Returns:
      identities int64[slots, 1] and metadata int32[slots, 1] (the eviction scores), -1 in empty
      slots.
    """
    check_is_state("jaxtbe.zch.to_fbgemm", state)
    check_shape("jaxtbe.zch.to_fbgemm", "state.last_seen", state.last_seen, state.identities.shape[:1])
    identities = unpack_ids(np.array(state.identities))
    return identities[:, None], np.array(state.last_seen)[:, None]


def from_fbgemm(zch: Zch, identities: np.ndarray, metadata: np.ndarray | None = None) -> ZchState:
    """Takes over a table in FBGEMM's layout, after checking that lookups here will find its ids.

    Args:
      zch: the configuration that the table was filled with: its buckets, reserved rows, and at
        least its max_probe.
      identities: int64[slots, 1] or int64[slots], -1 in empty slots.
      metadata: int32[slots, 1] or int32[slots], the eviction scores; None: every id gets the score
        0.

    Returns:
      A `ZchState`, with counts of 1 where `zch.track_counts`.

    Raises:
      TypeError: another dtype.
      ValueError: shapes that do not fit; an id in a slot outside its window, or beyond an empty
        slot; an id stored twice.
    """
    api = "jaxtbe.zch.from_fbgemm"
    check_config(api, zch)
    ids = _column(api, "identities", identities, np.int64)
    held = ids != _NO_ID
    scores = np.zeros(ids.shape, np.int32) if metadata is None else _column(api, "metadata", metadata, np.int32)
    if scores.shape != ids.shape:
        raise value_error(api, "metadata", f"{ids.size} scores", str(scores.size), "Pass those of the same table")
    zch.check("", ids.size)
    _check_places(api, zch, ids, held)
    return ZchState(
        identities=jnp.asarray(pack_ids(ids)),
        last_seen=jnp.asarray(np.where(held, scores, np.int32(-1))),
        counts=jnp.asarray(held.astype(np.int32)) if zch.track_counts else None,
        occupancy=jnp.asarray(np.int32(held.sum())),
    )


def _column(api: str, name: str, array: np.ndarray, dtype) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != dtype:
        raise type_error(api, name, np.dtype(dtype).name, array.dtype.name, "Pass the table's arrays as they are")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != 1):
        raise value_error(api, name, "shape [slots, 1] or [slots]", str(list(array.shape)), "Pass one column")
    return array.reshape(-1)


def _check_places(api: str, zch: Zch, ids: np.ndarray, held: np.ndarray) -> None:
    """Every id must be in its window with no empty slot before it, where lookups stop; and only
    once.
    """
    slots = np.flatnonzero(held)
    bucket_slots = ids.size // zch.buckets
    block = bucket_slots - zch.reserved
    packed = jnp.asarray(pack_ids(ids[slots]))
    words = Word64(packed[:, 0], packed[:, 1])
    base = np.asarray(remainder(words, zch.buckets)).astype(np.int64) * bucket_slots
    home = np.asarray(remainder(zch_hash(words), block)).astype(np.int64)
    place = slots - base
    distance = np.where(place >= home, place - home, place - home + block)
    inside = (place >= 0) & (place < block) & (distance < min(zch.max_probe, block))
    # empty_before[s]: empty slots among the first s.
    empty_before = np.concatenate([[0], np.cumsum(~held)])
    first = base + home
    direct = empty_before[slots] - empty_before[np.minimum(first, slots)]
    block_end = np.minimum(base + block, ids.size)
    wrapped = (
        empty_before[block_end] - empty_before[first] + empty_before[slots] - empty_before[np.minimum(base, slots)]
    )
    unreachable = np.where(place >= home, direct, wrapped) > 0
    for wrong, expected in (
        (~inside, "every id in the window of its hash"),
        (unreachable, "no empty slot between an id and its home"),
        (_repeated(ids[slots]), "every id once"),
    ):
        if wrong.any():
            at = int(slots[wrong][0])
            got = f"{int(wrong.sum())} wrong, the first {int(ids[at])} in slot {at}"
            raise value_error(
                api, "identities", expected, got, "Use the configuration that filled the table, or fill it anew"
            )


def _repeated(ids: np.ndarray) -> np.ndarray:
    _, first = np.unique(ids, return_index=True)
    repeated = np.ones(ids.size, bool)
    repeated[first] = False
    return repeated
