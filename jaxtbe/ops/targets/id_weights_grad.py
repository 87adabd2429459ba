"""The gradient of id weights."""

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
from jaxtbe.ops.operands import check_call, check_list
from jaxtbe.ops.scratch import scratch
from jaxtbe.ops.signatures import OPS
from jaxtbe.ops.targets.lookup import repeat_features


def id_weights_grad(
    d_acts: jax.Array,
    tables: Sequence[jax.Array],
    ids: jax.Array,
    offsets: jax.Array,
    *,
    features: tuple[FeatureLayout, ...],
    implementation: Implementation | None = None,
) -> jax.Array:
    """For each id, the dot product of its row with the gradient of its bag's output.

    Divided by the bag's number of valid ids for pooling "mean". Zero for ids that are not valid, of
    write-only features, and of features that `features` leaves out.

    Args:
      d_acts: f32[B, columns], the gradient of `lookup`'s acts.
      tables: dtype[rows, dim] each, all of one dtype.
      ids: i32[N].
      offsets: i32[F*B+1].
      features: static, as in `lookup`.
      implementation: static, "native", "xla" or None.

    Returns:
      f32[N].
    """
    signature = OPS["id_weights_grad"]
    check_list(signature.api, "features", features)
    symbols = check_call(signature, {"F": len(features)}, tables=tables, ids=ids, offsets=offsets, d_acts=d_acts)
    check_features(signature.api, features, [t.shape[1] for t in tables], symbols["columns"], fill=False)
    static = {"features": features, "implementation": implementation}
    call = custom_vmap(functools.partial(_id_weights_grad, **static))
    call.def_vmap(functools.partial(_id_weights_grad_mapped, static))
    return call(d_acts, list(tables), ids, offsets)


def _id_weights_grad_mapped(static, axis_size, mapped, d_acts, tables, ids, offsets):
    refuse_tables("jaxtbe.ops.id_weights_grad", mapped[1])
    folded = fold_ids(axis_size, mapped[2:4], ids, offsets)
    d_acts = spread(mapped[0], axis_size, d_acts)
    columns = d_acts.shape[2]
    gradient = id_weights_grad(
        d_acts.transpose(1, 0, 2).reshape(d_acts.shape[1], -1),
        tables,
        folded.ids,
        folded.offsets,
        features=repeat_features(static["features"], columns, axis_size),
        implementation=static["implementation"],
    )
    return gradient.reshape(axis_size, -1), True


def _id_weights_grad(d_acts, tables, ids, offsets, *, features, implementation):
    if not use_native(implementation):
        return reference.id_weights_grad.id_weights_grad(d_acts, tables, ids, offsets, features=features)
    call = native_call("jaxtbe_id_weights_grad", (jax.ShapeDtypeStruct(ids.shape, jnp.float32), scratch(offsets)))
    return call(d_acts, ids, offsets, *tables, layout=encode_features(features), num_tables=len(tables))[0]
