"""The insert of one batch of raw ids into a hashed ZCH."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import _native, reference
from jaxtbe.ops.batching import not_mapped
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call, whole_number
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS
from jaxtbe.ops.zch_codes import COUNTERS, check_access, encode_access, insert_attributes


class ZchSlots(NamedTuple):
    """The slots of one table."""

    identities: Any
    """u32[slots, 2]: the id that each slot holds, the low word first. All ones: empty."""
    last_seen: Any
    """i32[slots]: the eviction score. -1 in an empty slot."""
    occupancy: Any
    """i32[]: how many slots are taken."""
    counts: Any = None
    """i32[slots]: occurrences since the id was inserted, or None: not tracked."""


class ZchBatch(NamedTuple):
    """One batch of raw ids, of all features."""

    ids: Any
    """u32[N, 2]. -1: no id."""
    offsets: Any
    """i32[F*B+1], feature-major. Feature f of sample b has the ids [offsets[f*B+b], offsets[f*B+b+1])."""
    update_mask: Any = None
    """bool[N] or None: all True. A False position of a writing feature is treated as one of a read-only feature."""
    scores: Any = None
    """i32[N] or None: now + ttl for every position."""


class ZchInserted(NamedTuple):
    """What an insert returns."""

    slots: ZchSlots
    """After the batch."""
    rows: jax.Array
    """i32[N]: the slot of each position's id, for a miss what `zch.on_full` says; -1 for no id and for other tables."""
    status: jax.Array
    """i8[N]: a `ZchStatus` each."""
    evicted: jax.Array
    """i32[N]: the slots whose id was replaced, ascending, then -1."""
    evicted_ids: jax.Array
    """u32[N, 2]: the ids that hold those slots now, then -1."""
    counters: jax.Array
    """i32[len(COUNTERS)]: see `COUNTERS`."""
    evicted_age: jax.Array
    """f32[]: the sum over the replaced ids of now + ttl - last_seen."""


def zch_insert(
    slots: ZchSlots,
    batch: ZchBatch,
    now: jax.Array,
    ttl: jax.Array,
    *,
    zch,
    access: tuple[str | None, ...],
    implementation: Implementation | None = None,
) -> ZchInserted:
    """Looks up a batch in one table and inserts what it misses, evicting what has expired.

    The slots are updated in place where they are donated. ZCH.md has the rules; the result is that
    of inserting the missing ids one by one in the order of `zch.priority`, bit for bit, for any
    number of threads (parallel deferred acceptance, as in Gale and Shapley's stable matching). Not
    differentiable.

    Args:
      slots: the table's slots.
      batch: the ids.
      now: i32[], the time, in any unit; it never falls. An id whose score is below it may be
        evicted.
      ttl: i32[], in the unit of `now`: an id seen now has the score now + ttl (at most 2**31 - 1).
      zch: static, the table's `jaxtbe.Zch`.
      access: static, for each of the F features "read_write", "read_only", "write_only", or None:
        of another table.
      implementation: static, "native", "xla" (the sequential specification in NumPy, on the host),
        or None (native where there are kernels).

    Returns:
      A `ZchInserted`.
    """
    now, ttl = whole_number(now, jnp.int32), whole_number(ttl, jnp.int32)
    check_access(OPS["zch_insert"].api, access)
    check_call(OPS["zch_insert"], {"F": len(access)}, **slots._asdict(), **batch._asdict(), now=now, ttl=ttl)
    zch.check("", slots.identities.shape[0])
    of = _native_insert if use_native(implementation) else _insert_on_host
    return not_mapped("jaxtbe.ops.zch_insert", functools.partial(of, zch=zch, access=access), slots, batch, now, ttl)


def _native_insert(slots, batch, now, ttl, *, zch, access) -> ZchInserted:
    outputs = _outputs(batch.ids.shape[0])
    in_place = [slots.identities, slots.last_seen, slots.occupancy]
    work = scratch(batch.offsets, rest=_native.zch_insert_scratch_bytes(batch.ids.shape[0]))
    results = [*map(_like, in_place), *outputs, work]
    aliases = {0: 0, 1: 1, 2: 2}
    if slots.counts is not None:
        aliases[3] = len(results)
        in_place.append(slots.counts)
        results.append(_like(slots.counts))
    call = native_call("jaxtbe_zch_insert", results, input_output_aliases=aliases)
    identities, last_seen, occupancy, *rest = call(
        *in_place,
        batch.ids,
        batch.offsets,
        jnp.asarray(now, jnp.int32),
        jnp.asarray(ttl, jnp.int32),
        *(x for x in (batch.update_mask, batch.scores) if x is not None),
        access=encode_access(access),
        track_counts=slots.counts is not None,
        has_mask=batch.update_mask is not None,
        has_scores=batch.scores is not None,
        **insert_attributes(zch),
    )
    counts = rest[-1] if slots.counts is not None else None
    return ZchInserted(ZchSlots(identities, last_seen, occupancy, counts), *rest[: len(outputs)])


def _like(x) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def _outputs(num_ids: int) -> list[jax.ShapeDtypeStruct]:
    """rows, status, evicted, evicted_ids, counters, evicted_age."""
    return [
        jax.ShapeDtypeStruct((num_ids,), jnp.int32),
        jax.ShapeDtypeStruct((num_ids,), jnp.int8),
        jax.ShapeDtypeStruct((num_ids,), jnp.int32),
        jax.ShapeDtypeStruct((num_ids, 2), jnp.uint32),
        jax.ShapeDtypeStruct((len(COUNTERS),), jnp.int32),
        jax.ShapeDtypeStruct((), jnp.float32),
    ]


def _insert_on_host(slots, batch, now, ttl, *, zch, access) -> ZchInserted:
    def run(slots, batch, now, ttl):
        slots, batch = jax.tree.map(np.asarray, (slots, batch))
        return ZchInserted(*reference.zch.zch_insert(slots, batch, int(now), int(ttl), zch=zch, access=access))

    outputs: list[Any] = _outputs(batch.ids.shape[0])
    shapes = ZchInserted(jax.tree.map(_like, slots), *outputs)
    return jax.pure_callback(run, shapes, slots, batch, jnp.asarray(now, jnp.int32), jnp.asarray(ttl, jnp.int32))
