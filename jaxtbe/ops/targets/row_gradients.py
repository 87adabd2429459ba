"""The gradient of every touched row, without an optimizer."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxtbe import _native, reference
from jaxtbe.ops.batching import not_mapped
from jaxtbe.ops.check_backward import check_backward
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.layout import encode_lookups, encode_shapes, encode_sources
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS
from jaxtbe.ops.targets.update import UpdateLookup


def _call(name: str, results, lookups: Sequence[UpdateLookup], shapes, duplicates):
    """One of the two targets, which take the same operands."""
    capacity = sum(l.ids.shape[0] for l in lookups)
    rest = _native.row_gradients_scratch_bytes(capacity, max(dim for _, dim in shapes), len(shapes))
    call = native_call(name, (scratch(*(l.offsets for l in lookups), rest=rest), *results(capacity)))
    _, *out = call(
        *(x for l in lookups for x in l.operands()),
        lookups=encode_lookups(lookups),
        layout=encode_sources(tuple(s for l in lookups for s in l.sources)),
        shapes=encode_shapes(shapes, duplicates),
    )
    return out


def square_norms(
    lookups: Sequence[UpdateLookup],
    *,
    shapes: tuple[tuple[int, int], ...],
    duplicates: tuple[str, ...],
    implementation: Implementation | None = None,
) -> jax.Array:
    """For each table the sum of the squares of its gradient: occurrences of a row are added up
    before they are squared.

    Deterministic for any number of threads; not differentiable.

    Args:
      lookups: as in `update`.
      shapes: static, (rows, dim) of each table.
      duplicates: static, for each table "sum", "first" or "last".
      implementation: static, "native", "xla" or None.

    Returns:
      f32[tables].
    """
    check_backward(OPS["square_norms"].api, lookups, shapes, duplicates, UpdateLookup)
    of = _native_square_norms if use_native(implementation) else reference.row_gradients.square_norms
    call = functools.partial(of, shapes=shapes, duplicates=duplicates)
    return not_mapped("jaxtbe.ops.square_norms", call, list(lookups))


def _native_square_norms(lookups, shapes, duplicates):
    results = lambda capacity: [jax.ShapeDtypeStruct((len(shapes),), jnp.float32)]  # noqa: E731
    return _call("jaxtbe_square_norms", results, lookups, shapes, duplicates)[0]


def row_gradients(
    lookups: Sequence[UpdateLookup],
    *,
    shapes: tuple[tuple[int, int], ...],
    duplicates: tuple[str, ...],
    implementation: Implementation | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The touched rows of some tables of one dim, each once, with their gradients: sorted by table,
    then row.

    Deterministic for any number of threads; not differentiable.

    Args:
      lookups: as in `update`.
      shapes: static, (rows, dim) of each table, all of one dim.
      duplicates: static, for each table "sum", "first" or "last".
      implementation: static, "native", "xla" or None.

    Returns:
      rows i32[N] padded with -1, gradients f32[N, dim] padded with zeros, N being the ids of all
      lookups together; and starts i32[tables+1]: table t has the entries [starts[t], starts[t+1]).
    """
    check_backward(OPS["row_gradients"].api, lookups, shapes, duplicates, UpdateLookup, one_dim=True)
    of = _native_row_gradients if use_native(implementation) else reference.row_gradients.all_row_gradients
    call = functools.partial(of, shapes=shapes, duplicates=duplicates)
    return not_mapped("jaxtbe.ops.row_gradients", call, list(lookups))


def _native_row_gradients(lookups, shapes, duplicates):
    results = lambda capacity: [  # noqa: E731
        jax.ShapeDtypeStruct((capacity,), jnp.int32),
        jax.ShapeDtypeStruct((capacity, shapes[0][1]), jnp.float32),
        jax.ShapeDtypeStruct((len(shapes) + 1,), jnp.int32),
    ]
    rows, gradients, starts = _call("jaxtbe_row_gradients", results, lookups, shapes, duplicates)
    return rows, gradients, starts
