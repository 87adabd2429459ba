"""Storing rows: the fused update without an optimizer."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxtbe.ops.implementation import Implementation
from jaxtbe.ops.rule import CommonHypers
from jaxtbe.ops.targets.overwrite import ASSIGN
from jaxtbe.ops.targets.update import UpdateLookup, update


def assign(
    tables: Sequence[jax.Array],
    lookups: Sequence[UpdateLookup],
    tokens: Sequence[jax.Array] = (),
    *,
    duplicates: tuple[str, ...],
    implementation: Implementation | None = None,
) -> list[jax.Array]:
    """Stores into each row what its occurrences carry in `d_acts`; other rows are not touched. The
    rows are not read.

    In place where the tables are donated. A value that occurs once is stored bit for bit in a
    float32 table and rounded to nearest in a 16-bit one. Deterministic; not differentiable.

    Args:
      tables: dtype[rows, dim] each, all of one dtype.
      lookups: what to store where; as in `update`.
      tokens: ignored; the tables change after they are computed.
      duplicates: static, for each table what a row with several occurrences gets: their "sum", the
        "first" or the "last".
      implementation: static, "native", "xla" or None.

    Returns:
      The new tables.
    """
    hyper = jnp.asarray([CommonHypers()] * len(tables), jnp.float32)
    new_tables, _ = update(
        tables,
        [[]] * len(tables),
        hyper,
        jnp.zeros((2 + len(tables),), jnp.uint32),
        lookups,
        tokens,
        rule=ASSIGN,
        duplicates=duplicates,
        table_ids=(0,) * len(tables),
        implementation=implementation,
    )
    return new_tables
