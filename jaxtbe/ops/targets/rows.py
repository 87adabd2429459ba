"""Rows of some tables as one block, and back."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxtbe.batch.positions import rising
from jaxtbe.ops.batching import not_mapped
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call, check_list
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import ONE_COLUMN, OPS


def _owner(rows: jax.Array, starts: jax.Array) -> jax.Array:
    """i32[N]: which table each entry belongs to."""
    starts = rising(starts, rows.shape[0])
    return jnp.searchsorted(starts, jnp.arange(rows.shape[0], dtype=jnp.int32), side="right") - 1


def gather_rows(
    tables: Sequence[jax.Array], rows: jax.Array, starts: jax.Array, *, implementation: Implementation | None = None
) -> jax.Array:
    """Reads rows of some tables into one block.

    Args:
      tables: dtype[rows, dim] each, of one dtype and dim.
      rows: i32[N]; entries out of range read zeros.
      starts: i32[tables+1]: the entries [starts[t], starts[t+1]) are rows of table t.
      implementation: static, "native", "xla" or None.

    Returns:
      f32[N, dim].
    """
    check_call(OPS["gather_rows"], tables=tables, rows=rows, starts=starts)
    call = functools.partial(_gather_rows, native=use_native(implementation))
    return not_mapped("jaxtbe.ops.gather_rows", call, list(tables), rows, starts)


def _gather_rows(tables, rows, starts, *, native):
    dim = tables[0].shape[1]
    if native:
        block = jax.ShapeDtypeStruct((rows.shape[0], dim), jnp.float32)
        call = native_call("jaxtbe_gather_rows", (block, scratch(starts)))
        return call(rows, starts, *tables)[0]
    out, owner = jnp.zeros((rows.shape[0], dim), jnp.float32), _owner(rows, starts)
    for t, table in enumerate(tables):
        mine = (owner == t) & (rows >= 0) & (rows < table.shape[0])
        out = jnp.where(mine[:, None], table[jnp.where(mine, rows, 0)].astype(jnp.float32), out)
    return out


def store_rows(
    tables: Sequence[jax.Array],
    rows: jax.Array,
    starts: jax.Array,
    values: jax.Array,
    tokens: Sequence[jax.Array] = (),
    *,
    implementation: Implementation | None = None,
) -> list[jax.Array]:
    """Writes a block into rows of some tables, in place where they are donated. 16-bit tables round
    to nearest.

    Args:
      tables: dtype[rows, dim] each, of one dtype and dim; or dtype[rows], with values f32[N, 1].
      rows: i32[N], each row of a table at most once; entries out of range are skipped.
      starts: i32[tables+1], as in `gather_rows`.
      values: f32[N, dim].
      tokens: ignored; the tables change after they are computed.
      implementation: static, "native", "xla" or None.

    Returns:
      The new tables.
    """
    signature = OPS["store_rows"]
    check_list(signature.api, "tables", tables)
    if getattr(tables[0], "ndim", 2) == 1:
        signature = dataclasses.replace(signature, operands=ONE_COLUMN)
    check_call(signature, tables=tables, rows=rows, starts=starts, values=values)
    call = functools.partial(_store_rows, native=use_native(implementation))
    return not_mapped("jaxtbe.ops.store_rows", call, list(tables), rows, starts, values, list(tokens))


def _store_rows(tables, rows, starts, values, tokens, *, native):
    if native:
        call = native_call(
            "jaxtbe_store_rows",
            (scratch(starts), *(jax.ShapeDtypeStruct(t.shape, t.dtype) for t in tables)),
            input_output_aliases={3 + t: 1 + t for t in range(len(tables))},
        )
        return list(call(rows, starts, values, *tables, *tokens)[1:])
    owner, new = _owner(rows, starts), []
    for t, table in enumerate(tables):
        mine = (owner == t) & (rows >= 0)
        place = jnp.where(mine, rows, table.shape[0])
        block = values.reshape(-1, *table.shape[1:]).astype(table.dtype)
        new.append(table.at[place].set(block, mode="drop"))
    return new
