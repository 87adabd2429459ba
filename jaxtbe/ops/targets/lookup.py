"""The forward: bags of ids to pooled rows."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxtbe import reference
from jaxtbe.ops.batching import fold_ids, refuse_tables, spread
from jaxtbe.ops.implementation import Implementation, use_native
from jaxtbe.ops.layout import FeatureLayout, check_features, encode_features
from jaxtbe.ops.native_call import native_call
from jaxtbe.ops.operands import check_call, check_list, check_static
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS


def lookup(
    tables: Sequence[jax.Array],
    ids: jax.Array,
    offsets: jax.Array,
    id_weights: jax.Array | None = None,
    *,
    features: tuple[FeatureLayout, ...],
    columns: int,
    implementation: Implementation | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Looks up every feature of a batch in tables of one dtype, in one call.

    Not differentiable by itself: `EmbeddingBags` adds the rules. The result does not depend on the
    number of threads. `jax.vmap` over batches makes one call of them all; over tables it is
    refused.

    Args:
      tables: dtype[rows, dim] each, all of one dtype: float32, bfloat16 or float16.
      ids: i32[N], row numbers. Negative: no id. At or past the table's rows: a fault.
      offsets: i32[F*B+1]. Feature f of sample b has the ids [offsets[f*B+b], offsets[f*B+b+1]).
      id_weights: f32[N], or None: all 1.
      features: static, the layout of each of the F features.
      columns: static, the width of the result.
      implementation: static, "native", "xla" or None (native where there are kernels).

    Returns:
      acts f32[B, columns], and faults i32[F, 2]: how many ids of each feature were at or past their
      table's end, and the first of them in (sample, position) order, or -1. Faults are also a
      token: what takes them as an operand runs after the tables were read.
    """
    use_native(implementation)
    api = OPS["lookup"].api
    check_list(api, "features", features)
    check_static(api, "columns", columns, 0, 2**31)
    check_call(OPS["lookup"], {"F": len(features)}, tables=tables, ids=ids, offsets=offsets, id_weights=id_weights)
    check_features(api, features, [t.shape[1] for t in tables], columns, fill=True)
    static = {"features": features, "columns": columns, "implementation": implementation}
    call = custom_vmap(functools.partial(_lookup, **static))
    call.def_vmap(functools.partial(_lookup_mapped, static))
    return call(list(tables), ids, offsets, id_weights)


def repeat_features(features: tuple[FeatureLayout, ...], columns: int, times: int) -> tuple[FeatureLayout, ...]:
    """The features of as many batches side by side, their outputs in columns of their own."""
    return tuple(dataclasses.replace(f, column=f.column + k * columns) for k in range(times) for f in features)


def _lookup_mapped(static, axis_size, mapped, tables, ids, offsets, id_weights):
    """The rule of `jax.vmap`: every feature of every batch is a feature of one call."""
    refuse_tables("jaxtbe.ops.lookup", mapped[0])
    folded = fold_ids(axis_size, mapped[1:3], ids, offsets)
    weights = None if id_weights is None else spread(mapped[3], axis_size, id_weights).reshape(-1)
    columns = static["columns"]
    acts, faults = lookup(
        tables,
        folded.ids,
        folded.offsets,
        weights,
        features=repeat_features(static["features"], columns, axis_size),
        columns=axis_size * columns,
        implementation=static["implementation"],
    )
    acts = acts.reshape(acts.shape[0], axis_size, columns).transpose(1, 0, 2)
    return (acts, faults.reshape(axis_size, -1, 2)), (True, True)


def _lookup(tables, ids, offsets, id_weights, *, features, columns, implementation):
    if not use_native(implementation):
        return reference.lookup.lookup(tables, ids, offsets, id_weights, features=features, columns=columns)
    batch = (offsets.shape[0] - 1) // len(features)
    call = native_call(
        "jaxtbe_lookup",
        (
            jax.ShapeDtypeStruct((batch, columns), jnp.float32),
            jax.ShapeDtypeStruct((len(features), 2), jnp.int32),
            scratch(offsets),
        ),
    )
    weights = () if id_weights is None else (id_weights,)
    acts, faults, _ = call(
        ids,
        offsets,
        *weights,
        *tables,
        layout=encode_features(features),
        has_weights=id_weights is not None,
        num_tables=len(tables),
    )
    return acts, faults
