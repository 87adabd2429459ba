"""Evicted rows back to their beginning."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxtbe import reference
from jaxtbe.ops.batching import not_mapped
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call, check_list, check_static, whole_number
from jaxtbe.ops.signatures import OPS, RESET_STATE
from jaxtbe.support.errors import value_error


def reset_rows(
    table: jax.Array,
    states: Sequence[jax.Array],
    slots: jax.Array,
    ids: jax.Array,
    seed: jax.Array | int,
    *,
    table_number: int,
    scale: float,
    implementation: Implementation | None = None,
) -> tuple[jax.Array, list[jax.Array]]:
    """Gives rows fresh initial values, uniform in [-scale, scale), and zeroes their optimizer
    state.

    In place where the table and the states are donated. A value is a pure function of (seed, table
    number, id, column): it depends neither on what the row held nor on where it is stored. Not
    differentiable.

    Args:
      table: dtype[rows, dim]: float32, bfloat16 or float16.
      states: [rows, dim] or [rows] each, of any dtype whose zero is all bits zero.
      slots: i32[n]: distinct rows, then -1. What an insert reports as evicted.
      ids: u32[n, 2]: the ids that those rows are for.
      seed: u32[].
      table_number: static, the number that the random values know the table by, 0 <= table_number <
        2**32.
      scale: static.
      implementation: static, "native", "xla" or None (native where there are kernels).

    Returns:
      The new table and states.
    """
    seed = whole_number(seed, jnp.uint32)
    signature = OPS["reset_rows"]
    symbols = check_call(signature, table=table, slots=slots, ids=ids, seed=seed)
    check_list(signature.api, "states", states, len(states) if isinstance(states, (list, tuple)) else None)
    for i, state in enumerate(states):
        symbols.check(f"states[{i}]", RESET_STATE, state)
    check_static(signature.api, "table_number", table_number, 0, 2**32)
    if not isinstance(scale, (int, float, np.floating)) or not np.isfinite(scale):
        raise value_error(signature.api, "scale", "a finite number", repr(scale), "Correct the static argument")
    of = _native_reset_rows if use_native(implementation) else reference.reset_rows.reset_rows
    call = functools.partial(of, table_number=table_number, scale=scale)
    return not_mapped("jaxtbe.ops.reset_rows", call, table, list(states), slots, ids, seed)


def _native_reset_rows(table, states, slots, ids, seed, *, table_number, scale):
    in_place = [table, *states]
    call = native_call(
        "jaxtbe_reset_rows",
        [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in in_place],
        input_output_aliases={3 + i: i for i in range(len(in_place))},
    )
    new_table, *new_states = call(
        slots, ids, seed, *in_place, table_number=np.int64(table_number), scale=np.float32(scale)
    )
    return new_table, new_states
