"""Raw ids to rows: `remap` with insertion for training, `find` without for serving."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe.batch.ids import id_words
from jaxtbe.ops.implementation import Implementation
from jaxtbe.ops.targets.zch_find import zch_find
from jaxtbe.ops.targets.zch_insert import ZchBatch, zch_insert
from jaxtbe.ops.zch_codes import COUNTERS, ZchStatus
from jaxtbe.support.arguments import check_array, check_shape, is_array
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import array_text
from jaxtbe.zch.config import Zch
from jaxtbe.zch.state import ZchState, check_is_state, check_state

_ACCESSES = ("read_write", "read_only", "write_only", None)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class ZchReport:
    """What a remap did, of one table.

    Args:
      status: i8[N]: what became of each position, a `jaxtbe.ops.ZchStatus`.
      evicted: i32[N]: the slots whose id was replaced, ascending, then -1.
      evicted_ids: u32[N, 2]: the ids that hold those slots now, then -1.
      counters: i32[len(jaxtbe.ops.COUNTERS)].
      evicted_age: f32[]: the sum over the replaced ids of the time since they were last seen, in
        the unit of `now`.
      now_fell: i32[]: 1 if `now` was before that of an earlier remap, else 0: time runs forward,
        and an id seen then may be evicted too late or too early. None where the state does not
        know.
    """

    status: Any
    evicted: Any
    evicted_ids: Any
    counters: Any
    evicted_age: Any
    now_fell: Any = None

    def __repr__(self) -> str:
        return f"ZchReport({', '.join(f'{k}={array_text(v)}' for k, v in vars(self).items())})"


def remap(
    state: ZchState,
    ids: Any,
    offsets: Any,
    *,
    zch: Zch,
    access: tuple[str | None, ...],
    now: Any = 0,
    ttl: Any = None,
    update_mask: Any = None,
    scores: Any = None,
    implementation: Implementation | None = None,
) -> tuple[ZchState, jax.Array, ZchReport]:
    """Finds the rows of a batch's raw ids in one table, inserts ids that are new, and evicts what
    has expired.

    The state changes in place where it is donated. Features whose access is "read_only", and
    positions whose `update_mask` is False, only look: they never insert, evict, refresh, count or
    protect. They see the table as it is after the batch. The result is deterministic for any number
    of threads. Not differentiable.

    Args:
      state: of the table.
      ids: u32[N, 2], what `jaxtbe.pack_ids` made of int64 ids; or int64[N] as a device array, where
        JAX runs with x64. -1: no id.
      offsets: i32[F*B+1], feature-major: feature f of sample b has the ids [offsets[f*B+b],
        offsets[f*B+b+1]).
      zch: static, the table's configuration.
      access: static, for each of the F features "read_write", "read_only", "write_only", or None:
        of another table.
      now: i32[], the time, in any unit. It must not fall; the report says where it did. Never the
        wall clock.
      ttl: i32[] in the unit of `now`, or None: that of `zch`. An id seen now has the eviction score
        `now + ttl`, and may be evicted once its score is below a later `now`.
      update_mask: bool[N], or None: all True.
      scores: i32[N], eviction scores for each position in place of `now + ttl`, or None.
      implementation: static, "native", "xla" (the sequential specification in NumPy, on the host),
        or None (native where there are kernels).

    Returns:
      The new state; rows i32[N], -1 for ids that have none and for positions of other tables; and a
      `ZchReport`.

    Raises:
      TypeError: int64 NumPy ids, which JAX would cut to 32 bits, or another wrong dtype.
      ValueError: shapes, accesses or a state that do not fit each other.
    """
    api = "jaxtbe.zch.remap"
    check_state(api, zch, state)
    ids = id_words(ids, api)
    _check_batch(api, ids, offsets, access)
    _check_companion(api, "update_mask", update_mask, "bool", ids.shape[0])
    _check_companion(api, "scores", scores, "int32", ids.shape[0])
    now = _time(api, "now", now)
    done = zch_insert(
        state.slots(),
        ZchBatch(ids, offsets, update_mask, scores),
        now,
        _time(api, "ttl", (zch.ttl or 0) if ttl is None else ttl),
        zch=zch,
        access=access,
        implementation=implementation,
    )
    fell = None if state.now is None else (now < state.now).astype(jnp.int32)
    latest = None if state.now is None else jnp.maximum(now, state.now)
    report = ZchReport(done.status, done.evicted, done.evicted_ids, done.counters, done.evicted_age, fell)
    return ZchState.from_slots(done.slots, latest), done.rows, report


def find(
    state: ZchState,
    ids: Any,
    offsets: Any = None,
    *,
    zch: Zch,
    access: tuple[str | None, ...] = ("read_only",),
    implementation: Implementation | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Finds the rows of raw ids in one table and changes nothing: for serving.

    Args:
      state: of the table.
      ids, offsets, access: as for `remap`; any access but None (another table) means the same here.
        Without offsets all ids are of one feature.
      zch: static, the table's configuration.
      implementation: static, "native", "xla" or None (native where there are kernels).

    Returns:
      rows i32[N], -1 for ids that have none and for positions of other tables; and status i8[N], a
      `jaxtbe.ops.ZchStatus` each.

    Raises:
      TypeError, ValueError: as `remap` does.
    """
    api = "jaxtbe.zch.find"
    check_state(api, zch, state, reads_only=True)
    ids = id_words(ids, api)
    if offsets is None:
        offsets = jnp.asarray([0, ids.shape[0]], jnp.int32)
    _check_batch(api, ids, offsets, access)
    return zch_find(state.identities, ids, offsets, zch=zch, access=access, implementation=implementation)


