"""Ids past the end of their table, counted without a lookup."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import reference
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call, check_list, check_static
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS


def count_faults(
    ids: jax.Array, offsets: jax.Array, *, rows: tuple[int, ...], implementation: Implementation | None = None
) -> jax.Array:
    """Counts the faulty ids of every feature, as `lookup` does.

    Args:
      ids: i32[N].
      offsets: i32[F*B+1].
      rows: static, for each of the F features the rows of its table.
      implementation: static, "native", "xla" or None.

    Returns:
      i32[F, 2]: how many ids are at or past the end, and the first of them in (sample, position)
      order, or -1.
    """
    signature = OPS["count_faults"]
    check_list(signature.api, "rows", rows)
    for f, limit in enumerate(rows):
        check_static(signature.api, f"rows[{f}]", limit, 0, 2**31)
    check_call(signature, {"F": len(rows)}, ids=ids, offsets=offsets)
    if not use_native(implementation):
        return reference.count_faults.count_faults(ids, offsets, rows)
    faults = jax.ShapeDtypeStruct((len(rows), 2), jnp.int32)
    call = native_call("jaxtbe_count_faults", (faults, scratch(offsets)))
    return call(ids, offsets, rows=np.asarray(rows, np.int64))[0]
