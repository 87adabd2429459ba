"""The gradient of id weights."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxtbe.ops.implementation import use_native
from jaxtbe.ops.layout import FeatureLayout, encode_features
from jaxtbe.reference.id_weights_grad import id_weights_grad as reference_id_weights_grad


def id_weights_grad(
    d_acts: jax.Array,
    tables: Sequence[jax.Array],
    ids: jax.Array,
    offsets: jax.Array,
    *,
    features: tuple[FeatureLayout, ...],
    implementation: str | None = None,
) -> jax.Array:
    """For each id, the dot product of its row with the gradient of its bag's output.

    Divided by the bag's number of valid ids for pooling "mean". Zero for ids that are not valid, of write-only features, and
    of features that `features` leaves out.

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
    if not use_native(implementation):
        return reference_id_weights_grad(d_acts, tables, ids, offsets, features=features)
    call = jax.ffi.ffi_call(
        "jaxtbe_id_weights_grad", jax.ShapeDtypeStruct(ids.shape, jnp.float32), vmap_method="sequential"
    )
    return call(d_acts, ids, offsets, *tables, layout=encode_features(features), num_tables=len(tables))