def find_report(state: ZchState, status: jax.Array) -> ZchReport:
    """What a `find` saw, in the form of what a remap did: for `ZchMetrics`, or for the hit rate of
    one batch.

    Args:
      state: of the table.
      status: i8[N], what `find` returned.

    Returns:
      A `ZchReport` whose counters say positions, read hits, read misses and occupancy; nothing was
      evicted.
    """
    api = "jaxtbe.zch.find_report"
    check_is_state(api, state)
    check_shape(api, "state.occupancy", state.occupancy, ())
    check_array(api, "status", status, "an array i8[N]", 1)
    hits, misses = (jnp.sum(status == code, dtype=jnp.int32) for code in (ZchStatus.READ_HIT, ZchStatus.READ_MISS))
    values = {"positions": hits + misses, "read_hits": hits, "read_misses": misses, "occupancy": state.occupancy}
    counters = jnp.stack([jnp.asarray(values.get(name, 0), jnp.int32) for name in COUNTERS])
    nothing = jnp.zeros((0,), jnp.int32)
    return ZchReport(status, nothing, jnp.zeros((0, 2), jnp.uint32), counters, jnp.zeros((), jnp.float32))


def _check_batch(api: str, ids, offsets, access: tuple[str | None, ...]) -> None:
    check_array(api, "offsets", offsets, "an array i32[F*B+1]")
    if offsets.dtype != jnp.int32:
        raise type_error(api, "offsets", "int32", str(offsets.dtype), "Convert them with .astype('int32')")
    if not isinstance(access, tuple) or not access or any(a not in _ACCESSES for a in access):
        raise value_error(
            api,
            "access",
            "a tuple of 'read_write', 'read_only', 'write_only' or None",
            repr(access),
            "Give one for each feature",
        )
    if offsets.ndim != 1 or offsets.shape[0] < 1 or (offsets.shape[0] - 1) % len(access):
        raise value_error(
            api,
            "offsets",
            f"[F*B+1] numbers for F={len(access)} features",
            str(list(offsets.shape)),
            "Pass the offsets of all features of the batch",
        )


def _check_companion(api: str, name: str, array, dtype: str, num_ids: int) -> None:
    if array is None:
        return
    check_array(api, name, array, f"an array of {dtype}")
    if str(array.dtype) != dtype:
        raise type_error(api, name, dtype, str(array.dtype), f"Convert it with .astype({dtype!r})")
    if array.shape != (num_ids,):
        raise value_error(api, name, f"shape ({num_ids},)", str(array.shape), "Give one value for each id")


def _time(api: str, name: str, value) -> jax.Array:
    if isinstance(value, (int, np.integer)) and not 0 <= value < 2**31:
        raise value_error(
            api,
            name,
            f"0 <= {name} < 2**31",
            str(value),
            "Count from a later start, or in a larger unit, seconds for instance",
        )
    if isinstance(value, bool) or not (is_array(value) or isinstance(value, (int, float))):
        raise type_error(api, name, "an integer scalar", repr(value), "Count time in whole units")
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.integer) or array.ndim:
        raise type_error(
            api, name, "an integer scalar", f"{array.dtype.name}{list(array.shape)}", "Count time in whole units"
        )
    return array.astype(jnp.int32)
