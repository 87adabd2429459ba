"""Stores rows into some tables of a spec."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe import ops
from jaxtbe.model.spec import Spec
from jaxtbe.ops.implementation import Implementation


def store(
    spec: Spec,
    tables: Mapping[str, jax.Array],
    names: Sequence[str],
    share: ops.UpdateLookup | None,
    tokens: Sequence[jax.Array] = (),
    *,
    duplicates: tuple[str, ...],
) -> dict[str, jax.Array]:
    """The named tables, which are of one dtype, with the rows of `share` stored: `ops.assign` on
    one device or many.
    """

    def assign(shares, arrays, tokens, _):
        return ops.assign(arrays, shares, tokens, duplicates=duplicates, implementation=spec.implementation)

    shapes = [(spec.tables_by_name[n].rows, spec.tables_by_name[n].dim) for n in names]
    shares, arrays = [share] if share else [], [tables[n] for n in names]
    new = spec.placement.change_rows(assign, names, shapes, shares, arrays, tokens)
    return dict(zip(names, new, strict=True))


def fill_rows(
    array: jax.Array, rows: jax.Array, starts: jax.Array, value: Any, implementation: Implementation | None
) -> jax.Array:
    """One value in the given rows of a state array, [rows, dim] or [rows], in place."""
    values = jnp.full((rows.shape[0], array.size // array.shape[0]), value, jnp.float32)
    return ops.store_rows([array], rows, starts, values, implementation=implementation)[0]
