"""The lookup of raw ids in a hashed ZCH."""

import functools

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxtbe import reference
from jaxtbe.ops.batching import fold_ids, refuse_tables
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS
from jaxtbe.ops.zch_codes import check_access, encode_access, probe_attributes


def zch_find(
    identities: jax.Array,
    ids: jax.Array,
    offsets: jax.Array | None = None,
    *,
    zch,
    access: tuple[str | None, ...] = ("read_only",),
    implementation: Implementation | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Finds the rows of raw ids. Nothing is inserted and nothing changes, regardless of a feature's
    access.

    The result does not depend on the number of threads. Not differentiable. Hash and probe order
    are those of FBGEMM's `zero_collision_hash`.

    Args:
      identities: u32[slots, 2], the ids that the slots hold, the low word first.
      ids: u32[N, 2], raw ids as `jaxtbe.pack_ids` makes them. -1: no id.
      offsets: i32[F*B+1], feature-major, or None: all N ids are of one feature.
      zch: static, the table's `jaxtbe.Zch`.
      access: static, for each of the F features None (of another table) or anything else.
      implementation: static, "native", "xla" or None (native where there are kernels).

    Returns:
      rows i32[N]: a slot, for a miss what `zch.on_full` says, and -1 for no id and for positions of
      other tables; and status i8[N], a `ZchStatus` each: READ_HIT, READ_MISS or NO_ID.
    """
    check_access(OPS["zch_find"].api, access)
    if offsets is None and hasattr(ids, "shape") and len(ids.shape):
        offsets = jnp.asarray([0, ids.shape[0]], jnp.int32)
    check_call(OPS["zch_find"], {"F": len(access)}, identities=identities, ids=ids, offsets=offsets)
    zch.check("", identities.shape[0])
    static = {"zch": zch, "access": access, "implementation": implementation}
    call = custom_vmap(functools.partial(_zch_find, **static))
    call.def_vmap(functools.partial(_zch_find_mapped, static))
    return call(identities, ids, offsets)


def _zch_find_mapped(static, axis_size, mapped, identities, ids, offsets):
    refuse_tables("jaxtbe.ops.zch_find", mapped[0])
    folded = fold_ids(axis_size, mapped[1:3], ids, offsets)
    found = zch_find(identities, *folded, **{**static, "access": static["access"] * axis_size})
    return tuple(x.reshape(axis_size, -1) for x in found), (True, True)


def _zch_find(identities, ids, offsets, *, zch, access, implementation):
    if not use_native(implementation):
        return reference.zch_find.zch_find(identities, ids, offsets, zch=zch, access=access)
    shape = (ids.shape[0],)
    call = native_call(
        "jaxtbe_zch_find",
        (jax.ShapeDtypeStruct(shape, jnp.int32), jax.ShapeDtypeStruct(shape, jnp.int8), scratch(offsets)),
    )
    rows, status, _ = call(identities, ids, offsets, access=encode_access(access), **probe_attributes(zch))
    return rows, status
